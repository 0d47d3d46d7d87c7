#include "net/connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"
#include "net/greeting.h"
#include "net/nats_handle.h"
#include "net/random_id.h"

namespace expirer {
namespace {

constexpr int64_t kTickMs = 100;
constexpr int64_t kPingMs = 1'500;
// 100 s without a PONG, though other bytes came all the time.
constexpr int kPingsOutMax = 67;
// Read in one go; larger than nats.c's 32 KB to spare system calls.
constexpr int kIoBufferBytes = 128 << 10;

// True while this thread is in Publish: its Flush will write, no need to wake
// the loop for it.
thread_local bool publishing = false;

// Uniform in [ms / 2, ms].
int64_t Jitter(int64_t ms) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return ms / 2 + static_cast<int64_t>(random() % static_cast<uint64_t>(ms / 2 + 1));
}

// Our identity for errors of a server that refuses us, without secrets.
std::string Identity(const ConnectionOptions& options) {
  if (!options.creds.empty()) return " with credentials file " + options.creds;
  if (!options.nkey.empty()) return " with nkey file " + options.nkey;
  if (!options.user.empty()) return " with a user and password";
  const UrlLogin url = LoginOf(options.servers);
  if (!url.user.empty()) return " with the user and password of the URL";
  if (!options.token.empty() || !url.token.empty()) return " with a token";
  return " without credentials";
}

// A line end in a text would begin another header. Rules let neither it nor a zero
// byte pass; a job that an older version stored may hold a line feed.
void AppendInLine(std::string_view text, std::string* out) {
  for (const char c : text) out->push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

// nats.c sorts headers by a hash, but we need their order. It copies a name without
// changes, so we pass all headers as one, whose name is the block up to the last value.
natsStatus SetHeaders(const HeaderViews& headers, std::string* block, natsMsg* message) {
  block->clear();
  size_t last_value = 0;
  for (const auto& [name, value] : headers) {
    if (name.empty()) return NATS_INVALID_ARG;
    if (last_value > 0) block->replace(last_value - 1, 1, ": ").append("\r\n");
    AppendInLine(name, block);
    block->push_back('\0');
    last_value = block->size();
    AppendInLine(value, block);
  }
  return natsMsgHeader_Set(message, block->c_str(), block->c_str() + last_value);
}

std::string HostName() {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) return "host";
  return host;
}

}  // namespace

// nats.c may call its callbacks after the connection is destroyed, so what it
// gets as context stays for the life of the process: one of these (48 bytes)
// for each Connection ever made.
struct Connection::Link {
  Mutex mutex;
  Connection* owner ABSL_GUARDED_BY(mutex) = nullptr;

  static Link* Make(Connection* owner) {
    static Mutex all_mutex;
    static auto* const all = new std::deque<Link>;
    MutexLock lock(&all_mutex);
    Link* const link = &all->emplace_back();
    MutexLock link_lock(&link->mutex);
    link->owner = owner;
    return link;
  }
};

struct Connection::Callbacks {
  static natsStatus Attach(void** user_data, void* loop, natsConnection*,
                           natsSock socket) {
    auto* const self = static_cast<Connection*>(loop);
    *user_data = self;
    self->socket_ = static_cast<int>(socket);
    return NATS_OK;
  }
  static natsStatus Read(void*, bool) { return NATS_OK; }
  // Under nats.c's lock of the connection, so the last call always tells the
  // truth about its buffer.
  static natsStatus WantWrite(void* user_data, bool add) {
    auto* const self = static_cast<Connection*>(user_data);
    self->want_write_ = add;
    if (add && !publishing) self->WakeLoop();
    return NATS_OK;
  }
  static natsStatus Detach(void* user_data) {
    auto* const self = static_cast<Connection*>(user_data);
    self->socket_ = -1;
    self->closed_ = true;
    self->WakeLoop();
    return NATS_OK;
  }
  static void OnMessage(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) {
    const NatsMessage message(raw);
    static_cast<Subscription*>(closure)->handler(Delivery(message.get()));
  }
  static void OnDeliveryEnd(void* closure) {
    Connection* const self = static_cast<Subscription*>(closure)->owner;
    MutexLock lock(&self->delivering_mutex_);
    --self->delivering_;
  }
  static void OnError(natsConnection*, natsSubscription*, natsStatus status,
                      void* closure) {
    // `sub` may be freed already in old versions: never looked at.
    natsStatus last = NATS_OK;
    const char* detail = nats_GetLastError(&last);
    const std::string text = last == status && detail != nullptr && *detail != '\0'
                                 ? detail
                                 : natsStatus_GetText(status);
    auto* const link = static_cast<Link*>(closure);
    MutexLock lock(&link->mutex);
    if (link->owner == nullptr) return;
    if (status == NATS_SLOW_CONSUMER) ++link->owner->slow_consumers_;
    if (link->owner->handlers_.error) link->owner->handlers_.error(text);
  }
  static void OnLameDuck(natsConnection*, void* closure) {
    auto* const link = static_cast<Link*>(closure);
    MutexLock lock(&link->mutex);
    if (link->owner == nullptr) return;
    link->owner->lame_duck_ = true;
    link->owner->WakeLoop();
  }
};

