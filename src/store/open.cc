// Opening a store: checks that no other process has it open, that it is a store of
// expirer, that it is whole, and that we can read its format.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/log.h"
#include "base/thread.h"
#include "rocksdb/convenience.h"
#include "store/meta.h"
#include "store/rep.h"
#include "store/rocks.h"

namespace expirer {
namespace {

using rocksdb::IOOptions;
using rocksdb::IOStatus;

// RocksDB's LOG belongs to the process that writes; a reader must not touch it.
class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool Exists(rocksdb::FileSystem* files, const std::string& path) {
  return files->FileExists(path, IOOptions(), nullptr).ok();
}

absl::Status MakeDirectory(rocksdb::FileSystem* files, const std::string& path,
                           bool read_only) {
  bool is_dir = false;
  if (Exists(files, path)) {
    RETURN_IF_ERROR(
        FromRocks(files->IsDirectory(path, IOOptions(), &is_dir, nullptr), path));
    if (is_dir) return absl::OkStatus();
    return Refused(fmt::format("store {} is a file, expected a directory", path));
  }
  if (read_only) return NotFound(fmt::format("store {} does not exist", path));
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const IOStatus s =
        files->CreateDirIfMissing(path.substr(0, slash), IOOptions(), nullptr);
    if (s.IsNoSpace()) return FromRocks(s, "making store " + path);
    if (!s.ok())
      return Refused(fmt::format("store {} cannot be created: {}", path, s.ToString()));
    if (slash != std::string::npos) continue;
    chmod(path.c_str(), 0700);  // its owner's alone, whatever the umask
    return absl::OkStatus();
  }
}

absl::Status CheckCompression() {
  const std::vector<rocksdb::CompressionType> supported =
      rocksdb::GetSupportedCompressions();
  if (std::count(supported.begin(), supported.end(), rocksdb::kLZ4Compression))
    return absl::OkStatus();
  return Refused("this build of RocksDB lacks LZ4, which the store needs");
}

std::string DrawStoreId() {
  std::random_device device;  // /dev/urandom
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", device());
  return id;
}

absl::Status NotOurs(const std::string& path) {
  return Refused(
      fmt::format("{} holds a RocksDB database that is not a store of expirer; choose "
                  "another directory",
                  path));
}

// The families of the database; empty for a new store.
absl::StatusOr<std::vector<std::string>> ListFamilies(const rocksdb::DBOptions& options,
                                                      const std::string& path,
                                                      rocksdb::FileSystem* files) {
  std::vector<std::string> names;
  if (!Exists(files, path + "/CURRENT")) return names;
  RETURN_IF_ERROR(
      FromRocks(rocksdb::DB::ListColumnFamilies(options, path, &names), path));
  return names;
}

// A database that has neither our file SYNCED nor our families belongs to another
// program.
absl::Status CheckOurs(const rocksdb::DBOptions& options, const std::string& path,
                       rocksdb::FileSystem* files) {
  if (Exists(files, path + "/" + std::string(SyncedFile::kName))) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ListFamilies(options, path, files));
  for (const char* name : kFamilyNames)
    if (!names.empty() && !std::count(names.begin(), names.end(), name))
      return NotOurs(path);
  return absl::OkStatus();
}

// A reader takes no lock, so the writer may delete a log while we check it: check again
// before reporting it lost.
absl::Status VerifyLogs(WalGuard* guard, const StoreOptions& options) {
  absl::Status status = guard->Verify(options.recover_point_in_time);
  for (int i = 0; options.read_only && absl::IsDataLoss(status) && i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    status = guard->Verify(options.recover_point_in_time);
  }
  return status;
}

rocksdb::WALRecoveryMode RecoveryMode(bool recover, bool understood) {
  // The guard shows whole records only, so anything still wrong is damage.
  return recover || !understood ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                : rocksdb::WALRecoveryMode::kAbsoluteConsistency;
}

