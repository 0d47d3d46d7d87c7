// Counts that must be exact and O(1) however large the store: they are written
// in the same batch as what they count. Should one disagree with the store all
// the same (a fault of ours, or a store that is not whole), it is told and
// counted, and all are counted anew from the store (recount.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
  // Drops the spans that expired; and beyond limits.history, of the rule that has the
  // most closed keys, the one that expires first. So of N rules each keeps what it
  // has, up to an Nth of limits.history, and may use what others leave. Returns what
  // was forgotten early by this call.
  struct Forgotten {
    std::string rule;  // "" = of keys that an older version counted: of every rule
    uint64_t keys = 0;
    int64_t floor_ms = 0;  // what expires at or before this
  };
  std::vector<Forgotten> Expire(int64_t now_ms);
  // By rule; "": for every rule.
  using Floors = std::map<std::string, int64_t, std::less<>>;
  [[nodiscard]] const Floors& floors() const { return floors_; }
  // Of the queue: a closed key that expires no later is forgotten at once.
  [[nodiscard]] int64_t FloorMs(std::string_view queue) const;

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
  // Closed keys by the time they expire, in spans of ten minutes: of all rules under
  // "count/h/" be64 span: varint count, of each rule under "count/hr/" rule 0x00 be64
  // span. 7 days of history are ~1,000 spans. Keys that an older version counted are
  // of the rule "", which has no entries of its own.
  static constexpr int64_t kSpanMs = 600'000;
  // The last millisecond of the span.
  static constexpr int64_t EndMs(int64_t span) { return (span + 1) * kSpanMs - 1; }
  struct Span {
    uint64_t keys = 0;
    int64_t last_ms = 0;  // no key of it expires later
    bool dirty = false;
  };
  struct History {
    uint64_t keys = 0;
    std::map<int64_t, Span> spans;
  };
  using Histories = std::map<std::string, History, std::less<>>;
  [[nodiscard]] absl::Status LoadHistory(const Store& store);
  void Close(std::string_view queue, int64_t expires_ms, int64_t change);
  void ForgetOldest(std::vector<Forgotten>* forgotten);
  void TakeOut(Histories::iterator rule, int64_t span, uint64_t keys);
  // Notes for Stage that the span ("": of the sums) has changed.
  void Touch(std::string_view rule, int64_t number, Span* span) {
    if (!span->dirty) dirty_spans_.emplace_back(rule, number);
    span->dirty = true;
  }

  const uint64_t history_max_;
  CountsByRule rules_;
  std::map<std::string, bool, std::less<>> dirty_rules_;
  std::map<int64_t, Span> spans_;  // the sums
  Histories histories_;            // by rule
  std::vector<std::pair<std::string, int64_t>> dirty_spans_;
  uint64_t closed_ = 0;
  Floors floors_;
  std::set<std::string, std::less<>> dirty_floors_;
  Total stale_;
  Total dead_bytes_;
  uint64_t miscounts_ = 0;
  bool recount_wished_ = false;
  bool recount_dirty_ = false;
  std::optional<CountsByRule> since_;  // changes since BeginRecount, modulo 2^64
};

}  // namespace expirer
