// Kills expirer -9 at random moments under load, again and again, over one
// store and one nats-server, and then judges from outside whether every
// promise was kept. See tests/README.md for how to run it and its controls.
//
//   crash_test [--cycles N] [--seed S] [--expirer PATH] [--json FILE]
//              [--rate ORDERS_PER_S] [--expect-failure KIND]
//
// Exit 0: kept (or, with --expect-failure, broken as it must be); 1: broken,
// with the seed to run again; 2: the test itself could not run.
//
// The seed fixes what is published and how each kill is chosen; when exactly
// it strikes is the machine's doing.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "crash/watcher.h"
#include "support/ledger.h"
#include "support/nats_server.h"
#include "support/producer.h"
#include "support/service.h"

namespace expirer::test {
namespace {

constexpr int kBroken = 1;
constexpr int kCannotRun = 2;
constexpr int kKilled = 128 + SIGKILL;

constexpr char kConfig[] = R"(
rules:
  - name: order-expiration
    reopen: false
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel:
      - { subject: "order:cancelled", key: /id }
      - { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
    retry: { initial: 50ms, max: 200ms }
)";
constexpr char kConsumer[] = "EVENTS.expirer-order-expiration";
constexpr char kTarget[] = "expiration:complete";
// The window of duplicates covers the run, so that one copy is a promise.
constexpr char kFiredStream[] =
    R"({"name":"FIRED","subjects":["expiration:complete"],"retention":"limits",)"
    R"("storage":"file","duplicate_window":3600000000000,"max_msg_size":)";

struct Flags {
  int cycles = 20;
  uint64_t seed = std::random_device{}();
  std::string expirer = ExpirerBinary();
  std::string json;
  int rate = 250;
  std::string expect_failure;  // lost, early, doubled, cancelled or wrong
};

// One life of the process and its end.
struct Cycle {
  std::string how;        // start, random, event (just handed one), publish
  bool spell = false;     // the target stream refused large messages for a while
  int64_t run_ms = 0;     // from the start to the kill
  int64_t down_ms = 0;    // from the kill to the next start
  int64_t killed_ms = 0;  // wall clock
  // What the kill hit. Delivered to it and not acked, by the consumer's own
  // count; in the target stream although the next life sent it again, so its
  // PubAck was not durable yet.
  int64_t unacked = 0;
  int64_t unconfirmed = 0;
  [[nodiscard]] bool hit() const { return unacked + unconfirmed > 0; }
};

int64_t Number(const std::string& json, std::string_view name) {
  const size_t at = json.find("\"" + std::string(name) + "\":");
  if (at == std::string::npos) return -1;
  return std::strtoll(json.c_str() + at + name.size() + 3, nullptr, 10);
}

void Sleep(int64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

[[noreturn]] void CannotRun(const std::string& why) {
  std::fprintf(stderr, "crash_test: cannot run: %s\n", why.c_str());
  std::exit(kCannotRun);
}

class CrashRun {
 public:
  explicit CrashRun(const Flags& flags)
      : flags_(flags),
        random_(flags.seed),
        client_(server_.url()),
        service_(ServiceOptions(flags, server_.url())) {
    client_.CreateStream("EVENTS",
                         {"order:created", "order:cancelled", "payment:created"});
    Must(client_.Api("STREAM.CREATE.FIRED", std::string(kFiredStream) + "-1}"));
  }

  int Run() {
    Producer producer({server_.url(), flags_.seed + 1, flags_.rate}, &ledger_);
    Watcher watcher(server_.url(), kTarget);
    // A control may also make it end by itself: that is not what is looked for.
    for (int i = 0; i < flags_.cycles && (trouble_.empty() || Expecting()); ++i)
      RunCycle(&producer, &watcher);
    producer.Finish();
    Settle();
    const std::vector<StoredMessage> fired = client_.ReadStream("FIRED");
    CountUnconfirmed(watcher.attempts(), fired);
    const Verdict verdict = Judge(ledger_.orders(), fired);
    WriteJson(verdict);
    return Report(verdict);
  }

 private:
  static Service::Options ServiceOptions(const Flags& flags, const std::string& url) {
    Service::Options options;
    options.config = kConfig;
    options.url = url;
    options.binary = flags.expirer;
    // A store that acked what it then lost is refused at its next start: what
    // the control is to show is the loss.
    if (!flags.expect_failure.empty()) options.flags = {"--adopt=new"};
    return options;
  }
  [[nodiscard]] bool Expecting() const { return !flags_.expect_failure.empty(); }
  int64_t Random(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  static void Must(const std::string& reply) {
    if (reply.empty() || reply.find("\"error\"") != std::string::npos)
      CannotRun("JetStream says " + reply);
  }

  void RunCycle(Producer* producer, Watcher* watcher) {
    Cycle cycle;
    const int64_t kind = Random(0, 99);
    cycle.how = kind < 10   ? "start"
                : kind < 30 ? "random"
                : kind < 65 ? "publish"
                            : "event";
    cycle.spell = kind >= 10 && Random(0, 2) == 0;
    const int64_t begun_ms = NowMs();
    service_.Start();
    if (cycle.how == "start") {
      Sleep(Random(1, 150));
    } else {
      if (!service_.WaitLog("reading a rule's streams"))
        Trouble("expirer does not begin to read");
      LetRun(cycle.spell);
    }
    Kill(producer, watcher, &cycle);
    cycle.run_ms = cycle.killed_ms - begun_ms;
    cycle.unacked = UnackedOfThisLife();
    LimitTarget(-1);
    // Some process gaps outlast a due time whose cancel came in meanwhile.
    cycle.down_ms = Random(0, 4) == 0 ? Random(1'200, 2'000) : Random(0, 100);
    Sleep(cycle.down_ms);
    cycles_.push_back(cycle);
  }

  // 50 to 800 ms of load. In a spell the target refuses some of its messages:
  // for a part of the run, or until after the kill.
  void LetRun(bool spell) {
    const int64_t run_ms = Random(50, 800);
    const int64_t calm_ms = spell ? Random(0, run_ms) : run_ms;
    Sleep(calm_ms);
    if (!spell) return;
    LimitTarget(Producer::kSmallBytes);
    Sleep(run_ms - calm_ms);
    if (Random(0, 1) == 0) LimitTarget(-1);
  }

  void LimitTarget(int bytes) {
    if (std::exchange(target_limit_, bytes) == bytes) return;
    Must(client_.Api("STREAM.UPDATE.FIRED",
                     std::string(kFiredStream) + std::to_string(bytes) + "}"));
  }

  void Kill(Producer* producer, Watcher* watcher, Cycle* cycle) {
    // Shared: a strike may begin when this call has given it up.
    const auto killed_ms = std::make_shared<std::atomic<int64_t>>(0);
    const int64_t pause_us = Random(0, 3) * Random(0, 500);
    const auto strike = [this, pause_us, killed_ms] {
      std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
      *killed_ms = NowMs();
      service_.Signal(SIGKILL);
    };
    if (cycle->how == "event") producer->AfterNextOrder(strike);
    if (cycle->how == "publish") watcher->AtNextAttempt(strike);
    std::optional<int> code;
    if (cycle->how == "event" || cycle->how == "publish") code = service_.WaitExit(1'000);
    producer->AfterNextOrder(nullptr);
    watcher->AtNextAttempt(nullptr);
    if (!code) {
      if (cycle->how != "start") cycle->how = "random";
      strike();
      code = service_.WaitExit();
    }
    if (code != kKilled)
      Trouble("expirer ended by itself with " + std::to_string(code.value_or(-1)));
    cycle->killed_ms = *killed_ms > 0 ? killed_ms->load() : NowMs();
  }

  // What was delivered to the process just killed and not acked, once the acks
  // on their way have come in. What an earlier life left is not counted again.
  int64_t UnackedOfThisLife() {
    std::string info;
    (void)WaitFor(
        [&] {
          const std::string before =
              std::exchange(info, client_.Api(std::string("CONSUMER.INFO.") + kConsumer));
          return Number(before, "num_ack_pending") == Number(info, "num_ack_pending");
        },
        1'000);
    // The first consumer_seq is that of what was delivered; -1: no consumer yet.
    const int64_t delivered = std::max<int64_t>(Number(info, "consumer_seq"), 0);
    const int64_t in_this_life = delivered - std::exchange(delivered_, delivered);
    return std::clamp<int64_t>(Number(info, "num_ack_pending"), 0, in_this_life);
  }

  // What the target could not take in a spell is dead, or was rejected, until somebody
  // takes it back. Whether there was any.
  bool TakeBackDead() {
    const std::string reply =
        client_.Request("expirer.v1.dead.requeue", "{}", 5'000).value_or("");
    return Number(reply, "requeued") > 0;
  }

  // Lets expirer finish all there is, undisturbed.
  void Settle() {
    service_.Kill9();
    service_.Start();
    const int64_t limit_ms = Expecting() ? 20'000 : 60'000;
    settled_ = WaitFor(
        [this] {
          Sleep(50);
          if (const auto code = service_.WaitExit(0)) {
            Trouble("expirer ended by itself with " + std::to_string(*code));
            service_.Start();
          }
          if (NowMs() <= ledger_.last_due_ms()) return false;
          const std::string info = client_.Api(std::string("CONSUMER.INFO.") + kConsumer);
          if (Number(info, "num_pending") != 0 || Number(info, "num_ack_pending") != 0)
            return false;
          const auto pending = service_.Status("pending");
          const auto retrying = service_.Status("retrying");
          if (pending != 0 || retrying != 0 || service_.Status("in_flight") != 0)
            return false;
          if (TakeBackDead()) {
            quiet_since_.reset();
            return false;
          }
          // The status file is up to 1.5 s old.
          const auto written = service_.Status("mono_ms");
          if (!quiet_since_) quiet_since_ = written;
          return *written - *quiet_since_ >= 2'000;
        },
        limit_ms);
    if (const auto code = service_.Term(); code != 0)
      Trouble("SIGTERM ended with " + std::to_string(code.value_or(-1)));
  }

  // An id that is sent again although the stream had it before a kill was not
  // closed durably when that kill came.
  void CountUnconfirmed(std::vector<Attempt> attempts,
                        const std::vector<StoredMessage>& fired) {
    std::map<std::string, int64_t> stored_ms;
    for (const StoredMessage& one : fired)
      stored_ms.emplace(one.Header("Nats-Msg-Id"), one.time_ns / 1'000'000);
    std::map<std::string, int64_t> counted_ms;  // the last kill it was counted for
    std::map<std::string, int> seen;
    for (const Attempt& attempt : attempts) {
      const auto stored = stored_ms.find(attempt.msg_id);
      if (++seen[attempt.msg_id] == 1 || stored == stored_ms.end()) continue;
      const auto after =
          std::find_if(cycles_.rbegin(), cycles_.rend(),
                       [&](const Cycle& c) { return c.killed_ms < attempt.seen_ms; });
      if (after == cycles_.rend() || after->killed_ms < stored->second) continue;
      if (std::exchange(counted_ms[attempt.msg_id], after->killed_ms) != after->killed_ms)
        ++after->unconfirmed;
    }
  }

  // The first says most.
  void Trouble(std::string what) {
    if (trouble_.empty()) trouble_ = std::move(what);
  }

  void WriteJson(const Verdict& verdict) const {
    if (flags_.json.empty()) return;
    std::ofstream file(flags_.json, std::ios::app);
    int number = 0;
    for (const Cycle& c : cycles_)
      file << R"({"cycle":)" << ++number << R"(,"how":")" << c.how << R"(","spell":)"
           << (c.spell ? "true" : "false") << R"(,"run_ms":)" << c.run_ms
           << R"(,"down_ms":)" << c.down_ms << R"(,"unacked":)" << c.unacked
           << R"(,"unconfirmed":)" << c.unconfirmed << R"(,"hit":)"
           << (c.hit() ? "true" : "false") << "}\n";
    file << R"({"seed":)" << flags_.seed << R"(,"cycles":)" << cycles_.size()
         << R"(,"orders":)" << verdict.orders << R"(,"fired":)" << verdict.fired
         << R"(,"cancelled_in_time":)" << verdict.in_time << R"(,"lost":)" << verdict.lost
         << R"(,"early":)" << verdict.early << R"(,"doubled":)" << verdict.doubled
         << R"(,"fired_though_cancelled":)" << verdict.cancelled << R"(,"wrong":)"
         << verdict.wrong << R"(,"kills_that_hit":)" << Hits() << "}\n";
    if (!file) CannotRun("cannot write " + flags_.json);
  }

  [[nodiscard]] int64_t Hits() const {
    return std::count_if(cycles_.begin(), cycles_.end(),
                         [](const Cycle& c) { return c.hit(); });
  }

  int Report(const Verdict& v) {
    if (!settled_ && trouble_.empty()) trouble_ = "not everything settled in time";
    const bool broken = !v.good() || !trouble_.empty();
    if (broken && !Expecting()) {
      for (const std::string& example : v.examples)
        std::printf("crash_test: %s\n", example.c_str());
      if (!trouble_.empty()) std::printf("crash_test: %s\n", trouble_.c_str());
      const std::string log = service_.Log();
      std::printf("---- the end of expirer's log\n%s----\n",
                  log.substr(log.size() - std::min<size_t>(log.size(), 6'000)).c_str());
      std::printf("crash_test: run again with --seed %llu --cycles %d\n",
                  static_cast<unsigned long long>(flags_.seed), flags_.cycles);
    }
    if (cycles_.size() >= 20 && Hits() * 2 < static_cast<int64_t>(cycles_.size()))
      std::printf("crash_test: WARNING: less than half of the kills hit work\n");
    std::printf(
        "crash_test: %zu cycles, seed %llu: %zu orders, fired %zu, cancelled in time "
        "%zu, "
        "lost %zu, early %zu, doubled %zu, fired though cancelled %zu, wrong %zu; "
        "%lld kills hit work\n",
        cycles_.size(), static_cast<unsigned long long>(flags_.seed), v.orders, v.fired,
        v.in_time, v.lost, v.early, v.doubled, v.cancelled, v.wrong,
        static_cast<long long>(Hits()));
    if (!Expecting()) return broken ? kBroken : 0;
    const size_t count = v.Count(flags_.expect_failure);
    std::printf(
        "crash_test: control: %s is %zu, %s\n", flags_.expect_failure.c_str(), count,
        count > 0 ? "as it must be" : "but must not be 0: this test sees nothing");
    return count > 0 ? 0 : kBroken;
  }

  const Flags& flags_;
  std::mt19937_64 random_;
  NatsServer server_;
  TestClient client_;
  Service service_;
  Ledger ledger_;
  int target_limit_ = -1;
  int64_t delivered_ = 0;  // by the consumer's count, up to the last kill
  std::vector<Cycle> cycles_;
  std::optional<int64_t> quiet_since_;
  bool settled_ = false;
  std::string trouble_;  // what went wrong beside the verdict
};

template <typename T>
T Whole(std::string_view flag, std::string_view text) {
  T value = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size())
    CannotRun(std::string(flag) + " wants a whole number, found " + std::string(text));
  return value;
}

Flags ParseFlags(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (i + 1 == argc) CannotRun("no value for " + std::string(flag));
    const std::string_view value = argv[i + 1];
    if (flag == "--cycles")
      flags.cycles = Whole<int>(flag, value);
    else if (flag == "--seed")
      flags.seed = Whole<uint64_t>(flag, value);
    else if (flag == "--rate")
      flags.rate = std::max(Whole<int>(flag, value), 1);
    else if (flag == "--expirer")
      flags.expirer = value;
    else if (flag == "--json")
      flags.json = value;
    else if (flag == "--expect-failure")
      flags.expect_failure = value;
    else
      CannotRun("unknown flag " + std::string(flag));
  }
  if (flags.expirer.empty()) CannotRun("--expirer or EXPIRER_BIN must name the binary");
  return flags;
}

}  // namespace
}  // namespace expirer::test

int main(int argc, char** argv) {
  using namespace expirer::test;
  const Flags flags = ParseFlags(argc, argv);
  std::printf("crash_test: %d cycles, seed %llu\n", flags.cycles,
              static_cast<unsigned long long>(flags.seed));
  std::fflush(stdout);
  return CrashRun(flags).Run();
}
