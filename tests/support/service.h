// The real expirer binary as a child process, for tests that look at it only
// from outside: its exit code, its log, its status file. Shares no code with
// expirer.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/temp_dir.h"

namespace expirer::test {

// The binary under test: $EXPIRER_BIN, or "" when that is not set.
[[nodiscard]] std::string ExpirerBinary();

// What one run of the binary came to. `code` is the exit code, or 128 + the
// signal that ended it; output is stdout and stderr.
struct Outcome {
  int code = -1;
  std::string output;
};
using Environment = std::vector<std::pair<std::string, std::string>>;
// Runs `expirer ARGS...` to its end; killed after `timeout_ms`, which count from
// when `meanwhile` returned.
[[nodiscard]] Outcome RunExpirer(const std::vector<std::string>& args,
                                 const Environment& environment = {},
                                 int64_t timeout_ms = 60'000,
                                 const std::function<void(int pid)>& meanwhile = {});

// One `expirer serve`, over as many starts as the test wants. The child sees
// none of the test's own variables that would configure it; it dies with this
// object, and with the thread that started it. All but Signal: one thread.
class Service {
 public:
  struct Options {
    std::string config = {};              // YAML; "" = the built-in ticketing rule
    std::string store = {};               // directory; "" = a temporary one of its own
    std::string url = {};                 // NATS_URL
    std::vector<std::string> flags = {};  // after `serve`
    Environment environment = {};
    std::string binary = {};  // "" = ExpirerBinary()
  };
  // Not started yet. Aborts the test process when there is no binary.
  explicit Service(Options options);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // REQUIRES: not running. The log goes on in the same file.
  void Start();
  // Until the status file of this very process says ready.
  [[nodiscard]] bool WaitReady(int64_t timeout_ms = 60'000);
  // Start and WaitReady; aborts with the log when it does not become ready.
  void StartReady();

  void Kill9();  // kill -9, and waits for the end
  // Also from another thread; nothing when it does not run.
  void Signal(int signal);
  // The exit code, or 128 + the signal; nothing while it runs on.
  [[nodiscard]] std::optional<int> WaitExit(int64_t timeout_ms = 60'000);
  // SIGTERM and WaitExit. The promise is an end within 20 s.
  [[nodiscard]] std::optional<int> Term(int64_t timeout_ms = 20'000);
  [[nodiscard]] bool running() const { return pid_ > 0; }
  [[nodiscard]] int pid() const { return pid_; }

  // Counts from the next Start.
  void SetConfig(std::string config) { options_.config = std::move(config); }
  void SetFlags(std::vector<std::string> flags) { options_.flags = std::move(flags); }

  // Everything logged since the first Start, or since the last one.
  [[nodiscard]] std::string Log() const;
  [[nodiscard]] std::string LogOfThisStart() const;
  // Until a line since the last Start holds `text`.
  [[nodiscard]] bool WaitLog(std::string_view text, int64_t timeout_ms = 60'000) const;

  // The whole number called `name` in the status file of the running process,
  // in `section` ("counters", "rules") where it is not at the top. Nothing
  // until this process wrote the file.
  [[nodiscard]] std::optional<int64_t> Status(std::string_view name,
                                              std::string_view section = "") const;
  // Until that number makes `good` true.
  [[nodiscard]] bool WaitStatus(std::string_view name, std::string_view section,
                                const std::function<bool(int64_t)>& good,
                                int64_t timeout_ms = 60'000) const;
  // Until it is at least `value`.
  [[nodiscard]] bool WaitCounter(std::string_view name, int64_t value,
                                 int64_t timeout_ms = 60'000) const;

  [[nodiscard]] const std::string& store() const { return options_.store; }
  [[nodiscard]] std::string log_path() const { return dir_.path() + "/log"; }
  // Where a config of its own is, once it was started.
  [[nodiscard]] std::string config_path() const { return dir_.path() + "/config.yaml"; }
  [[nodiscard]] std::string status_path() const {
    return options_.store + "/status.json";
  }

 private:
  [[nodiscard]] std::optional<std::string> StatusText() const;

  const TempDir dir_;
  Options options_;
  std::atomic<int> pid_ = -1;
  size_t log_from_ = 0;  // where the log of the last start begins
};

}  // namespace expirer::test
