// `expirer record` beside a real server: what it writes, where it ends, how it
// goes on, and that a replay of it is what the live service did.

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <sstream>

#include <gmock/gmock.h>

#include "base/rfc3339.h"
#include "nats/service_world.h"
#include "replay/files.h"
#include "support/proxy.h"

namespace expirer::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Record : public testing::Test {
 protected:
  Record() {
    client_.CreateStream("ORDERS", {"order.>"});
    client_.CreateStream("PAYMENTS", {"payment.>"});
  }

  // `expirer record`, to the server of the test unless another is named.
  Outcome Run(std::vector<std::string> args, const std::string& url = "") {
    args.insert(args.begin(), "record");
    args.insert(args.end(), {"-s", url.empty() ? server_.url() : url});
    return RunExpirer(args);
  }
  [[nodiscard]] std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  [[nodiscard]] std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
      names.push_back(entry.path().filename());
    return names;
  }
  void ExpectNoConsumer(const std::string& stream) {
    EXPECT_THAT(client_.Api("CONSUMER.NAMES." + stream), HasSubstr("\"total\":0"));
  }
  // What both streams hold, by time.
  std::vector<std::pair<std::string, StoredMessage>> Stored() {
    std::vector<std::pair<std::string, StoredMessage>> all;
    for (const std::string stream : {"ORDERS", "PAYMENTS"})
      for (StoredMessage& one : client_.ReadStream(stream)) all.emplace_back(stream, one);
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.second.time_ns < b.second.time_ns;
    });
    return all;
  }
  void ExpectTheRest(Proxy* link, const std::function<Outcome()>& broken,
                     const std::string& says);
  // Three of each, in turn.
  void PublishSome() {
    for (const char* id : {"1", "2", "3"}) {
      const std::string json = R"({"id":")" + std::string(id) + "\"}";
      client_.Publish("order.created", json);
      client_.Publish("payment.created", json);
    }
  }

  NatsServer server_;
  TestClient client_{server_.url()};
  const TempDir dir_;
};

// The value of a line of the summary.
std::string Told(const Outcome& run, const std::string& name) {
  std::istringstream lines(run.output);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(name + " ", 0) == 0) return line.substr(line.find_last_of(' ') + 1);
  return "";
}

std::multimap<std::string, std::string> HeaderMap(const Headers& headers) {
  return {headers.begin(), headers.end()};
}

TEST_F(Record, StreamsAreMergedByTimeWithAllThatTheirMessagesHave) {
  PublishSome();
  client_.Publish("order.bytes", std::string("\0\xff\xfe\n", 4),
                  {{"tag", "a"}, {"tag", "b"}, {"Nats-Msg-Id", "m1"}, {"raw", "\xff"}});
  client_.Publish("payment.text", "two\nlines", {{"traceparent", "00-1"}});
  client_.Publish("order.empty", "");
  const Outcome run = Run({"--stream", "ORDERS,PAYMENTS", "--out", Path("trace")});
  EXPECT_EQ(run.code, 0) << run.output;
  const std::vector<TraceLine> trace = ReadTrace(Path("trace"));
  const auto stored = Stored();
  ASSERT_EQ(trace.size(), 9u);
  for (size_t i = 0; i < trace.size(); ++i) {
    const auto& [stream, message] = stored[i];
    EXPECT_EQ(trace[i].stream, stream);
    EXPECT_EQ(trace[i].seq, message.seq);
    EXPECT_EQ(trace[i].at_ns, message.time_ns);
    EXPECT_EQ(trace[i].subject, message.subject);
    EXPECT_EQ(trace[i].payload, message.payload);
    EXPECT_EQ(HeaderMap(trace[i].headers), message.headers);
  }
  EXPECT_EQ(run.output,
            "messages  9\nfirst     " + FormatRfc3339Ns(stored.front().second.time_ns) +
                "\nlast      " + FormatRfc3339Ns(stored.back().second.time_ns) +
                "\nnext      " + FormatRfc3339Ns(stored.back().second.time_ns + 1) +
                "\n");
  EXPECT_EQ(Files().size(), 1u);
  ExpectNoConsumer("ORDERS");
  ExpectNoConsumer("PAYMENTS");
  const Outcome replay = RunExpirer({"replay", "--trace", Path("trace")});
  EXPECT_EQ(replay.code, 0) << replay.output;
  EXPECT_THAT(replay.output, HasSubstr("ignored   9"));
  const Outcome printed = Run({"--stream", "ORDERS", "--stream", "PAYMENTS"});
  EXPECT_THAT(printed.output, StartsWith(ReadWhole(Path("trace"))));
}

