#include "support/nats_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <nats/nats.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace expirer::test {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "nats test support: %s\n", why.c_str());
  std::abort();
}

void Check(natsStatus status, const std::string& what) {
  if (status == NATS_OK) return;
  const char* detail = nats_GetLastError(nullptr);
  Die(what + ": " + natsStatus_GetText(status) + " " + (detail == nullptr ? "" : detail));
}

int Connected(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

// The server greets a new connection with INFO.
bool Answers(int port) {
  const int fd = Connected(port);
  if (fd < 0) return false;
  char greeting[4] = {};
  pollfd readable{fd, POLLIN, 0};
  const bool ok = poll(&readable, 1, 1'000) == 1 && read(fd, greeting, 4) == 4 &&
                  std::memcmp(greeting, "INFO", 4) == 0;
  close(fd);
  return ok;
}

std::string TemporaryDir() {
  const char* base = std::getenv("TMPDIR");
  std::string path =
      std::string(base == nullptr ? "/tmp" : base) + "/expirer-nats-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) Die("cannot make " + path);
  return path;
}

// The first integer after `"member":` in `json`; 0 when there is none.
uint64_t IntegerAfter(const std::string& json, const std::string& member) {
  const size_t at = json.find("\"" + member + "\":");
  if (at == std::string::npos) return 0;
  return std::strtoull(json.c_str() + at + member.size() + 3, nullptr, 10);
}

// The first text after `"member":` in `json`; "" when there is none.
std::string TextAfter(const std::string& json, const std::string& member) {
  const std::string quoted = "\"" + member + "\":\"";
  const size_t at = json.find(quoted);
  if (at == std::string::npos) return "";
  const size_t from = at + quoted.size();
  return json.substr(from, json.find('"', from) - from);
}

void CopyHeaders(natsMsg* message, std::multimap<std::string, std::string>* headers) {
  const char** keys = nullptr;
  int key_count = 0;
  if (natsMsgHeader_Keys(message, &keys, &key_count) != NATS_OK) return;
  for (int i = 0; i < key_count; ++i) {
    const char** values = nullptr;
    int count = 0;
    if (natsMsgHeader_Values(message, keys[i], &values, &count) != NATS_OK) continue;
    for (int j = 0; j < count; ++j) headers->emplace(keys[i], values[j]);
    std::free(static_cast<void*>(values));
  }
  std::free(static_cast<void*>(keys));
}

StoredMessage ToStored(natsMsg* message) {
  StoredMessage stored;
  stored.subject = natsMsg_GetSubject(message);
  stored.payload.assign(natsMsg_GetData(message),
                        static_cast<size_t>(natsMsg_GetDataLength(message)));
  CopyHeaders(message, &stored.headers);
  return stored;
}

natsMsg* NewMessage(const std::string& subject, const std::string& reply,
                    const std::string& payload, const TestClient::HeaderList& headers) {
  natsMsg* message = nullptr;
  Check(natsMsg_Create(&message, subject.c_str(), reply.empty() ? nullptr : reply.c_str(),
                       payload.data(), static_cast<int>(payload.size())),
        "message");
  for (const auto& [name, value] : headers) {
    Check(natsMsgHeader_Add(message, name.c_str(), value.c_str()), "header");
  }
  return message;
}

}  // namespace

bool WaitFor(const std::function<bool()>& condition, int64_t timeout_ms) {
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    Die("no free port");
  }
  close(fd);
  return ntohs(address.sin_port);
}

std::string NatsServerBinary() {
  if (const char* named = std::getenv("EXPIRER_NATS_SERVER");
      named != nullptr && *named) {
    return named;
  }
  std::istringstream path(std::string(std::getenv("PATH") ? std::getenv("PATH") : "") +
                          ":/usr/sbin:/usr/local/sbin");
  for (std::string dir; std::getline(path, dir, ':');) {
    const std::string candidate = dir + "/nats-server";
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

NatsServer::NatsServer(Options options)
    : options_(std::move(options)), dir_(TemporaryDir()) {
  if (options_.store_dir.empty()) {
    own_store_ = true;
    options_.store_dir = dir_ + "/store";
  }
  if (options_.port == 0) options_.port = FreePort();
  Start();
}

NatsServer::~NatsServer() {
  Kill();
  std::error_code ignored;
  if (own_store_) fs::remove_all(options_.store_dir, ignored);
  fs::remove_all(dir_, ignored);
}

std::string NatsServer::url() const {
  return "nats://127.0.0.1:" + std::to_string(options_.port);
}

std::string NatsServer::WriteConfig() const {
  const std::string path = dir_ + "/server.conf";
  std::ofstream config(path);
  config << "host: 127.0.0.1\nport: " << options_.port << "\n";
  if (options_.jetstream) {
    config << "jetstream { store_dir: \"" << options_.store_dir
           << "\", max_mem: 1GB, max_file: 10GB }\n";
  }
  config << options_.config << "\n";
  return path;
}

void NatsServer::Start() {
  if (pid_ > 0) Die("the server runs already");
  const std::string binary =
      options_.binary.empty() ? NatsServerBinary() : options_.binary;
  if (binary.empty()) Die("no nats-server found (set EXPIRER_NATS_SERVER)");
  const std::string config_path = WriteConfig();
  const std::string log = dir_ + "/server.log";
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) Die("fork failed");
  if (pid == 0) {
    // Dies when the thread that started it does, in practice: the test.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int fd = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    dup2(fd, 1);
    dup2(fd, 2);
    execl(binary.c_str(), binary.c_str(), "-c", config_path.c_str(), nullptr);
    _exit(127);
  }
  pid_ = pid;
  const bool up = WaitFor([&] {
    if (waitpid(pid, nullptr, WNOHANG) == pid) Die("nats-server ended: " + LogTail());
    return Answers(options_.port);
  });
  if (!up) Die("nats-server does not answer: " + LogTail());
}

std::string NatsServer::LogTail() const {
  std::ifstream file(dir_ + "/server.log");
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  return all.size() > 4'000 ? all.substr(all.size() - 4'000) : all;
}

