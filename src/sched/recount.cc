#include "sched/recount.h"

#include "job/job.h"

namespace expirer {

Recount::Recount(const Store& store)
    : dead_(store.ScanDead()), registers_(store.ScanRegisters()) {
  dead_->Seek("");
  registers_->Seek("");
}

absl::StatusOr<bool> Recount::Read() {
  for (size_t row = 0; row < kRowsATurn; ++row) {
    if (dead_->Valid()) {
      CountDead(dead_->key(), dead_->value());
      dead_->Next();
    } else if (registers_->Valid()) {
      CountRegister(registers_->key(), registers_->value());
      registers_->Next();
    } else {
      RETURN_IF_ERROR(dead_->status());
      RETURN_IF_ERROR(registers_->status());
      return true;
    }
  }
  return false;
}

RuleCounts& Recount::Of(std::string_view key) {
  const std::string_view rule = key.substr(0, key.find('\0'));
  if (last_ == seen_.end() || last_->first != rule)
    last_ = seen_.try_emplace(std::string(rule)).first;
  return last_->second;
}

void Recount::CountDead(std::string_view key, std::string_view value) {
  const std::optional<DeadName> name = SplitDeadKey(key);
  if (name) ++(name->job ? Of(key).dead_jobs : Of(key).rejected);
  dead_bytes_ += value.size();
  const absl::StatusOr<Dead> dead = DecodeDead(value);
  if (dead.ok() && IsStale(*dead)) ++stale_;
}

void Recount::CountRegister(std::string_view id, std::string_view value) {
  const absl::StatusOr<Register> reg = DecodeRegister(value);
  if (!reg.ok()) return;
  if (reg->state == JobState::kPending) ++Of(id).pending;
  if (reg->state == JobState::kRetrying) ++Of(id).retrying;
}

}  // namespace expirer
