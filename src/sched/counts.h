// Counts that are exact and take O(1), however large the store is: they are written in
// the same batch as what they count. If a count still disagrees with the store (a fault
// of ours, or a damaged store), this is logged and counted as a miscount, and everything
// is counted again from the store (recount.h).
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

// The counts of one rule. In `meta` under "count/r/" rule: | u8 version=1 | varint
// pending | varint retrying | varint dead_jobs | varint rejected |
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
  absl::Status Load(const Store& store);

  // Changes one count of a rule, even if it is no longer configured. A count that would
  // go below zero stays 0; this is a miscount.
  void Add(std::string_view rule, uint64_t RuleCounts::*count, int64_t change);
  [[nodiscard]] const CountsByRule& rules() const { return rules_; }
  [[nodiscard]] uint64_t dead() const;

  // Stale entries of the dead store, over all rules. In `meta` under "count/stale"; if
  // that is missing, an older version wrote the store.
  [[nodiscard]] uint64_t stale() const { return stale_.value; }
  void AddStale(int64_t change) { stale_.Add(change); }
  // Bytes of all entries of the dead store. In `meta` under "count/dead_bytes".
  [[nodiscard]] uint64_t dead_bytes() const { return dead_bytes_.value; }
  void AddDeadBytes(int64_t change) { dead_bytes_.Add(change); }

  // A key's register goes from one state to another; null = unknown.
  void Move(std::string_view rule, const Register* from, const Register* to);

  // Closed keys still in history.
  [[nodiscard]] uint64_t closed() const { return closed_; }
  // Drops the spans that expired. While there are more keys than limits.history, also
  // drops, of the rule that has the most closed keys, the span that expires first. So if
  // there are N rules, each has at least an Nth of limits.history, and may use what the
  // others leave. Returns what this call forgot early.
  struct Forgotten {
    std::string rule;  // "" = every rule, for keys that an older version counted
    uint64_t keys = 0;
    int64_t floor_ms = 0;  // keys that expire at or before this are forgotten
  };
  std::vector<Forgotten> Expire(int64_t now_ms);
  // By rule; "" = for every rule.
  using Floors = std::map<std::string, int64_t, std::less<>>;
  [[nodiscard]] const Floors& floors() const { return floors_; }
  // The floor of the queue: a closed key that does not expire later is forgotten at
  // once.
  [[nodiscard]] int64_t FloorMs(std::string_view queue) const;

  // Adds what changed since the last call to `set`.
  void Stage(WriteSet* set);

  // Since the process started.
  [[nodiscard]] uint64_t miscounts() const { return miscounts_; }
  // Requests that everything be counted again: after a miscount, or if a person asks for
  // it. `meta` has a note under "count/recount" until that is done.
  [[nodiscard]] bool recount_wished() const { return recount_wished_; }
  void WishRecount();
  // A recount begins. REQUIRES: all counted changes are written to the store.
  void BeginRecount();
  // The recount found `seen`. Adds what changed since BeginRecount, and logs each count
  // that it corrects.
  void EndRecount(const CountsByRule& seen, uint64_t stale, uint64_t dead_bytes);
  // The recount failed. The next process tries again.
  void GiveUpRecount();

 private:
  // A sum over the whole dead store, with its own key in `meta`.
  struct Total {
    uint64_t value = 0;
    bool dirty = false;
    int64_t since = 0;  // changes since BeginRecount
    void Add(int64_t change);
    void Recounted(uint64_t seen);
    void Stage(std::string_view key, WriteSet* set);
  };
  absl::Status LoadTotals(const Store& store);
  RuleCounts& Change(std::string_view rule);
  // Closed keys by the time when they expire, in spans of ten minutes. In `meta`: the sum
  // over all rules under "count/h/" be64 span: varint count, and each rule's count under
  // "count/hr/" rule 0x00 be64 span. 7 days of history are ~1,000 spans. Keys that an
  // older version counted belong to the rule "", which has no entries of its own.
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
  absl::Status LoadHistory(const Store& store);
  void Close(std::string_view queue, int64_t expires_ms, int64_t change);
  void ForgetOldest(std::vector<Forgotten>* forgotten);
  void TakeOut(Histories::iterator rule, int64_t span, uint64_t keys);
  // Notes for Stage that a rule's span has changed ("" = the sum's).
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