void NatsServer::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NatsServer::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NatsServer::RetireLameDuck() {
  if (pid_ <= 0) return;
  kill(pid_, SIGUSR2);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NatsServer::Pause() {
  kill(pid_, SIGSTOP);
  waitpid(pid_, nullptr, WUNTRACED);
}
void NatsServer::Resume() { kill(pid_, SIGCONT); }

void NatsServer::Reload() {
  (void)WriteConfig();
  kill(pid_, SIGHUP);
}

void NatsServer::Wipe() {
  if (pid_ > 0) Die("wipe only a stopped server");
  fs::remove_all(options_.store_dir);
}

std::string StoredMessage::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::string StoredMessage::JobAndDue() const {
  constexpr std::string_view kHex = "0123456789abcdef";
  const std::string id = Header("Nats-Msg-Id");
  const size_t begin = id.find('/');
  const size_t end = id.rfind('/');
  const bool sourced = begin < end && id.size() == end + 17 &&
                       id.find_first_not_of(kHex, end + 1) == std::string::npos;
  return sourced ? id.substr(begin + 1, end - begin - 1) : "";
}

struct TestClient::State {
  natsConnection* nc = nullptr;
  natsSubscription* sub = nullptr;
  jsCtx* js = nullptr;
};

TestClient::TestClient(const std::string& url, const std::string& user,
                       const std::string& password)
    : state_(std::make_unique<State>()) {
  natsOptions* options = nullptr;
  Check(natsOptions_Create(&options), "options");
  std::vector<std::string> urls;
  std::istringstream list(url);
  for (std::string one; std::getline(list, one, ',');) urls.push_back(one);
  std::vector<const char*> servers;
  for (const std::string& one : urls) servers.push_back(one.c_str());
  Check(natsOptions_SetServers(options, servers.data(), static_cast<int>(servers.size())),
        "url");
  if (!user.empty()) {
    Check(natsOptions_SetUserInfo(options, user.c_str(), password.c_str()), "user");
  }
  Check(natsOptions_SetMaxReconnect(options, -1), "options");
  Check(natsOptions_SetReconnectWait(options, 50), "options");
  // The default handler prints what tests provoke on purpose.
  Check(
      natsOptions_SetErrorHandler(
          options, [](natsConnection*, natsSubscription*, natsStatus, void*) {}, nullptr),
      "options");
  Check(natsConnection_Connect(&state_->nc, options), "connect to " + url);
  natsOptions_Destroy(options);
  Check(natsConnection_JetStream(&state_->js, state_->nc, nullptr), "JetStream");
}

TestClient::~TestClient() {
  natsSubscription_Destroy(state_->sub);
  jsCtx_Destroy(state_->js);
  natsConnection_Destroy(state_->nc);
}

std::string TestClient::Api(const std::string& verb, const std::string& body) {
  const auto reply = Request("$JS.API." + verb, body, 5'000);
  return reply.value_or("");
}

void TestClient::CreateStream(const std::string& name,
                              const std::vector<std::string>& subjects,
                              const std::string& config) {
  std::string body = "{\"name\":\"" + name + "\",\"subjects\":[";
  for (size_t i = 0; i < subjects.size(); ++i) {
    body += (i == 0 ? "\"" : ",\"") + subjects[i] + "\"";
  }
  body += "],\"retention\":\"limits\"" + (config.empty() ? "" : "," + config) + "}";
  const std::string reply = Api("STREAM.CREATE." + name, body);
  if (reply.empty() || reply.find("\"error\"") != std::string::npos) {
    Die("create stream " + name + ": " + reply);
  }
}

void TestClient::DeleteStream(const std::string& name) {
  const std::string reply = Api("STREAM.DELETE." + name);
  if (reply.find("\"success\":true") == std::string::npos) {
    Die("delete stream " + name + ": " + reply);
  }
}

void TestClient::DeleteConsumer(const std::string& stream, const std::string& consumer) {
  const std::string info = "CONSUMER.INFO." + stream + "." + consumer;
  const std::string before = TextAfter(Api(info), "created");
  const std::string reply = Api("CONSUMER.DELETE." + stream + "." + consumer);
  // nats-server 2.9 may fail to remove the directory of a consumer it was just
  // writing to, having deleted the consumer; whoever used it may by now have
  // made another one.
  const bool gone = reply.find("\"err_code\":10051") != std::string::npos &&
                    TextAfter(Api(info), "created") != before;
  if (!gone && reply.find("\"success\":true") == std::string::npos) {
    Die("delete consumer " + consumer + ": " + reply);
  }
}

uint64_t TestClient::Publish(const std::string& subject, const std::string& payload,
                             const HeaderList& headers, int64_t timeout_ms) {
  natsMsg* message = NewMessage(subject, "", payload, headers);
  natsMsg* reply = nullptr;
  const natsStatus s = natsConnection_RequestMsg(&reply, state_->nc, message, timeout_ms);
  natsMsg_Destroy(message);
  if (s != NATS_OK) return 0;
  const std::string text(natsMsg_GetData(reply),
                         static_cast<size_t>(natsMsg_GetDataLength(reply)));
  natsMsg_Destroy(reply);
  return text.find("\"error\"") != std::string::npos ? 0 : IntegerAfter(text, "seq");
}

void TestClient::PublishMany(const std::string& subject, size_t count,
                             const std::function<std::string(size_t)>& payload) {
  for (size_t i = 0; i < count; ++i) {
    const std::string text = payload(i);
    Check(js_PublishAsync(state_->js, subject.c_str(), text.data(),
                          static_cast<int>(text.size()), nullptr),
          "publish");
  }
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = 60'000;
  Check(js_PublishAsyncComplete(state_->js, &options), "publish complete");
}

void TestClient::PublishCore(const std::string& subject, const std::string& payload,
                             const HeaderList& headers) {
  natsMsg* message = NewMessage(subject, "", payload, headers);
  Check(natsConnection_PublishMsg(state_->nc, message), "publish");
  natsMsg_Destroy(message);
  Check(natsConnection_FlushTimeout(state_->nc, 5'000), "flush");
}

void TestClient::PublishRequest(const std::string& subject, const std::string& reply,
                                const std::string& payload) {
  Check(natsConnection_PublishRequest(state_->nc, subject.c_str(), reply.c_str(),
                                      payload.data(), static_cast<int>(payload.size())),
        "publish");
}

std::optional<std::string> TestClient::Request(const std::string& subject,
                                               const std::string& payload,
                                               int64_t timeout_ms,
                                               HeaderList* reply_headers) {
  natsMsg* reply = nullptr;
  const natsStatus s =
      natsConnection_Request(&reply, state_->nc, subject.c_str(), payload.data(),
                             static_cast<int>(payload.size()), timeout_ms);
  if (s != NATS_OK) return std::nullopt;
  const StoredMessage stored = ToStored(reply);
  natsMsg_Destroy(reply);
  if (reply_headers != nullptr) {
    reply_headers->assign(stored.headers.begin(), stored.headers.end());
  }
  return stored.payload;
}

uint64_t TestClient::StreamMessages(const std::string& name) {
  return IntegerAfter(Api("STREAM.INFO." + name), "messages");
}

uint64_t TestClient::StreamLastSeq(const std::string& name) {
  return IntegerAfter(Api("STREAM.INFO." + name), "last_seq");
}

std::vector<StoredMessage> TestClient::ReadStream(const std::string& name) {
  std::vector<StoredMessage> all;
  const uint64_t messages = StreamMessages(name);
  if (messages == 0) return all;
  jsSubOptions options;
  jsSubOptions_Init(&options);
  options.Stream = name.c_str();
  options.Ordered = true;
  natsSubscription* sub = nullptr;
  Check(js_SubscribeSync(&sub, state_->js, ">", nullptr, &options, nullptr),
        "read stream " + name);
  while (all.size() < messages) {
    natsMsg* message = nullptr;
    Check(natsSubscription_NextMsg(&message, sub, 10'000), "read stream " + name);
    StoredMessage stored = ToStored(message);
    jsMsgMetaData* meta = nullptr;
    Check(natsMsg_GetMetaData(&meta, message), "metadata");
    stored.seq = meta->Sequence.Stream;
    stored.time_ns = meta->Timestamp;
    jsMsgMetaData_Destroy(meta);
    natsMsg_Destroy(message);
    all.push_back(std::move(stored));
  }
  natsSubscription_Unsubscribe(sub);
  natsSubscription_Destroy(sub);
  return all;
}

void TestClient::Subscribe(const std::string& subject) {
  natsSubscription_Destroy(state_->sub);
  Check(natsConnection_SubscribeSync(&state_->sub, state_->nc, subject.c_str()),
        "subscribe");
  Check(natsConnection_FlushTimeout(state_->nc, 5'000), "flush");
}

std::optional<StoredMessage> TestClient::Next(int64_t timeout_ms) {
  natsMsg* message = nullptr;
  if (natsSubscription_NextMsg(&message, state_->sub, timeout_ms) != NATS_OK) {
    return std::nullopt;
  }
  StoredMessage stored = ToStored(message);
  natsMsg_Destroy(message);
  return stored;
}

}  // namespace expirer::test
