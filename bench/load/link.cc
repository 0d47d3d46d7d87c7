#include "load/link.h"

#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>

#include <fmt/format.h>

#include "load/json_value.h"
#include "load/scenario.h"
#include "net/ack_subject.h"

namespace expirer::load {
namespace {

constexpr uint64_t kPullBatch = 1'000;
constexpr uint64_t kPullsOutstanding = 2;
constexpr auto kSilence = std::chrono::seconds(30);  // then it is given up

absl::Status FromNats(natsStatus status, std::string_view what) {
  if (status == NATS_OK) return absl::OkStatus();
  return Unavailable(fmt::format("{}: {}", what, natsStatus_GetText(status)));
}

bool Contains(natsMsg* message, std::string_view text) {
  const std::string_view data(natsMsg_GetData(message),
                              static_cast<size_t>(natsMsg_GetDataLength(message)));
  return data.find(text) != std::string_view::npos;
}

// Each request is written at once: what is published otherwise waits about a
// millisecond for company in nats.c's flusher.
absl::Status AskInTurn(natsConnection* nc, uint64_t count, const Link::Make& make,
                       const Link::Ask& see) {
  OutMessage out;
  for (uint64_t n = 0; n < count; ++n) {
    make(n, &out);
    const int64_t sent_ns = SteadyNs();
    natsMsg* reply = nullptr;
    RETURN_IF_ERROR(FromNats(
        natsConnection_Request(&reply, nc, out.subject.c_str(), out.payload.data(),
                               static_cast<int>(out.payload.size()), 10'000),
        out.subject));
    see(n, {natsMsg_GetData(reply), static_cast<size_t>(natsMsg_GetDataLength(reply))},
        SteadyNs() - sent_ns);
    natsMsg_Destroy(reply);
  }
  return absl::OkStatus();
}

}  // namespace

// Unconfirmed publishes; the answers' thread and the publisher's share it.
struct Link::Window {
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t confirmed = 0;
  uint64_t wake_at = UINT64_MAX;
  std::string error;

  static void OnAnswer(natsConnection*, natsSubscription*, natsMsg* message, void* self) {
    static_cast<Window*>(self)->Confirm(message);
    natsMsg_Destroy(message);
  }
  void Confirm(natsMsg* message) {
    const bool good = Contains(message, "\"seq\":") && !Contains(message, "\"error\"") &&
                      !Contains(message, "\"duplicate\":true");
    const std::lock_guard lock(mutex);
    if (!good && error.empty())
      error.assign("publish refused: ")
          .append(natsMsg_GetData(message),
                  static_cast<size_t>(natsMsg_GetDataLength(message)));
    ++confirmed;
    if (confirmed >= wake_at || !good) changed.notify_one();
  }
  // Waits until `count` are confirmed.
  absl::Status Await(uint64_t count) {
    std::unique_lock lock(mutex);
    wake_at = count;
    const bool came = changed.wait_for(
        lock, kSilence, [&] { return confirmed >= count || !error.empty(); });
    wake_at = UINT64_MAX;
    if (!error.empty()) return Internal(error);
    if (came) return absl::OkStatus();
    return Unavailable(
        fmt::format("{} of {} publishes confirmed in 30 s", confirmed, count));
  }
};

struct Link::Pulls {
  natsConnection* nc = nullptr;
  std::string subject;
  std::string inbox;
  bool acks = false;
  const See* see = nullptr;
  uint64_t count = 0;
  std::atomic<bool> over = false;  // `see` is gone
  uint64_t asked = 0;  // by requests sent; the messages' thread after the first
  std::atomic<uint64_t> received = 0;
  std::mutex mutex;
  std::condition_variable ended;
  std::string error;

