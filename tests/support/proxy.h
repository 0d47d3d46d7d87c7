// A TCP link to a server on this host that tests can cut and mend.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace expirer::test {

class Proxy {
 public:
  // Listens on a free loopback port and passes bytes to 127.0.0.1:`to_port`.
  explicit Proxy(int to_port);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] std::string url() const;  // nats://

  // Ends every connection; new ones are closed at once until Mend.
  void Cut();
  void Mend();
  // Mends it for clients only that say `part` of themselves in their first bytes, as
  // NATS clients do with their names.
  void MendFor(const std::string& part);
  // Cut, as soon as the server has sent this many bytes more.
  void CutAfter(int64_t bytes) { left_ = bytes; }
  [[nodiscard]] bool cut();

 private:
  void Accept();
  void Carry(int client, int server);
  [[nodiscard]] bool Welcome(int client);

  const int to_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> left_ = std::numeric_limits<int64_t>::max();  // of CutAfter
  std::mutex mutex_;
  bool cut_ = false;                   // guarded by mutex_
  std::string only_;                   // of MendFor; guarded by mutex_
  std::set<int> sockets_;              // guarded by mutex_
  std::vector<std::thread> carriers_;  // of the accepting thread, then the destructor
  std::thread accepting_;
};

}  // namespace expirer::test
