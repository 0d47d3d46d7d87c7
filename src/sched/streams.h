// How far each rule has read each stream, and in which epoch: sequences order messages
// only within one life of a stream. The read mark is written in the same batch as what
// was read. So if a consumer's acks are ahead of it, another process has acked, and this
// store is an older copy.
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

// The key of a rule's read mark for a stream, and of its ConsumerFloor: rule, 0x00,
// stream.
[[nodiscard]] std::string SourceKey(std::string_view rule, std::string_view stream);

// A read mark. In `meta` under "read/" SourceKey:
//   | varint high_seq | varint high_time_ns | varint epoch | varint epoch_start_ns
//   | varint created_ns | varint before_ns |
// Up to store format 4 the last two were missing; they are set when a message is read.
// Each rule has its own mark, since one consumer delivers a rule's messages in the
// stream's order. If rules shared a mark, the rule that is first far ahead in the new
// life would raise it past the end of the old life, and hide the rewind from the others.
struct ReadMark {
  uint64_t high_seq = 0;     // highest applied in this epoch
  int64_t high_time_ns = 0;  // and its time
  uint64_t epoch = 1;
  int64_t epoch_start_ns = 0;  // no message of the epoch is older
  int64_t created_ns = 0;      // when the stream was created; 0 = not known yet
  int64_t before_ns = 0;       // created_ns of its life before
};

// Core thread only, except the functions that say otherwise.
class Streams {
 public:
  // `rules` outlives it.
  explicit Streams(const std::vector<Rule>* rules) : rules_(rules) {}

  // Every read mark, by SourceKey. Errors: kDataLoss. Any thread.
  static absl::StatusOr<std::map<std::string, ReadMark>> Marks(const Store& store);
  // The highest applied sequence of each read mark, by SourceKey. Errors and thread as
  // for Marks.
  static absl::StatusOr<std::map<std::string, uint64_t>> ReadUpTo(const Store& store);
  // Number (Position::stream) and name of every stream ever read, in the order of
  // the names. Errors: kDataLoss. Any thread.
  static absl::StatusOr<std::vector<std::pair<uint16_t, std::string>>> Names(
      const Store& store);

  // Reads what was stored. Errors: kDataLoss for malformed entries.
  absl::Status Load(const Store& store);

  // Returns the position of a message that the rule read, and updates the read mark.
  // `created_ns`: when the message's stream was created; 0 = unknown. A new life of the
  // stream begins if it was created at another time than before, or if the sequence is
  // not above the highest that the rule applied although the message's time is later.
  // Then the epoch is raised and `*rewound` is set, unless a backup brought back the life
  // before. The new epoch begins right after the time of the highest applied message; if
  // the stream was created before that (its clock was set back), it begins then, with a
  // new era. A message that is older than the epoch's begin belongs to an epoch before:
  // number 1 if there was only one, otherwise 0, which is no epoch, so that only times
  // are compared. `stream` must stay valid while the process lives. Undetected: a rewind
  // without a new time of creation, if the first messages that arrive have sequences
  // above the length of the old life.
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
  static absl::StatusOr<ReadMark> Decode(std::string_view bytes);

 private:
  struct Source {
    uint16_t number = 0;  // of the stream
    ReadMark mark;
    bool dirty = false;
  };
  // The number of the stream with this name; it gets `number` if it has none yet.
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
