// A fixed workload over the real store, whose state after each write is known:
// what the fault sweep and the corruption catalogue run and judge by.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/store.h"
#include "support/page_fs.h"

namespace expirer {

inline constexpr char kStoreDir[] = "/store";

// A small store on `files`: its memtables hold some 50 writes and its logs not
// many more, so both change hands often.
[[nodiscard]] StoreOptions OptionsOn(std::shared_ptr<rocksdb::FileSystem> files);

// Write number n (from 1): a job is scheduled, by turns an older one fires, is
// retried or a message is rejected, in one batch with its registers and counts,
// as the scheduler would. Sizes vary with n; the same n writes the same.
[[nodiscard]] absl::Status WriteNumber(uint64_t n, Store* store);

// How many writes the store has seen; -1 with an error told when it cannot say.
[[nodiscard]] absl::StatusOr<uint64_t> WritesIn(const Store& store);
// All of it, as `store dump` prints it; the first error met.
[[nodiscard]] absl::StatusOr<std::string> DumpOf(const Store& store);

// What a store of 0..n writes dumps as, made on a disk of its own.
class Model {
 public:
  explicit Model(uint64_t writes);
  [[nodiscard]] const std::string& After(uint64_t writes) const { return dumps_[writes]; }
  [[nodiscard]] uint64_t writes() const { return dumps_.size() - 1; }

 private:
  std::vector<std::string> dumps_;
};

// Should RocksDB abort the process: what was running is told on stderr.
void NameRunning(const std::string& what);

// Of the environment, as a number; what `otherwise` says without it.
[[nodiscard]] uint64_t FromEnv(const char* name, uint64_t otherwise);

}  // namespace expirer
