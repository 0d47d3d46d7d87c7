// A file system that fails its N-th operation, and counts them: for sweeps that
// fail each one in turn. Around another one, which holds the files. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rocksdb/file_system.h"

namespace expirer {

// Which operation fails, and how. Counts all that reach the files: open, read,
// append, write, truncate, sync, close, rename, delete, list, size, lock.
class Faults {
 public:
  enum class How {
    kUndone,   // it fails and nothing happened
    kHalf,     // leaves half of its bytes; of appends and writes only
    kDone,     // it happened, and fails all the same
    kForGood,  // as kUndone, and so does every later one that changes a file
  };

  void FailAt(uint64_t n, How how) {
    std::lock_guard lock(mutex_);
    at_ = n;
    how_ = how;
    count_ = 0;
    what_.clear();
  }
  void Stop() { FailAt(0, How::kUndone); }
  [[nodiscard]] uint64_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  // The operation that failed ("append /store/000004.log"); "" = none did.
  [[nodiscard]] std::string what() const {
    std::lock_guard lock(mutex_);
    return what_;
  }

  enum class Verdict { kPass, kUndone, kHalf, kDone };
  Verdict Next(const char* operation, const std::string& path, bool changes) {
    std::lock_guard lock(mutex_);
    const std::string_view name = operation;
    if (how_ == How::kHalf && name != "append" && name != "write") return Verdict::kPass;
    ++count_;
    const bool hit = count_ == at_;
    const bool still = at_ > 0 && count_ > at_ && how_ == How::kForGood && changes;
    if (hit) what_ = std::string(operation) + " " + path;
    if (!hit && !still) return Verdict::kPass;
    if (how_ == How::kHalf) return Verdict::kHalf;
    return how_ == How::kDone ? Verdict::kDone : Verdict::kUndone;
  }
  static rocksdb::IOStatus Error() { return rocksdb::IOStatus::IOError("injected"); }

  template <typename Do>
  rocksdb::IOStatus Run(const char* operation, const std::string& path, bool changes,
                        Do&& operate) {
    const Verdict verdict = Next(operation, path, changes);
    if (verdict == Verdict::kUndone || verdict == Verdict::kHalf) return Error();
    rocksdb::IOStatus status = operate();
    return verdict == Verdict::kDone ? Error() : status;
  }

 private:
  mutable std::mutex mutex_;
  uint64_t at_ = 0;  // 0 = none
  How how_ = How::kUndone;
  uint64_t count_ = 0;
  std::string what_;
};

class FailingFs final : public rocksdb::FileSystemWrapper {
 public:
  FailingFs(std::shared_ptr<rocksdb::FileSystem> files, std::shared_ptr<Faults> faults)
      : FileSystemWrapper(std::move(files)), faults_(std::move(faults)) {}
  const char* Name() const override { return "FailingFs"; }

 private:
  using S = rocksdb::IOStatus;
  using IO = rocksdb::IOOptions;
  using FO = rocksdb::FileOptions;
  using Dbg = rocksdb::IODebugContext;
  using Slice = rocksdb::Slice;

  class Sequential final : public rocksdb::FSSequentialFileOwnerWrapper {
   public:
    Sequential(std::unique_ptr<rocksdb::FSSequentialFile>&& file, std::string path,
               std::shared_ptr<Faults> faults)
        : FSSequentialFileOwnerWrapper(std::move(file)),
          path_(std::move(path)),
          faults_(std::move(faults)) {}
    S Read(size_t n, const IO& io, Slice* result, char* scratch, Dbg* dbg) override {
      return faults_->Run("read", path_, false,
                          [&] { return target()->Read(n, io, result, scratch, dbg); });
    }

   private:
    const std::string path_;
    const std::shared_ptr<Faults> faults_;
  };

  class Random final : public rocksdb::FSRandomAccessFileOwnerWrapper {
   public:
    Random(std::unique_ptr<rocksdb::FSRandomAccessFile>&& file, std::string path,
           std::shared_ptr<Faults> faults)
        : FSRandomAccessFileOwnerWrapper(std::move(file)),
          path_(std::move(path)),
          faults_(std::move(faults)) {}
    S Read(uint64_t offset, size_t n, const IO& io, Slice* result, char* scratch,
           Dbg* dbg) const override {
      return faults_->Run("read", path_, false, [&] {
        return target()->Read(offset, n, io, result, scratch, dbg);
      });
    }
    S MultiRead(rocksdb::FSReadRequest* requests, size_t count, const IO& io,
                Dbg* dbg) override {
      return faults_->Run("read", path_, false,
                          [&] { return target()->MultiRead(requests, count, io, dbg); });
    }