TEST_F(Record, WhatNoLineCanTellIsLeftOutAndTold) {
  client_.Publish("order.a", "{}");
  client_.Publish("order.\xff", "{}");
  client_.Publish("order.b", "{}", {{"\xff", "1"}});
  client_.Publish("order.c", "{}", {{"c", "\xff"}});
  const Outcome run = Run({"--stream", "ORDERS", "--out", Path("trace")});
  EXPECT_EQ(run.code, 0);
  EXPECT_THAT(run.output,
              StartsWith("ORDERS 2 is left out: its subject is no UTF-8\n"
                         "ORDERS 3 is left out: the name of a header is no UTF-8\n"
                         "messages  2\n"));
  EXPECT_EQ(ReadTrace(Path("trace")).size(), 2u);
}

TEST_F(Record, BothEndsBelongToItAndNextGoesOn) {
  PublishSome();
  const auto stored = Stored();
  const auto at = [&stored](size_t i) {
    return FormatRfc3339Ns(stored[i].second.time_ns);
  };
  const std::vector<std::string> both = {"--stream", "ORDERS", "PAYMENTS"};
  const auto record = [&](std::vector<std::string> more, const std::string& name) {
    more.insert(more.begin(), both.begin(), both.end());
    more.insert(more.end(), {"--out", Path(name)});
    return Run(more);
  };
  const Outcome first = record({"--until", at(2)}, "first");
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_EQ(ReadTrace(Path("first")).size(), 3u);
  const Outcome second = record({"--since", Told(first, "next")}, "second");
  EXPECT_EQ(ReadTrace(Path("second")).size(), 3u) << second.output;
  PublishSome();
  const Outcome third = record({"--since", Told(second, "next")}, "third");
  EXPECT_EQ(ReadTrace(Path("third")).size(), 6u) << third.output;
  EXPECT_EQ(record({}, "whole").code, 0);
  EXPECT_EQ(
      ReadWhole(Path("whole")),
      ReadWhole(Path("first")) + ReadWhole(Path("second")) + ReadWhole(Path("third")));
  EXPECT_EQ(Told(record({"--since", Told(third, "next")}, "none"), "messages"), "0");
  EXPECT_EQ(ReadWhole(Path("none")), "");
  EXPECT_EQ(Told(record({"--since", at(1), "--until", at(1)}, "one"), "messages"), "1");
}

TEST_F(Record, ASubjectIsFilteredAlsoWhereItIsWiderThanAStreams) {
  client_.CreateStream("ONE", {"one.a", "one.b"});
  for (const char* subject : {"one.a", "one.b", "order.a", "order.b.c"})
    client_.Publish(subject, "{}");
  const auto count = [this](const std::string& subject) {
    return Told(
        Run({"--stream", "ONE,ORDERS", "--subject", subject, "--out", Path("trace")}),
        "messages");
  };
  EXPECT_EQ(count("*.a"), "2");
  EXPECT_EQ(count("one.*"), "2");
  EXPECT_EQ(count("one.b"), "1");
  EXPECT_EQ(count("order.>"), "2");
  EXPECT_EQ(count(">"), "4");
  client_.CreateStream("COPY", {"copy.>"}, R"("sources":[{"name":"ONE"}])");
  ASSERT_TRUE(WaitFor([this] { return client_.StreamMessages("COPY") == 2; }));
  EXPECT_EQ(Told(Run({"--stream", "COPY", "--subject", "one.a"}), "messages"), "1");
  const Outcome none = Run({"--stream", "ONE,ORDERS", "--subject", "three.a"});
  EXPECT_EQ(none.code, 1);
  EXPECT_EQ(none.output, "no subject of ONE, ORDERS is matched by three.a\n");
}

