#include "net/stan_link.h"

#if defined(EXPIRER_STAN)

#include <algorithm>
#include <deque>
#include <utility>

#include "base/log.h"
#include "net/nats_handle.h"

namespace expirer {
namespace {

using StanOptionsHandle = NatsHandle<stanConnOptions, stanConnOptions_Destroy>;
using StanSubOptions = NatsHandle<stanSubOptions, stanSubOptions_Destroy>;

// For an answer of the streaming server. It looks for half a second whether an
// earlier connection of the same client lives before it takes a new one.
constexpr int64_t kAnswerMs = 5'000;
constexpr int kPingSeconds = 5;
constexpr int kPingsOut = 3;
// Never reached: the core bounds what is in flight, and at this number nats.c
// would wait.
constexpr int kPubAcksMax = 1 << 30;

}  // namespace

// nats.c may call back after the connection is destroyed, so what it gets as
// context stays for the life of the process: one of these for each StanLink ever
// made.
struct StanLink::Gate {
  struct Door {
    Gate* gate = nullptr;
    size_t channel = 0;
  };
  Mutex mutex;
  StanLink* owner ABSL_GUARDED_BY(mutex) = nullptr;
  // Of the present life; a call of another one does not get in.
  stanConnection* sc ABSL_GUARDED_BY(mutex) = nullptr;
  natsConnection* nc ABSL_GUARDED_BY(mutex) = nullptr;
  int inside ABSL_GUARDED_BY(mutex) = 0;
  std::deque<Door> doors;  // constant after construction