   private:
    const std::string path_;
    const std::shared_ptr<Faults> faults_;
  };

  class Writable final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    Writable(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::string path,
             std::shared_ptr<Faults> faults)
        : FSWritableFileOwnerWrapper(std::move(file)),
          path_(std::move(path)),
          faults_(std::move(faults)) {}
    S Append(const Slice& data, const IO& io, Dbg* dbg) override {
      const Faults::Verdict verdict = faults_->Next("append", path_, true);
      if (verdict == Faults::Verdict::kUndone) return Faults::Error();
      const bool half = verdict == Faults::Verdict::kHalf;
      S status =
          target()->Append(half ? Slice(data.data(), data.size() / 2) : data, io, dbg);
      return verdict == Faults::Verdict::kPass ? status : Faults::Error();
    }
    S Append(const Slice& data, const IO& io, const rocksdb::DataVerificationInfo&,
             Dbg* dbg) override {
      return Append(data, io, dbg);
    }
    S Truncate(uint64_t size, const IO& io, Dbg* dbg) override {
      return faults_->Run("truncate", path_, true,
                          [&] { return target()->Truncate(size, io, dbg); });
    }
    S Sync(const IO& io, Dbg* dbg) override {
      return faults_->Run("sync", path_, true, [&] { return target()->Sync(io, dbg); });
    }
    S Fsync(const IO& io, Dbg* dbg) override {
      return faults_->Run("sync", path_, true, [&] { return target()->Fsync(io, dbg); });
    }
    S Close(const IO& io, Dbg* dbg) override {
      return faults_->Run("close", path_, true, [&] { return target()->Close(io, dbg); });
    }

   private:
    const std::string path_;
    const std::shared_ptr<Faults> faults_;
  };

  class Overwritable final : public rocksdb::FSRandomRWFileOwnerWrapper {
   public:
    Overwritable(std::unique_ptr<rocksdb::FSRandomRWFile>&& file, std::string path,
                 std::shared_ptr<Faults> faults)
        : FSRandomRWFileOwnerWrapper(std::move(file)),
          path_(std::move(path)),
          faults_(std::move(faults)) {}
    S Write(uint64_t offset, const Slice& data, const IO& io, Dbg* dbg) override {
      const Faults::Verdict verdict = faults_->Next("write", path_, true);
      if (verdict == Faults::Verdict::kUndone) return Faults::Error();
      const bool half = verdict == Faults::Verdict::kHalf;
      S status = target()->Write(
          offset, half ? Slice(data.data(), data.size() / 2) : data, io, dbg);
      return verdict == Faults::Verdict::kPass ? status : Faults::Error();
    }
    S Read(uint64_t offset, size_t n, const IO& io, Slice* result, char* scratch,
           Dbg* dbg) const override {
      return faults_->Run("read", path_, false, [&] {
        return target()->Read(offset, n, io, result, scratch, dbg);
      });
    }
    S Sync(const IO& io, Dbg* dbg) override {
      return faults_->Run("sync", path_, true, [&] { return target()->Sync(io, dbg); });
    }
    S Fsync(const IO& io, Dbg* dbg) override {
      return faults_->Run("sync", path_, true, [&] { return target()->Fsync(io, dbg); });
    }

   private:
    const std::string path_;
    const std::shared_ptr<Faults> faults_;
  };

  class Directory final : public rocksdb::FSDirectory {
   public:
    Directory(std::unique_ptr<rocksdb::FSDirectory>&& directory, std::string path,
              std::shared_ptr<Faults> faults)
        : directory_(std::move(directory)),
          path_(std::move(path)),
          faults_(std::move(faults)) {}
    S Fsync(const IO& io, Dbg* dbg) override {
      return faults_->Run("sync", path_, true,
                          [&] { return directory_->Fsync(io, dbg); });
    }
    S FsyncWithDirOptions(const IO& io, Dbg* dbg,
                          const rocksdb::DirFsyncOptions& how) override {
      return faults_->Run("sync", path_, true,
                          [&] { return directory_->FsyncWithDirOptions(io, dbg, how); });
    }
    S Close(const IO& io, Dbg* dbg) override { return directory_->Close(io, dbg); }

