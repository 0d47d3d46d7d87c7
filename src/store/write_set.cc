#include <array>

#include "base/check.h"
#include "store/rep.h"
#include "store/rocks.h"

namespace expirer {
namespace {

// A batch needs of a family only its number and that its order is bytewise, so
// sets can be filled without a store at hand.
class NumberedFamily final : public rocksdb::ColumnFamilyHandle {
 public:
  explicit NumberedFamily(Family which) : number_(which), name_(kFamilyNames[which]) {}
  const std::string& GetName() const override { return name_; }
  uint32_t GetID() const override { return number_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor*) override {
    return rocksdb::Status::NotSupported();
  }
  const rocksdb::Comparator* GetComparator() const override {
    return rocksdb::BytewiseComparator();
  }

 private:
  const uint32_t number_;
  const std::string name_;
};

rocksdb::ColumnFamilyHandle* Numbered(Family which) {
  static std::array<NumberedFamily, kFamilies> families = {
      NumberedFamily(kDefault), NumberedFamily(kDue), NumberedFamily(kIds),
      NumberedFamily(kDead), NumberedFamily(kMeta)};
  return &families[which];
}

void Put(rocksdb::WriteBatch* batch, Family family, std::string_view key,
         std::string_view value) {
  CHECK(batch->Put(Numbered(family), ToSlice(key), ToSlice(value)).ok());
}

void Delete(rocksdb::WriteBatch* batch, Family family, std::string_view key) {
  CHECK(batch->Delete(Numbered(family), ToSlice(key)).ok());
}

}  // namespace

WriteSet::WriteSet() : batch_(std::make_unique<rocksdb::WriteBatch>()) {}
WriteSet::~WriteSet() = default;
WriteSet::WriteSet(WriteSet&&) noexcept = default;
WriteSet& WriteSet::operator=(WriteSet&&) noexcept = default;

void WriteSet::PutJob(const JobKey& key, std::string_view row) {
  char bytes[kJobKeyBytes];
  EncodeJobKey(key, bytes);
  Put(batch_.get(), kDue, {bytes, kJobKeyBytes}, row);
}

void WriteSet::DeleteJob(const JobKey& key) {
  char bytes[kJobKeyBytes];
  EncodeJobKey(key, bytes);
  Delete(batch_.get(), kDue, {bytes, kJobKeyBytes});
}

void WriteSet::PutRegister(std::string_view id, std::string_view value) {
  Put(batch_.get(), kIds, id, value);
}
void WriteSet::DeleteRegister(std::string_view id) { Delete(batch_.get(), kIds, id); }
void WriteSet::PutDead(std::string_view key, std::string_view value) {
  Put(batch_.get(), kDead, key, value);
}
void WriteSet::DeleteDead(std::string_view key) { Delete(batch_.get(), kDead, key); }
void WriteSet::PutMeta(std::string_view key, std::string_view value) {
  Put(batch_.get(), kMeta, key, value);
}
void WriteSet::DeleteMeta(std::string_view key) { Delete(batch_.get(), kMeta, key); }

void WriteSet::Clear() { batch_->Clear(); }
bool WriteSet::empty() const { return batch_->Count() == 0; }
size_t WriteSet::bytes() const { return batch_->GetDataSize(); }
std::string_view WriteSet::Value(size_t offset, size_t size) const {
  return std::string_view(batch_->Data()).substr(offset, size);
}

}  // namespace expirer
