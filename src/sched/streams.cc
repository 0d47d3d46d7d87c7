#include "sched/streams.h"

#include <algorithm>
#include <functional>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {

std::string SourceKey(std::string_view rule, std::string_view stream) {
  return std::string(rule) + '\0' + std::string(stream);
}

std::string Streams::Encode(const ReadMark& mark) {
  return Varints(mark.high_seq, mark.high_time_ns, mark.epoch, mark.epoch_start_ns,
                 mark.created_ns, mark.before_ns);
}

absl::StatusOr<ReadMark> Streams::Decode(std::string_view bytes) {
  Reader in(bytes);
  ReadMark mark;
  mark.high_seq = in.Varint();
  mark.high_time_ns = static_cast<int64_t>(in.Varint());
  mark.epoch = in.Varint();
  mark.epoch_start_ns = static_cast<int64_t>(in.Varint());
  if (!in.AtEnd()) {  // not up to store format 4
    mark.created_ns = static_cast<int64_t>(in.Varint());
    mark.before_ns = static_cast<int64_t>(in.Varint());
  }
  if (!in.AtEnd() || mark.epoch == 0)
    return Corrupt("read mark malformed: expected four varints, or six");
  return mark;
}

namespace {

// An entry of "stream/". Up to store format 3 it began with a version, 1, and all
// rules shared the mark that followed the number.
struct StreamEntry {
  uint16_t number = 0;
  ReadMark shared;
};

absl::StatusOr<StreamEntry> DecodeStream(std::string_view bytes) {
  constexpr size_t kNumberMost = 3;  // bytes of a varint of 16 bits
  StreamEntry entry;
  const bool old = bytes.size() > kNumberMost && bytes[0] == 1;
  if (old) bytes.remove_prefix(1);
  Reader in(bytes);
  const uint64_t number = in.Varint();
  entry.number = static_cast<uint16_t>(number);
  if (old) {
    entry.shared.epoch = in.Varint();
    entry.shared.epoch_start_ns = static_cast<int64_t>(in.Varint());
    entry.shared.high_seq = in.Varint();
    entry.shared.high_time_ns = static_cast<int64_t>(in.Varint());
  }
  if (!in.AtEnd() || number > UINT16_MAX)
    return Corrupt("stream entry malformed: expected its number");
  return entry;
}

using VisitStream = std::function<void(std::string_view name, const StreamEntry& entry)>;
absl::Status VisitStreams(const Store& store, const VisitStream& visit) {
  return store.VisitMeta(
      kMetaStream, [&](std::string_view key, std::string_view value) -> absl::Status {
        ASSIGN_OR_RETURN(const StreamEntry entry, DecodeStream(value));
        visit(key.substr(kMetaStream.size()), entry);
        return absl::OkStatus();
      });
}

}  // namespace

absl::StatusOr<std::map<std::string, ReadMark>> Streams::Marks(const Store& store) {
  std::map<std::string, ReadMark, std::less<>> shared;
  RETURN_IF_ERROR(
      VisitStreams(store, [&shared](std::string_view name, const StreamEntry& entry) {
        shared.emplace(name, entry.shared);
      }));
  std::map<std::string, ReadMark> marks;
  RETURN_IF_ERROR(store.VisitMeta(
      kMetaRead, [&](std::string_view key, std::string_view value) -> absl::Status {
        const std::string_view source = key.substr(kMetaRead.size());
        Reader in(value);
        const uint64_t high_seq = in.Varint();
        ReadMark mark;
        if (in.AtEnd()) {  // up to store format 3: the rest was shared
          const auto found = shared.find(source.substr(source.find('\0') + 1));
          if (found != shared.end()) mark = found->second;
          mark.high_seq = high_seq;
        } else {
          ASSIGN_OR_RETURN(mark, Decode(value));
        }
        marks.emplace(source, mark);
        return absl::OkStatus();
      }));
  return marks;
}

absl::StatusOr<std::map<std::string, uint64_t>> Streams::ReadUpTo(const Store& store) {
  ASSIGN_OR_RETURN(const auto marks, Marks(store));
  std::map<std::string, uint64_t> read;
  for (const auto& [source, mark] : marks) read[source] = mark.high_seq;
  return read;
}