Connection::Connection(ConnectionOptions options, const std::string& role,
                       Handlers handlers)
    : options_(std::move(options)),
      name_(options_.name.empty() ? "expirer-" + HostName() + "-" + role
                                  : options_.name + "-" + role),
      inbox_(options_.inbox_prefix + "." + RandomId()),
      handlers_(std::move(handlers)),
      link_(Link::Make(this)),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CHECK(wake_fd_ >= 0);
}

Connection::~Connection() {
  Stop(0);
  {
    MutexLock lock(&link_->mutex);
    link_->owner = nullptr;
  }
  close(wake_fd_);
}

void Connection::Start() {
  CHECK(!thread_.joinable());
  thread_ = StartThread("nats-" + name_.substr(name_.rfind('-') + 1), [this] { Run(); });
}

void Connection::Stop(int64_t flush_ms) {
  if (!thread_.joinable()) return;
  if (flush_ms > 0) {
    MutexLock flush_lock(&flush_mutex_);
    natsConnection* nc = nullptr;
    {
      MutexLock lock(&mutex_);
      nc = nc_;
    }
    // The loop goes on reading, so the server's answer arrives.
    if (nc != nullptr) (void)natsConnection_FlushTimeout(nc, flush_ms);
  }
  stopping_ = true;
  WakeLoop();
  thread_.join();
}

void Connection::WakeLoop() {
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof one);
}

void Connection::Run() {
  int64_t back_off_ms = kBackOffFirstMs;
  while (!stopping_) {
    const absl::Status connected = Connect();
    if (!connected.ok()) SetTrouble(Message(connected));
    if (connected.ok()) {
      up_ = true;
      const int64_t since_ms = MonotonicMs();
      Serve();
      if (MonotonicMs() - since_ms >= kProvenMs) back_off_ms = kBackOffFirstMs;
    } else if (handlers_.failed) {
      handlers_.failed(Message(connected));
    } else {
      LogGathered(Level::kWarn, "cannot connect to NATS, trying again", "",
                  Message(connected), {{"connection", name_}});
    }
    BackOff(Jitter(back_off_ms));
    back_off_ms = std::min(back_off_ms * 2, kBackOffMaxMs);
  }
}

void Connection::BackOff(int64_t wait_ms) {
  const int64_t until_ms = MonotonicMs() + wait_ms;
  while (!stopping_ && MonotonicMs() < until_ms) {
    const int64_t slice_ms = std::min(kTickMs, until_ms - MonotonicMs());
    pollfd wake{wake_fd_, POLLIN, 0};
    if (poll(&wake, 1, static_cast<int>(std::max<int64_t>(slice_ms, 1))) > 0) {
      uint64_t count = 0;
      (void)!read(wake_fd_, &count, sizeof count);
    }
    Tick();
  }
}

void Connection::Tick() {
  const int64_t now_ms = MonotonicMs();
  if (now_ms < next_tick_ms_) return;
  next_tick_ms_ = now_ms + kTickMs;
  {
    // An account's own limit comes a little after the connection.
    MutexLock lock(&mutex_);
    if (nc_ != nullptr) max_payload_ = natsConnection_GetMaxPayload(nc_);
  }
  if (handlers_.tick) handlers_.tick();
}

