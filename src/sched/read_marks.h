// How far each rule has read each stream, as the store knows it: written in the
// same batch as what was read. A consumer whose acks go beyond was acked by
// somebody this store does not remember: it is older than they are.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "job/rules.h"
#include "sched/events.h"
#include "store/store.h"

namespace expirer {

// The key of a rule's mark in a stream, and of its ConsumerFloor: rule, 0x00,
// stream.
[[nodiscard]] std::string SourceKey(std::string_view rule, std::string_view stream);

// Core thread only, but for Stored.
class ReadMarks {
 public:
  // `rules` outlives it.
  explicit ReadMarks(const std::vector<Rule>* rules) : rules_(rules) {}

  // The marks of the store by SourceKey. Errors: kDataLoss. Any thread.
  [[nodiscard]] static absl::StatusOr<std::map<std::string, uint64_t>> Stored(
      const Store& store);
  [[nodiscard]] absl::Status Load(const Store& store);

  // The rule has read up to `seq` of the stream. `stream` is stable while the
  // process lives. `rewound`: the stream begins anew, and with it the mark.
  void Note(RuleIndex rule, const std::string* stream, uint64_t seq, bool rewound);
  // Adds what changed since the last call to `set`.
  void Stage(WriteSet* set);

 private:
  struct Mark {
    uint64_t seq = 0;
    bool dirty = false;
  };
  const std::vector<Rule>* const rules_;
  std::map<std::string, uint64_t> stored_;  // as loaded
  absl::flat_hash_map<std::pair<RuleIndex, const std::string*>, Mark> marks_;
};

}  // namespace expirer