absl::StatusOr<std::vector<std::pair<uint16_t, std::string>>> Streams::Names(
    const Store& store) {
  std::vector<std::pair<uint16_t, std::string>> names;
  RETURN_IF_ERROR(
      VisitStreams(store, [&names](std::string_view name, const StreamEntry& entry) {
        names.emplace_back(entry.number, name);
      }));
  return names;
}

absl::Status Streams::Load(const Store& store) {
  ASSIGN_OR_RETURN(const auto names, Names(store));
  for (const auto& [number, name] : names) {
    Number(name, number);
    next_number_ = std::max<uint16_t>(next_number_, number + 1);
  }
  ASSIGN_OR_RETURN(as_loaded_, Marks(store));
  return absl::OkStatus();
}

uint16_t Streams::Number(const std::string& name, uint16_t number) {
  const auto [it, added] = numbers_.try_emplace(name, number);
  if (!added) return it->second;
  if (names_.size() <= number) names_.resize(number + size_t{1});
  names_[number] = it->first;  // a map's keys stay where they are
  return number;
}

Streams::Source& Streams::Find(RuleIndex rule, const std::string* stream,
                               int64_t time_ns) {
  const auto [it, first] = sources_.try_emplace({rule, stream});
  Source& source = it->second;
  if (!first) return source;
  source.number = Number(*stream, next_number_);
  if (source.number == next_number_) {
    ++next_number_;
    new_streams_.push_back(*stream);
  }
  const auto loaded = as_loaded_.find(SourceKey((*rules_)[rule].name, *stream));
  if (loaded != as_loaded_.end())
    source.mark = loaded->second;
  else
    source.mark.epoch_start_ns = time_ns;
  return source;
}

bool Streams::BeginLife(int64_t created_ns, Source* source) {
  ReadMark& mark = source->mark;
  if (created_ns == 0 || created_ns == mark.created_ns) return false;
  const bool restored = created_ns == mark.before_ns;
  const bool first = mark.created_ns == 0;
  mark.before_ns = std::exchange(mark.created_ns, created_ns);
  source->dirty = true;
  if (first) return false;
  ++mark.epoch;
  mark.epoch_start_ns = mark.high_time_ns + 1;
  if (!restored && created_ns < mark.epoch_start_ns) {  // its clock is behind
    mark.epoch += kEra;
    mark.epoch_start_ns = created_ns;
  }
  mark.high_seq = 0;
  mark.high_time_ns = 0;
  return true;
}

Position Streams::Place(RuleIndex rule, const std::string* stream, int64_t created_ns,
                        uint64_t seq, int64_t time_ns, bool* rewound) {
  Source& source = Find(rule, stream, time_ns);
  ReadMark& mark = source.mark;
  *rewound = BeginLife(created_ns, &source);
  if (seq <= mark.high_seq && time_ns > mark.high_time_ns) {
    *rewound = true;
    ++mark.epoch;
    // Not this message's own time: earlier ones of the new life may have been
    // lost on the way and come again.
    mark.epoch_start_ns = mark.high_time_ns + 1;
    mark.high_seq = 0;
  }
  const bool earlier = time_ns < mark.epoch_start_ns && mark.epoch > 1;
  if (seq > mark.high_seq && time_ns >= mark.high_time_ns) {
    mark.high_seq = seq;
    mark.high_time_ns = time_ns;
    source.dirty = true;
  }
  const uint64_t before = mark.epoch == 2 ? 1 : 0;
  return Position{source.number, earlier ? before : mark.epoch, seq, time_ns, {}};
}

void Streams::Stage(WriteSet* set) {
  for (const std::string& name : new_streams_)
    set->PutMeta(std::string(kMetaStream) + name, Varints(numbers_[name]));
  new_streams_.clear();
  for (auto& [rule_and_stream, source] : sources_) {
    if (!source.dirty) continue;
    const auto& [rule, stream] = rule_and_stream;
    set->PutMeta(std::string(kMetaRead) + SourceKey((*rules_)[rule].name, *stream),
                 Encode(source.mark));
    source.dirty = false;
  }
}

}  // namespace expirer