absl::Status Connection::SetHandlers(natsOptions* options) {
  return FromNats(
      FirstError(
          // A nats.c connection must not reconnect: Run makes a new one.
          natsOptions_SetAllowReconnect(options, false),
          // Lets nats.c's pool have one delivery thread with one list of messages.
          natsOptions_UseGlobalMessageDelivery(options, options_.ordered),
          // Makes the server send something regularly. Serve checks that it does, because
          // nats.c only counts unanswered pings, and an answer may wait behind many
          // pulled messages.
          natsOptions_SetPingInterval(options, kPingMs),
          natsOptions_SetMaxPingsOut(options, kPingsOutMax),
          // With an event loop "as soon as possible" means: call WantWrite at once
          // instead of after up to a millisecond, from a flusher thread.
          natsOptions_SetSendAsap(options, true),
          natsOptions_SetIOBufSize(options, kIoBufferBytes),
          natsOptions_SetEventLoop(options, this, Callbacks::Attach, Callbacks::Read,
                                   Callbacks::WantWrite, Callbacks::Detach),
          natsOptions_SetErrorHandler(options, Callbacks::OnError, link_),
          natsOptions_SetLameDuckModeCB(options, Callbacks::OnLameDuck, link_)),
      "connection options");
}

absl::Status Connection::Connect() {
  natsOptions* raw_options = nullptr;
  RETURN_IF_ERROR(FromNats(natsOptions_Create(&raw_options), "connection options"));
  const NatsOptions options(raw_options);
  bool secure = false;
  RETURN_IF_ERROR(ApplyOptions(options_, discovered_, name_, options.get(), &secure));
  RETURN_IF_ERROR(SetHandlers(options.get()));
  // A server may demand TLS of plain clients too, so it is only known for
  // sure that writes must stay on the loop thread when we asked for it; else
  // io_mutex_ keeps the two sides apart.
  secure_ = secure;
  closed_ = false;
  given_up_ = false;
  lame_duck_ = false;
  want_write_ = false;
  natsConnection* nc = nullptr;
  const natsStatus s = natsConnection_Connect(&nc, options.get());
  if (s != NATS_OK) {
    // The discovered servers may be gone for good.
    discovered_.clear();
    std::string what =
        fmt::format("connect to {}",
                    WithoutLogins(fmt::format("{}", fmt::join(options_.servers, ","))));
    // The handshake succeeds; then the server closes the connection without a reason.
    if (secure && options_.tls_cert.empty() && s != NATS_SSL_ERROR && s != NATS_NO_SERVER)
      what += " (over TLS without nats.tls.cert: does the server ask for one?)";
    if (s == NATS_CONNECTION_AUTH_FAILED) what += Identity(options_);
    absl::Status failed = FromNats(s, what);
    if (s == NATS_CONNECTION_AUTH_FAILED || s == NATS_SSL_ERROR) return failed;
    for (const std::string& server : options_.servers)
      if (std::string why = WhyNotConnected(server, kGreetingMs); !why.empty())
        return Unavailable(fmt::format("{}: {}", what, why));
    return failed;
  }
  max_payload_ = natsConnection_GetMaxPayload(nc);
  char url[256] = {};
  (void)natsConnection_GetConnectedUrl(nc, url, sizeof url);
  char server_id[256] = {};
  (void)natsConnection_GetConnectedServerId(nc, server_id, sizeof server_id);
  absl::Status subscribed;
  {
    MutexLock lock(&mutex_);
    nc_ = nc;
    greeted_max_payload_ = max_payload_;
    seen_max_payload_ = 0;
    socklen_t size = sizeof peer_;
    (void)getpeername(socket_, reinterpret_cast<sockaddr*>(&peer_), &size);
    server_id_ = server_id;
    for (Subscription& subscription : subscriptions_)
      if (subscribed.ok()) subscribed = SubscribeNow(&subscription);
    if (subscribed.ok()) trouble_.clear();
  }
  if (!subscribed.ok()) {
    Discard();
    return subscribed;
  }
  ++generation_;
  const std::string_view server(url);
  // A URL may carry a password before its last @.
  Log(Level::kInfo, "connected to NATS",
      {{"connection", name_}, {"server", server.substr(server.rfind('@') + 1)}});
  return absl::OkStatus();
}

