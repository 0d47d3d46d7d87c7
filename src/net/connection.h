// One connection to NATS that comes back for ever.
//
// nats.c speaks the protocol; everything that keeps a link alive is ours: a
// thread of our own connects with back-off, polls the socket (nats.c's event
// loop interface) and, when the link is gone, throws the nats.c connection
// away and makes a new one. So nothing published before a disconnect is ever
// sent after it, a publish never waits for the network, and the first connect
// is retried like any other. Only one thread is ever at the socket, which also
// keeps TLS safe with nats.c < 3.11.
//
//   caller ── Publish ──▶ nats.c's buffer ── Flush ──▶ socket (caller's thread,
//                                        └─ when busy or full: loop thread)
//   socket ── loop thread ──▶ nats.c ──▶ one delivery thread a subscription
//
// A connection has all of its subscriptions: when one cannot be made, since no thread
// can be, it is given up and tried again like one that the server refused.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "base/status.h"
#include "net/connection_options.h"
#include "net/delivery.h"
#include "sched/egress.h"
#include "sched/gap_watch.h"

struct __natsConnection;
struct __natsSubscription;
struct __natsOptions;

namespace expirer {

// Thread-safe.
class Connection {
 public:
  using MessageHandler = std::function<void(const Delivery&)>;
  // None may block, or call Stop. All may be empty.
  struct Handlers {
    // Loop thread. Connected, and every subscription sent.
    std::function<void()> up;
    // Loop thread. The connection is gone; no handler of a message received
    // through it is running, or will be called.
    std::function<void(const std::string& why)> down;
    // A thread of nats.c. The server's words, e.g. 'Permissions Violation for
    // Publish to "x"'; may come late, also after `down`.
    std::function<void(const std::string& text)> error;
    // Loop thread, about every 100 ms while connected or in back-off.
    std::function<void()> tick;
    // Loop thread. An attempt to connect failed; another will follow.
    std::function<void(const std::string& why)> failed = {};
  };
  enum class Sent {
    kOk,
    kDown,       // not connected: nothing was sent
    kFull,       // too much is waiting for the socket: nothing was sent
    kTooLarge,   // over the server's max_payload: can never be sent
    kInvalid,    // no message by nats.c's rules: can never be sent
    kNoHeaders,  // the server has headers switched off
    kError,      // nats.c failed otherwise: nothing was sent
  };
  // What the natsStatus that a publish came to means.
  [[nodiscard]] static Sent SentBy(int nats_status);

  // `role` ends the connection's name.
  Connection(ConnectionOptions options, const std::string& role, Handlers handlers);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to connect. Once.
  void Start();
  // Waits at most `flush_ms` until the server has everything that was
  // published, closes and joins the thread. Not from a handler.
  void Stop(int64_t flush_ms);

  // Subscribes now and on every later connection; there is no way back. The
  // handler runs on a thread of this subscription. Any thread.
  void Subscribe(const std::string& subject, MessageHandler handler);
  // Likewise, for what nobody asked for: as a member of the queue group
  // `queue_group` ("" = none), and with at most `pending_max` messages waiting for
  // the handler; further ones are dropped and `error` is told.
  void Subscribe(const std::string& subject, const std::string& queue_group,
                 int pending_max, MessageHandler handler);

  // Hand a message to nats.c's buffer; it leaves with the next Flush, or with
  // the loop's next turn. Never wait for the network. `reply` may be "".
  [[nodiscard]] Sent Publish(const std::string& subject, const std::string& reply,
                             std::string_view payload);
  // Headers leave in their order. `error` may be null; it gets nats.c's name of what
  // the message met, where nats.c was asked.
  [[nodiscard]] Sent Publish(const std::string& subject, const std::string& reply,
                             const HeaderViews& headers, std::string_view payload,
                             const char** error = nullptr);
  // Writes what was published to the socket, as far as it takes it at once.
  void Flush();

  [[nodiscard]] bool up() const { return up_.load(std::memory_order_acquire); }
  // The most that may be published here. 0 before the first connection.
  [[nodiscard]] int64_t max_payload() const { return max_payload_.load(); }
  // That of the server, which may have been seen to be another one by now.
  [[nodiscard]] int64_t server_max_payload() const {
    const int64_t seen = seen_max_payload_;
    return seen > 0 ? seen : max_payload();
  }
  // Asks the server for it: it tells nobody who is connected when its config is loaded
  // anew. At most every kPayloadCheckMs, and waits for it up to kGreetingMs. Any thread.
  void CheckMaxPayload();
  // Gives the connection up, for `why`, and makes it anew.
  void Renew(const std::string& why);
  // The process at the other end; "" before the first connection.
  [[nodiscard]] std::string server_id() const;
  // Why there is no connection: what ended it, or what the last attempt met; "" while
  // there is one, and before the first attempt.
  [[nodiscard]] std::string trouble() const;
  // How often it has been connected.
  [[nodiscard]] uint64_t generation() const { return generation_.load(); }
  // How often a handler was so slow that messages were dropped (kPendingMax).
  [[nodiscard]] uint64_t slow_consumers() const { return slow_consumers_.load(); }
  // Keeps a pulse while connected. It stops as well while a message that was asked
  // for waits for its handler and no handler runs. Before Start.
  void EnablePulse() { pulsed_ = true; }
  [[nodiscard]] Pulse pulse() const { return {beat_mono_ms_, gaps_, gap_ms_}; }
  // "<inbox_prefix>.<random>": subjects below it are this connection's own.
  [[nodiscard]] const std::string& inbox() const { return inbox_; }
  [[nodiscard]] const ConnectionOptions& options() const { return options_; }

