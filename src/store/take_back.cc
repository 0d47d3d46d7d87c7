// SetSavepoint and TakeBack: a crash that loses exactly the writes since the savepoint.
// They write back the replaced values. Cutting the log would not do: RocksDB's
// background threads decide which of its bytes are in tables by then, and that differs
// from run to run.
#include <utility>

#include "base/check.h"
#include "store/rep.h"
#include "store/rocks.h"

namespace expirer {
namespace {

// Calls `note(family, key)` for each key that a batch writes.
template <typename Note>
class EachKey final : public rocksdb::WriteBatch::Handler {
 public:
  explicit EachKey(Note note) : note_(std::move(note)) {}
  rocksdb::Status PutCF(uint32_t family, const rocksdb::Slice& key,
                        const rocksdb::Slice&) override {
    return note_(family, key);
  }
  rocksdb::Status DeleteCF(uint32_t family, const rocksdb::Slice& key) override {
    return note_(family, key);
  }

 private:
  Note note_;
};

}  // namespace

absl::Status Store::Rep::NoteReplaced(const rocksdb::WriteBatch& batch) {
  EachKey each([this](uint32_t number, const rocksdb::Slice& key) {
    const auto [entry, fresh] = marked->try_emplace({number, key.ToString()});
    if (!fresh) return rocksdb::Status::OK();
    std::string value;
    const rocksdb::Status s =
        db->Get(rocksdb::ReadOptions(), families[number], key, &value);
    if (s.ok()) entry->second = std::move(value);
    return s.IsNotFound() ? rocksdb::Status::OK() : s;
  });
  return FromRocks(batch.Iterate(&each), "noting what a write replaces");
}

void Store::SetSavepoint() { rep_->marked.emplace(); }

absl::Status Store::TakeBack() {
  CHECK(rep_->marked.has_value());
  const Rep::Marked marked = *std::exchange(rep_->marked, std::nullopt);
  rocksdb::WriteBatch batch;
  for (const auto& [at, value] : marked) {
    rocksdb::ColumnFamilyHandle* const family = rep_->families[at.first];
    const rocksdb::Status s =
        value ? batch.Put(family, at.second, *value) : batch.Delete(family, at.second);
    RETURN_IF_ERROR(FromRocks(s, "taking writes back"));
  }
  return FromRocks(rep_->db->Write(rocksdb::WriteOptions(), &batch),
                   "taking writes back");
}

}  // namespace expirer
