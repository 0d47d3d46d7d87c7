// A child process running `expirer serve`, seen from outside: its status file
// and /proc. It dies with this object, and with the process that started it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace expirer::load {

struct ServeSetup {
  std::string binary;
  std::string dir;  // gets the config, the log and the store
  std::string url;
  std::string name;     // of the service
  std::string subject;  // of the events
  std::string target;
  uint64_t rules = 1;  // all read `subject`
  std::string history = "168h";
  std::string more_rules;  // YAML of further ones
  [[nodiscard]] std::string StorePath() const { return dir + "/store"; }
};
// Writes the config that Start uses.
[[nodiscard]] absl::Status WriteConfig(const ServeSetup& setup);

class ExpirerProcess {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ExpirerProcess>> Start(
      const ServeSetup& setup);
  ~ExpirerProcess();
  ExpirerProcess(const ExpirerProcess&) = delete;
  ExpirerProcess& operator=(const ExpirerProcess&) = delete;

  // kill -9, and waits.
  void Kill();
  // SIGTERM, and waits; an error when it does not end cleanly.
  [[nodiscard]] absl::Status Stop();

  // The newest status file of this very process; "" before its first.
  [[nodiscard]] std::string StatusText() const;
  // Time on a processor so far, of all its threads.
  [[nodiscard]] double CpuMs() const;
  // OK, or how the process ended.
  [[nodiscard]] absl::Status Alive();
  [[nodiscard]] std::string LogTail() const;

  // A line of /proc/<pid>/status ("VmRSS", "VmHWM"), in bytes.
  [[nodiscard]] uint64_t MemoryBytes(const std::string& line) const;

 private:
  explicit ExpirerProcess(ServeSetup setup) : setup_(std::move(setup)) {}
  const ServeSetup setup_;
  int pid_ = -1;
};

// Runs a program to its end, its output on our stderr; an error unless it
// exits with 0 in time. `arguments` begins with its path.
[[nodiscard]] absl::Status RunProgram(const std::vector<std::string>& arguments,
                                      int64_t timeout_ms);

// Bytes of all files below `path`.
[[nodiscard]] uint64_t DiskBytes(const std::string& path);

}  // namespace expirer::load
