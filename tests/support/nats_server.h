// A private real nats-server for tests, and a small client to look at it
// from outside, which shares no code with expirer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace expirer::test {

// The server's binary: $EXPIRER_NATS_SERVER, or nats-server from PATH or
// /usr/sbin; "" when there is none.
[[nodiscard]] std::string NatsServerBinary();

// A loopback port that nobody listens on.
[[nodiscard]] int FreePort();

// One server process on a free loopback port, with JetStream in a directory of
// its own. The process dies with this object, and with the test process.
class NatsServer {
 public:
  struct Options {
    std::string config = {};  // appended to the config file
    bool jetstream = true;
    std::string store_dir = {};  // "" = a new temporary one, removed at the end
    int port = 0;                // 0 = a free one
    std::string binary = {};     // "" = NatsServerBinary()
  };
  // Started and answering; aborts the test process when that fails.
  NatsServer() : NatsServer(Options{}) {}
  explicit NatsServer(Options options);
  ~NatsServer();
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;

  [[nodiscard]] std::string url() const;
  [[nodiscard]] int port() const { return options_.port; }
  [[nodiscard]] int pid() const { return pid_; }
  // The tail of what the server wrote to its log.
  [[nodiscard]] std::string LogTail() const;

  void Kill();            // kill -9
  void Stop();            // SIGTERM, waits
  void RetireLameDuck();  // SIGUSR2: sends its clients away and ends; waits
  void Pause();           // SIGSTOP, waits until no thread of it runs
  void Resume();          // SIGCONT
  // On the same port; waits until it answers.
  void Start();
  void Reload();  // SIGHUP, with the config as it is set now; does not wait
  // Deletes the JetStream store. REQUIRES: not running.
  void Wipe();
  // Replaces the appended config; counts from the next Start or Reload.
  void SetConfig(std::string config) { options_.config = std::move(config); }

 private:
  [[nodiscard]] std::string WriteConfig() const;  // its path

  Options options_;
  std::string dir_;
  bool own_store_ = false;
  int pid_ = -1;
};

struct StoredMessage {
  std::string subject;
  std::string payload;
  std::multimap<std::string, std::string> headers;
  uint64_t seq = 0;
  int64_t time_ns = 0;
  // "" when missing.
  [[nodiscard]] std::string Header(const std::string& name) const;
  // Of a Nats-Msg-Id <service>/<rule>/<key>/<due ms>/<16 hex digits>: what stands
  // between the first and the last; "" when it is none.
  [[nodiscard]] std::string JobAndDue() const;
};

// A client for tests. Blocking; every failure that the test did not ask for
// aborts with a sentence. One thread.
class TestClient {
 public:
  // `url` may be a list, with commas.
  explicit TestClient(const std::string& url, const std::string& user = "",
                      const std::string& password = "");
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  using HeaderList = std::vector<std::pair<std::string, std::string>>;

  // `config` as JSON members beside name and subjects, e.g. "\"storage\":
  // \"memory\"".
  void CreateStream(const std::string& name, const std::vector<std::string>& subjects,
                    const std::string& config = "");
  void DeleteStream(const std::string& name);
  void DeleteConsumer(const std::string& stream, const std::string& consumer);
  // The raw reply of $JS.API.<verb>; "" when nobody answers in time.
  [[nodiscard]] std::string Api(const std::string& verb, const std::string& body = "");

  // Stored before it returns; the stream's sequence. 0 when no stream took it.
  uint64_t Publish(const std::string& subject, const std::string& payload,
                   const HeaderList& headers = {}, int64_t timeout_ms = 5'000);
  // `count` messages as fast as possible, confirmed together: payload(i).
  void PublishMany(const std::string& subject, size_t count,
                   const std::function<std::string(size_t)>& payload);
  // A core publish, flushed.
  void PublishCore(const std::string& subject, const std::string& payload,
                   const HeaderList& headers = {});
  // A request whose reply goes to `reply`; not flushed at once.
  void PublishRequest(const std::string& subject, const std::string& reply,
                      const std::string& payload);
  // Payload of the reply; nothing after `timeout_ms`. `headers` may be null.
  [[nodiscard]] std::optional<std::string> Request(const std::string& subject,
                                                   const std::string& payload,
                                                   int64_t timeout_ms = 2'000,
                                                   HeaderList* reply_headers = nullptr);

  // Everything the stream holds, in order.
  [[nodiscard]] std::vector<StoredMessage> ReadStream(const std::string& name);
  [[nodiscard]] uint64_t StreamMessages(const std::string& name);  // 0 if gone
  [[nodiscard]] uint64_t StreamLastSeq(const std::string& name);   // 0 if gone

  // Collects core messages from now on.
  void Subscribe(const std::string& subject);
  // The next one collected; nothing after `timeout_ms`.
  [[nodiscard]] std::optional<StoredMessage> Next(int64_t timeout_ms);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Polls until `condition` or the time-out; whether it came true. The default is
// generous: nothing that must happen may fail because the machine is slow.
[[nodiscard]] bool WaitFor(const std::function<bool()>& condition,
                           int64_t timeout_ms = 60'000);

}  // namespace expirer::test
