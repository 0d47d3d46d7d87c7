#include "load/expirer_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "load/events.h"
#include "load/json_value.h"

namespace expirer::load {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// In the child: nothing of our own environment decides over the service.
void ClearEnvironment() {
  for (const char* name :
       {"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN",
        "NATS_CA", "NATS_CERT", "NATS_KEY", "NATS_CONTEXT", "EXPIRER_CONFIG",
        "EXPIRER_STORE", "EXPIRER_LOG_LEVEL", "EXPIRER_LOG_FORMAT"}) {
    unsetenv(name);
  }
}

}  // namespace

absl::Status WriteConfig(const ServeSetup& setup) {
  std::error_code error;
  std::filesystem::create_directories(setup.dir, error);
  std::ofstream config(setup.dir + "/expirer.yaml");
  config << "name: " << setup.name << "\nnats: { url: \"" << setup.url
         << "\" }\nstore: { path: \"" << setup.StorePath()
         << "\", history: " << setup.history << " }\nrules:\n";
  for (uint64_t i = 1; i <= setup.rules; ++i) {
    config << "  - name: " << kRule << (i > 1 ? fmt::format("-{}", i) : "")
           << "\n    schedule: { subject: \"" << setup.subject
           << "\", key: /id, due: /expiresAt }\n    publish: { subject: \""
           << setup.target << "\" }\n";
  }
  config << setup.more_rules;
  config.close();
  if (!config) return Unavailable("cannot write " + setup.dir + "/expirer.yaml");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ExpirerProcess>> ExpirerProcess::Start(
    const ServeSetup& setup) {
  if (access(setup.binary.c_str(), X_OK) != 0)
    return Refused(setup.binary + " is no program: give --expirer PATH");
  const std::string config = setup.dir + "/expirer.yaml";
  const std::string log = setup.dir + "/expirer.log";
  auto process = std::unique_ptr<ExpirerProcess>(new ExpirerProcess(setup));
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) return Unavailable("fork failed");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int fd = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    dup2(fd, 1);
    dup2(fd, 2);
    ClearEnvironment();
    execl(setup.binary.c_str(), setup.binary.c_str(), "serve", "--config", config.c_str(),
          nullptr);
    _exit(127);
  }
  process->pid_ = pid;
  return process;
}

ExpirerProcess::~ExpirerProcess() { Kill(); }

void ExpirerProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status ExpirerProcess::Stop() {
  if (pid_ <= 0) return absl::OkStatus();
  kill(pid_, SIGTERM);
  const auto until = steady_clock::now() + std::chrono::seconds(30);
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (steady_clock::now() > until) {
      Kill();
      return Internal("expirer did not end within 30 s of SIGTERM");
    }
    std::this_thread::sleep_for(milliseconds(5));
  }
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return Internal("expirer ended badly: " + LogTail());
}

absl::Status ExpirerProcess::Alive() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0) return absl::OkStatus();
  pid_ = -1;
  return Internal("expirer ended: " + LogTail());
}

std::string ExpirerProcess::LogTail() const {
  const std::string log = ReadFile(setup_.dir + "/expirer.log");
  return log.substr(log.size() - std::min<size_t>(log.size(), 2'000));
}

std::string ExpirerProcess::StatusText() const {
  std::string text = ReadFile(setup_.StorePath() + "/status.json");
  if (JsonWhole(text, "/pid") != static_cast<uint64_t>(pid_)) text.clear();
  return text;
}

uint64_t ExpirerProcess::MemoryBytes(const std::string& line) const {
  std::istringstream lines(ReadFile(fmt::format("/proc/{}/status", pid_)));
  for (std::string text; std::getline(lines, text);) {
    if (text.starts_with(line + ":"))
      return std::strtoull(text.c_str() + line.size() + 1, nullptr, 10) * 1'024;
  }
  return 0;
}

double ExpirerProcess::CpuMs() const {
  const std::string stat = ReadFile(fmt::format("/proc/{}/stat", pid_));
  // Fields count from 1; the second, in parentheses, may hold spaces.
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) * 1e3 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

absl::Status RunProgram(const std::vector<std::string>& arguments, int64_t timeout_ms) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) return Unavailable("fork failed");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    dup2(2, 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
  const auto until = steady_clock::now() + milliseconds(timeout_ms);
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (steady_clock::now() > until) kill(pid, SIGKILL);
    std::this_thread::sleep_for(milliseconds(20));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return Internal(arguments[0] + " failed, or took too long");
}

uint64_t DiskBytes(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path, error)) {
    if (entry.is_regular_file(error)) bytes += entry.file_size(error);
  }
  return bytes;
}

}  // namespace expirer::load