   private:
    const std::unique_ptr<rocksdb::FSDirectory> directory_;
    const std::string path_;
    const std::shared_ptr<Faults> faults_;
  };

  // Opens by `open` and puts the file into a `Wrapped`.
  template <typename Wrapped, typename File, typename Open>
  S OpenAs(const char* operation, const std::string& path, bool changes,
           std::unique_ptr<File>* result, Open&& open) {
    S status = faults_->Run(operation, path, changes, std::forward<Open>(open));
    if (status.ok())
      *result = std::make_unique<Wrapped>(std::move(*result), path, faults_);
    else
      result->reset();
    return status;
  }

 public:
  S NewSequentialFile(const std::string& path, const FO& options,
                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                      Dbg* dbg) override {
    return OpenAs<Sequential>("open", path, false, result, [&] {
      return target()->NewSequentialFile(path, options, result, dbg);
    });
  }
  S NewRandomAccessFile(const std::string& path, const FO& options,
                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                        Dbg* dbg) override {
    return OpenAs<Random>("open", path, false, result, [&] {
      return target()->NewRandomAccessFile(path, options, result, dbg);
    });
  }
  S NewWritableFile(const std::string& path, const FO& options,
                    std::unique_ptr<rocksdb::FSWritableFile>* result, Dbg* dbg) override {
    return OpenAs<Writable>("create", path, true, result, [&] {
      return target()->NewWritableFile(path, options, result, dbg);
    });
  }
  S ReopenWritableFile(const std::string& path, const FO& options,
                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                       Dbg* dbg) override {
    return OpenAs<Writable>("create", path, true, result, [&] {
      return target()->ReopenWritableFile(path, options, result, dbg);
    });
  }
  S NewRandomRWFile(const std::string& path, const FO& options,
                    std::unique_ptr<rocksdb::FSRandomRWFile>* result, Dbg* dbg) override {
    return OpenAs<Overwritable>("open", path, true, result, [&] {
      return target()->NewRandomRWFile(path, options, result, dbg);
    });
  }
  S NewDirectory(const std::string& path, const IO& io,
                 std::unique_ptr<rocksdb::FSDirectory>* result, Dbg* dbg) override {
    return OpenAs<Directory>("open", path, false, result, [&] {
      return target()->NewDirectory(path, io, result, dbg);
    });
  }
  S FileExists(const std::string& path, const IO& io, Dbg* dbg) override {
    return faults_->Run("look for", path, false,
                        [&] { return target()->FileExists(path, io, dbg); });
  }
  S GetChildren(const std::string& path, const IO& io, std::vector<std::string>* names,
                Dbg* dbg) override {
    return faults_->Run("list", path, false,
                        [&] { return target()->GetChildren(path, io, names, dbg); });
  }
  S DeleteFile(const std::string& path, const IO& io, Dbg* dbg) override {
    return faults_->Run("delete", path, true,
                        [&] { return target()->DeleteFile(path, io, dbg); });
  }
  S CreateDir(const std::string& path, const IO& io, Dbg* dbg) override {
    return faults_->Run("make", path, true,
                        [&] { return target()->CreateDir(path, io, dbg); });
  }
  S CreateDirIfMissing(const std::string& path, const IO& io, Dbg* dbg) override {
    return faults_->Run("make", path, true,
                        [&] { return target()->CreateDirIfMissing(path, io, dbg); });
  }
  S GetFileSize(const std::string& path, const IO& io, uint64_t* size,
                Dbg* dbg) override {
    return faults_->Run("ask the size of", path, false,
                        [&] { return target()->GetFileSize(path, io, size, dbg); });
  }
  S RenameFile(const std::string& from, const std::string& to, const IO& io,
               Dbg* dbg) override {
    return faults_->Run("rename", from, true,
                        [&] { return target()->RenameFile(from, to, io, dbg); });
  }
  S LockFile(const std::string& path, const IO& io, rocksdb::FileLock** lock,
             Dbg* dbg) override {
    return faults_->Run("lock", path, false,
                        [&] { return target()->LockFile(path, io, lock, dbg); });
  }
  S IsDirectory(const std::string& path, const IO& io, bool* is_dir, Dbg* dbg) override {
    return faults_->Run("look at", path, false,
                        [&] { return target()->IsDirectory(path, io, is_dir, dbg); });
  }

 private:
  const std::shared_ptr<Faults> faults_;
};

}  // namespace expirer