  // Bytes that may wait for the socket before Publish says kFull.
  static constexpr int kBufferBytesMax = 8 << 20;
  // Of messages nobody asked for, in one subscription.
  static constexpr int kPendingMax = 65'536;
  static constexpr int kPendingBytesMax = 64 << 20;
  // A server that says nothing for so long, though asked three times, is given up: it
  // is frozen, or gone without a word, and another one may be there.
  static constexpr int64_t kSilentMs = 5'000;
  // Pauses between two attempts to connect: from the first, doubled up to the last.
  // With its jitter and a connect the last one keeps a return within 5 s.
  static constexpr int64_t kBackOffFirstMs = 100;
  static constexpr int64_t kBackOffMaxMs = 3'000;
  // A connection that lived shorter was no success: it does not reset the pause.
  static constexpr int64_t kProvenMs = 2'000;
  static constexpr int64_t kPayloadCheckMs = 10'000;  // between two checks
  // For what a server says to whoever connects.
  static constexpr int64_t kGreetingMs = 300;

 private:
  struct Subscription {
    std::string subject;
    MessageHandler handler;
    Connection* owner = nullptr;
    __natsSubscription* live = nullptr;
    std::string queue_group = {};  // "" = none
    int pending_max = -1;          // -1 = bounded by what was asked for
    int64_t delivered = -1;        // at the last beat; -1 = nothing waited
  };
  struct Callbacks;  // what nats.c calls
  struct Link;       // outlives the connection: the context of its late calls

  void Run();
  [[nodiscard]] absl::Status Connect();
  [[nodiscard]] absl::Status SetHandlers(__natsOptions* options);
  // OK also when the connection closed in this very moment: the next one subscribes.
  [[nodiscard]] absl::Status SubscribeNow(Subscription* subscription)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Polls and moves bytes until the connection closes or Stop is called.
  void Serve();
  void Beat();
  [[nodiscard]] bool DeliveryStalls();
  void Write(__natsConnection* nc);
  void TearDown(const std::string& why);
  // Closes what nats.c has; its last error, where it has one.
  std::string Discard();
  void SetTrouble(const std::string& why);
  void GiveUp(const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BackOff(int64_t wait_ms);
  void Tick();
  void WakeLoop();

  const ConnectionOptions options_;
  const std::string name_;
  const std::string inbox_;
  const Handlers handlers_;
  Link* const link_;
  const int wake_fd_;

  std::atomic<bool> up_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> closed_ = false;      // nats.c has let go of the socket
  std::atomic<bool> lame_duck_ = false;   // the server asked us to leave
  std::atomic<bool> given_up_ = false;    // trouble_ says why
  std::atomic<bool> want_write_ = false;  // nats.c's buffer holds something
  std::atomic<int> socket_ = -1;
  std::atomic<int64_t> max_payload_ = 0;
  std::atomic<int64_t> seen_max_payload_ = 0;  // 0 = as it greeted
  std::atomic<uint64_t> generation_ = 0;
  std::atomic<uint64_t> slow_consumers_ = 0;
  std::atomic<bool> secure_ = false;
  std::atomic<int64_t> beat_mono_ms_ = 0;
  std::atomic<uint64_t> gaps_ = 0;
  std::atomic<int64_t> gap_ms_ = 0;

  // Held while the socket is read or written. After mutex_ where both are.
  Mutex io_mutex_;
  // Held while the server is asked. Before mutex_.
  Mutex payload_check_mutex_;
  int64_t payload_checked_ms_ ABSL_GUARDED_BY(payload_check_mutex_) = -kPayloadCheckMs;
  // Held by Stop while it flushes, so that the handle stays.
  Mutex flush_mutex_;
  mutable Mutex mutex_;
  __natsConnection* nc_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::string server_id_ ABSL_GUARDED_BY(mutex_);
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
  sockaddr_storage peer_ ABSL_GUARDED_BY(mutex_) = {};       // the server's address
  int64_t greeted_max_payload_ ABSL_GUARDED_BY(mutex_) = 0;  // an account's may be less
  std::deque<Subscription> subscriptions_ ABSL_GUARDED_BY(mutex_);
  std::string header_block_ ABSL_GUARDED_BY(mutex_);  // scratch

  Mutex delivering_mutex_;
  int delivering_ ABSL_GUARDED_BY(delivering_mutex_) = 0;  // delivery threads

  // Loop thread only.
  std::vector<std::string> discovered_;
  int64_t next_tick_ms_ = 0;
  bool pulsed_ = false;     // constant once started
  int64_t turned_ms_ = 0;   // its last turn
  int64_t checked_ms_ = 0;  // deliveries
  bool stalled_ = false;    // as found then
  std::thread thread_;
};

}  // namespace expirer
