// The API of the running service over a real server: every endpoint, its
// errors, discovery, and cancels that race with their jobs' due times.

#include <chrono>
#include <cstdlib>
#include <map>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kFarMs = 3'600'000;

std::string JobBody(std::string_view id) {
  return R"({"job":"order-expiration/)" + std::string(id) + "\"}";
}

class ApiService : public World {
 public:
  using World::World;

  struct Answer {
    std::string body;
    TestClient::HeaderList headers;
    [[nodiscard]] std::string Header(std::string_view name) const {
      for (const auto& [known, value] : headers)
        if (known == name) return value;
      return "";
    }
  };
  Answer Ask(const std::string& endpoint, const std::string& body) {
    Answer answer;
    const auto reply =
        client().Request("expirer.v1." + endpoint, body, 10'000, &answer.headers);
    EXPECT_TRUE(reply.has_value()) << endpoint << " was not answered";
    answer.body = reply.value_or("");
    return answer;
  }
  void ExpectError(const std::string& endpoint, const std::string& body, int code) {
    const Answer answer = Ask(endpoint, body);
    EXPECT_EQ(answer.Header("Nats-Service-Error-Code"), std::to_string(code))
        << endpoint << " " << body << " -> " << answer.body;
    EXPECT_NE(answer.Header("Nats-Service-Error"), "");
    EXPECT_THAT(answer.body, HasSubstr(R"({"error":{"code":)" + std::to_string(code)));
  }
  // Orders are applied when it is known.
  void OrderKnown(std::string_view id, int64_t due_ms) {
    Order(id, due_ms);
    ASSERT_TRUE(WaitFor(
        [&] {
          return Ask("get", JobBody(id)).body.find("\"state\"") != std::string::npos;
        },
        kLongMs));
  }
};

TEST(ServiceApi, GetListAndCancelOfAPendingJob) {
  ApiService world;
  world.service().StartReady();
  const int64_t due = NowMs() + kFarMs;
  world.OrderKnown("a", due);
  const std::string got = world.Ask("get", JobBody("a")).body;
  EXPECT_THAT(got, HasSubstr(R"("state":"pending")"));
  EXPECT_THAT(got, HasSubstr(R"("due":")" + Iso(due)));
  EXPECT_THAT(got, HasSubstr(R"("target":"expiration:complete")"));
  EXPECT_THAT(got, HasSubstr(R"("stream":"TICKETING")"));
  EXPECT_THAT(world.Ask("list", "").body, HasSubstr("order-expiration/a"));
  EXPECT_THAT(world.Ask("list", R"({"prefix":"b"})").body, HasSubstr(R"({"jobs":[]})"));
  EXPECT_THAT(world.Ask("cancel", JobBody("a")).body,
              HasSubstr(R"("outcome":"cancelled")"));
  EXPECT_THAT(world.Ask("cancel", JobBody("nobody")).body,
              HasSubstr(R"("outcome":"unknown")"));
  EXPECT_THAT(world.Ask("get", JobBody("a")).body, HasSubstr(R"("state":"cancelled")"));
  EXPECT_THAT(world.Ask("list", "{}").body, HasSubstr(R"({"jobs":[]})"));
}

// Whoever may only ask must not publish by the service's rights.
TEST(ServiceApi, AReplySubjectIsNoLever) {
  ApiService world;
  world.service().StartReady();
  world.OrderKnown("a", NowMs() + kFarMs);
  world.client().CreateStream("OTHER", {"other"});
  ASSERT_GT(world.client().Publish("other", "kept"), 0u);
  for (const char* request : {"$SRV.PING.expirer", "$SRV.STATS", "expirer.v1.get"})
    for (const char* reply : {"$JS.API.STREAM.PURGE.OTHER", "order:cancelled",
                              "expiration:complete", "expirer.v1.dead.purge"})
      world.client().PublishRequest(request, reply, JobBody("a"));
  EXPECT_TRUE(WaitFor(
      [&] { return Number(world.Ask("stats", "").body, "replies_refused") == 12; },
      kLongMs));
  EXPECT_EQ(world.client().StreamMessages("OTHER"), 1u) << "purged by expirer";
  EXPECT_EQ(world.client().StreamMessages("TICKETING"), 1u) << "published by expirer";
  EXPECT_THAT(world.Ask("get", JobBody("a")).body, HasSubstr(R"("state":"pending")"));
}

TEST(ServiceApi, FiredJobTellsItsLatenessAndIsTooLateToCancel) {
  ApiService world;
  world.service().StartReady();
  world.Order("a", NowMs() + 50);
  (void)world.WaitFired("a");
  ASSERT_TRUE(WaitFor(
      [&] {
        return world.Ask("get", JobBody("a")).body.find("\"fired\"") != std::string::npos;
      },
      kLongMs));
  EXPECT_THAT(world.Ask("get", JobBody("a")).body, HasSubstr(R"("lateness_ms":)"));
  EXPECT_THAT(world.Ask("cancel", JobBody("a")).body,
              HasSubstr(R"("outcome":"too_late")"));
}

TEST(ServiceApi, MalformedRequestsAreAnsweredWithTheirErrors) {
  ApiService world;
  world.service().StartReady();
  for (const char* endpoint : {"get", "cancel"}) {
    for (const char* body :
         {"", "{", "[]", R"({"job":"no slash"})", R"({"job":7})", R"({"jobs":"r/a"})"})
      world.ExpectError(endpoint, body, 400);
  }
  world.ExpectError("get", R"({"job":"order-expiration/nobody"})", 404);
  world.ExpectError("get", std::string(20'000, ' '), 400);
  world.ExpectError("list", R"({"limit":0})", 400);
  world.ExpectError("list", R"({"cursor":"xyz"})", 400);
  world.ExpectError("list", R"({"state":"fired"})", 400);
  world.ExpectError("list", R"({"due_before":"tomorrow"})", 400);
  world.ExpectError("stats", R"({"x":1})", 400);
  world.ExpectError("dead.purge", R"({"rulee":"order-expiration"})", 400);
  world.ExpectError("dead.requeue", R"({"job":"order-expiration/nobody"})", 404);
  world.OrderKnown("a", NowMs() + kFarMs);
  world.ExpectError("dead.requeue", JobBody("a"), 409);
}

TEST(ServiceApi, StatsTellTotalsAndLimits) {
  ApiService world;
  world.service().StartReady();
  world.OrderKnown("a", NowMs() + kFarMs);
  const std::string stats = world.Ask("stats", "").body;
  EXPECT_EQ(Number(stats, "pending"), 1);
  for (const char* name : {"overdue", "lateness_ms", "disk_bytes", "window", "requests"})
    EXPECT_THAT(stats, HasSubstr("\"" + std::string(name) + "\":")) << stats;
}

TEST(ServiceApi, RejectedMessagesAreListedAndPurged) {
  ApiService world;
  world.service().StartReady();
  world.Publish("order:created", "no JSON");
  world.Publish("order:created", R"({"id":"b"})");
  ASSERT_TRUE(world.service().WaitCounter("rejected", 2));
  const std::string list = world.Ask("dead.list", "").body;
  EXPECT_THAT(list, HasSubstr(R"("kind":"rejected")"));
  EXPECT_THAT(list, HasSubstr(R"("stream":"TICKETING","seq":1)"));
  EXPECT_THAT(world.Ask("dead.requeue", "{}").body, HasSubstr(R"("still_rejected":2)"));
  EXPECT_THAT(world.Ask("dead.purge", R"({"dry_run":true})").body,
              HasSubstr(R"("purged":2,"dry_run":true)"));
  EXPECT_THAT(world.Ask("dead.purge", R"({"rule":"order-expiration"})").body,
              HasSubstr(R"("purged":2,"dry_run":false)"));
  EXPECT_THAT(world.Ask("dead.list", "").body, HasSubstr(R"({"entries":[]})"));
}

TEST(ServiceApi, RejectedMessageIsTakenBackOnceItsRuleIsMended) {
  constexpr char kWrong[] = R"(
streams:
  - { name: TICKETING, subjects: ["order:created", "expiration:complete"] }
rules:
  - name: orders
    schedule: { subject: "order:created", key: /wrong, due: /expiresAt }
    publish: { subject: "expiration:complete", body: '{"orderId":${key}}' }
)";
  ApiService world({.config = kWrong});
  world.service().StartReady();
  world.Order("a", NowMs() + 1'000);
  ASSERT_TRUE(world.service().WaitCounter("rejected", 1));
  ASSERT_EQ(world.service().Term(), 0);
  std::string right = kWrong;
  right.replace(right.find("/wrong"), 6, "/id");
  world.service().SetConfig(right);
  world.service().StartReady();
  EXPECT_THAT(world.Ask("dead.requeue", R"({"rule":"orders"})").body,
              HasSubstr(R"("requeued":1)"));
  EXPECT_EQ(world.WaitFired("a").Header("Expirer-Job"), "orders/a");
}

TEST(ServiceApi, DiscoveryAnswersAsAdr32Says) {
  ApiService world;
  world.service().StartReady();
  const auto ask = [&](const std::string& subject) {
    return world.client().Request(subject, "").value_or("");
  };
  EXPECT_THAT(ask("$SRV.PING"), HasSubstr("io.nats.micro.v1.ping_response"));
  const std::string info = ask("$SRV.INFO.expirer");
  EXPECT_THAT(info, HasSubstr("io.nats.micro.v1.info_response"));
  EXPECT_THAT(info, HasSubstr(R"("subject":"expirer.v1.dead.list","queue_group":"q")"));
  (void)world.Ask("get", "nonsense");
  const std::string id_at = R"("id":")";
  const size_t from = info.find(id_at) + id_at.size();
  const std::string id = info.substr(from, info.find('"', from) - from);
  const std::string stats = ask("$SRV.STATS.expirer." + id);
  EXPECT_THAT(stats, HasSubstr("io.nats.micro.v1.stats_response"));
  EXPECT_THAT(stats, HasSubstr(R"("num_requests":1,"num_errors":1,"last_error":"400:)"));
}

// Every reply of a service beside a server that takes little.
class SmallServer : public ApiService {
 public:
  explicit SmallServer(const std::string& max_payload, const std::string& config = "")
      : ApiService({.config = config, .server_config = "max_payload: " + max_payload}) {
    service().StartReady();
  }
  Outcome Run(std::vector<std::string> args) {
    args.insert(args.end(), {"-s", server().url()});
    return RunExpirer(args);
  }
  // The lines that hold `text`.
  static size_t Lines(const std::string& output, std::string_view text) {
    std::istringstream in(output);
    size_t lines = 0;
    for (std::string line; std::getline(in, line);)
      lines += line.find(text) != line.npos ? 1 : 0;
    return lines;
  }
};

TEST(ServiceApi, ListsOf700EntriesAreToldByAServerOf64KB) {
  SmallServer world("64KB");
  world.client().PublishMany("order:created", 700, [](size_t i) {
    return OrderJson("o" + std::to_string(i), NowMs() + kFarMs);
  });
  world.client().PublishMany("order:created", 700, [](size_t i) {
    return OrderJson(std::to_string(i), -1) + " no JSON";
  });
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 700));
  ASSERT_TRUE(world.service().WaitCounter("rejected", 700));
  const Outcome jobs = world.Run({"ls", "--json", "--limit", "0"});
  EXPECT_EQ(jobs.code, 0) << jobs.output;
  EXPECT_EQ(SmallServer::Lines(jobs.output, R"("state":"pending")"), 700u);
  const Outcome dead = world.Run({"dead", "ls", "--json", "--limit", "0"});
  EXPECT_EQ(dead.code, 0) << dead.output;
  EXPECT_EQ(SmallServer::Lines(dead.output, R"("kind":"rejected")"), 700u);
  EXPECT_EQ(Number(world.Ask("stats", "").body, "replies_failed"), 0);
}

TEST(ServiceApi, EveryReplyFitsAServerOf4KB) {
  std::string config = R"(
streams:
  - { name: TICKETING, subjects: ["in.created", "expired.>"] }
rules:
)";
  for (int i = 0; i < 40; ++i)
    config += "  - { name: rule-" + std::to_string(i) +
              R"(, schedule: { subject: "in.created", key: /id, due: /expiresAt },)"
              R"( publish: { subject: "expired.${/to}", body: '{}' } })"
              "\n";
  SmallServer world("4KB", config);
  const auto order = [](const std::string& id, const std::string& to) {
    return R"({"id":")" + id + R"(","to":")" + to + R"(","expiresAt":")" +
           Iso(NowMs() + kFarMs) + "\"}";
  };
  const std::string long_id(500, 'i');
  world.Publish("in.created", order("short", "short"));
  world.Publish("in.created", order("target", std::string(1'000, 't')));
  world.Publish("in.created", order(long_id, "x"));
  world.Publish("in.created", R"({"id":")" + std::string(3'000, 'r') + "\"}");
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 120))
      << world.Ask("dead.list", R"({"limit":1})").body;
  ASSERT_TRUE(world.service().WaitCounter("rejected", 40));

