#include "store/info_log.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/rfc3339.h"

namespace expirer {

InfoLog::InfoLog(rocksdb::FileSystem* files, const std::string& path) {
  MutexLock lock(&mutex_);
  files->NewWritableFile(path, rocksdb::FileOptions(), &file_, nullptr)
      .PermitUncheckedError();
}

void InfoLog::Logv(const char* format, va_list values) {
  std::array<char, 4096> text{};
  const int size = std::vsnprintf(text.data(), text.size(), format, values);
  std::string line = FormatRfc3339Ms(clock_.NowMs()) + " ";
  line.append(text.data(),
              std::min(static_cast<size_t>(std::max(size, 0)), text.size() - 1));
  if (line.back() != '\n') line += '\n';
  MutexLock lock(&mutex_);
  if (file_ == nullptr) return;
  file_->Append(line, rocksdb::IOOptions(), nullptr).PermitUncheckedError();
  bytes_ += line.size();
}

size_t InfoLog::GetLogFileSize() const {
  MutexLock lock(&mutex_);
  return bytes_;
}

rocksdb::Status InfoLog::CloseImpl() {
  MutexLock lock(&mutex_);
  if (file_ != nullptr)
    file_->Close(rocksdb::IOOptions(), nullptr).PermitUncheckedError();
  file_.reset();
  return rocksdb::Status::OK();
}

}  // namespace expirer
