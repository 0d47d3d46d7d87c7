// A disk in memory that can lose power. It remembers what was synced, and
// AfterPowerLoss gives the disk as a machine might find it: of what was not
// synced, any pages are there and any are not (zeros, or what stood there
// before), files end anywhere between their synced and their last size, and
// directory entries made, renamed or deleted since their directory was synced
// may be as before. The disk it is asked of goes on unharmed, so the store
// that wrote it can be closed in peace, and many losses can be drawn from one
// run. Thread-safe.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace expirer {

class PageFs final : public rocksdb::FileSystemWrapper {
 public:
  static constexpr size_t kPage = 4096;

  PageFs() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "PageFs"; }

  [[nodiscard]] std::shared_ptr<PageFs> AfterPowerLoss(uint64_t seed) const {
    std::lock_guard lock(disk_->mutex);
    std::mt19937_64 random(seed);
    auto after = std::make_shared<PageFs>();
    after->disk_->dirs = disk_->dirs;
    after->disk_->durable = EntriesAfterLoss(&random);
    std::map<const File*, std::shared_ptr<File>> files;
    for (auto& [path, file] : after->disk_->durable) {
      auto& copy = files[file.get()];
      // Draws of its own: what one file holds changes nothing for the others.
      std::mt19937_64 own(random());
      if (copy == nullptr) copy = file->AfterLoss(&own);
      file = copy;
    }
    after->disk_->entries = after->disk_->durable;
    return after;
  }
  // As a killed process leaves it: all that was written is there.
  [[nodiscard]] std::shared_ptr<PageFs> AfterKill() const {
    std::lock_guard lock(disk_->mutex);
    auto after = std::make_shared<PageFs>();
    after->disk_->dirs = disk_->dirs;
    for (const auto& [path, file] : disk_->entries) {
      auto copy = std::make_shared<File>();
      copy->data = copy->synced = file->data;
      after->disk_->entries[path] = copy;
    }
    after->disk_->durable = after->disk_->entries;
    return after;
  }
  // For damage: lets `change` at a file's bytes, as if the disk had rotted.
  bool Damage(const std::string& path, const std::function<void(std::string*)>& change) {
    std::lock_guard lock(disk_->mutex);
    const auto at = disk_->entries.find(path);
    if (at == disk_->entries.end()) return false;
    change(&at->second->data);
    at->second->synced = at->second->data;
    at->second->dirty.clear();
    return true;
  }
  [[nodiscard]] std::vector<std::string> Paths(const std::string& end) const {
    std::lock_guard lock(disk_->mutex);
    std::vector<std::string> paths;
    for (const auto& [path, file] : disk_->entries)
      if (path.size() >= end.size() &&
          path.compare(path.size() - end.size(), end.size(), end) == 0)
        paths.push_back(path);
    return paths;
  }
  [[nodiscard]] std::string Bytes(const std::string& path) const {
    std::lock_guard lock(disk_->mutex);
    const auto at = disk_->entries.find(path);
    return at == disk_->entries.end() ? std::string() : at->second->data;
  }
  void SetFreeBytes(uint64_t bytes) { disk_->free_bytes = bytes; }
  // Called before each sync of a file, with its path; its status is the
  // sync's when not OK.
  void OnSync(std::function<rocksdb::IOStatus(const std::string&)> hook) {
    std::lock_guard lock(disk_->mutex);
    disk_->on_sync = std::move(hook);
  }
  // Called before each append, likewise.
  void OnAppend(std::function<rocksdb::IOStatus(const std::string&)> hook) {
    std::lock_guard lock(disk_->mutex);
    disk_->on_append = std::move(hook);
  }
  // Called before each read, likewise.
  void OnRead(std::function<rocksdb::IOStatus(const std::string&)> hook) {
    std::lock_guard lock(disk_->mutex);
    disk_->on_read = std::move(hook);
  }
  // Files made, renamed and deleted so far.
  [[nodiscard]] uint64_t names_changed() const {
    std::lock_guard lock(disk_->mutex);
    return disk_->names_changed;
  }

 private:
  using S = rocksdb::IOStatus;
  using IO = rocksdb::IOOptions;
  using FO = rocksdb::FileOptions;
  using Dbg = rocksdb::IODebugContext;
  using Slice = rocksdb::Slice;

  struct File {
    std::string data;        // as processes see it
    std::string synced;      // as of the last sync
    std::set<size_t> dirty;  // pages changed since

    void Write(size_t offset, std::string_view bytes) {
      if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size(), '\0');
      std::memcpy(data.data() + offset, bytes.data(), bytes.size());
      if (bytes.empty()) return;
      const size_t last = (offset + bytes.size() - 1) / kPage;
      for (size_t page = offset / kPage; page <= last; ++page) dirty.insert(page);
    }
    void Sync() {
      synced.resize(data.size());
      for (const size_t page : dirty) {
        const size_t from = page * kPage;
        if (from >= data.size()) continue;
        const size_t count = std::min(kPage, data.size() - from);
        std::memcpy(synced.data() + from, data.data() + from, count);
      }
      dirty.clear();
    }
    std::shared_ptr<File> AfterLoss(std::mt19937_64* random) const {
      auto after = std::make_shared<File>();
      after->data = synced;
      if (!dirty.empty() || data.size() != synced.size()) Lose(after.get(), random);
      after->synced = after->data;
      return after;
    }
    // How much was written back is drawn per loss: nothing, all, or any pages.
    void Lose(File* after, std::mt19937_64* random) const {
      const uint64_t mode = (*random)() % 8;
      if (mode == 0) return;
      const size_t low = std::min(data.size(), synced.size());
      const size_t high = std::max(data.size(), synced.size());
      size_t size = mode == 1 ? data.size() : low + (*random)() % (high - low + 1);
      if (mode >= 5 && data.size() > low) size = data.size();  // size journaled
      after->data.resize(size, '\0');
      for (const size_t page : dirty) {
        if (mode != 1 && (*random)() % 100 < 12 * mode) continue;
        const size_t from = page * kPage;
        if (from >= std::min(size, data.size())) continue;
        size_t count = std::min({kPage, size - from, data.size() - from});
        if (mode != 1 && (*random)() % 16 == 0)  // torn within, by sectors
          count = std::min(count, 512 * ((*random)() % 8));
        std::memcpy(after->data.data() + from, data.data() + from, count);
      }
    }
  };
  using Entries = std::map<std::string, std::shared_ptr<File>>;

  // One change of names, all or nothing: path -> file, null = no such name.
  using Change = std::vector<std::pair<std::string, std::shared_ptr<File>>>;

  struct Disk {
    mutable std::mutex mutex;
    Entries entries;
    Entries durable;
    std::vector<Change> changes;  // since the directories were synced, in order
    std::set<std::string> dirs;
    std::set<std::string> locks;
    uint64_t free_bytes = uint64_t{1} << 40;
    std::function<rocksdb::IOStatus(const std::string&)> on_sync;
    std::function<rocksdb::IOStatus(const std::string&)> on_append;
    std::function<rocksdb::IOStatus(const std::string&)> on_read;
    uint64_t names_changed = 0;
  };

  static void Apply(const Change& change, Entries* entries) {
    for (const auto& [path, file] : change) {
      if (file == nullptr) {
        entries->erase(path);
      } else {
        (*entries)[path] = file;
      }
    }
  }
  // Half the time names are journaled in order, as by ext4, and a prefix is
  // there; half the time any of the changes.
  Entries EntriesAfterLoss(std::mt19937_64* random) const {
    Entries entries = disk_->durable;
    const auto& changes = disk_->changes;
    const bool in_order = (*random)() % 2 == 0;
    const size_t count = (*random)() % (changes.size() + 1);
    for (size_t i = 0; i < changes.size(); ++i)
      if (in_order ? i < count : (*random)() % 2 == 0) Apply(changes[i], &entries);
    return entries;
  }
  static void Make(Disk* disk, Change change) {
    Apply(change, &disk->entries);
    disk->changes.push_back(std::move(change));
    ++disk->names_changed;
  }

  static std::string Clean(std::string path) {
    for (size_t at; (at = path.find("//")) != std::string::npos;) path.erase(at, 1);
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
  }
  static S Missing(const std::string& path) {
    return S::PathNotFound(path, "no such file");
  }
  std::shared_ptr<File> Find(const std::string& path) const {
    const auto at = disk_->entries.find(Clean(path));
    return at == disk_->entries.end() ? nullptr : at->second;
  }

  // What `hook` of the disk says to an access to `path`.
  static S Ask(const Disk& disk,
               std::function<rocksdb::IOStatus(const std::string&)> Disk::*hook,
               const std::string& path) {
    std::function<rocksdb::IOStatus(const std::string&)> asked;
    {
      std::lock_guard lock(disk.mutex);
      asked = disk.*hook;
    }
    return asked ? asked(path) : S::OK();
  }

  class Reading final : public rocksdb::FSSequentialFile {
   public:
    Reading(std::shared_ptr<Disk> disk, std::shared_ptr<File> file, std::string path)
        : disk_(std::move(disk)), file_(std::move(file)), path_(std::move(path)) {}
    S Read(size_t n, const IO&, Slice* result, char* scratch, Dbg*) override {
      if (S s = Ask(*disk_, &Disk::on_read, path_); !s.ok()) return s;
      std::lock_guard lock(disk_->mutex);
      const size_t from = std::min(at_, file_->data.size());
      n = std::min(n, file_->data.size() - from);
      std::memcpy(scratch, file_->data.data() + from, n);
      at_ = from + n;
      *result = Slice(scratch, n);
      return S::OK();
    }
    S Skip(uint64_t n) override {
      at_ += n;
      return S::OK();
    }

   private:
    const std::shared_ptr<Disk> disk_;
    const std::shared_ptr<File> file_;
    const std::string path_;
    size_t at_ = 0;
  };

  class Random final : public rocksdb::FSRandomAccessFile {
   public:
    Random(std::shared_ptr<Disk> disk, std::shared_ptr<File> file, std::string path)
        : disk_(std::move(disk)), file_(std::move(file)), path_(std::move(path)) {}
    S Read(uint64_t offset, size_t n, const IO&, Slice* result, char* scratch,
           Dbg*) const override {
      if (S s = Ask(*disk_, &Disk::on_read, path_); !s.ok()) return s;
      std::lock_guard lock(disk_->mutex);
      const size_t from = std::min<size_t>(offset, file_->data.size());
      n = std::min(n, file_->data.size() - from);
      std::memcpy(scratch, file_->data.data() + from, n);
      *result = Slice(scratch, n);
      return S::OK();
    }

   private:
    const std::shared_ptr<Disk> disk_;
    const std::shared_ptr<File> file_;
    const std::string path_;
  };

  static S SyncFile(Disk* disk, File* file, const std::string& path) {
    if (S s = Ask(*disk, &Disk::on_sync, path); !s.ok()) return s;
    std::lock_guard lock(disk->mutex);
    file->Sync();
    return S::OK();
  }

  // RocksDB's file LOG, which has the host's time in it.
  class Discarding final : public rocksdb::FSWritableFile {
   public:
    using FSWritableFile::Append;
    S Append(const Slice&, const IO&, Dbg*) override { return S::OK(); }
    S Close(const IO&, Dbg*) override { return S::OK(); }
    S Flush(const IO&, Dbg*) override { return S::OK(); }
    S Sync(const IO&, Dbg*) override { return S::OK(); }
  };

  class Writing final : public rocksdb::FSWritableFile {
   public:
    Writing(std::shared_ptr<Disk> disk, std::shared_ptr<File> file, std::string path)
        : disk_(std::move(disk)), file_(std::move(file)), path_(std::move(path)) {}
    using FSWritableFile::Append;
    S Append(const Slice& data, const IO&, Dbg*) override {
      if (S s = Ask(*disk_, &Disk::on_append, path_); !s.ok()) return s;
      std::lock_guard lock(disk_->mutex);
      file_->Write(file_->data.size(), {data.data(), data.size()});
      return S::OK();
    }
    S Truncate(uint64_t size, const IO&, Dbg*) override {
      std::lock_guard lock(disk_->mutex);
      file_->data.resize(size, '\0');
      return S::OK();
    }
    S Close(const IO&, Dbg*) override { return S::OK(); }
    S Flush(const IO&, Dbg*) override { return S::OK(); }
    S Sync(const IO&, Dbg*) override { return SyncFile(disk_.get(), file_.get(), path_); }
    bool IsSyncThreadSafe() const override { return true; }
    uint64_t GetFileSize(const IO&, Dbg*) override {
      std::lock_guard lock(disk_->mutex);
      return file_->data.size();
    }

   private:
    const std::shared_ptr<Disk> disk_;
    const std::shared_ptr<File> file_;
    const std::string path_;
  };

  class Editing final : public rocksdb::FSRandomRWFile {
   public:
    Editing(std::shared_ptr<Disk> disk, std::shared_ptr<File> file, std::string path)
        : disk_(std::move(disk)), file_(std::move(file)), path_(std::move(path)) {}
    S Write(uint64_t offset, const Slice& data, const IO&, Dbg*) override {
      std::lock_guard lock(disk_->mutex);
      file_->Write(offset, {data.data(), data.size()});
      return S::OK();
    }
    S Read(uint64_t offset, size_t n, const IO&, Slice* result, char* scratch,
           Dbg*) const override {
      std::lock_guard lock(disk_->mutex);
      const size_t from = std::min<size_t>(offset, file_->data.size());
      n = std::min(n, file_->data.size() - from);
      std::memcpy(scratch, file_->data.data() + from, n);
      *result = Slice(scratch, n);
      return S::OK();
    }
    S Flush(const IO&, Dbg*) override { return S::OK(); }
    S Sync(const IO&, Dbg*) override { return SyncFile(disk_.get(), file_.get(), path_); }
    S Close(const IO&, Dbg*) override { return S::OK(); }

   private:
    const std::shared_ptr<Disk> disk_;
    const std::shared_ptr<File> file_;
    const std::string path_;
  };

  // Syncing one directory makes the names of all durable: tests use one.
  class Directory final : public rocksdb::FSDirectory {
   public:
    explicit Directory(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}
    S Fsync(const IO&, Dbg*) override {
      std::lock_guard lock(disk_->mutex);
      disk_->durable = disk_->entries;
      disk_->changes.clear();
      return S::OK();
    }
    S Close(const IO&, Dbg*) override { return S::OK(); }

   private:
    const std::shared_ptr<Disk> disk_;
  };

  struct Lock final : rocksdb::FileLock {
    explicit Lock(std::string p) : path(std::move(p)) {}
    const std::string path;
  };

  class NoLogger final : public rocksdb::Logger {
   public:
    using rocksdb::Logger::Logv;
    void Logv(const char*, va_list) override {}
    size_t GetLogFileSize() const override { return 0; }
  };

 public:
  S NewSequentialFile(const std::string& path, const FO&,
                      std::unique_ptr<rocksdb::FSSequentialFile>* result, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(path);
    if (file == nullptr) return Missing(path);
    *result = std::make_unique<Reading>(disk_, file, Clean(path));
    return S::OK();
  }
  S NewRandomAccessFile(const std::string& path, const FO&,
                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                        Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(path);
    if (file == nullptr) return Missing(path);
    *result = std::make_unique<Random>(disk_, file, Clean(path));
    return S::OK();
  }
  S NewWritableFile(const std::string& path, const FO&,
                    std::unique_ptr<rocksdb::FSWritableFile>* result, Dbg*) override {
    if (path.ends_with("/LOG")) {
      *result = std::make_unique<Discarding>();
      return S::OK();
    }
    std::lock_guard lock(disk_->mutex);
    auto file = std::make_shared<File>();
    Make(disk_.get(), {{Clean(path), file}});
    *result = std::make_unique<Writing>(disk_, file, Clean(path));
    return S::OK();
  }
  S ReopenWritableFile(const std::string& path, const FO&,
                       std::unique_ptr<rocksdb::FSWritableFile>* result, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(path);
    if (file == nullptr) return Missing(path);
    *result = std::make_unique<Writing>(disk_, file, Clean(path));
    return S::OK();
  }
  S ReuseWritableFile(const std::string&, const std::string&, const FO&,
                      std::unique_ptr<rocksdb::FSWritableFile>*, Dbg*) override {
    return S::NotSupported("ReuseWritableFile");
  }
  S NewRandomRWFile(const std::string& path, const FO&,
                    std::unique_ptr<rocksdb::FSRandomRWFile>* result, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(path);
    if (file == nullptr) return Missing(path);
    *result = std::make_unique<Editing>(disk_, file, Clean(path));
    return S::OK();
  }
  S NewMemoryMappedFileBuffer(
      const std::string&, std::unique_ptr<rocksdb::MemoryMappedFileBuffer>*) override {
    return S::NotSupported("mmap");
  }
  S NewDirectory(const std::string&, const IO&,
                 std::unique_ptr<rocksdb::FSDirectory>* result, Dbg*) override {
    *result = std::make_unique<Directory>(disk_);
    return S::OK();
  }
  S FileExists(const std::string& path, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    return Find(path) != nullptr || disk_->dirs.count(Clean(path)) > 0
               ? S::OK()
               : S::NotFound(path);
  }
  S GetChildren(const std::string& dir, const IO&, std::vector<std::string>* names,
                Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    names->clear();
    const std::string prefix = Clean(dir) + "/";
    for (const auto& [path, file] : disk_->entries)
      if (path.compare(0, prefix.size(), prefix) == 0 &&
          path.find('/', prefix.size()) == std::string::npos)
        names->push_back(path.substr(prefix.size()));
    return disk_->dirs.count(Clean(dir)) > 0 ? S::OK() : Missing(dir);
  }
  S GetChildrenFileAttributes(const std::string& dir, const IO& io,
                              std::vector<rocksdb::FileAttributes>* result,
                              Dbg* dbg) override {
    return FileSystem::GetChildrenFileAttributes(dir, io, result, dbg);
  }
  S DeleteFile(const std::string& path, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    if (Find(path) == nullptr) return Missing(path);
    Make(disk_.get(), {{Clean(path), nullptr}});
    return S::OK();
  }
  S Truncate(const std::string& path, size_t size, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(path);
    if (file == nullptr) return Missing(path);
    file->data.resize(size, '\0');
    return S::OK();
  }
  S CreateDir(const std::string& dir, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    disk_->dirs.insert(Clean(dir));
    return S::OK();
  }
  S CreateDirIfMissing(const std::string& dir, const IO& io, Dbg* dbg) override {
    return CreateDir(dir, io, dbg);
  }
  S DeleteDir(const std::string& dir, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    disk_->dirs.erase(Clean(dir));
    return S::OK();
  }
  S GetFileSize(const std::string& path, const IO&, uint64_t* size, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(path);
    if (file == nullptr) return Missing(path);
    *size = file->data.size();
    return S::OK();
  }
  S GetFileModificationTime(const std::string&, const IO&, uint64_t* time,
                            Dbg*) override {
    *time = 0;
    return S::OK();
  }
  S GetAbsolutePath(const std::string& path, const IO&, std::string* out, Dbg*) override {
    *out = path;
    return S::OK();
  }
  S RenameFile(const std::string& from, const std::string& to, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    auto file = Find(from);
    if (file == nullptr) return Missing(from);
    Make(disk_.get(), {{Clean(from), nullptr}, {Clean(to), file}});
    return S::OK();
  }
  S LinkFile(const std::string&, const std::string&, const IO&, Dbg*) override {
    return S::NotSupported("LinkFile");
  }
  S NumFileLinks(const std::string&, const IO&, uint64_t* count, Dbg*) override {
    *count = 1;
    return S::OK();
  }
  S AreFilesSame(const std::string& a, const std::string& b, const IO&, bool* same,
                 Dbg*) override {
    *same = Clean(a) == Clean(b);
    return S::OK();
  }
  S LockFile(const std::string& path, const IO&, rocksdb::FileLock** result,
             Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    if (!disk_->locks.insert(Clean(path)).second)
      return S::IOError("lock hold by current process", path);
    *result = new Lock(Clean(path));
    return S::OK();
  }
  S UnlockFile(rocksdb::FileLock* held, const IO&, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    disk_->locks.erase(static_cast<Lock*>(held)->path);
    delete held;
    return S::OK();
  }
  S NewLogger(const std::string&, const IO&, std::shared_ptr<rocksdb::Logger>* result,
              Dbg*) override {
    *result = std::make_shared<NoLogger>();
    return S::OK();
  }
  S GetFreeSpace(const std::string&, const IO&, uint64_t* bytes, Dbg*) override {
    *bytes = disk_->free_bytes;
    return S::OK();
  }
  S IsDirectory(const std::string& path, const IO&, bool* is_dir, Dbg*) override {
    std::lock_guard lock(disk_->mutex);
    *is_dir = disk_->dirs.count(Clean(path)) > 0;
    return S::OK();
  }

 private:
  const std::shared_ptr<Disk> disk_ = std::make_shared<Disk>();
};

}  // namespace expirer