absl::Status OpenRocks(RocksSetup setup, const std::vector<std::string>& names,
                       const std::string& path, bool read_only,
                       std::unique_ptr<rocksdb::DB>* out,
                       std::vector<rocksdb::ColumnFamilyHandle*>* families) {
  // Unknown families belong to a newer format, which CheckFormat reports.
  for (const std::string& name : names)
    if (std::none_of(setup.families.begin(), setup.families.end(),
                     [&](const auto& family) { return family.name == name; }))
      setup.families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  if (read_only) {
    setup.db.info_log = std::make_shared<SilentLogger>();
    // A reader has no background work; RocksDB 7.8 aborts when VerifyChecksum
    // hands it some.
    setup.db.avoid_unnecessary_blocking_io = false;
  }
  rocksdb::DB* db = nullptr;
  rocksdb::Status s;
  try {
    s = read_only
            ? rocksdb::DB::OpenForReadOnly(setup.db, path, setup.families, families, &db)
            : rocksdb::DB::Open(setup.db, path, setup.families, families, &db);
  } catch (const std::system_error&) {
    return Unavailable(fmt::format("opening store {}: {}", path, kNoThread));
  }
  out->reset(db);
  return FromRocks(s, "opening store " + path);
}

// An opening writes, so it needs room. A volume that cannot be asked counts as one
// with room.
absl::Status CheckRoom(const SpaceGauge& space, const std::string& path) {
  const absl::StatusOr<VolumeRoom> room = space.Room();
  if (!room.ok() || !room->BelowReserve()) return absl::OkStatus();
  return NoSpace(NoRoomOn(path, *room));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
  RETURN_IF_ERROR(CheckCompression());
  const std::string path = WithoutTrailingSlash(options.path);
  auto rep = std::make_unique<Rep>(options, path);
  rocksdb::FileSystem* const files = rep->guard->target();
  WalGuard* const guard = rep->guard.get();

  RETURN_IF_ERROR(MakeDirectory(files, path, options.read_only));
  if (!options.read_only || options.stopped)
    RETURN_IF_ERROR(guard->Lock(options.read_only));
  if (!options.read_only && options.locked) options.locked();
  if (!options.read_only) RETURN_IF_ERROR(CheckRoom(rep->space, path));
  RocksSetup setup = MakeRocksSetup(options, rep->env.get(), rep->expiry.get());
  RETURN_IF_ERROR(CheckOurs(setup.db, path, files));
  RETURN_IF_ERROR(VerifyLogs(guard, options));
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   ListFamilies(setup.db, path, files));
  if (options.read_only && names.empty())
    return NotFound(fmt::format("{} holds no store", path));
  if (!options.read_only) RETURN_IF_ERROR(guard->Start());

  setup.db.listeners.push_back(rep->errors);
  setup.db.wal_recovery_mode =
      RecoveryMode(options.recover_point_in_time, guard->understood());
  rep->cache = setup.cache;
  RETURN_IF_ERROR(OpenRocks(std::move(setup), names, path, options.read_only, &rep->db,
                            &rep->families));
  auto store = std::unique_ptr<Store>(new Store(std::move(rep)));
  store->note_ = guard->note();
  if (!store->note_.empty())
    Log(Level::kWarn, "a part of the write-ahead logs was left out",
        {{"store", path}, {"note", store->note_}});
  RETURN_IF_ERROR(store->CheckFormat());
  return store;
}

absl::Status Store::CheckFormat() {
  for (uint32_t family = 0; family < kFamilies; ++family)
    if (rep_->families[family]->GetID() != family) return NotOurs(rep_->path);
  std::string value;
  ASSIGN_OR_RETURN(const bool known, GetMeta(kMetaFormat, &value));
  WriteSet set;
  // Raises an older format before anything is written that an older binary would misread.
  set.PutMeta(kMetaFormat, Varints(kFormatVersion));
  if (known) {
    Reader in(value);
    const uint64_t format = in.Varint();
    if (!in.AtEnd()) return Corrupt("the store's format number is malformed");
    if (format > kFormatVersion)
      return Refused(
          fmt::format("store {} has format {}, this version of expirer reads up to {}: "
                      "run the newer version that wrote it",
                      rep_->path, format, kFormatVersion));
    ASSIGN_OR_RETURN(const bool named, GetMeta(kMetaStoreId, &id_));
    if (!named || id_.size() != 32) return Corrupt("the store's id is missing");
    if (format == kFormatVersion || rep_->read_only) return absl::OkStatus();
  } else {
    // In a new store nothing was ever written.
    if (rep_->db->GetLatestSequenceNumber() != 0 || rep_->read_only)
      return NotOurs(rep_->path);
    id_ = rep_->id_if_new.empty() ? DrawStoreId() : rep_->id_if_new;
    set.PutMeta(kMetaStoreId, id_);
  }
  RETURN_IF_ERROR(Write(&set));
  return Sync();
}

}  // namespace expirer
