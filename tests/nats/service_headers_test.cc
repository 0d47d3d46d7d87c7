// Headers between a real server's streams and the service, and messages that only
// a server makes.
#include <gmock/gmock.h>

#include "nats/service_world.h"
#include "support/raw_publish.h"

namespace expirer::test {
namespace {

using testing::HasSubstr;

std::string Config(const std::string& more) {
  return R"(
streams: [{ name: ALL, subjects: ["in.*", "off.*", "out"] }]
rules:
  - name: later
    schedule: { subject: "in.*", key: "subject:2", delay: 100ms }
    cancel: { subject: "off.*", key: "subject:2", match: { "header:Keep": null } }
    publish: { subject: "out" }
)" + more;
}

void PublishHeaders(World* world, const std::string& subject, const std::string& lines) {
  PublishRaw(world->server().port(), subject, "NATS/1.0\r\n" + lines + "\r\n", "body");
}

std::vector<StoredMessage> Fired(World* world) {
  std::vector<StoredMessage> fired = world->client().ReadStream("ALL");
  std::erase_if(fired, [](const StoredMessage& one) { return one.subject != "out"; });
  return fired;
}

TEST(ServiceHeaders, AnEventWhoseLastHeaderIsEmptyKeepsAllOfThem) {
  World world({.config = Config("")});
  world.service().StartReady();
  PublishHeaders(&world, "in.a", "z: 1\r\nbaggage: \r\n");
  ASSERT_TRUE(world.service().WaitCounter("fired", 1));
  const std::string block =
      StoredBlock(world.client(), "ALL", world.client().StreamLastSeq("ALL"));
  EXPECT_TRUE(block.starts_with("NATS/1.0\r\nNats-Msg-Id: ")) << block;
  // A stream that had just been made may be found at the second attempt only.
  EXPECT_THAT(block, HasSubstr("\r\nExpirer-Attempt: "));
  EXPECT_TRUE(block.ends_with("\r\nz: 1\r\nbaggage: \r\n\r\n")) << block;
  EXPECT_EQ(world.service().Status("rejected", "counters"), 0);
}

// Over JetStream and over core NATS.
TEST(ServiceHeaders, AnEventWhoseHeadersCannotBeReadIsKeptAndTold) {
  for (const char* source : {"    source: jetstream\n", "    source: core\n"}) {
    World world({.config = Config(source)});
    world.service().StartReady();
    TestClient announced(world.server().url());
    announced.Subscribe("expirer.v1.rejected.later");
    PublishHeaders(&world, "in.a", "no colon\r\n");
    PublishHeaders(&world, "off.b", "Keep\r\n");
    for (const char* line : {"no colon", "Keep"}) {
      const auto one = announced.Next(kLongMs);
      ASSERT_TRUE(one.has_value()) << source << line;
      EXPECT_THAT(one->payload, HasSubstr("the headers cannot be read: line 2, \\\"" +
                                          std::string(line) + "\\\", has no colon"));
    }
    PublishHeaders(&world, "in.c", "Keep:\r\n");
    EXPECT_TRUE(world.service().WaitCounter("fired", 1)) << source;
    EXPECT_EQ(world.service().Status("scheduled", "counters"), 1) << source;
    EXPECT_EQ(world.service().Status("rejected", "rules"), 2) << source;
  }
}

TEST(ServiceHeaders, ASecondCopyIsADuplicateWhateverHeadersTheEventBrought) {
  World world({.config = Config("")});
  world.service().StartReady();
  PublishHeaders(&world, "in.a",
                 "X-Source: see Nats-Msg-Id\r\nMirror-Nats-Msg-Id: 1\r\n"
                 "A: Nats-Msg-Id: x\r\nNats-Msg-Id-Of: y\r\n");
  ASSERT_TRUE(world.service().WaitCounter("fired", 1));
  const std::vector<StoredMessage> fired = Fired(&world);
  ASSERT_EQ(fired.size(), 1U);
  EXPECT_EQ(fired[0].Header("X-Source"), "see Nats-Msg-Id");
  EXPECT_EQ(fired[0].Header("Mirror-Nats-Msg-Id"), "1");
  const std::string id = fired[0].Header("Nats-Msg-Id");
  EXPECT_EQ(world.client().Publish("out", "copy", {{"Nats-Msg-Id", id}}), fired[0].seq);
  EXPECT_EQ(Fired(&world).size(), 1U);
}

TEST(ServiceHeaders, AMarkerThatTheServerMadeIsNoEvent) {
  World world({.config = R"(
rules:
  - name: offline
    schedule: { subject: "device.*", key: "subject:2", delay: 1h }
    publish: { subject: "alarm", via: core }
  - name: gone
    schedule: { subject: "device.*", key: "subject:2", match: { "header:Nats-Marker-Reason": MaxAge } }
    publish: { subject: "gone", via: core }
)"});
  world.client().CreateStream(
      "DEVICES", {"device.*"},
      R"("max_age":1000000000,"allow_msg_ttl":true,"subject_delete_marker_ttl":60000000000)");
  if (world.client().Api("STREAM.INFO.DEVICES").find("subject_delete_marker_ttl") ==
      std::string::npos)
    GTEST_SKIP() << "this nats-server makes no markers (2.11 and newer do)";
  world.service().StartReady();
  TestClient gone(world.server().url());
  gone.Subscribe("gone");
  world.Publish("device.pump", "no JSON");
  ASSERT_TRUE(gone.Next(kLongMs).has_value()) << "the rule that asks for markers";
  ASSERT_TRUE(world.service().WaitCounter("markers", 1));
  EXPECT_EQ(world.service().Status("scheduled", "counters"), 2);
  EXPECT_EQ(world.service().Status("moved", "counters"), 0);
  EXPECT_EQ(world.service().Status("rejected", "counters"), 0);
}

}  // namespace
}  // namespace expirer::test