std::string Connection::server_id() const {
  MutexLock lock(&mutex_);
  return server_id_;
}

std::string Connection::trouble() const {
  MutexLock lock(&mutex_);
  return trouble_;
}

void Connection::SetTrouble(const std::string& why) {
  MutexLock lock(&mutex_);
  trouble_ = why;
}

void Connection::Subscribe(const std::string& subject, MessageHandler handler) {
  Subscribe(subject, "", -1, std::move(handler));
}

void Connection::Subscribe(const std::string& subject, const std::string& queue_group,
                           int pending_max, MessageHandler handler) {
  MutexLock lock(&mutex_);
  subscriptions_.push_back(
      {subject, std::move(handler), this, nullptr, queue_group, pending_max});
  if (nc_ == nullptr) return;
  const absl::Status subscribed = SubscribeNow(&subscriptions_.back());
  if (subscribed.ok()) return;
  GiveUp(Message(subscribed));
}

void Connection::GiveUp(const std::string& why) {
  trouble_ = why;
  given_up_ = true;
  WakeLoop();
}

void Connection::Renew(const std::string& why) {
  MutexLock lock(&mutex_);
  if (nc_ != nullptr && !given_up_) GiveUp(why);
}

void Connection::CheckMaxPayload() {
  MutexLock check_lock(&payload_check_mutex_);
  if (MonotonicMs() - payload_checked_ms_ < kPayloadCheckMs) return;
  sockaddr_storage peer{};
  std::string server_id;
  uint64_t generation = 0;
  {
    MutexLock lock(&mutex_);
    if (nc_ == nullptr) return;
    peer = peer_;
    server_id = server_id_;
    generation = generation_;
  }
  payload_checked_ms_ = MonotonicMs();
  const Greeting greeting = ReadGreeting(peer, kGreetingMs);
  MutexLock lock(&mutex_);
  // Behind one address there may be several servers.
  if (greeting.server_id != server_id || generation != generation_) return;
  seen_max_payload_ =
      greeting.max_payload == greeted_max_payload_ ? 0 : greeting.max_payload;
}

absl::Status Connection::SubscribeNow(Subscription* subscription) {
  const char* subject = subscription->subject.c_str();
  natsStatus s = subscription->queue_group.empty()
                     ? natsConnection_Subscribe(&subscription->live, nc_, subject,
                                                Callbacks::OnMessage, subscription)
                     : natsConnection_QueueSubscribe(&subscription->live, nc_, subject,
                                                     subscription->queue_group.c_str(),
                                                     Callbacks::OnMessage, subscription);
  if (s != NATS_OK) {
    subscription->live = nullptr;
    if (IsLinkGone(s)) return absl::OkStatus();
    return FromNats(s, "subscribe to " + subscription->subject);
  }
  const int pending_max = subscription->pending_max;
  (void)natsSubscription_SetPendingLimits(subscription->live, pending_max,
                                          pending_max < 0 ? -1 : kPendingBytesMax);
  MutexLock lock(&delivering_mutex_);
  s = natsSubscription_SetOnCompleteCB(subscription->live, Callbacks::OnDeliveryEnd,
                                       subscription);
  // Not OK when it was closed in between: then it delivers nothing.
  if (s == NATS_OK) ++delivering_;
  return absl::OkStatus();
}

void Connection::Write(natsConnection* nc) {
  // nats.c takes an empty write for a closed connection.
  if (natsConnection_Buffered(nc) > 0) natsConnection_ProcessWriteEvent(nc);
}

