// One connection to NATS that always reconnects.
//
// nats.c speaks the protocol, but the connection's life is ours. The loop thread
// connects with back-off, polls the socket (nats.c's event loop interface) and, if the
// link is lost, destroys the nats.c connection and makes a new one. So nothing that was
// published before a disconnect is sent after it, a publish never waits for the network,
// and the first connect is retried like any other. Only one thread uses the socket at a
// time, which also makes TLS safe with nats.c < 3.11.
//
//   caller ── Publish ──▶ nats.c's buffer ── Flush ──▶ socket (caller's thread,
//                                        └─ when busy or full: loop thread)
//   socket ── loop thread ──▶ nats.c ──▶ one delivery thread a subscription
//
// A connection has all of its subscriptions. If one cannot be made, because no thread can
// be started, the connection is given up and tried again, as if the server had refused
// it.
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
#include "base/log.h"
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

// Logs, gathered, what NATS says against the connection in the role `role`: for
// Connection::Handlers::error.
[[nodiscard]] inline auto LogErrorsOf(std::string_view role) {
  return [role = std::string(role)](const std::string& text) {
    LogGathered(Level::kWarn, "NATS reports an error", "", text, {{"connection", role}});
  };
}

// Thread-safe.
class Connection {
 public:
  using MessageHandler = std::function<void(const Delivery&)>;
  // None may block or call Stop. Each may be empty.
  struct Handlers {
    // Loop thread. Called when connected and every subscription is sent.
    std::function<void()> up;
    // Loop thread. Called when the connection is lost. No handler of a message that came
    // through it is running or will be called.
    std::function<void(const std::string& why)> down;
    // A thread of nats.c. Gets the server's error, e.g. 'Permissions Violation for
    // Publish to "x"'. It may come late, even after `down`.
    std::function<void(const std::string& text)> error;
    // Loop thread. Called about every 100 ms while connected or in back-off.
    std::function<void()> tick;
    // Loop thread. Called when an attempt to connect failed; another will follow.
    std::function<void(const std::string& why)> failed = {};
  };
  enum class Sent {
    kOk,
    kDown,       // not connected: nothing was sent
    kFull,       // too many bytes wait for the socket: nothing was sent
    kTooLarge,   // over the server's max_payload: can never be sent
    kInvalid,    // nats.c refuses the message: can never be sent
    kNoHeaders,  // the server has headers switched off
    kError,      // another error of nats.c: nothing was sent
  };
  // Converts the natsStatus of a publish.
  [[nodiscard]] static Sent SentBy(int nats_status);

  // `role` is the end of the connection's name.
  Connection(ConnectionOptions options, const std::string& role, Handlers handlers);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to connect. Call it once.
  void Start();
  // Waits at most `flush_ms` until the server has everything that was
  // published, closes and joins the thread. Not from a handler.
  void Stop(int64_t flush_ms);

  // Subscribes now and on every later connection; it cannot be undone. The handler runs
  // on a thread of this subscription. Any thread.
  void Subscribe(const std::string& subject, MessageHandler handler);
  // Like Subscribe, for messages that we did not request: as a member of the queue group
  // `queue_group` ("" = none). At most `pending_max` messages wait for the handler;
  // further ones are dropped, and `error` is called.
  void Subscribe(const std::string& subject, const std::string& queue_group,
                 int pending_max, MessageHandler handler);

  // Puts a message into nats.c's buffer; it leaves with the next Flush, or with the
  // loop's next turn. Never waits for the network. `reply` may be "".
  [[nodiscard]] Sent Publish(const std::string& subject, const std::string& reply,
                             std::string_view payload);
  // Like Publish. Headers leave in their order. `error` may be null; it gets nats.c's
  // name of the error, if nats.c was called.
  [[nodiscard]] Sent Publish(const std::string& subject, const std::string& reply,
                             const HeaderViews& headers, std::string_view payload,
                             const char** error = nullptr);
  // Writes published messages to the socket, as many bytes as it takes at once.
  void Flush();