  const Outcome jobs = world.Run({"ls", "--json", "--limit", "0"});
  EXPECT_EQ(SmallServer::Lines(jobs.output, R"("state":"pending")"), 120u) << jobs.output;
  const Outcome dead = world.Run({"dead", "ls", "--json", "--limit", "0"});
  EXPECT_EQ(SmallServer::Lines(dead.output, R"("kind":"rejected")"), 40u) << dead.output;
  for (const std::string& id : {std::string("target"), long_id}) {
    const Outcome got = world.Run({"get", "rule-0/" + id});
    EXPECT_EQ(got.code, 0) << got.output;
    EXPECT_THAT(got.output, HasSubstr("state: pending"));
  }
  const Outcome stats = world.Run({"stats"});
  EXPECT_EQ(stats.code, 0) << stats.output;
  EXPECT_EQ(SmallServer::Lines(stats.output, ".pending: 3"), 40u) << stats.output;
  EXPECT_EQ(world.Run({"get", "rule-0/" + std::string(512, 'u')}).code, 1);
  for (const std::string verb : {"PING", "INFO", "STATS"})
    EXPECT_THAT(world.client().Request("$SRV." + verb + ".expirer", "").value_or(""),
                HasSubstr("io.nats.micro.v1"));
  EXPECT_EQ(Number(world.Ask("stats", "").body, "replies_failed"), 0);
}

