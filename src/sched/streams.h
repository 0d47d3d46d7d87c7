// How far each rule has read each stream, and in which of its lives: sequences
// order messages only within one life of a stream. Written in the same batch as
// what was read, so a consumer whose acks go beyond was acked by somebody this
// store does not remember: the store is older than they are.
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

// Kept in `meta` under "read/" SourceKey:
//   | varint high_seq | varint high_time_ns | varint epoch | varint epoch_start_ns
//   | varint created_ns | varint before_ns |
// Up to store format 4 the last two were missing, and are learned.
// Of each rule its own: what is compared are messages of one rule, which one
// consumer brings in the stream's order. A mark that the rules shared would be
// raised past the end of the old life by the first of them that is far ahead in
// the new one, and the rewind hidden from the others.
struct ReadMark {
  uint64_t high_seq = 0;     // highest applied in this epoch
  int64_t high_time_ns = 0;  // and its time
  uint64_t epoch = 1;
  int64_t epoch_start_ns = 0;  // no message of the epoch is older
  int64_t created_ns = 0;      // of the stream in this life; 0 = not known yet
  int64_t before_ns = 0;       // the same of its life before
};

// Core thread only, but for what reads a store.
class Streams {
 public:
  // `rules` outlives it.
  explicit Streams(const std::vector<Rule>* rules) : rules_(rules) {}

  // Every mark, by SourceKey. Errors: kDataLoss. Any thread.
  [[nodiscard]] static absl::StatusOr<std::map<std::string, ReadMark>> Marks(
      const Store& store);
  // Of each its highest sequence applied. As Marks.
  [[nodiscard]] static absl::StatusOr<std::map<std::string, uint64_t>> ReadUpTo(
      const Store& store);
  // Number (Position::stream) and name of every stream ever read, in the order of
  // the names. Errors: kDataLoss. Any thread.
  [[nodiscard]] static absl::StatusOr<std::vector<std::pair<uint16_t, std::string>>>
  Names(const Store& store);

  // Reads what was stored. Errors: kDataLoss for malformed entries.
  [[nodiscard]] absl::Status Load(const Store& store);

  // The position of a message the rule read, taking note of it. `created_ns` is
  // when the stream was created that it came from; 0 = nobody can say. A stream
  // that was created at another time than before is another one, whatever
  // sequences say; one whose sequence is not above the highest the rule applied
  // but whose time is later was rewound. Its epoch is raised then (and `*rewound`
  // set), and begins right after the time of the highest applied; or, with a new
  // era, when it was created, where that is earlier: its clock was set back.
  // Unless it is the stream before, out of a backup. An older message belongs
  // to an epoch before: the first, while there is only that one, else 0, the
  // number of no epoch, so that time decides between it and every other.
  // `stream` is stable while the process lives.
  // Not told: a rewind under one time of creation of which nothing up to the old
  // life's length arrived first, while messages from there on did.
  [[nodiscard]] Position Place(RuleIndex rule, const std::string* stream,
                               int64_t created_ns, uint64_t seq, int64_t time_ns,
                               bool* rewound);

  // The name of the stream with this Position::stream; "" = none has it. Valid
  // until the next Place.
  [[nodiscard]] std::string_view NameOf(uint16_t number) const {
    return number < names_.size() ? names_[number] : std::string_view();
  }

  // Adds what changed since the last call to `set`.
  void Stage(WriteSet* set);

  [[nodiscard]] static std::string Encode(const ReadMark& mark);
  [[nodiscard]] static absl::StatusOr<ReadMark> Decode(std::string_view bytes);

 private:
  struct Source {
    uint16_t number = 0;  // of the stream
    ReadMark mark;
    bool dirty = false;
  };
  // The number of the stream of this name: `number`, if it has none yet.
  uint16_t Number(const std::string& name, uint16_t number);
  Source& Find(RuleIndex rule, const std::string* stream, int64_t time_ns);
  // Whether the stream was created at another time than the mark says.
  [[nodiscard]] static bool BeginLife(int64_t created_ns, Source* source);

  const std::vector<Rule>* const rules_;
  std::map<std::string, uint16_t, std::less<>> numbers_;  // "stream/" name: varint
  std::vector<std::string_view> names_;                   // keys of numbers_
  uint16_t next_number_ = 1;
  std::vector<std::string> new_streams_;       // not staged yet
  std::map<std::string, ReadMark> as_loaded_;  // Marks
  absl::flat_hash_map<std::pair<RuleIndex, const std::string*>, Source> sources_;
};

}  // namespace expirer
