// Counts that must be exact and O(1) however large the store: they are written
// in the same batch as what they count. Should one disagree with the store all
// the same (a fault of ours, or a store that is not whole), it is told and
// counted, and all are counted anew from the store (recount.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "store/store.h"

namespace expirer {

// Of one rule, kept under "count/r/" rule: | u8 version=1 | varint pending |
// varint retrying | varint dead_jobs | varint rejected |
struct RuleCounts {
  uint64_t pending = 0;
  uint64_t retrying = 0;
  uint64_t dead_jobs = 0;
  uint64_t rejected = 0;  // entries in the dead store that never became jobs
  bool operator==(const RuleCounts&) const = default;
};

using CountsByRule = std::map<std::string, RuleCounts, std::less<>>;

// Core thread only.
class Counts {
 public:
  explicit Counts(uint64_t history_max) : history_max_(history_max) {}
  [[nodiscard]] absl::Status Load(const Store& store);

  // Changes one count of a rule, also of one no longer configured. One that
  // would go below zero stays 0 and is a miscount.
  void Add(std::string_view rule, uint64_t RuleCounts::*count, int64_t change);
  [[nodiscard]] const CountsByRule& rules() const { return rules_; }
  [[nodiscard]] uint64_t dead() const;

  // Of the rejected ones, those that are stale, of all rules. Kept under
  // "count/stale"; where that is missing an older version wrote the store.
  [[nodiscard]] uint64_t stale() const { return stale_.value; }
  void AddStale(int64_t change) { stale_.Add(change); }
  // Bytes of all entries of the dead store. Kept under "count/dead_bytes", likewise.
  [[nodiscard]] uint64_t dead_bytes() const { return dead_bytes_.value; }
  void AddDeadBytes(int64_t change) { dead_bytes_.Add(change); }

  // A key's register goes from one state to another; nullopt = unknown.
  void Move(std::string_view rule, const Register* from, const Register* to);

  // Closed keys still in history.
  [[nodiscard]] uint64_t closed() const { return closed_; }
  // Drops the buckets that expired, and at limits.history the oldest ones
  // early. Returns how many keys were forgotten early by this call.
  uint64_t Expire(int64_t now_ms);
  // Closed keys that expire at or before this are forgotten early; 0 = none.
  [[nodiscard]] int64_t forget_floor_ms() const { return forget_floor_ms_; }

  // Adds what changed since the last call to `set`.
  void Stage(WriteSet* set);

  // Since the process started.
  [[nodiscard]] uint64_t miscounts() const { return miscounts_; }
  // All are to be counted anew: after a miscount, or where a person asks for it.
  // Kept in the store under "count/recount" until it is done.
  [[nodiscard]] bool recount_wished() const { return recount_wished_; }
  void WishRecount();
  // The store, in which all that was counted is written, is about to be read.
  void BeginRecount();
  // That held `seen`; what changed since is added. Tells what is mended.
  void EndRecount(const CountsByRule& seen, uint64_t stale, uint64_t dead_bytes);
  // It could not be read. The next process tries again.
  void GiveUpRecount();

 private:
  // A sum over the whole dead store, kept under a key of its own.
  struct Total {
    uint64_t value = 0;
    bool dirty = false;
    int64_t since = 0;  // changes since BeginRecount
    void Add(int64_t change);
    void Recounted(uint64_t seen);
    void Stage(std::string_view key, WriteSet* set);
  };
  [[nodiscard]] absl::Status LoadTotals(const Store& store);
  RuleCounts& Change(std::string_view rule);
  // Closed keys by the time they expire, in spans of ten minutes, kept under
  // "count/h/" be64 span: varint count. 7 days of history are ~1,000 spans.
  static constexpr int64_t kSpanMs = 600'000;
  void Close(int64_t expires_ms, int64_t change);

  struct Span {
    uint64_t keys = 0;
    bool dirty = false;
  };
  const uint64_t history_max_;
  CountsByRule rules_;
  std::map<std::string, bool, std::less<>> dirty_rules_;
  std::map<int64_t, Span> spans_;
  std::vector<int64_t> dirty_spans_;
  std::vector<int64_t> dropped_spans_;
  uint64_t closed_ = 0;
  int64_t forget_floor_ms_ = 0;
  bool floor_dirty_ = false;
  Total stale_;
  Total dead_bytes_;
  uint64_t miscounts_ = 0;
  bool recount_wished_ = false;
  bool recount_dirty_ = false;
  std::optional<CountsByRule> since_;  // changes since BeginRecount, modulo 2^64
};

}  // namespace expirer
