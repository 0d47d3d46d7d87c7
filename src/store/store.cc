#include "store/store.h"

#include <chrono>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>

#include "base/check.h"
#include "store/rep.h"
#include "store/rocks.h"

namespace expirer {
namespace {

constexpr int64_t kAskEveryMs = 1000;

absl::Status NoSpaceOn(const std::string& path, const SpaceGauge& space) {
  const absl::StatusOr<VolumeRoom> room = space.Room();
  return NoSpace(fmt::format("no space left on the volume of {}: nothing was written{}",
                             path, room.ok() ? "; " + room->ToString() : ""));
}

// The first key after all keys that begin with `prefix`; empty = none.
std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(end.back() + 1);
  return end;
}

absl::StatusOr<bool> Get(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family,
                         std::string_view key, std::string* value) {
  const rocksdb::Status s = db->Get(rocksdb::ReadOptions(), family, ToSlice(key), value);
  if (s.IsNotFound()) return false;
  RETURN_IF_ERROR(FromRocks(s, "reading " + family->GetName()));
  return true;
}

absl::StatusOr<std::optional<Register>> ReadRegister(const rocksdb::Status& s,
                                                     std::string_view id,
                                                     const rocksdb::PinnableSlice& value,
                                                     const Present& present) {
  if (s.IsNotFound()) return std::optional<Register>();
  RETURN_IF_ERROR(FromRocks(s, "reading ids"));
  if (present.Forgets(id, ExpiresMs(ToView(value)))) return std::optional<Register>();
  ASSIGN_OR_RETURN(Register reg, DecodeRegister(ToView(value)));
  return std::optional<Register>(std::move(reg));
}

absl::Status VisitAll(const std::unique_ptr<EntryScan>& scan, std::string_view prefix,
                      const Store::Visit& visit) {
  for (scan->Seek(prefix); scan->Valid(); scan->Next())
    RETURN_IF_ERROR(visit(scan->key(), scan->value()));
  return scan->status();
}

}  // namespace

void BackgroundErrors::OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                                         rocksdb::Status* error) {
  if (error->IsNoSpace() && error->severity() < rocksdb::Status::Severity::kFatalError) {
    no_space_ = true;
    return;
  }
  // Softer ones (a compaction to be tried again) are in RocksDB's own LOG.
  if (error->severity() < rocksdb::Status::Severity::kHardError) return;
  MutexLock lock(&mutex_);
  if (fatal_.ok()) fatal_ = FromRocks(*error, "RocksDB stopped");
}

void BackgroundErrors::OnErrorRecoveryCompleted(rocksdb::Status old_error) {
  old_error.PermitUncheckedError();
  no_space_ = false;
}

absl::Status BackgroundErrors::fatal() const {
  MutexLock lock(&mutex_);
  return fatal_;
}

Store::Store(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}

Store::~Store() = default;

Store::Rep::Rep(const StoreOptions& options, std::string dir)
    : path(std::move(dir)),
      read_only(options.read_only),
      clock(options.clock != nullptr ? options.clock : &host_clock),
      id_if_new(options.id_if_new),
      errors(std::make_shared<BackgroundErrors>()),
      guard(std::make_shared<WalGuard>(
          options.file_system ? options.file_system : rocksdb::FileSystem::Default(),
          path, clock)),
      env(rocksdb::NewCompositeEnv(guard)),
      expiry(MakeExpiryFilter(&present)),
      space(options.file_system, path, clock) {}

Store::Rep::~Rep() {
  Close();
  guard->Stop();
}

void Store::Rep::Close() {
  if (db == nullptr) return;
  if (!read_only && guard->SyncAll().ok() && errors->fatal().ok() &&
      !errors->no_space() && !full && space.HasRoom(0)) {
    rocksdb::FlushOptions flush;
    flush.allow_write_stall = true;  // nobody writes any more
    db->Flush(flush, families).PermitUncheckedError();
  }
  for (rocksdb::ColumnFamilyHandle* handle : families)
    db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  families.clear();
  db->Close().PermitUncheckedError();
  db.reset();
}

absl::StatusOr<std::optional<Register>> Store::GetRegister(std::string_view id) const {
  rocksdb::PinnableSlice value;
  const rocksdb::Status s =
      rep_->db->Get(rocksdb::ReadOptions(), rep_->family(kIds), ToSlice(id), &value);
  return ReadRegister(s, id, value, rep_->present);
}