// What a recording of ORDERS through `link` leaves when it is broken off in the
// middle: `broken` runs it. What it names gets the rest.
void Record::ExpectTheRest(Proxy* link, const std::function<Outcome()>& broken,
                           const std::string& says) {
  client_.PublishMany("order.created", 4'000, [](size_t i) {
    return "{\"id\":\"" + std::to_string(i) + "\",\"x\":\"" + std::string(1'000, 'x') +
           "\"}";
  });
  link->CutAfter(2 << 20);
  const Outcome cut = broken();
  EXPECT_EQ(cut.code, 1);
  const std::string part = Path("trace.part");
  EXPECT_THAT(cut.output, StartsWith(says));
  EXPECT_THAT(cut.output, HasSubstr("; " + part + " has everything before "));
  EXPECT_EQ(std::count(cut.output.begin(), cut.output.end(), '\n'), 1) << cut.output;
  EXPECT_EQ(Files(), std::vector<std::string>{"trace.part"});
  const std::string flag = "--since ";
  const size_t since = cut.output.find(flag) + flag.size();
  const std::string at = cut.output.substr(since, cut.output.find(' ', since) - since);
  EXPECT_EQ(Run({"--stream", "ORDERS", "--since", at, "--out", Path("rest")}).code, 0);
  EXPECT_EQ(Run({"--stream", "ORDERS", "--out", Path("whole")}).code, 0);
  EXPECT_GT(ReadTrace(part).size(), 500u);
  EXPECT_EQ(ReadTrace(Path("whole")).size(), 4'000u);
  EXPECT_EQ(ReadWhole(part) + ReadWhole(Path("rest")), ReadWhole(Path("whole")));
}

TEST_F(Record, ALostConnectionKeepsWhatIsWholeAndSinceGetsTheRest) {
  Proxy link(server_.port());
  const auto broken = [&] {
    return Run({"--stream", "ORDERS", "--out", Path("trace"), "--timeout", "2s"},
               link.url());
  };
  ExpectTheRest(
      &link, broken,
      "stream ORDERS: the connection was lost, and reading did not go on within "
      "12s: ");
}

// The link is cut, so that it waits in the middle.
TEST_F(Record, CtrlCKeepsWhatIsWholeAndSinceGetsTheRest) {
  Proxy link(server_.port());
  const auto broken = [&] {
    return RunExpirer({"record", "--stream", "ORDERS", "--out", Path("trace"),
                       "--timeout", "60s", "-s", link.url()},
                      {}, 60'000, [&link](int pid) {
                        EXPECT_TRUE(WaitFor([&link] { return link.cut(); }));
                        kill(pid, SIGINT);
                      });
  };
  ExpectTheRest(&link, broken, "stopped; ");
}

// By a server that takes connections and says nothing.
TEST_F(Record, CtrlCEndsTheFirstConnect) {
  const int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  ASSERT_EQ(bind(silent, address, size), 0);
  ASSERT_EQ(listen(silent, 8), 0);
  ASSERT_EQ(getsockname(silent, address, &size), 0);
  const Outcome run =
      RunExpirer({"record", "--stream", "ORDERS", "--out", Path("trace"), "--timeout",
                  "1000s", "-s", "127.0.0.1:" + std::to_string(ntohs(at.sin_port))},
                 {}, 60'000, [silent](int pid) {
                   const int taken = accept(silent, nullptr, nullptr);
                   kill(pid, SIGINT);
                   close(taken);
                 });
  close(silent);
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.output, "stopped\n");
  EXPECT_TRUE(Files().empty());
}

TEST_F(Record, OnlyStreamsThatKeepTheirPastAreRead) {
  client_.CreateStream("QUEUE", {"queue.>"}, "\"retention\":\"workqueue\"");
  client_.CreateStream("INTEREST", {"interest.>"}, "\"retention\":\"interest\"");
  client_.Publish("queue.a", "{}");
  for (const std::string stream : {"QUEUE", "INTEREST"}) {
    const Outcome run = Run({"--stream", stream, "--out", Path("trace")});
    EXPECT_EQ(run.code, 1);
    EXPECT_THAT(run.output, HasSubstr("stream " + stream + " has "));
    EXPECT_THAT(run.output, HasSubstr("holds only messages that are not acked yet"));
    ExpectNoConsumer(stream);
  }
  EXPECT_TRUE(Files().empty());
}

