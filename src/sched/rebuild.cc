#include "sched/rebuild.h"

#include <string>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {
constexpr uint8_t kVersion = 1;
}  // namespace

absl::StatusOr<Rebuild> Rebuild::Load(const Store& store) {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaRebuild, &value));
  Rebuild rebuild;
  if (!found) return rebuild;
  Reader in(value);
  const uint8_t version = in.Byte();
  rebuild.open = in.Byte() != 0;
  rebuild.began_ms = static_cast<int64_t>(in.Varint());
  rebuild.end_seq = in.Varint();
  if (version != kVersion || !in.AtEnd())
    return Corrupt("rebuild entry malformed: expected version 1");
  return rebuild;
}

void Rebuild::Stage(WriteSet* set) const {
  set->PutMeta(std::string(kMetaRebuild),
               Varints(kVersion, open ? 1 : 0, began_ms, end_seq));
}

}  // namespace expirer