void Connection::Serve() {
  natsConnection* nc = nullptr;
  {
    MutexLock lock(&mutex_);
    nc = nc_;
  }
  if (handlers_.up) handlers_.up();
  std::string why = "closed by the server";
  turned_ms_ = MonotonicMs();
  const int64_t wait_ms = pulsed_ ? Pulse::kBeatMs : kTickMs;
  int64_t polled_ms = MonotonicMs();
  int64_t silent_ms = 0;
  while (!stopping_ && !closed_ && !given_up_) {
    const short want = static_cast<short>(want_write_ ? POLLIN | POLLOUT : POLLIN);
    pollfd fds[2] = {{socket_.load(), want, 0}, {wake_fd_, POLLIN, 0}};
    (void)poll(fds, 2, static_cast<int>(wait_ms));
    if (pulsed_) Beat();
    // Time in which this thread did not run does not count as silence.
    const int64_t now_ms = MonotonicMs();
    const int64_t passed_ms = now_ms - std::exchange(polled_ms, now_ms);
    silent_ms = (fds[0].revents & ~POLLOUT) != 0
                    ? 0
                    : silent_ms + std::min(passed_ms, 2 * kTickMs);
    if (silent_ms >= kSilentMs) {
      why = fmt::format("the server sent nothing for {} s, not even an answer to a PING",
                        kSilentMs / 1'000);
      break;
    }
    if (fds[1].revents != 0) {
      uint64_t count = 0;
      (void)!read(wake_fd_, &count, sizeof count);
    }
    if (fds[0].revents != 0 && (fds[0].revents & POLLOUT) != fds[0].revents) {
      MutexLock lock(&io_mutex_);
      if (!closed_) natsConnection_ProcessReadEvent(nc);
    }
    // Also what a caller could not write while this thread was reading.
    if (want_write_ && !closed_) {
      MutexLock lock(&io_mutex_);
      if (!closed_) Write(nc);
    }
    Tick();
    if (lame_duck_.exchange(false)) {
      int count = 0;
      char** urls = nullptr;
      if (natsConnection_GetServers(nc, &urls, &count) == NATS_OK) {
        for (int i = 0; i < count; ++i) std::free(urls[i]);
        std::free(urls);
      }
      // With nowhere else to go we stay until it really closes.
      if (count > 1) {
        why = "the server is about to shut down";
        break;
      }
    }
  }
  if (given_up_) why = trouble();
  TearDown(stopping_ ? "stopped" : why);
}

// Before anything is read: a gap is known before what came in it.
void Connection::Beat() {
  const int64_t now_ms = MonotonicMs();
  const int64_t passed_ms = now_ms - std::exchange(turned_ms_, now_ms);
  if (passed_ms >= Pulse::kBeatMs + Pulse::kGapMs) {
    gap_ms_ = passed_ms;
    ++gaps_;
  }
  if (now_ms - checked_ms_ >= Pulse::kBeatMs) {
    checked_ms_ = now_ms;
    stalled_ = DeliveryStalls();
  }
  if (!stalled_) beat_mono_ms_ = now_ms;
}

// Whether a delivery thread of nats.c has not run since the last beat although messages
// wait for it. Subscriptions to unrequested messages do not count: their handlers may
// wait.
bool Connection::DeliveryStalls() {
  bool stalls = false;
  MutexLock lock(&mutex_);
  for (Subscription& subscription : subscriptions_) {
    if (subscription.live == nullptr || subscription.pending_max >= 0) continue;
    int waiting = 0;
    int64_t delivered = 0;
    (void)natsSubscription_GetStats(subscription.live, &waiting, nullptr, nullptr,
                                    nullptr, &delivered, nullptr);
    stalls = stalls || (waiting > 0 && delivered == subscription.delivered);
    subscription.delivered = waiting > 0 ? delivered : -1;
  }
  return stalls;
}

void Connection::TearDown(const std::string& why) {
  beat_mono_ms_ = 0;
  up_ = false;
  const std::string error = Discard();
  const std::string text = error.empty() ? why : why + ": " + error;
  SetTrouble(text);
  if (!stopping_) {
    Log(Level::kWarn, "connection to NATS lost", {{"connection", name_}, {"why", text}});
  }
  if (handlers_.down) handlers_.down(text);
}

std::string Connection::Discard() {
  natsConnection* nc = nullptr;
  std::vector<natsSubscription*> subscriptions;
  {
    MutexLock lock(&mutex_);
    nc = std::exchange(nc_, nullptr);
    for (Subscription& subscription : subscriptions_) {
      if (subscription.live != nullptr) {
        subscriptions.push_back(std::exchange(subscription.live, nullptr));
      }
    }
  }
  int count = 0;
  char** urls = nullptr;
  if (natsConnection_GetDiscoveredServers(nc, &urls, &count) == NATS_OK) {
    discovered_.clear();
    for (int i = 0; i < count; ++i) {
      discovered_.emplace_back(urls[i]);
      std::free(urls[i]);
    }
    std::free(urls);
  }
  const char* last_error = nullptr;
  std::string error;
  if (natsConnection_GetLastError(nc, &last_error) != NATS_OK && last_error != nullptr)
    error = last_error;
  {
    MutexLock io_lock(&io_mutex_);
    Write(nc);  // one last try: what is left over is lost
    natsConnection_Close(nc);
  }
  // Destroyed only once closed and with every delivery thread at its end, so
  // that nothing of ours is called through it again.
  {
    MutexLock lock(&delivering_mutex_);
    const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(delivering_mutex_) {
      return delivering_ == 0;
    };
    delivering_mutex_.Await(none);
  }
  for (natsSubscription* subscription : subscriptions)
    natsSubscription_Destroy(subscription);
  {
    MutexLock flush_lock(&flush_mutex_);  // Stop may still flush
    natsConnection_Destroy(nc);
  }
  return error;
}

// An error of a single message must not look like a lost connection, because then all
// other messages would wait behind it.
Connection::Sent Connection::SentBy(int nats_status) {
  const auto status = static_cast<natsStatus>(nats_status);
  if (IsLinkGone(status)) return Sent::kDown;
  switch (status) {
    case NATS_OK: return Sent::kOk;
    case NATS_MAX_PAYLOAD: return Sent::kTooLarge;
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT: return Sent::kInvalid;
    case NATS_NO_SERVER_SUPPORT: return Sent::kNoHeaders;
    default: return Sent::kError;
  }
}

Connection::Sent Connection::Publish(const std::string& subject, const std::string& reply,
                                     std::string_view payload) {
  static const HeaderViews kNone;
  return Publish(subject, reply, kNone, payload);
}

Connection::Sent Connection::Publish(const std::string& subject, const std::string& reply,
                                     const HeaderViews& headers, std::string_view payload,
                                     const char** error) {
  MutexLock lock(&mutex_);
  if (nc_ == nullptr || closed_) return Sent::kDown;
  if (natsConnection_Buffered(nc_) > kBufferBytesMax) return Sent::kFull;
  publishing = true;
  natsStatus s = NATS_OK;
  if (headers.empty()) {
    s = reply.empty() ? natsConnection_Publish(nc_, subject.c_str(), payload.data(),
                                               static_cast<int>(payload.size()))
                      : natsConnection_PublishRequest(nc_, subject.c_str(), reply.c_str(),
                                                      payload.data(),
                                                      static_cast<int>(payload.size()));
  } else {
    natsMsg* raw = nullptr;
    s = natsMsg_Create(&raw, subject.c_str(), reply.empty() ? nullptr : reply.c_str(),
                       payload.data(), static_cast<int>(payload.size()));
    const NatsMessage message(raw);
    if (s == NATS_OK) s = SetHeaders(headers, &header_block_, raw);
    if (s == NATS_OK) s = natsConnection_PublishMsg(nc_, raw);
  }
  publishing = false;
  if (s == NATS_MAX_PAYLOAD) max_payload_ = natsConnection_GetMaxPayload(nc_);
  if (error != nullptr) *error = natsStatus_GetText(s);
  return SentBy(s);
}

void Connection::Flush() {
  if (!want_write_) return;
  if (secure_) {
    WakeLoop();
    return;
  }
  MutexLock lock(&mutex_);
  if (nc_ == nullptr || closed_) return;
  // The loop uses the socket now; it checks want_write_ when it has finished.
  if (!io_mutex_.TryLock()) return;
  Write(nc_);
  io_mutex_.Unlock();
  if (want_write_) WakeLoop();  // the socket is full: the loop waits for room
}

}  // namespace expirer