TEST_F(Record, WhatIsWrongIsToldInOneSentence) {
  PublishSome();
  struct Wrong {
    std::vector<std::string> args;
    int code;
    std::string says;
  };
  const std::vector<Wrong> kWrong = {
      {{"--stream", "ORDER"}, 1, "there is no stream ORDER; there are: ORDERS, PAYMENTS"},
      {{"--stream", "ORDERS", "--out", Path("no/such")},
       1,
       Path("no/such") + ": cannot be written: No such file or directory"},
      {{"--stream", "order.>"}, 2, "--stream order.>: no stream can have this name"},
      {{"--stream", "ORDERS,ORDERS"}, 2, "--stream ORDERS: it is there twice"},
      {{"--stream", "ORDERS", "--since", "yesterday"},
       2,
       "--since yesterday: it is too short for a date and a time with an offset"},
      {{"--stream", "ORDERS", "--until", "2027-02-30T00:00:00Z"},
       2,
       "--until 2027-02-30T00:00:00Z: there is no such day"},
      {{"--stream", "ORDERS", "--since", "2027-02-01T10:00:00.000000001Z", "--until",
        "2027-02-01T10:00:00Z"},
       2,
       "--since 2027-02-01T10:00:00.000000001Z is after --until 2027-02-01T10:00:00Z"},
      {{"--stream", "ORDERS", "--subject", "a..b"},
       2,
       "--subject a..b: expected no empty token (two dots together, or one at an end)"},
      {{"--stream", "ORDERS", "--timeout", "0"},
       2,
       "--timeout: expected a duration such as 5s"},
  };
  for (const Wrong& wrong : kWrong) {
    const Outcome run = Run(wrong.args);
    EXPECT_EQ(run.code, wrong.code) << wrong.says;
    EXPECT_EQ(run.output, wrong.says + "\n");
  }
  EXPECT_EQ(Run({}).code, 2) << "without a stream";
  EXPECT_EQ(Run({"--help"}).code, 0);
  const Outcome nowhere =
      Run({"--stream", "ORDERS", "--timeout", "300ms"}, "nats://127.0.0.1:1");
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.output, StartsWith("no connection to NATS at "));
  const Outcome ahead = Run(
      {"--stream", "ORDERS", "--until", "2200-01-01T00:00:00Z", "--out", Path("trace")});
  EXPECT_EQ(ahead.code, 0);
  EXPECT_THAT(ahead.output, StartsWith("--until is in the future: recorded only the "
                                       "messages up to now\nmessages  3\n"));
}

// The lines of SECURITY.md for `record`.
TEST(RecordPermissions, ThoseDocumentedAreEnoughAndOneThatIsMissingIsNamed) {
  const std::string security = ReadWhole("SECURITY.md");
  std::string allowed;
  for (const std::string subject :
       {"$JS.API.STREAM.INFO.TICKETING", "$JS.API.CONSUMER.CREATE.TICKETING.*",
        "$JS.API.CONSUMER.MSG.NEXT.TICKETING.*", "$JS.API.CONSUMER.DELETE.TICKETING.*"}) {
    EXPECT_THAT(security, HasSubstr("`" + subject + "`"));
    allowed += "\"" + subject + "\"\n";
  }
  const auto user = [](const std::string& name, const std::string& publish) {
    return "{ user: " + name + ", password: p, permissions: { publish: { allow: [" +
           publish + "] }, subscribe: { allow: [\"_INBOX.>\"] } } }\n";
  };
  NatsServer server(
      {.config = "authorization { users = [ { user: admin, password: p }\n" +
                 user("good", allowed) +
                 user("bad", allowed.substr(0, allowed.find('\n'))) + "] }"});
  TestClient client(server.url(), "admin", "p");
  client.CreateStream("TICKETING", {"order:created"});
  client.Publish("order:created", "{}");
  const auto record = [&server](const std::string& name) {
    return RunExpirer({"record", "--stream", "TICKETING", "--subject", "order:created",
                       "--user", name, "--password", "p", "--timeout", "3s", "-s",
                       server.url()});
  };
  const Outcome good = record("good");
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_THAT(good.output, HasSubstr("messages  1\n"));
  EXPECT_THAT(client.Api("CONSUMER.NAMES.TICKETING"), HasSubstr("\"total\":0"));
  const Outcome bad = record("bad");
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.output,
              HasSubstr("Permissions Violation for Publish to "
                        "\"$JS.API.CONSUMER.CREATE.TICKETING.expirer-record-"));
}

// What fired: subject and payload by Nats-Msg-Id.
using Fires = std::map<std::string, std::pair<std::string, std::string>>;

Fires LiveFires(World* world) {
  Fires fires;
  for (const StoredMessage& one : world->Stored("expiration:complete"))
    EXPECT_TRUE(
        fires.emplace(one.Header("Nats-Msg-Id"), std::pair(one.subject, one.payload))
            .second);
  return fires;
}

Fires ReplayedFires(const std::string& trace, const std::string& out) {
  const Outcome run = RunExpirer({"replay", "--trace", trace, "--out", out});
  EXPECT_EQ(run.code, 0) << run.output;
  Fires fires;
  for (const TraceFire& one : ReadFires(out)) {
    const auto id =
        std::find_if(one.headers.begin(), one.headers.end(),
                     [](const auto& header) { return header.first == "Nats-Msg-Id"; });
    EXPECT_NE(id, one.headers.end());
    EXPECT_TRUE(fires.emplace(id->second, std::pair(one.subject, one.payload)).second);
  }
  return fires;
}