  [[nodiscard]] bool up() const { return up_.load(std::memory_order_acquire); }
  // The largest message that may be published, in bytes. 0 before the first connection.
  [[nodiscard]] int64_t max_payload() const { return max_payload_.load(); }
  // The server's max_payload as last seen: a reload of its config may have changed it.
  [[nodiscard]] int64_t server_max_payload() const {
    const int64_t seen = seen_max_payload_;
    return seen > 0 ? seen : max_payload();
  }
  // Asks the server for its max_payload, since it does not tell existing connections when
  // it has reloaded its config. Asks at most every kPayloadCheckMs, and waits at most
  // kGreetingMs for the answer. Any thread.
  void CheckMaxPayload();
  // Closes the connection, for the reason `why`, and makes a new one.
  void Renew(const std::string& why);
  // The id of the server that we are connected to; "" before the first connection.
  [[nodiscard]] std::string server_id() const;
  // Why there is no connection: the reason of the disconnect, or the error of the last
  // attempt. "" while connected, and before the first attempt.
  [[nodiscard]] std::string trouble() const;
  // How often it has connected.
  [[nodiscard]] uint64_t generation() const { return generation_.load(); }
  // How often messages were dropped because a handler was slow (kPendingMax).
  [[nodiscard]] uint64_t slow_consumers() const { return slow_consumers_.load(); }
  // Makes the loop thread beat the pulse while connected. The pulse also stops while a
  // requested message waits for its handler and no handler runs. Call it before Start.
  void EnablePulse() { pulsed_ = true; }
  [[nodiscard]] Pulse pulse() const { return {beat_mono_ms_, gaps_, gap_ms_}; }
  // "<inbox_prefix>.<random>": subjects below it are this connection's own.
  [[nodiscard]] const std::string& inbox() const { return inbox_; }
  [[nodiscard]] const ConnectionOptions& options() const { return options_; }

  // If more bytes than this wait for the socket, Publish returns kFull.
  static constexpr int kBufferBytesMax = 8 << 20;
  // The limit of waiting messages that we did not request, in one subscription.
  static constexpr int kPendingMax = 65'536;
  static constexpr int kPendingBytesMax = 64 << 20;
  // If a server sends nothing for so long, although asked three times, the connection is
  // closed: the server is frozen or gone, and another one may be there.
  static constexpr int64_t kSilentMs = 5'000;
  // The first and the longest pause between two attempts to connect; each pause is twice
  // the one before. Even with jitter and the time to connect, the longest pause lets us
  // return within 5 s.
  static constexpr int64_t kBackOffFirstMs = 100;
  static constexpr int64_t kBackOffMaxMs = 3'000;
  // If a connection ends before this time, it does not reset the pause.
  static constexpr int64_t kProvenMs = 2'000;
  static constexpr int64_t kPayloadCheckMs = 10'000;  // between two checks
  // How long to wait for a server's greeting.
  static constexpr int64_t kGreetingMs = 300;

 private:
  struct Subscription {
    std::string subject;
    MessageHandler handler;
    Connection* owner = nullptr;
    __natsSubscription* live = nullptr;
    std::string queue_group = {};  // "" = none
    int pending_max = -1;          // -1 = only requested messages come
    int64_t delivered = -1;        // at the last beat; -1 = nothing waited
  };
  struct Callbacks;  // what nats.c calls
  struct Link;       // outlives the connection: the context of its late calls

  void Run();
  absl::Status Connect();
  absl::Status SetHandlers(__natsOptions* options);
  // Also OK if the connection closes at this moment: the next one subscribes.
  absl::Status SubscribeNow(Subscription* subscription)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Polls and moves bytes until the connection closes or Stop is called.
  void Serve();
  void Beat();
  [[nodiscard]] bool DeliveryStalls();
  void Write(__natsConnection* nc);
  void TearDown(const std::string& why);
  // Closes the nats.c connection and returns its last error, if it has one.
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
  std::atomic<bool> closed_ = false;      // nats.c does not use the socket any more
  std::atomic<bool> lame_duck_ = false;   // the server asked us to leave
  std::atomic<bool> given_up_ = false;    // trouble_ says why
  std::atomic<bool> want_write_ = false;  // nats.c's buffer is not empty
  std::atomic<int> socket_ = -1;
  std::atomic<int64_t> max_payload_ = 0;
  std::atomic<int64_t> seen_max_payload_ = 0;  // 0 = as it greeted
  std::atomic<uint64_t> generation_ = 0;
  std::atomic<uint64_t> slow_consumers_ = 0;
  std::atomic<bool> secure_ = false;
  std::atomic<int64_t> beat_mono_ms_ = 0;
  std::atomic<uint64_t> gaps_ = 0;
  std::atomic<int64_t> gap_ms_ = 0;

  // Held while the socket is read or written. Locked after mutex_ if both are held.
  Mutex io_mutex_;
  // Held while the server is asked. Locked before mutex_.
  Mutex payload_check_mutex_;
  int64_t payload_checked_ms_ ABSL_GUARDED_BY(payload_check_mutex_) = -kPayloadCheckMs;
  // Held by Stop while it flushes, so that the handle is not destroyed.
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