  static Gate* Make(StanLink* owner, size_t channels) {
    static Mutex all_mutex;
    static auto* const all = new std::deque<Gate>;
    MutexLock all_lock(&all_mutex);
    Gate* const gate = &all->emplace_back();
    for (size_t i = 0; i < channels; ++i) gate->doors.push_back({gate, i});
    MutexLock lock(&gate->mutex);
    gate->owner = owner;
    return gate;
  }
  StanLink* Enter(const stanConnection* from) {
    MutexLock lock(&mutex);
    if (from != sc || sc == nullptr || owner == nullptr) return nullptr;
    ++inside;
    return owner;
  }
  void Leave() {
    MutexLock lock(&mutex);
    --inside;
  }
};

struct StanLink::Callbacks {
  // What an attempt takes with it.
  struct Attempt {
    Gate* gate = nullptr;
    stanConnection* sc = nullptr;
    uint64_t number = 0;
  };
  static void OnMessage(stanConnection* sc, stanSubscription*, const char*,
                        stanMsg* message, void* closure) {
    const auto* const door = static_cast<Gate::Door*>(closure);
    StanLink* const self = door->gate->Enter(sc);
    if (self == nullptr) {
      stanMsg_Destroy(message);
      return;
    }
    self->Receive(door->channel, message);
    door->gate->Leave();
  }
  static void OnEnd(stanConnection* sc, stanSubscription*, const char*, stanMsg* message,
                    void* closure) {
    const auto* const door = static_cast<Gate::Door*>(closure);
    const uint64_t seq = stanMsg_GetSequence(message);
    stanMsg_Destroy(message);
    StanLink* const self = door->gate->Enter(sc);
    if (self == nullptr) return;
    self->handlers_.end(door->channel, seq);
    door->gate->Leave();
  }
  static void OnPublished(const char*, const char* error, void* closure) {
    const std::unique_ptr<Attempt> attempt(static_cast<Attempt*>(closure));
    StanLink* const self = attempt->gate->Enter(attempt->sc);
    if (self == nullptr) return;
    self->handlers_.published(attempt->number, error == nullptr ? "" : error);
    attempt->gate->Leave();
  }
  static void OnLost(stanConnection* sc, const char* why, void* closure) {
    auto* const gate = static_cast<Gate*>(closure);
    StanLink* const self = gate->Enter(sc);
    if (self == nullptr) return;
    self->handlers_.lost(why == nullptr ? "lost" : why);
    gate->Leave();
  }
  static void OnDisconnected(natsConnection* nc, void* closure) {
    auto* const gate = static_cast<Gate*>(closure);
    stanConnection* sc = nullptr;
    {
      MutexLock lock(&gate->mutex);
      if (nc == gate->nc) sc = gate->sc;
    }
    if (sc != nullptr) OnLost(sc, "the connection to NATS was lost", closure);
  }
  static void OnError(natsConnection* nc, natsSubscription*, natsStatus status, void*) {
    // Names the subject of a permission that is missing.
    const char* detail = nullptr;
    (void)natsConnection_GetLastError(nc, &detail);
    LogGathered(Level::kWarn, "NATS reports an error", "", natsStatus_GetText(status),
                {{"connection", "stan"}, {"detail", detail == nullptr ? "" : detail}});
  }
};

StanLink::StanLink(Options options, std::vector<Channel> channels, Handlers handlers)
    : options_(std::move(options)),
      channels_(std::move(channels)),
      handlers_(std::move(handlers)),
      gate_(Gate::Make(this, channels_.size())),
      readings_(channels_.size()) {}

StanLink::~StanLink() {
  Close();
  MutexLock lock(&gate_->mutex);
  gate_->owner = nullptr;
}

absl::Status StanLink::Connect() {
  natsOptions* raw_nats = nullptr;
  RETURN_IF_ERROR(FromNats(natsOptions_Create(&raw_nats), "connection options"));
  const NatsOptions nats(raw_nats);
  bool secure = false;
  RETURN_IF_ERROR(
      ApplyOptions(options_.connection, {}, options_.client, raw_nats, &secure));
  // One thread for all messages, in their order of arrival: StanProgress counts
  // on it.
  natsStatus s = natsOptions_UseGlobalMessageDelivery(raw_nats, true);
  if (s == NATS_OK)
    s = natsOptions_SetCustomInboxPrefix(raw_nats,
                                         options_.connection.inbox_prefix.c_str());
  if (s == NATS_OK) s = natsOptions_SetPingInterval(raw_nats, 10'000);
  if (s == NATS_OK) s = natsOptions_SetWriteDeadline(raw_nats, kWriteMs);
  if (s == NATS_OK) s = natsOptions_SetFailRequestsOnDisconnect(raw_nats, true);
  // nats.c would reconnect in silence; what was on its way is lost then.
  if (s == NATS_OK)
    s = natsOptions_SetDisconnectedCB(raw_nats, Callbacks::OnDisconnected, gate_);
  if (s == NATS_OK) s = natsOptions_SetErrorHandler(raw_nats, Callbacks::OnError, gate_);
  RETURN_IF_ERROR(FromNats(s, "connection options"));

  stanConnOptions* raw = nullptr;
  RETURN_IF_ERROR(FromNats(stanConnOptions_Create(&raw), "connection options"));
  const StanOptionsHandle options(raw);
  s = stanConnOptions_SetNATSOptions(raw, raw_nats);
  if (s == NATS_OK) s = stanConnOptions_SetConnectionWait(raw, kAnswerMs);
  if (s == NATS_OK) s = stanConnOptions_SetPubAckWait(raw, kPubAckMs);
  if (s == NATS_OK) s = stanConnOptions_SetMaxPubAcksInflight(raw, kPubAcksMax, 0.5F);
  if (s == NATS_OK) s = stanConnOptions_SetPings(raw, kPingSeconds, kPingsOut);
  if (s == NATS_OK)
    s = stanConnOptions_SetConnectionLostHandler(raw, Callbacks::OnLost, gate_);
  RETURN_IF_ERROR(FromNats(s, "connection options"));

  stanConnection* sc = nullptr;
  RETURN_IF_ERROR(FromNats(
      stanConnection_Connect(&sc, options_.cluster.c_str(), options_.client.c_str(), raw),
      "connect to the streaming cluster " + options_.cluster + " as client " +
          options_.client));
  return Open(sc);
}

// Lets calls of this life in.
absl::Status StanLink::Open(stanConnection* sc) {
  natsConnection* nc = nullptr;
  absl::Status status =
      FromNats(stanConnection_GetNATSConnection(sc, &nc), "streaming connection");
  {
    MutexLock lock(&gate_->mutex);
    gate_->sc = sc;
    gate_->nc = nc;
  }
  {
    MutexLock lock(&mutex_);
    sc_ = sc;
    nc_ = nc;
  }
  // What was lost before now nobody was told.
  if (status.ok() && natsConnection_Status(nc) != NATS_CONN_STATUS_CONNECTED)
    status = Unavailable("the connection to NATS was lost at once");
  if (!status.ok()) Close();
  return status;
}

void StanLink::Abort() {
  MutexLock lock(&mutex_);
  natsConnection_Close(nc_);
}

void StanLink::Close() {
  {
    MutexLock lock(&gate_->mutex);
    gate_->sc = nullptr;
    gate_->nc = nullptr;
    const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_->mutex) {
      return gate_->inside == 0;
    };
    gate_->mutex.Await(none);
  }
  stanConnection* sc = nullptr;
  std::vector<stanSubscription*> subs;
  {
    MutexLock lock(&mutex_);
    sc = std::exchange(sc_, nullptr);
    for (Reading& reading : readings_) {
      DropHeld(&reading);
      for (stanSubscription** sub : {&reading.sub, &reading.look})
        if (*sub != nullptr) subs.push_back(std::exchange(*sub, nullptr));
    }
  }
  if (sc == nullptr) return;
  // As a whole, durables included: the server has them wait for us.
  (void)stanConnection_Close(sc);
  for (stanSubscription* sub : subs) stanSubscription_Destroy(sub);
  {
    MutexLock lock(&mutex_);
    if (nc_ != nullptr) stanConnection_ReleaseNATSConnection(sc);
    nc_ = nullptr;
  }
  (void)stanConnection_Destroy(sc);
}

void StanLink::DropHeld(Reading* reading) {
  for (const auto& [seq, message] : reading->held) stanMsg_Destroy(message);
  reading->held.clear();
}

absl::Status StanLink::Read(size_t index) {
  const Channel& channel = channels_[index];
  stanSubOptions* raw = nullptr;
  RETURN_IF_ERROR(FromNats(stanSubOptions_Create(&raw), "subscription options"));
  const StanSubOptions options(raw);
  natsStatus s = stanSubOptions_SetDurableName(raw, channel.durable.c_str());
  if (s == NATS_OK) s = stanSubOptions_SetManualAckMode(raw, true);
  if (s == NATS_OK) s = stanSubOptions_SetAckWait(raw, kAckWaitMs);
  if (s == NATS_OK) s = stanSubOptions_SetMaxInflight(raw, channel.max_inflight);
  if (s == NATS_OK && channel.deliver.from == Deliver::From::kAll)
    s = stanSubOptions_DeliverAllAvailable(raw);
  if (s == NATS_OK && channel.deliver.from == Deliver::From::kTime)
    s = stanSubOptions_StartAtTime(raw, channel.deliver.time_ms);
  RETURN_IF_ERROR(FromNats(s, "subscription options"));
  stanSubscription* sub = nullptr;
  RETURN_IF_ERROR(FromNats(
      stanConnection_QueueSubscribe(&sub, Connected(), channel.name.c_str(),
                                    channel.durable.c_str(), Callbacks::OnMessage,
                                    &gate_->doors[index], raw),
      "read channel " + channel.name + " as durable " + channel.durable));
  MutexLock lock(&mutex_);
  readings_[index].sub = sub;
  return absl::OkStatus();
}

// The handle is destroyed by Close only, which the same thread calls.
stanConnection* StanLink::Connected() {
  MutexLock lock(&mutex_);
  return sc_;
}

void StanLink::StopReading(size_t index) {
  stanSubscription* sub = nullptr;
  {
    MutexLock lock(&mutex_);
    // What is held may still be acked, and is else delivered again.
    sub = std::exchange(readings_[index].sub, nullptr);
  }
  stanSubscription_Destroy(sub);  // closes it; the durable stays
}

absl::Status StanLink::Look(size_t index) {
  EndLook(index);
  const Channel& channel = channels_[index];
  stanSubOptions* raw = nullptr;
  RETURN_IF_ERROR(FromNats(stanSubOptions_Create(&raw), "subscription options"));
  const StanSubOptions options(raw);
  natsStatus s = stanSubOptions_StartWithLastReceived(raw);
  // Un-acked, so that one message is all that ever comes.
  if (s == NATS_OK) s = stanSubOptions_SetManualAckMode(raw, true);
  if (s == NATS_OK) s = stanSubOptions_SetMaxInflight(raw, 1);
  if (s == NATS_OK) s = stanSubOptions_SetAckWait(raw, kAckWaitMs);
  RETURN_IF_ERROR(FromNats(s, "subscription options"));
  stanSubscription* sub = nullptr;
  RETURN_IF_ERROR(
      FromNats(stanConnection_Subscribe(&sub, Connected(), channel.name.c_str(),
                                        Callbacks::OnEnd, &gate_->doors[index], raw),
               "look for the end of channel " + channel.name));
  MutexLock lock(&mutex_);
  readings_[index].look = sub;
  return absl::OkStatus();
}

void StanLink::EndLook(size_t index) {
  stanSubscription* sub = nullptr;
  {
    MutexLock lock(&mutex_);
    sub = std::exchange(readings_[index].look, nullptr);
  }
  stanSubscription_Destroy(sub);
}

void StanLink::Receive(size_t channel, stanMsg* message) {
  const Message view{
      stanMsg_GetSequence(message),
      stanMsg_GetTimestamp(message),
      {stanMsg_GetData(message), static_cast<size_t>(stanMsg_GetDataLength(message))}};
  bool again = false;
  {
    MutexLock lock(&mutex_);
    again = !readings_[channel].held.emplace(view.seq, message).second;
  }
  if (!again && handlers_.message(channel, view)) return;
  // Being applied already: its ack took longer than the server waits.
  if (!again) {
    MutexLock lock(&mutex_);
    readings_[channel].held.erase(view.seq);
  }
  stanMsg_Destroy(message);
}

StanLink::Sent StanLink::Publish(uint64_t attempt, const std::string& channel,
                                 std::string_view body, std::string* error) {
  MutexLock lock(&mutex_);
  if (sc_ == nullptr) return Sent::kDown;
  auto closure =
      std::make_unique<Callbacks::Attempt>(Callbacks::Attempt{gate_, sc_, attempt});
  const natsStatus s = stanConnection_PublishAsync(sc_, channel.c_str(), body.data(),
                                                   static_cast<int>(body.size()),
                                                   Callbacks::OnPublished, closure.get());
  if (s == NATS_OK) {
    (void)closure.release();  // nats.c answers each attempt once
    return Sent::kOk;
  }
  *error = natsStatus_GetText(s);
  if (s == NATS_MAX_PAYLOAD) return Sent::kTooLarge;
  // A time-out: too many messages wait for a server that does not answer.
  return IsLinkGone(s) || s == NATS_TIMEOUT ? Sent::kDown : Sent::kError;
}

void StanLink::Ack(size_t channel, uint64_t seq) {
  MutexLock lock(&mutex_);
  Reading& reading = readings_[channel];
  const auto found = reading.held.find(seq);
  if (found == reading.held.end()) return;
  if (reading.sub != nullptr) (void)stanSubscription_AckMsg(reading.sub, found->second);
  stanMsg_Destroy(found->second);
  reading.held.erase(found);
}

}  // namespace expirer

#endif  // EXPIRER_STAN
