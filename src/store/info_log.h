// Writes RocksDB's own log, the file LOG in the store's directory.
// RocksDB's writer fails an assertion, and so ends the process, if it writes a line
// after one that could not be written, as on a full volume, or if its rotation cannot
// create the next file. This writer drops such lines.
#pragma once

#include <cstdarg>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace expirer {

// Thread-safe.
class InfoLog final : public rocksdb::Logger {
 public:
  // If the file cannot be created, all lines are dropped.
  InfoLog(rocksdb::FileSystem* files, const std::string& path);
  ~InfoLog() override { Close().PermitUncheckedError(); }
  using rocksdb::Logger::Logv;
  [[gnu::format(printf, 2, 0)]] void Logv(const char* format, va_list values) override;
  size_t GetLogFileSize() const override;

 private:
  rocksdb::Status CloseImpl() override;

  const SystemClock clock_;  // the lines come from RocksDB's threads
  mutable Mutex mutex_;
  std::unique_ptr<rocksdb::FSWritableFile> file_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
