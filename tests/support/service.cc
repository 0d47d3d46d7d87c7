#include "support/service.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/nats_server.h"

extern char** environ;

namespace expirer::test {
namespace {

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "service test support: %s\n", why.c_str());
  std::abort();
}

std::string ReadAll(const std::string& path, size_t from = 0) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(from));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Not what would configure the service behind the test's back.
bool Inherited(std::string_view variable) {
  for (const std::string_view prefix :
       {"NATS_", "EXPIRER_CONFIG=", "EXPIRER_STORE=", "EXPIRER_LOG_"})
    if (variable.rfind(prefix, 0) == 0) return false;
  return true;
}

// argv or envp: points into `texts`, which must stay.
std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Everything is prepared before the fork: the test may have threads.
int Spawn(const std::string& binary, std::vector<std::string> args,
          const Environment& environment, const std::string& output) {
  args.insert(args.begin(), binary);
  std::vector<std::string> variables;
  for (char** one = environ; *one != nullptr; ++one)
    if (Inherited(*one)) variables.emplace_back(*one);
  for (const auto& [name, value] : environment) {
    variables.push_back(name);
    variables.back().append("=").append(value);
  }
  const std::vector<char*> argv = Pointers(&args);
  const std::vector<char*> envp = Pointers(&variables);
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) Die("fork failed");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int fd = open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
  dup2(fd, 1);
  dup2(fd, 2);
  execve(binary.c_str(), argv.data(), envp.data());
  _exit(127);
}

int CodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::optional<int> Reap(int pid, int64_t timeout_ms) {
  int status = 0;
  const bool ended =
      WaitFor([&] { return waitpid(pid, &status, WNOHANG) == pid; }, timeout_ms);
  return ended ? std::optional(CodeOf(status)) : std::nullopt;
}

// The text of the value called `name` at or behind `from`; "" = none.
std::string_view ValueAfter(std::string_view json, std::string_view name, size_t from) {
  const std::string quoted = "\"" + std::string(name) + "\":";
  const size_t at = json.find(quoted, from);
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + quoted.size());
  return json.substr(0, json.find_first_of(",}\n"));
}

}  // namespace

std::string ExpirerBinary() {
  const char* named = std::getenv("EXPIRER_BIN");
  return named == nullptr ? "" : named;
}

Outcome RunExpirer(const std::vector<std::string>& args, const Environment& environment,
                   int64_t timeout_ms, const std::function<void(int pid)>& meanwhile) {
  const TempDir dir;
  const std::string output = dir.path() + "/output";
  const int pid = Spawn(ExpirerBinary(), args, environment, output);
  if (meanwhile) meanwhile(pid);
  std::optional<int> code = Reap(pid, timeout_ms);
  if (!code) {
    kill(pid, SIGKILL);
    code = Reap(pid, 10'000);
  }
  return {code.value_or(-1), ReadAll(output)};
}

Service::Service(Options options) : options_(std::move(options)) {
  if (options_.binary.empty()) options_.binary = ExpirerBinary();
  if (options_.binary.empty()) Die("EXPIRER_BIN must name the binary under test");
  if (options_.store.empty()) options_.store = dir_.path() + "/store";
}

Service::~Service() { Kill9(); }

void Service::Start() {
  if (running()) Die("expirer runs already");
  std::vector<std::string> args = {"serve", "--store", options_.store};
  if (!options_.config.empty()) {
    const std::string path = config_path();
    std::ofstream(path) << options_.config;
    args.insert(args.end(), {"--config", path});
  }
  args.insert(args.end(), options_.flags.begin(), options_.flags.end());
  Environment environment = options_.environment;
  environment.emplace_back("NATS_URL", options_.url);
  std::error_code none_yet;
  const auto size = std::filesystem::file_size(log_path(), none_yet);
  log_from_ = none_yet ? 0 : size;
  pid_ = Spawn(options_.binary, args, environment, log_path());
}

bool Service::WaitReady(int64_t timeout_ms) {
  return WaitFor(
      [this] {
        const auto text = StatusText();
        return text && text->find("\"ready\":true") != std::string::npos;
      },
      timeout_ms);
}

void Service::StartReady() {
  Start();
  if (!WaitReady()) Die("expirer does not become ready: " + LogOfThisStart());
}

void Service::Kill9() {
  if (!running()) return;
  Signal(SIGKILL);
  (void)WaitExit();
}

void Service::Signal(int signal) {
  if (const int pid = pid_; pid > 0) kill(pid, signal);
}

std::optional<int> Service::WaitExit(int64_t timeout_ms) {
  if (!running()) return std::nullopt;
  const std::optional<int> code = Reap(pid_, timeout_ms);
  if (code) pid_ = -1;
  return code;
}

std::optional<int> Service::Term(int64_t timeout_ms) {
  Signal(SIGTERM);
  return WaitExit(timeout_ms);
}

std::string Service::Log() const { return ReadAll(log_path()); }

std::string Service::LogOfThisStart() const { return ReadAll(log_path(), log_from_); }

bool Service::WaitLog(std::string_view text, int64_t timeout_ms) const {
  return WaitFor([&] { return LogOfThisStart().find(text) != std::string::npos; },
                 timeout_ms);
}

std::optional<std::string> Service::StatusText() const {
  std::string text = ReadAll(status_path());
  if (ValueAfter(text, "pid", 0) != std::to_string(pid_)) return std::nullopt;
  return text;
}

std::optional<int64_t> Service::Status(std::string_view name,
                                       std::string_view section) const {
  const auto text = StatusText();
  if (!text) return std::nullopt;
  size_t from = 0;
  if (!section.empty()) {
    from = text->find("\"" + std::string(section) + "\":{");
    if (from == std::string::npos) return std::nullopt;
  }
  const std::string value(ValueAfter(*text, name, from));
  if (value.empty() || (value[0] != '-' && !std::isdigit(static_cast<uint8_t>(value[0]))))
    return std::nullopt;
  return std::strtoll(value.c_str(), nullptr, 10);
}

bool Service::WaitStatus(std::string_view name, std::string_view section,
                         const std::function<bool(int64_t)>& good,
                         int64_t timeout_ms) const {
  return WaitFor(
      [&] {
        const auto value = Status(name, section);
        return value && good(*value);
      },
      timeout_ms);
}

bool Service::WaitCounter(std::string_view name, int64_t value,
                          int64_t timeout_ms) const {
  return WaitStatus(
      name, "counters", [value](int64_t now) { return now >= value; }, timeout_ms);
}

}  // namespace expirer::test