// Copies a trace with these further lines, where their times belong.
void CopyWith(const std::string& from, std::multimap<int64_t, std::string> lines,
              const std::string& to) {
  std::istringstream text(ReadWhole(from));
  std::multimap<int64_t, std::string> all;
  for (std::string line; std::getline(text, line);)
    all.emplace(ParsedTraceLine(line).at_ns, line);
  all.merge(lines);
  std::ofstream out(to, std::ios::binary);
  for (const auto& [at_ns, line] : all) out << line << "\n";
}

std::pair<int64_t, std::string> Do(int64_t at_ms, const std::string& what) {
  return {at_ms * 1'000'000, R"({"at":")" + Iso(at_ms) + R"(","do":")" + what + R"("})"};
}

struct Outage {
  int64_t down_ms = 0;
  int64_t up_ms = 0;
  int64_t due_ms = 0;
};

// Orders of an evening, with an expirer that goes away before they are due,
// `margin_ms` from their creation, and comes back after it. Nothing where the
// machine was too slow for that.
std::optional<Outage> LiveThroughAnOutage(World* world, int64_t margin_ms) {
  world->service().StartReady();
  world->Order("before", NowMs() + 200);
  (void)world->WaitFired("before");
  const int64_t due_ms = NowMs() + margin_ms;
  for (const char* id : {"late", "paid-in-time", "paid-late", "cancelled"})
    world->Order(id, due_ms);
  world->Cancel("cancelled");
  world->Publish("order:created", "no JSON");
  EXPECT_TRUE(world->service().WaitCounter("scheduled", 5));
  EXPECT_TRUE(world->service().WaitCounter("cancelled", 1));
  const int64_t down_ms = NowMs();
  world->service().Kill9();
  world->Pay("paid-in-time");
  world->Cancel("cancelled-first");
  world->Order("cancelled-first", due_ms);
  world->Order("made-and-due", NowMs() + 100);
  world->Order("made", due_ms + 2'000);
  world->Order("before", due_ms);  // is closed
  if (NowMs() >= due_ms) return {};
  EXPECT_TRUE(WaitFor([&] { return NowMs() > due_ms + 100; }));
  world->Pay("paid-late");  // overdue, and still wins: nothing fired meanwhile
  const int64_t up_ms = NowMs() + 1;
  EXPECT_TRUE(WaitFor([&] { return NowMs() > up_ms; }));
  world->service().StartReady();
  (void)world->WaitFired("late");
  (void)world->WaitFired("made");
  world->Order("after", NowMs() + 200);
  (void)world->WaitFired("after");
  world->WaitForAnotherOrder();
  return Outage{down_ms, up_ms, due_ms};
}

TEST(RecordAndReplay, AnEveningWithAnOutageFiresWhatTheLiveServiceFired) {
  std::optional<World> world;
  std::optional<Outage> outage;
  for (int64_t margin_ms = 5'000; !outage && margin_ms <= 20'000; margin_ms *= 4)
    outage = LiveThroughAnOutage(&world.emplace(), margin_ms);
  ASSERT_TRUE(outage) << "too slow a machine to tell";
  const Fires live = LiveFires(&*world);
  EXPECT_EQ(live.size(), 6u);  // before, late, made-and-due, made, after, another

  const TempDir dir;
  const std::string trace = dir.path() + "/trace";
  const Outcome recorded = RunExpirer(
      {"record", "--stream", "TICKETING", "--out", trace, "-s", world->server().url()});
  ASSERT_EQ(recorded.code, 0) << recorded.output;
  const std::string marked = trace + ".marked";
  CopyWith(trace, {Do(outage->down_ms, "nats-down"), Do(outage->up_ms, "nats-up")},
           marked);
  EXPECT_EQ(ReplayedFires(marked, trace + ".fires"), live);

  // The streams do not tell that expirer was away: without the two lines it was
  // there when `paid-late` fell due.
  Fires unmarked = ReplayedFires(trace, trace + ".fires");
  EXPECT_EQ(std::erase_if(unmarked,
                          [](const auto& fire) {
                            return fire.first.find("/paid-late/") != std::string::npos;
                          }),
            1u);
  EXPECT_EQ(unmarked, live);
}

}  // namespace
}  // namespace expirer::test
