// A listener for GET over HTTP/1, for numbers and probes: one thread, a bounded
// number of clients, each with a bounded request and a bounded time as a whole.
//
// Ours and not the one of prometheus-cpp, civetweb, which does not bound the time
// of a connection as a whole: a client that sends a byte now and then keeps one of
// its threads for hours, and the scrape waits. Here the oldest client makes room
// when there are too many, so a new one is always heard.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace expirer {

struct HttpResponse {
  int code = 200;  // one of kHttpCodes
  std::string body;
  std::string type = "text/plain; charset=utf-8";
};

// The codes a response may have.
inline constexpr std::array<int, 6> kHttpCodes = {200, 400, 404, 405, 431, 503};

// Since the start.
struct HttpCounts {
  std::array<uint64_t, kHttpCodes.size()> responses{};  // as kHttpCodes
  uint64_t slow = 0;     // clients dropped because their time was over
  uint64_t crowded = 0;  // clients dropped to make room for newer ones
  size_t clients = 0;    // now
};

class HttpServer {
 public:
  struct Options {
    size_t clients_max = 32;
    size_t request_bytes_max = 8'192;  // more is answered 431
    int64_t client_ms = 5'000;         // from accept to the last byte
  };
  // Called on the server's thread with the path of a GET; must not block.
  using Handler = std::function<HttpResponse(std::string_view path)>;

  // Listens on `address` (net/listen_address.h) and answers from now on. The
  // error says which address and why. `clock` outlives it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(
      const std::string& address, const Options& options, Handler handler,
      const Clock* clock);
  // Drops every client and joins the thread.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Where it listens, with the port that 0 became: "127.0.0.1:40123".
  [[nodiscard]] const std::string& address() const { return address_; }
  // Any thread.
  [[nodiscard]] HttpCounts counts() const;

 private:
  // One connection. It reads, then writes, then waits for the client to close,
  // so that what it did not read does not reset the response away.
  struct Client {
    int fd = -1;
    int64_t deadline_ms = 0;  // monotonic
    std::string in;
    std::string out;  // not empty: the response is ready
    size_t sent = 0;
    [[nodiscard]] bool answered() const { return !out.empty() && sent == out.size(); }
  };

  HttpServer(int listener, std::string address, const Options& options, Handler handler,
             const Clock* clock);
  void Run();
  // Waits until something can be done, and does it.
  void Turn();
  [[nodiscard]] int TimeoutMs() const;
  void DropSlow();
  void Accept();
  // False when the connection is over.
  [[nodiscard]] bool Serve(Client* client);
  [[nodiscard]] bool Read(Client* client);
  [[nodiscard]] static bool Send(Client* client);
  void Answer(Client* client);
  void Drop(std::list<Client>::iterator client);
  void Note(uint64_t HttpCounts::*count);

  const int listener_;
  const std::string address_;
  const Options options_;
  const Handler handler_;
  const Clock* const clock_;
  const int wake_fd_;

  // Server's thread only.
  std::list<Client> clients_;    // in order of arrival, and so of deadline
  int64_t accept_after_ms_ = 0;  // no descriptors were left until then

  std::atomic<bool> stopping_ = false;
  mutable Mutex mutex_;
  HttpCounts counts_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses the rest
};

}  // namespace expirer