  static void OnMessage(natsConnection*, natsSubscription*, natsMsg* message,
                        void* self) {
    static_cast<Pulls*>(self)->Receive(message);
    natsMsg_Destroy(message);
  }
  void Ask() {
    const uint64_t batch = std::min(kPullBatch, count - std::min(asked, count));
    if (batch == 0) return;
    asked += batch;
    const std::string body =
        fmt::format(R"({{"batch":{},"expires":25000000000}})", batch);
    natsConnection_PublishRequest(nc, subject.c_str(), inbox.c_str(), body.data(),
                                  static_cast<int>(body.size()));
  }
  void Receive(natsMsg* message) {
    if (over) return;
    const char* status = nullptr;
    if (natsMsg_GetDataLength(message) == 0 &&
        natsMsgHeader_Get(message, "Status", &status) == NATS_OK) {
      const std::lock_guard lock(mutex);
      error = fmt::format("a pull ended with status {}", status);
      ended.notify_one();
      return;
    }
    const char* reply = natsMsg_GetReply(message);
    if (acks) natsConnection_Publish(nc, reply, "+ACK", 4);
    if (see != nullptr && *see) Show(message, reply);
    const uint64_t now = received.fetch_add(1) + 1;
    if (now % kPullBatch == 0) Ask();
    if (now == count) {
      const std::lock_guard lock(mutex);
      ended.notify_one();
    }
  }
  void Show(natsMsg* message, const char* reply) {
    const char* id = nullptr;
    natsMsgHeader_Get(message, "Nats-Msg-Id", &id);
    const auto ack = ParseAckSubject(reply);
    (*see)({id == nullptr ? std::string_view() : std::string_view(id),
            std::string_view(natsMsg_GetData(message),
                             static_cast<size_t>(natsMsg_GetDataLength(message))),
            ack ? ack->time_ns : 0, ack ? ack->stream_seq : 0});
  }
};

// Requests under way; reply n comes to <inbox>.n.
struct Link::Asks {
  size_t prefix = 0;  // length of "<inbox>."
  std::vector<int64_t> sent_ns;
  const Ask* see = nullptr;
  std::atomic<bool> over = false;  // `see` is gone
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t answered = 0;

  static void OnReply(natsConnection*, natsSubscription*, natsMsg* message, void* self) {
    static_cast<Asks*>(self)->Receive(message);
    natsMsg_Destroy(message);
  }
  void Receive(natsMsg* message) {
    if (over) return;
    const uint64_t n = std::strtoull(natsMsg_GetSubject(message) + prefix, nullptr, 10);
    const std::lock_guard lock(mutex);
    (*see)(
        n,
        {natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message))},
        SteadyNs() - sent_ns[n]);
    ++answered;
    changed.notify_one();
  }
  absl::Status Await(uint64_t count) {
    std::unique_lock lock(mutex);
    if (changed.wait_for(lock, kSilence, [&] { return answered >= count; }))
      return absl::OkStatus();
    return Unavailable(fmt::format("{} of {} requests answered", answered, count));
  }
};

struct Link::Rep {
  natsConnection* nc = nullptr;
  uint64_t inboxes = 0;
  std::string prefix;
  // Kept to the end: nats.c's threads may hold on to one after its use.
  std::deque<Window> windows;
  std::deque<Pulls> pulls;
  std::deque<Asks> asks;
  std::string NewInbox() { return fmt::format("{}.{}", prefix, ++inboxes); }
};