absl::Status Store::GetRegisters(const std::vector<std::string>& ids,
                                 std::vector<std::optional<Register>>* found) const {
  const std::vector<rocksdb::Slice> keys(ids.begin(), ids.end());
  std::vector<rocksdb::PinnableSlice> values(ids.size());
  std::vector<rocksdb::Status> statuses(ids.size());
  rep_->db->MultiGet(rocksdb::ReadOptions(), rep_->family(kIds), keys.size(), keys.data(),
                     values.data(), statuses.data());
  found->clear();
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSIGN_OR_RETURN(std::optional<Register> known,
                     ReadRegister(statuses[i], ids[i], values[i], rep_->present));
    found->push_back(std::move(known));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Store::GetJob(const JobKey& key, std::string* row) const {
  char bytes[kJobKeyBytes];
  EncodeJobKey(key, bytes);
  return Get(rep_->db.get(), rep_->family(kDue), {bytes, kJobKeyBytes}, row);
}

absl::StatusOr<bool> Store::GetDead(std::string_view key, std::string* value) const {
  return Get(rep_->db.get(), rep_->family(kDead), key, value);
}

absl::StatusOr<bool> Store::GetMeta(std::string_view key, std::string* value) const {
  return Get(rep_->db.get(), rep_->family(kMeta), key, value);
}

absl::Status Store::VisitMeta(std::string_view prefix, const Visit& visit) const {
  return VisitAll(Scan(kMeta, PrefixEnd(prefix), false), prefix, visit);
}

absl::Status Store::VisitDead(std::string_view prefix, const Visit& visit) const {
  return VisitAll(Scan(kDead, PrefixEnd(prefix), false), prefix, visit);
}

absl::Status Store::VisitRegisters(std::string_view prefix, const Visit& visit) const {
  const auto visit_known = [&](std::string_view key, std::string_view value) {
    return rep_->present.Forgets(key, ExpiresMs(value)) ? absl::OkStatus()
                                                        : visit(key, value);
  };
  return VisitAll(Scan(kIds, PrefixEnd(prefix), false), prefix, visit_known);
}

absl::Status Store::VisitJobs(const Visit& visit) const {
  return VisitAll(Scan(kDue, "", false), "", visit);
}

absl::Status Store::VerifyTables() const {
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  read.readahead_size = 2 << 20;
  return FromRocks(rep_->db->VerifyChecksum(read), "checking the tables");
}

struct EntryScan::Rep {
  const char* family = nullptr;
  std::string end;  // bounds the iterator, so it must outlive it
  rocksdb::Slice bound;
  std::unique_ptr<rocksdb::Iterator> it;
};

EntryScan::EntryScan(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
EntryScan::~EntryScan() = default;
void EntryScan::Seek(std::string_view key) { rep_->it->Seek(ToSlice(key)); }
void EntryScan::Next() { rep_->it->Next(); }
bool EntryScan::Valid() const { return rep_->it->Valid(); }
std::string_view EntryScan::key() const { return ToView(rep_->it->key()); }
std::string_view EntryScan::value() const { return ToView(rep_->it->value()); }
absl::Status EntryScan::status() const {
  return FromRocks(rep_->it->status(), std::string("scanning ") + rep_->family);
}

void DueScan::Seek(const JobKey& key) {
  CHECK(key.lane == lane_);
  char bytes[kJobKeyBytes];
  EncodeJobKey(key, bytes);
  rows_->Seek({bytes, kJobKeyBytes});
  DecodeKey();
}

void DueScan::Next() {
  CHECK(Valid());
  rows_->Next();
  DecodeKey();
}

void DueScan::DecodeKey() {
  if (!rows_->Valid()) return;
  const absl::StatusOr<JobKey> decoded = DecodeJobKey(rows_->key());
  if (decoded.ok()) key_ = *decoded;
  malformed_ = decoded.status();
}

absl::Status DueScan::status() const {
  return malformed_.ok() ? rows_->status() : malformed_;
}

std::unique_ptr<EntryScan> Store::Scan(uint32_t family, std::string end,
                                       bool fill_cache) const {
  auto rep = std::make_unique<EntryScan::Rep>();
  rep->family = kFamilyNames[family];
  rep->end = std::move(end);
  rep->bound = rep->end;
  rocksdb::ReadOptions read;
  read.fill_cache = fill_cache;
  if (!rep->end.empty()) read.iterate_upper_bound = &rep->bound;
  rep->it.reset(rep_->db->NewIterator(read, rep_->families[family]));
  return std::unique_ptr<EntryScan>(new EntryScan(std::move(rep)));
}

std::unique_ptr<DueScan> Store::ScanDue(Lane lane, int64_t until_ms) const {
  std::string end;
  if (until_ms != kToEnd)
    end = EncodeJobKey({lane, until_ms + 1, 0});
  else if (lane != UINT16_MAX)
    end = EncodeJobKey({static_cast<Lane>(lane + 1), 0, 0});
  return std::unique_ptr<DueScan>(new DueScan(lane, Scan(kDue, std::move(end), true)));
}

std::unique_ptr<EntryScan> Store::ScanDead() const { return Scan(kDead, "", false); }
std::unique_ptr<EntryScan> Store::ScanRegisters() const { return Scan(kIds, "", false); }

absl::Status Store::Write(WriteSet* set) {
  CHECK(!rep_->read_only);
  const size_t bytes = set->bytes();
  if (rep_->full || !rep_->space.HasRoom(bytes)) {
    rep_->full = true;
    return NoSpaceOn(rep_->path, rep_->space);
  }
  if (rep_->marked) RETURN_IF_ERROR(rep_->NoteReplaced(*set->batch_));
  rocksdb::WriteOptions write;
  write.no_slowdown = true;
  while (true) {
    RETURN_IF_ERROR(rep_->errors->fatal());
    const rocksdb::Status s = rep_->db->Write(write, set->batch_.get());
    if (s.ok()) {
      rep_->space.Wrote(bytes);
      return absl::OkStatus();
    }
    const bool stalled = s.IsIncomplete();  // compactions are behind
    if (s.IsNoSpace() || (stalled && rep_->errors->no_space())) {
      rep_->full = true;
      return NoSpaceOn(rep_->path, rep_->space);
    }
    if (!stalled) return FromRocks(s, "writing to " + rep_->path);
    // We wait ourselves: RocksDB would wait for a compaction that may by now
    // have no space to run in.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool Store::Writable() {
  if (!rep_->full) return true;
  const int64_t now_ms = rep_->clock->MonotonicMs();
  if (now_ms - rep_->asked_at_ms < kAskEveryMs) return false;
  rep_->asked_at_ms = now_ms;
  if (!rep_->errors->fatal().ok()) {
    rep_->full = false;  // the next Write says what happened
    return true;
  }
  const absl::StatusOr<VolumeRoom> room = rep_->space.Room();
  if (room.ok() && !room->MayResume()) return false;
  // OK at once when nothing had stopped; Busy while RocksDB itself recovers.
  if (!rep_->db->Resume().ok()) return false;
  rep_->errors->ClearNoSpace();
  rep_->full = false;
  return true;
}

absl::Status Store::Sync() { return rep_->guard->SyncAll(); }

void Store::SetNow(int64_t now_ms) { rep_->present.SetNow(now_ms); }

void Store::ForgetEarly(std::string_view rule, int64_t floor_ms) {
  rep_->present.ForgetEarly(rule, floor_ms);
}

absl::StatusOr<VolumeRoom> Store::Room() const { return rep_->space.Room(); }

StoreSizes Store::Sizes() const {
  StoreSizes sizes;
  const auto aggregate = [this](const std::string& property) {
    uint64_t value = 0;
    rep_->db->GetAggregatedIntProperty(property, &value);
    return value;
  };
  sizes.disk_bytes =
      aggregate(rocksdb::DB::Properties::kLiveSstFilesSize) + rep_->guard->LogBytes();
  sizes.memtable_bytes = aggregate(rocksdb::DB::Properties::kSizeAllMemTables);
  sizes.cache_bytes = rep_->cache->GetUsage();
  sizes.compaction_bytes =
      aggregate(rocksdb::DB::Properties::kEstimatePendingCompactionBytes);
  const auto of_all = [this](const std::string& property) {
    uint64_t value = 0;
    rep_->db->GetIntProperty(property, &value);
    return value;
  };
  sizes.write_stopped = of_all(rocksdb::DB::Properties::kIsWriteStopped) != 0;
  sizes.background_errors = of_all(rocksdb::DB::Properties::kBackgroundErrors);
  const std::string level0 = rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0";
  for (rocksdb::ColumnFamilyHandle* family : rep_->families) {
    std::string files;
    if (rep_->db->GetProperty(family, level0, &files))
      sizes.level0_files += std::strtoull(files.c_str(), nullptr, 10);
  }
  return sizes;
}

}  // namespace expirer
