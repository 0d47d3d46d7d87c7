#include "sched/turn.h"

#include <algorithm>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {

void Turn::Changes::Clear() {
  set.Clear();
  registers.clear();
  dead.clear();
  rows.clear();
  rewritten.clear();
  dropped.clear();
}

absl::Status Turn::Load() {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store_->GetMeta(kMetaNextSeq, &value));
  if (found) next_seq_ = Reader(value).Varint();
  if (next_seq_ == 0) return Corrupt("the entry next_seq of meta is malformed");
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Register>> Turn::Known(const std::string& id) const {
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level)
    if (const auto at = level->registers.find(id); at != level->registers.end())
      return std::optional<Register>(at->second);
  if (const auto ahead = ahead_.find(id); ahead != ahead_.end()) return ahead->second;
  return store_->GetRegister(id);
}

absl::Status Turn::ReadAhead(std::vector<std::string> ids) {
  if (ids.size() < 2) return absl::OkStatus();
  std::vector<std::optional<Register>> found;
  RETURN_IF_ERROR(store_->GetRegisters(ids, &found));
  for (size_t i = 0; i < ids.size(); ++i)
    ahead_.insert_or_assign(std::move(ids[i]), std::move(found[i]));
  return absl::OkStatus();
}

void Turn::Put(const std::string& id, const Register* from, Register to) {
  const std::string_view rule = std::string_view(id).substr(0, id.find('\0'));
  // Others were forgotten that would have been kept for longer: this one is not.
  if (IsClosed(to.state))
    to.expires_ms = std::max(to.expires_ms, counts_->FloorMs(rule) + 1);
  counts_->Move(rule, from, &to);
  levels_.back().set.PutRegister(id, EncodeRegister(to));
  levels_.back().registers[id] = std::move(to);
}

absl::StatusOr<bool> Turn::ReadRow(const JobKey& key, std::string* row) const {
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    const auto added = std::lower_bound(
        level->rows.begin(), level->rows.end(), key.seq,
        [](const Row& one, uint64_t seq) { return one.entry.seq < seq; });
    const auto again = level->rewritten.find(key.seq);
    const bool adds = added != level->rows.end() && added->entry.seq == key.seq;
    if (!adds && again == level->rewritten.end()) continue;
    const Span at = again != level->rewritten.end() ? again->second : added->value;
    *row = level->set.Value(at.offset, at.size);
    return true;
  }
  return store_->GetJob(key, row);
}

Turn::Span Turn::Stage(Changes* changes, const JobKey& key, std::string_view row) {
  changes->set.PutJob(key, row);
  return {changes->set.bytes() - row.size(), row.size()};
}

void Turn::PutRow(LaneState* lane, const JobKey& key, int64_t due_ms,
                  std::string_view row) {
  Changes& now = levels_.back();
  if (due_ms < key.key_ms) overdue_->Add(key.seq, due_ms, lane->retry);
  lanes_->LowerBound(lane, key.key_ms, &now.set);
  now.rows.push_back({key.lane, {key.key_ms, key.seq}, Stage(&now, key, row)});
}

void Turn::RewriteRow(const JobKey& key, std::string_view row) {
  Changes& now = levels_.back();
  now.rewritten[key.seq] = Stage(&now, key, row);
}

void Turn::DropRow(const JobKey& key) {
  levels_.back().set.DeleteJob(key);
  levels_.back().dropped.insert(key.seq);
  overdue_->Drop(key.seq);
}

bool Turn::Dropped(uint64_t seq) const {
  return std::any_of(levels_.begin(), levels_.end(),
                     [seq](const Changes& level) { return level.dropped.contains(seq); });
}

absl::StatusOr<bool> Turn::FindDead(const std::string& key, std::string* value) const {
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
    const auto at = level->dead.find(key);
    if (at == level->dead.end()) continue;
    if (at->second) *value = *at->second;
    return at->second.has_value();
  }
  return store_->GetDead(key, value);
}

int64_t Turn::DeadBytes(const std::string& key) {
  std::string value;
  const absl::StatusOr<bool> found = FindDead(key, &value);
  if (!found.ok()) counts_->WishRecount();  // the disk's error comes up elsewhere, too
  return found.ok() && *found ? static_cast<int64_t>(value.size()) : 0;
}

void Turn::PutDead(std::string key, const Dead& dead) {
  std::string value = EncodeDead(dead);
  counts_->AddDeadBytes(static_cast<int64_t>(value.size()) - DeadBytes(key));
  levels_.back().set.PutDead(key, value);
  levels_.back().dead.insert_or_assign(std::move(key), std::move(value));
}

void Turn::DropDead(std::string key) {
  counts_->AddDeadBytes(-DeadBytes(key));
  levels_.back().set.DeleteDead(key);
  levels_.back().dead.insert_or_assign(std::move(key), std::nullopt);
}

void Turn::StageNextSeq() {
  if (std::exchange(next_seq_dirty_, false))
    meta()->PutMeta(kMetaNextSeq, Varints(next_seq_));
}

void Turn::StageBounds(int64_t now_ms) {
  if (empty()) return;
  for (const Changes& level : levels_)
    for (const Row& row : level.rows) now_ms = std::min(now_ms, row.entry.key_ms);
  lanes_->RaiseBounds(now_ms, meta());
}

bool Turn::empty() const {
  return std::all_of(levels_.begin(), levels_.end(),
                     [](const Changes& level) { return level.set.empty(); });
}

absl::Status Turn::Write() {
  Changes& oldest = levels_.front();
  RETURN_IF_ERROR(store_->Write(&oldest.set));
  for (const Row& row : oldest.rows) lanes_->Numbered(row.lane).window.Insert(row.entry);
  if (levels_.size() > 1)
    levels_.pop_front();
  else
    oldest.Clear();
  return absl::OkStatus();
}

}  // namespace expirer
