#include "sched/streams.h"

#include <algorithm>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {
constexpr uint8_t kVersion = 1;
}  // namespace

std::string Streams::Encode(const StreamState& state) {
  std::string out(1, static_cast<char>(kVersion));
  PutVarint(&out, state.number);
  PutVarint(&out, state.epoch);
  PutVarint(&out, static_cast<uint64_t>(state.epoch_start_ns));
  PutVarint(&out, state.high_seq);
  PutVarint(&out, static_cast<uint64_t>(state.high_time_ns));
  return out;
}

absl::StatusOr<StreamState> Streams::Decode(std::string_view bytes) {
  Reader in(bytes);
  const uint8_t version = in.Byte();
  StreamState state;
  state.number = static_cast<uint16_t>(in.Varint());
  state.epoch = in.Varint();
  state.epoch_start_ns = static_cast<int64_t>(in.Varint());
  state.high_seq = in.Varint();
  state.high_time_ns = static_cast<int64_t>(in.Varint());
  if (version != kVersion || !in.AtEnd())
    return Corrupt("stream entry malformed: expected version 1");
  return state;
}

absl::Status Streams::Load(const Store& store) {
  return store.VisitMeta(
      kMetaStream, [this](std::string_view key, std::string_view value) -> absl::Status {
        ASSIGN_OR_RETURN(const StreamState state, Decode(value));
        key.remove_prefix(kMetaStream.size());
        streams_[std::string(key)] = Entry{state, false};
        next_number_ = std::max<uint16_t>(next_number_, state.number + 1);
        return absl::OkStatus();
      });
}

std::string Streams::NameOf(uint16_t number) const {
  for (const auto& [name, entry] : streams_)
    if (entry.state.number == number) return name;
  return "";
}

Position Streams::Place(const std::string& stream, uint64_t seq, int64_t time_ns,
                        bool* rewound) {
  *rewound = false;
  Entry& entry = streams_[stream];
  StreamState& state = entry.state;
  if (state.number == 0) {
    state.number = next_number_++;
    state.epoch_start_ns = time_ns;
  } else if (seq <= state.high_seq && time_ns > state.high_time_ns) {
    *rewound = true;
    ++state.epoch;
    // Not this message's own time: another rule's consumer may still bring
    // earlier messages of the new life.
    state.epoch_start_ns = state.high_time_ns + 1;
    state.high_seq = 0;
  }
  const bool earlier = time_ns < state.epoch_start_ns && state.epoch > 1;
  if (!earlier && seq > state.high_seq && time_ns >= state.high_time_ns) {
    state.high_seq = seq;
    state.high_time_ns = time_ns;
    entry.dirty = true;
  }
  const uint64_t before = state.epoch == 2 ? 1 : 0;
  return Position{state.number, earlier ? before : state.epoch, seq, time_ns, {}};
}

void Streams::Stage(WriteSet* set) {
  for (auto& [name, entry] : streams_) {
    if (!entry.dirty) continue;
    set->PutMeta(std::string(kMetaStream) + name, Encode(entry.state));
    entry.dirty = false;
  }
}

}  // namespace expirer
