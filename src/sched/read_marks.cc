#include "sched/read_marks.h"

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {

std::string SourceKey(std::string_view rule, std::string_view stream) {
  return std::string(rule) + '\0' + std::string(stream);
}

absl::StatusOr<std::map<std::string, uint64_t>> ReadMarks::Stored(const Store& store) {
  std::map<std::string, uint64_t> marks;
  RETURN_IF_ERROR(store.VisitMeta(
      kMetaRead, [&marks](std::string_view key, std::string_view value) -> absl::Status {
        key.remove_prefix(kMetaRead.size());
        Reader in(value);
        marks[std::string(key)] = in.Varint();
        return in.AtEnd() ? absl::OkStatus()
                          : Corrupt("read mark malformed: expected one varint");
      }));
  return marks;
}

absl::Status ReadMarks::Load(const Store& store) {
  ASSIGN_OR_RETURN(stored_, Stored(store));
  return absl::OkStatus();
}

void ReadMarks::Note(RuleIndex rule, const std::string* stream, uint64_t seq,
                     bool rewound) {
  const auto [it, first] = marks_.try_emplace({rule, stream});
  Mark& mark = it->second;
  if (first) {
    const auto stored = stored_.find(SourceKey((*rules_)[rule].name, *stream));
    if (stored != stored_.end()) mark.seq = stored->second;
  }
  if (seq <= mark.seq && !rewound) return;
  mark = {seq, true};
}

void ReadMarks::Stage(WriteSet* set) {
  for (auto& [source, mark] : marks_) {
    if (!mark.dirty) continue;
    std::string value;
    PutVarint(&value, mark.seq);
    set->PutMeta(
        std::string(kMetaRead) + SourceKey((*rules_)[source.first].name, *source.second),
        value);
    mark.dirty = false;
  }
}

}  // namespace expirer
