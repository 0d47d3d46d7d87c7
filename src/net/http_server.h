// A listener for GET over HTTP/1, for metrics and probes. It has one thread and bounds
// the number of clients, the size of a request, and the total time of a client.
//
// We do not use prometheus-cpp's listener, civetweb, because it does not bound the total
// time of a connection: a client that sends a byte now and then occupies one of its
// threads for hours, and the scrape waits. Here, if there are too many clients, the
// oldest is dropped, so a new one is always served.
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

// Counts since the start.
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
    int64_t client_ms = 5'000;         // time from accept to the last byte
  };
  // Called on the server's thread with the path of a GET; must not block.
  using Handler = std::function<HttpResponse(std::string_view path)>;

  // Begins to listen on `address` (net/listen_address.h) and to answer. The error names
  // the address and the reason. `clock` must outlive the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const std::string& address,
                                                            const Options& options,
                                                            Handler handler,
                                                            const Clock* clock);
  // Drops every client and joins the thread.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The address that it listens on, with the actual port if 0 was given:
  // "127.0.0.1:40123".
  [[nodiscard]] const std::string& address() const { return address_; }
  // Any thread.
  [[nodiscard]] HttpCounts counts() const;

 private:
  // One connection. It reads, then writes, then waits for the client to close. If it
  // closed first, unread bytes would reset the connection, and the client might lose the
  // response.
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
  // False if the connection has ended.
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
  int64_t accept_after_ms_ = 0;  // accepts none before; descriptors had run out

  std::atomic<bool> stopping_ = false;
  mutable Mutex mutex_;
  HttpCounts counts_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last, because it uses the other members
};

}  // namespace expirer
