#include "support/stan_server.h"

#if defined(EXPIRER_STAN)

#include <fcntl.h>
#include <nats/nats.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

namespace expirer::test {
namespace {

namespace fs = std::filesystem;

constexpr char kCluster[] = "ticketing";

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "streaming test support: %s\n", why.c_str());
  std::abort();
}

void Check(natsStatus status, const std::string& what) {
  if (status == NATS_OK) return;
  const char* detail = nats_GetLastError(nullptr);
  Die(what + ": " + natsStatus_GetText(status) + " " + (detail == nullptr ? "" : detail));
}

std::string TemporaryDir() {
  const char* base = std::getenv("TMPDIR");
  std::string path =
      std::string(base == nullptr ? "/tmp" : base) + "/expirer-stan-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) Die("cannot make " + path);
  return path;
}

// A client's id is taken once.
std::string NewClientId() {
  static std::atomic<int> count{0};
  return "test-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

natsStatus Connect(stanConnection** connection, const std::string& url,
                   const std::string& id) {
  stanConnOptions* options = nullptr;
  Check(stanConnOptions_Create(&options), "options");
  Check(stanConnOptions_SetURL(options, url.c_str()), "url");
  Check(stanConnOptions_SetConnectionWait(options, 10'000), "options");
  Check(stanConnOptions_SetPubAckWait(options, 60'000), "options");
  Check(stanConnOptions_SetConnectionLostHandler(
            options, [](stanConnection*, const char*, void*) {}, nullptr),
        "options");
  const natsStatus s = stanConnection_Connect(connection, kCluster, id.c_str(), options);
  stanConnOptions_Destroy(options);
  return s;
}

}  // namespace

std::string StanServerBinary() {
  if (const char* named = std::getenv("EXPIRER_STAN_SERVER");
      named != nullptr && *named) {
    return named;
  }
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::istringstream path("build/go:" + variable("PATH") + ":" + variable("GOPATH") +
                          "/bin:" + variable("HOME") + "/go/bin");
  for (std::string dir; std::getline(path, dir, ':');) {
    const std::string candidate = dir + "/nats-streaming-server";
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

StanServer::StanServer(Store store, std::string nats_url)
    : store_(store),
      nats_url_(std::move(nats_url)),
      dir_(TemporaryDir()),
      port_(FreePort()) {
  Start();
}

StanServer::~StanServer() {
  Kill();
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
}

std::string StanServer::url() const {
  return nats_url_.empty() ? "nats://127.0.0.1:" + std::to_string(port_) : nats_url_;
}

void StanServer::Start() {
  if (pid_ > 0) Die("the server runs already");
  const std::string binary = StanServerBinary();
  if (binary.empty()) Die("no nats-streaming-server found (set EXPIRER_STAN_SERVER)");
  const std::string port = std::to_string(port_);
  const std::string store = dir_ + "/store";
  const std::string log = dir_ + "/server.log";
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) Die("fork failed");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int fd = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    dup2(fd, 1);
    dup2(fd, 2);
    // Heartbeats as in the ticketing app's manifest; no bound of a channel.
    execl(binary.c_str(), binary.c_str(), "-a", "127.0.0.1", "-p", port.c_str(), "-cid",
          kCluster, "-hbi", "5s", "-hbt", "5s", "-hbf", "2", "-mm", "0", "-mb", "0",
          "-st", store_ == Store::kFile ? "FILE" : "MEMORY", "--dir", store.c_str(),
          nats_url_.empty() ? nullptr : "-ns", nats_url_.c_str(), nullptr);
    _exit(127);
  }
  pid_ = pid;
  const bool up = WaitFor([&] {
    if (waitpid(pid, nullptr, WNOHANG) == pid) Die("the server ended: " + LogTail());
    stanConnection* connection = nullptr;
    const natsStatus s = Connect(&connection, url(), NewClientId());
    if (s == NATS_OK) stanConnection_Destroy(connection);
    return s == NATS_OK;
  });
  if (!up) Die("nats-streaming-server does not answer: " + LogTail());
}

std::string StanServer::LogTail() const {
  std::ifstream file(dir_ + "/server.log");
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  return all.size() > 4'000 ? all.substr(all.size() - 4'000) : all;
}

void StanServer::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void StanServer::Pause() {
  kill(pid_, SIGSTOP);
  waitpid(pid_, nullptr, WUNTRACED);
}
void StanServer::Resume() { kill(pid_, SIGCONT); }

struct StanClient::State {
  std::string url;
  stanConnection* connection = nullptr;
  stanSubscription* sub = nullptr;
  std::string channel;
  mutable std::mutex mutex;
  // By time and sequence, which begins anew with a server that forgot all.
  std::map<std::pair<int64_t, uint64_t>, StoredMessage> collected;
  std::atomic<size_t> confirmed{0};

  void Subscribe() {
    if (channel.empty()) return;
    stanSubOptions* options = nullptr;
    Check(stanSubOptions_Create(&options), "options");
    Check(stanSubOptions_DeliverAllAvailable(options), "options");
    Check(stanConnection_Subscribe(
              &sub, connection, channel.c_str(),
              [](stanConnection*, stanSubscription*, const char* on, stanMsg* message,
                 void* closure) {
                auto* const self = static_cast<State*>(closure);
                StoredMessage stored;
                stored.subject = on;
                stored.payload.assign(
                    stanMsg_GetData(message),
                    static_cast<size_t>(stanMsg_GetDataLength(message)));
                stored.seq = stanMsg_GetSequence(message);
                stored.time_ns = stanMsg_GetTimestamp(message);
                stanMsg_Destroy(message);
                const std::lock_guard lock(self->mutex);
                const std::pair key(stored.time_ns, stored.seq);
                self->collected.emplace(key, std::move(stored));
              },
              this, options),
          "subscribe");
    stanSubOptions_Destroy(options);
  }
  void Close() {
    // Closed before it is freed: then its handler is not called any more, or
    // runs on a State that lives as long as the process.
    if (connection != nullptr) stanConnection_Close(connection);
    stanSubscription_Destroy(sub);
    stanConnection_Destroy(connection);
    sub = nullptr;
    connection = nullptr;
  }
  void Open() {
    const bool up =
        WaitFor([this] { return Connect(&connection, url, NewClientId()) == NATS_OK; });
    if (!up) Die("cannot connect to " + url);
    Subscribe();
  }
};

StanClient::StanClient(const std::string& url) : state_(std::make_unique<State>()) {
  state_->url = url;
  state_->Open();
}

StanClient::~StanClient() {
  state_->Close();
  // nats.c does not tell when its last call came.
  static std::mutex mutex;
  static auto* const all = new std::vector<std::unique_ptr<State>>;
  const std::lock_guard lock(mutex);
  all->push_back(std::move(state_));
}

void StanClient::Reconnect() {
  state_->Close();
  state_->Open();
}

void StanClient::Publish(const std::string& channel, const std::string& payload) {
  Check(stanConnection_Publish(state_->connection, channel.c_str(), payload.data(),
                               static_cast<int>(payload.size())),
        "publish to " + channel);
}

void StanClient::PublishMany(const std::string& channel, size_t count,
                             const std::function<std::string(size_t)>& payload) {
  state_->confirmed = 0;
  for (size_t i = 0; i < count; ++i) {
    const std::string body = payload(i);
    Check(stanConnection_PublishAsync(
              state_->connection, channel.c_str(), body.data(),
              static_cast<int>(body.size()),
              [](const char*, const char* error, void* closure) {
                if (error != nullptr) Die(std::string("publish: ") + error);
                ++static_cast<State*>(closure)->confirmed;
              },
              state_.get()),
          "publish to " + channel);
  }
  if (!WaitFor([&] { return state_->confirmed == count; }, 120'000))
    Die("a publish to " + channel + " was not confirmed");
}

void StanClient::Collect(const std::string& channel) {
  state_->channel = channel;
  state_->Subscribe();
}

std::vector<StoredMessage> StanClient::Collected() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<StoredMessage> all;
  for (const auto& [key, message] : state_->collected) all.push_back(message);
  return all;
}

}  // namespace expirer::test

#else

namespace expirer::test {

std::string StanServerBinary() { return ""; }

}  // namespace expirer::test

#endif  // EXPIRER_STAN