Link::Link(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Link::~Link() { natsConnection_Destroy(rep_->nc); }

absl::StatusOr<std::unique_ptr<Link>> Link::Connect(const std::string& url) {
  auto rep = std::make_unique<Rep>();
  natsOptions* options = nullptr;
  natsOptions_Create(&options);
  natsOptions_SetURL(options, url.c_str());
  natsOptions_SetName(options, "expirer-load");
  natsOptions_SetAllowReconnect(options, false);
  natsOptions_SetMaxPendingMsgs(options, 10'000'000);
  const natsStatus status = natsConnection_Connect(&rep->nc, options);
  natsOptions_Destroy(options);
  RETURN_IF_ERROR(FromNats(status, "connect to " + url));
  natsInbox* inbox = nullptr;
  natsInbox_Create(&inbox);
  rep->prefix = inbox;
  natsInbox_Destroy(inbox);
  return std::unique_ptr<Link>(new Link(std::move(rep)));
}

absl::StatusOr<std::string> Link::Api(const std::string& verb, const std::string& body) {
  natsMsg* reply = nullptr;
  const natsStatus status =
      natsConnection_Request(&reply, rep_->nc, ("$JS.API." + verb).c_str(), body.data(),
                             static_cast<int>(body.size()), 10'000);
  RETURN_IF_ERROR(FromNats(status, verb));
  std::string text(natsMsg_GetData(reply),
                   static_cast<size_t>(natsMsg_GetDataLength(reply)));
  natsMsg_Destroy(reply);
  if (!JsonRaw(text, "/error").empty()) return Internal(verb + ": " + text);
  return text;
}

absl::Status Link::CreateStream(const std::string& name, const std::string& subject,
                                std::string_view more) {
  const std::string body = fmt::format(
      R"({{"name":"{}","subjects":["{}"],"retention":"limits","storage":"file",)"
      R"("num_replicas":1,"duplicate_window":120000000000{}}})",
      name, subject, more);
  return Api("STREAM.CREATE." + name, body).status();
}

void Link::DeleteStream(const std::string& name) {
  // Nothing to be done about it; a private server goes away anyway.
  (void)Api("STREAM.DELETE." + name, "");
}

absl::StatusOr<uint64_t> Link::Messages(const std::string& stream) {
  ASSIGN_OR_RETURN(const std::string info, Api("STREAM.INFO." + stream, ""));
  return JsonWhole(info, "/state/messages");
}

absl::Status Link::CreateConsumer(const std::string& stream, const std::string& name,
                                  bool acks) {
  const std::string limits =
      acks ? R"(,"ack_wait":60000000000,"max_ack_pending":100000)" : "";
  const std::string body = fmt::format(
      R"({{"stream_name":"{}","config":{{"durable_name":"{}","deliver_policy":"all",)"
      R"("replay_policy":"instant","ack_policy":"{}"{}}}}})",
      stream, name, acks ? "explicit" : "none", limits);
  return Api("CONSUMER.DURABLE.CREATE." + stream + "." + name, body).status();
}

absl::Status Link::DeleteConsumer(const std::string& stream, const std::string& name) {
  return Api("CONSUMER.DELETE." + stream + "." + name, "").status();
}

absl::StatusOr<std::vector<std::string>> Link::Consumers(const std::string& stream) {
  ASSIGN_OR_RETURN(const std::string names, Api("CONSUMER.NAMES." + stream, ""));
  std::vector<std::string> all;
  for (size_t i = 0;; ++i) {
    std::string name = JsonTextAt(names, "/consumers/" + std::to_string(i));
    if (name.empty()) return all;
    all.push_back(std::move(name));
  }
}

absl::StatusOr<ConsumerState> Link::Consumer(const std::string& stream,
                                             const std::string& name) {
  ASSIGN_OR_RETURN(const std::string info,
                   Api("CONSUMER.INFO." + stream + "." + name, ""));
  return ConsumerState{
      JsonWhole(info, "/delivered/stream_seq"), JsonWhole(info, "/num_pending"),
      JsonWhole(info, "/num_ack_pending"), JsonWhole(info, "/num_redelivered")};
}

absl::Status Link::PublishAll(uint64_t count, uint64_t window, const Make& make) {
  Window& unconfirmed = rep_->windows.emplace_back();
  const std::string inbox = rep_->NewInbox();
  natsSubscription* sub = nullptr;
  RETURN_IF_ERROR(FromNats(natsConnection_Subscribe(&sub, rep_->nc, inbox.c_str(),
                                                    Window::OnAnswer, &unconfirmed),
                           "subscribe"));
  natsSubscription_SetPendingLimits(sub, -1, -1);
  absl::Status status;
  OutMessage out;
  for (uint64_t n = 0, free_until = window; n < count && status.ok(); ++n) {
    if (n == free_until) {
      // A quarter at a time: a wake-up for each answer would cost more than it.
      const uint64_t step = std::max<uint64_t>(window / 4, 1);
      status = unconfirmed.Await(n - window + step);
      free_until += step;
      if (!status.ok()) break;
    }
    out.headers.clear();
    make(n, &out);
    natsMsg* message = nullptr;
    natsStatus s =
        natsMsg_Create(&message, out.subject.c_str(), inbox.c_str(), out.payload.data(),
                       static_cast<int>(out.payload.size()));
    for (const auto& [name, value] : out.headers)
      if (s == NATS_OK) s = natsMsgHeader_Set(message, name.c_str(), value.c_str());
    if (s == NATS_OK) s = natsConnection_PublishMsg(rep_->nc, message);
    natsMsg_Destroy(message);
    status = FromNats(s, "publish");
  }
  if (status.ok()) status = unconfirmed.Await(count);
  natsSubscription_Unsubscribe(sub);
  natsConnection_FlushTimeout(rep_->nc, 5'000);
  natsSubscription_Destroy(sub);
  return status;
}

absl::Status Link::AskAll(uint64_t count, uint64_t at_once, const Make& make,
                          const Ask& see) {
  if (at_once == 1) return AskInTurn(rep_->nc, count, make, see);
  Asks& asks = rep_->asks.emplace_back();
  const std::string inbox = rep_->NewInbox();
  asks.prefix = inbox.size() + 1;
  asks.sent_ns.resize(count);
  asks.see = &see;
  natsSubscription* sub = nullptr;
  RETURN_IF_ERROR(
      FromNats(natsConnection_Subscribe(&sub, rep_->nc, (inbox + ".*").c_str(),
                                        Asks::OnReply, &asks),
               "subscribe"));
  natsSubscription_SetPendingLimits(sub, -1, -1);
  absl::Status status;
  OutMessage out;
  for (uint64_t n = 0; n < count && status.ok(); ++n) {
    if (n >= at_once) status = asks.Await(n - at_once + 1);
    if (!status.ok()) break;
    make(n, &out);
    {
      const std::lock_guard lock(asks.mutex);
      asks.sent_ns[n] = SteadyNs();
    }
    status = FromNats(
        natsConnection_PublishRequest(
            rep_->nc, out.subject.c_str(), fmt::format("{}.{}", inbox, n).c_str(),
            out.payload.data(), static_cast<int>(out.payload.size())),
        "request");
  }
  if (status.ok()) status = asks.Await(count);
  asks.over = true;
  natsSubscription_Unsubscribe(sub);
  natsConnection_FlushTimeout(rep_->nc, 5'000);
  natsSubscription_Destroy(sub);
  return status;
}

absl::Status Link::PullAll(const std::string& stream, const std::string& consumer,
                           uint64_t count, bool acks, const See& see) {
  if (count == 0) return absl::OkStatus();
  Pulls& pulls = rep_->pulls.emplace_back();
  pulls.nc = rep_->nc;
  pulls.subject = "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer;
  pulls.inbox = rep_->NewInbox();
  pulls.acks = acks;
  pulls.see = &see;
  pulls.count = count;
  natsSubscription* sub = nullptr;
  RETURN_IF_ERROR(FromNats(natsConnection_Subscribe(&sub, rep_->nc, pulls.inbox.c_str(),
                                                    Pulls::OnMessage, &pulls),
                           "subscribe"));
  natsSubscription_SetPendingLimits(sub, -1, -1);
  for (uint64_t i = 0; i < kPullsOutstanding; ++i) pulls.Ask();
  {
    std::unique_lock lock(pulls.mutex);
    uint64_t before = 0;
    while (pulls.received < count && pulls.error.empty()) {
      pulls.ended.wait_for(lock, kSilence);
      if (pulls.received == before) break;  // nothing came for so long
      before = pulls.received;
    }
  }
  pulls.over = true;
  natsSubscription_Unsubscribe(sub);
  natsConnection_FlushTimeout(rep_->nc, 5'000);
  natsSubscription_Destroy(sub);
  if (!pulls.error.empty()) return Internal(pulls.error);
  if (pulls.received < count)
    return Unavailable(
        fmt::format("{} of {} messages came", pulls.received.load(), count));
  return absl::OkStatus();
}

absl::Status Link::ReadAll(const std::string& stream, const See& see) {
  ASSIGN_OR_RETURN(const uint64_t count, Messages(stream));
  if (count == 0) return absl::OkStatus();
  RETURN_IF_ERROR(CreateConsumer(stream, "load-reader", false));
  const absl::Status read = PullAll(stream, "load-reader", count, false, see);
  RETURN_IF_ERROR(DeleteConsumer(stream, "load-reader"));
  return read;
}

}  // namespace expirer::load
