// The log: it holds up nothing, and what comes by the thousand is told in few lines.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

// `bad` has a target that no stream takes.
constexpr char kOneBadTarget[] = R"(
rules:
  - name: bad
    schedule: { subject: bad.created, key: /id, due: /expiresAt }
    publish: { subject: nobody.takes }
  - name: good
    schedule: { subject: good.created, key: /id, due: /expiresAt }
    publish: { subject: done.good, body: '{"good":${/id}}' }
)";

size_t LinesWith(const std::string& text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

class ServiceLog : public ::testing::Test {
 protected:
  ServiceLog() : world_({.config = kOneBadTarget}) {
    world_.client().CreateStream("EVENTS", {"bad.*", "good.*"});
    world_.client().CreateStream("DONE", {"done.>"});
  }
  void Bad(size_t count) {
    const int64_t now_ms = NowMs();
    world_.client().PublishMany("bad.created", count, [&](size_t i) {
      return OrderJson("b" + std::to_string(i), now_ms);
    });
  }
  World world_;
};

TEST_F(ServiceLog, WithALogThatNobodyReadsItStartsFiresAndEnds) {
  const std::string path = world_.service().log_path();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int pipe = open(path.c_str(), O_RDWR | O_NONBLOCK);
  ASSERT_GE(pipe, 0);
  while (write(pipe, "x", 1) == 1) {
  }
  world_.service().Start();
  ASSERT_TRUE(world_.service().WaitReady());
  Bad(2'000);
  world_.Publish("good.created", OrderJson("g", NowMs()));
  EXPECT_TRUE(world_.WaitStored("done.good", 1, "DONE"));
  EXPECT_TRUE(world_.service().WaitCounter("retries", 2'000));
  EXPECT_EQ(world_.service().Term(), 0);
  close(pipe);
}

TEST_F(ServiceLog, ThousandsOfFailedPublishesAreAFewLinesWithTheirCount) {
  world_.service().StartReady();
  Bad(3'000);
  ASSERT_TRUE(world_.service().WaitCounter("retries", 3'000));
  ASSERT_EQ(world_.service().Term(), 0);
  const std::string log = world_.service().Log();
  const size_t told = LinesWith(log, "an attempt failed: to be retried");
  EXPECT_GE(told, 2u) << log;   // at once, and what was owed at the end
  EXPECT_LE(told, 20u) << log;  // one a minute
  EXPECT_NE(log.find("rule=bad reason=no_stream"), std::string::npos) << log;
  EXPECT_NE(log.find(" more="), std::string::npos) << log;
}

TEST_F(ServiceLog, TwentyThousandRejectedEventsLeaveATraceOfAFewLines) {
  world_.service().StartReady();
  world_.client().PublishMany("bad.created", 20'000, [](size_t) { return "{]"; });
  ASSERT_TRUE(world_.service().WaitCounter("rejected", 20'000));
  ASSERT_EQ(world_.service().Term(), 0);
  const std::string log = world_.service().Log();
  const size_t told = LinesWith(log, "an event was rejected");
  EXPECT_GE(told, 2u) << log;
  EXPECT_LE(told, 20u) << log;
  EXPECT_NE(log.find("rule=bad reason=not_json stream=EVENTS sequence="),
            std::string::npos)
      << log;
}

}  // namespace
}  // namespace expirer::test