TEST(ServiceApi, FloodIsAnswered429AndJobsGoOnFiring) {
  std::string config = R"(
limits: { requests: 1 }
streams:
  - { name: TICKETING, subjects: ["order:created", "expiration:complete"] }
rules:
  - name: order-expiration
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";
  ApiService world({.config = config});
  world.service().StartReady();
  TestClient flood(world.server().url());
  flood.Subscribe("flood.replies");
  TestClient asker(world.server().url());
  for (int i = 0; i < 500; ++i)
    asker.PublishRequest("expirer.v1.get", "flood.replies", JobBody("nobody"));
  world.Order("a", NowMs() + 100);
  (void)world.WaitFired("a");
  int answered = 0;
  int refused = 0;
  while (answered < 500) {
    const auto reply = flood.Next(5'000);
    if (!reply) break;
    ++answered;
    if (reply->Header("Nats-Service-Error-Code") == "429") ++refused;
  }
  EXPECT_EQ(answered, 500);
  EXPECT_GT(refused, 0);
}

// ---- The storm: N jobs come due a millisecond apart, and every second one is
// cancelled through the API while they do.

size_t StormJobs() {
  const char* text = std::getenv("EXPIRER_STORM_JOBS");
  return text != nullptr ? std::strtoul(text, nullptr, 10) : 5'000;
}

class Storm {
 public:
  explicit Storm(ApiService* world) : world_(world) {
    start_ms_ = NowMs() + 3'000;
    const size_t count = StormJobs();
    world_->client().PublishMany("order:created", count, [&](size_t i) {
      return OrderJson(Name(i), start_ms_ + static_cast<int64_t>(i));
    });
    EXPECT_TRUE(world_->service().WaitCounter("scheduled", static_cast<int64_t>(count)));
  }
  static std::string Name(size_t i) { return "s" + std::to_string(i); }

  // Cancels every second job about when it is due, without waiting for the
  // answers; `kills` times in between the process is killed and started anew.
  void CancelWhileDue(size_t kills = 0) {
    const size_t kill_every = StormJobs() / 2 / (kills + 1) + 1;
    TestClient answers(world_->server().url());
    answers.Subscribe("storm.*");
    TestClient asker(world_->server().url());
    const size_t count = StormJobs();
    for (size_t i = 0; i < count; i += 2) {
      while (NowMs() < start_ms_ + static_cast<int64_t>(i) - 2)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (i > 0 && i / 2 % kill_every == 0) {
        world_->service().Kill9();
        world_->service().StartReady();
      }
      asker.PublishRequest("expirer.v1.cancel", "storm." + std::to_string(i),
                           JobBody(Name(i)));
    }
    while (outcome_.size() < (count + 1) / 2) {
      const auto answer = answers.Next(5'000);
      if (!answer) break;  // those under way at the kill have none
      const size_t i = std::strtoul(answer->subject.c_str() + 6, nullptr, 10);
      outcome_[i] = answer->payload.find("\"cancelled\"") != std::string::npos  ? 'c'
                    : answer->payload.find("\"too_late\"") != std::string::npos ? 'l'
                                                                                : '-';
    }
  }

  // `exact`: an attempt that a process began is an attempt that it ends.
  void Check(bool exact) {
    // Without these all must have come before another order has.
    world_->WaitForAnotherOrder();
    std::map<std::string, size_t> fired;
    for (const StoredMessage& message : world_->Stored("expiration:complete"))
      ++fired[message.Header("Expirer-Job")];
    size_t cancelled = 0;
    size_t late = 0;
    for (size_t i = 0; i < StormJobs(); ++i) {
      const size_t times = fired["order-expiration/" + Name(i)];
      const char outcome = outcome_.contains(i) ? outcome_[i] : '-';
      cancelled += outcome == 'c' ? 1 : 0;
      late += outcome == 'l' ? 1 : 0;
      const size_t most = outcome == 'c' ? 0 : 1;
      const bool must = i % 2 == 1 || (outcome == 'l' && exact);
      // One that was not answered, or 429, says nothing.
      EXPECT_LE(times, most) << Name(i) << " was answered " << outcome;
      EXPECT_GE(times, must ? 1u : 0u) << Name(i) << " was answered " << outcome;
    }
    std::printf("storm: %zu cancelled, %zu too late\n", cancelled, late);
    if (exact) {
      EXPECT_EQ(outcome_.size(), (StormJobs() + 1) / 2) << "each is answered";
    }
    EXPECT_GT(cancelled, 0u);
    EXPECT_GT(late, 0u);
  }

 private:
  ApiService* const world_;
  int64_t start_ms_ = 0;
  std::map<size_t, char> outcome_;
};

TEST(ServiceApi, CancelStormKeepsEveryAnswer) {
  ApiService world;
  world.service().StartReady();
  Storm storm(&world);
  storm.CancelWhileDue();
  storm.Check(/*exact=*/true);
}

TEST(ServiceApi, CancelStormKeepsEveryAnswerAcrossKills) {
  ApiService world;
  world.service().StartReady();
  Storm storm(&world);
  storm.CancelWhileDue(/*kills=*/StormJobs() / 20'000 + 1);
  storm.Check(/*exact=*/false);
}

}  // namespace
}  // namespace expirer::test
