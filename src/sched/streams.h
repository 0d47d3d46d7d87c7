// Which epoch of which stream a message belongs to: sequences order messages
// only within one life of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "store/store.h"

namespace expirer {

// Kept in `meta` under "stream/" name:
//   | u8 version=1 | varint number | varint epoch | varint epoch_start_ns
//   | varint high_seq | varint high_time_ns |
struct StreamState {
  uint16_t number = 0;  // Position::stream
  uint64_t epoch = 1;
  int64_t epoch_start_ns = 0;  // no message of the epoch is older
  uint64_t high_seq = 0;       // highest applied in this epoch
  int64_t high_time_ns = 0;    // and its time
};

// Core thread only.
class Streams {
 public:
  // Reads what was stored. Errors: kDataLoss for malformed entries.
  [[nodiscard]] absl::Status Load(const Store& store);

  // The position of a message, taking note of it. A stream whose sequence is
  // not above the highest applied but whose time is later was rewound or
  // re-created: its epoch is raised (and `*rewound` set), and begins right
  // after the time of the highest applied. An older message belongs to an
  // epoch before: the first, while there is only that one, else 0, the number
  // of no epoch, so that time decides between it and every other.
  [[nodiscard]] Position Place(const std::string& stream, uint64_t seq, int64_t time_ns,
                               bool* rewound);

  // The name of the stream with this Position::stream; "" = none has it.
  [[nodiscard]] std::string NameOf(uint16_t number) const;

  // Adds what changed since the last call to `set`.
  void Stage(WriteSet* set);

  [[nodiscard]] static std::string Encode(const StreamState& state);
  [[nodiscard]] static absl::StatusOr<StreamState> Decode(std::string_view bytes);

 private:
  struct Entry {
    StreamState state;
    bool dirty = false;
  };
  absl::flat_hash_map<std::string, Entry> streams_;
  uint16_t next_number_ = 1;
};

}  // namespace expirer
