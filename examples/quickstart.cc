// expirer-demo: two orders, one paid in time. Publishes what a ticketing
// application would, through JetStream, listens as its orders service would,
// and prints what happens when. Wants a nats-server (NATS_URL, or the address
// as its argument) with `expirer serve` and its built-in rule beside it.
// Exit 0: the unpaid order expired once, not early, and the paid one never did.
#include <nats/nats.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace {

using Wall = std::chrono::system_clock;
using std::chrono::milliseconds;

constexpr milliseconds kDelay{3000};
constexpr milliseconds kPaidAfter{1000};
// How long after its due time the paid order must stay silent.
constexpr milliseconds kSilence{1500};

constexpr char kOrderCreated[] = "order:created";
constexpr char kPaymentCreated[] = "payment:created";
constexpr char kExpirationComplete[] = "expiration:complete";

template <auto Destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};
using Connection = std::unique_ptr<natsConnection, Destroyer<natsConnection_Destroy>>;
using JetStream = std::unique_ptr<jsCtx, Destroyer<jsCtx_Destroy>>;
using Subscription =
    std::unique_ptr<natsSubscription, Destroyer<natsSubscription_Destroy>>;
using Message = std::unique_ptr<natsMsg, Destroyer<natsMsg_Destroy>>;

void Check(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  std::fprintf(stderr, "expirer-demo: %s: %s\n", what, natsStatus_GetText(status));
  std::exit(1);
}

std::string Rfc3339(Wall::time_point time) {
  const auto ms =
      std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(ms % 1000));
  return text;
}

double MsBetween(Wall::time_point from, Wall::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// One line of the timeline, `start` being its zero.
class Timeline {
 public:
  explicit Timeline(Wall::time_point start) : start_(start) {}
  void Say(Wall::time_point at, const char* subject, const std::string& what) const {
    std::printf("%8.1f ms  %-19s  %s\n", MsBetween(start_, at), subject, what.c_str());
    std::fflush(stdout);
  }

 private:
  Wall::time_point start_;
};

// Returns once the stream has stored it.
void Publish(jsCtx* js, const char* subject, const std::string& json) {
  jsPubAck* ack = nullptr;
  Check(js_Publish(&ack, js, subject, json.data(), static_cast<int>(json.size()), nullptr,
                   nullptr),
        subject);
  jsPubAck_Destroy(ack);
}

// The bytes the app's orders service expects for an expired order.
std::string Expired(const std::string& order) {
  return R"({"orderId":")" + order + "\"}";
}

struct Seen {
  int unpaid = 0;
  int paid = 0;
  double lateness_ms = 0;  // of the unpaid order
};

// Prints and counts what arrives on expiration:complete until `until`.
Seen Listen(natsSubscription* subscription, const Timeline& timeline,
            const std::string& unpaid, const std::string& paid, Wall::time_point due,
            Wall::time_point until) {
  Seen seen;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(until - Wall::now()).count();
    if (left <= 0) return seen;
    natsMsg* raw = nullptr;
    const natsStatus status = natsSubscription_NextMsg(&raw, subscription, left);
    const auto now = Wall::now();
    if (status == NATS_TIMEOUT) return seen;
    Check(status, "waiting for expiration:complete");
    const Message message(raw);
    const std::string_view body(natsMsg_GetData(raw),
                                static_cast<size_t>(natsMsg_GetDataLength(raw)));
    std::string what(body);
    if (body == Expired(unpaid)) {
      ++seen.unpaid;
      seen.lateness_ms = MsBetween(due, now);
      char late[64];
      std::snprintf(late, sizeof late, "  %.1f ms after its due time", seen.lateness_ms);
      what += late;
    } else if (body == Expired(paid)) {
      ++seen.paid;
      what += "  although it was paid!";
    } else {
      what += "  (not ours)";
    }
    timeline.Say(now, kExpirationComplete, what);
  }
}

int Judge(const Seen& seen) {
  if (seen.paid == 0 && seen.unpaid == 1 && seen.lateness_ms >= 0) {
    std::printf(
        "\nThe unpaid order expired %.1f ms after its due time; the paid one did not.\n",
        seen.lateness_ms);
    return 0;
  }
  std::printf(
      "\nWRONG: the unpaid order expired %d times%s, the paid one %d times; "
      "expected 1 and 0.\n",
      seen.unpaid, seen.lateness_ms < 0 ? " (early)" : "", seen.paid);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const char* env = std::getenv("NATS_URL");
  const char* url = argc > 1 ? argv[1] : env != nullptr ? env : NATS_DEFAULT_URL;

  natsConnection* raw_connection = nullptr;
  Check(natsConnection_ConnectTo(&raw_connection, url), url);
  const Connection connection(raw_connection);
  jsCtx* raw_js = nullptr;
  Check(natsConnection_JetStream(&raw_js, raw_connection, nullptr), "JetStream");
  const JetStream js(raw_js);
  natsSubscription* raw_subscription = nullptr;
  Check(natsConnection_SubscribeSync(&raw_subscription, raw_connection,
                                     kExpirationComplete),
        "subscribing to expiration:complete");
  const Subscription subscription(raw_subscription);
  Check(natsConnection_Flush(raw_connection), "subscribing to expiration:complete");

  // Cut to the millisecond, as the orders say it.
  const auto start = std::chrono::time_point_cast<milliseconds>(Wall::now());
  const auto due = start + kDelay;
  const Timeline timeline(start);
  // New ids for every run: an order that has expired is never scheduled again.
  const std::string run = std::to_string(start.time_since_epoch().count());
  const std::string unpaid = "unpaid-" + run;
  const std::string paid = "paid-" + run;

  std::printf("Two orders, due at %s:\n", Rfc3339(due).c_str());
  for (const std::string& order : {unpaid, paid}) {
    const std::string event = R"({"id":")" + order +
                              R"(","version":0,"status":"created",)" +
                              R"("expiresAt":")" + Rfc3339(due) + "\"}";
    Publish(js.get(), kOrderCreated, event);
    timeline.Say(Wall::now(), kOrderCreated, order + ", due in 3 s unless paid");
  }
  std::this_thread::sleep_until(start + kPaidAfter);
  Publish(js.get(), kPaymentCreated,
          R"({"id":"payment-)" + run + R"(","orderId":")" + paid + "\"}");
  timeline.Say(Wall::now(), kPaymentCreated, paid + " is paid in time");

  const Seen seen =
      Listen(subscription.get(), timeline, unpaid, paid, due, due + kSilence);
  return Judge(seen);
}
