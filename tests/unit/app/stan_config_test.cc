// Rules over NATS Streaming: what a config may say of them.
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "app/config.h"
#include "net/stan.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A config with one rule; `more` are lines of it.
std::string Text(const std::string& more) {
  return "rules:\n  - name: r\n    source: stan\n" + more;
}

constexpr char kSchedule[] = "    schedule: { subject: in, key: /id, due: /at }\n";
constexpr char kPublish[] = "    publish: { subject: out, via: stan }\n";

std::vector<std::string> Errors(const std::string& text) {
  return ParseConfig(text, "f").errors;
}

TEST(StanConfig, IsRefusedWithOneSentenceWhereItIsNotCompiledIn) {
  if (StanCompiledIn()) GTEST_SKIP() << "it is";
  EXPECT_THAT(Errors(Text(std::string(kSchedule) + "    publish: { subject: out }\n")),
              ElementsAre(HasSubstr("built without NATS Streaming (see `expirer "
                                    "version`); expected jetstream or core")));
  EXPECT_THAT(Errors(std::string("rules:\n  - name: r\n") + kSchedule + kPublish),
              ElementsAre(HasSubstr("built without NATS Streaming")));
}

class StanRules : public testing::Test {
 protected:
  void SetUp() override {
    if (!StanCompiledIn()) GTEST_SKIP() << "built without NATS Streaming";
  }
};

TEST_F(StanRules, ReadAndPublishOverIt) {
  const ConfigResult result = ParseConfig(
      "nats: { stan: { cluster: c, client: me } }\n" +
          Text(std::string("    durable: d\n") + kSchedule +
               "    cancel: { subject: stop, key: /id, late: { subject: back } }\n" +
               kPublish),
      "f");
  ASSERT_THAT(result.errors, IsEmpty());
  EXPECT_EQ(result.config.stan.cluster, "c");
  EXPECT_EQ(result.config.stan.client, "me");
  const Rule& rule = result.config.rules[0];
  EXPECT_EQ(rule.source, Transport::kStan);
  EXPECT_EQ(rule.durable, "d");
  EXPECT_EQ(rule.publish[0].via, Transport::kStan);
  EXPECT_EQ(rule.cancel[0].late->via, Transport::kStan) << "where the fires go";
  EXPECT_TRUE(UsesStan(result.config.rules));
  EXPECT_FALSE(UsesStan(DefaultConfig().rules));
}

TEST_F(StanRules, MayMixTheTransports) {
  EXPECT_THAT(Errors(Text(std::string(kSchedule) +
                          "    publish:\n"
                          "      - { name: old, subject: out, via: stan }\n"
                          "      - { name: new, subject: out }\n")),
              IsEmpty());
}

TEST_F(StanRules, ChannelsHaveExactNames) {
  for (const char* const subject : {"in.*", "in.>", "in/a"}) {
    EXPECT_THAT(Errors(Text(std::string("    schedule: { subject: '") + subject +
                            "', key: /id, due: /at }\n" + kPublish)),
                ElementsAre(HasSubstr("a channel of NATS Streaming has an exact name")))
        << subject;
  }
}

TEST_F(StanRules, NothingComesOutOfHeadersOrGoesIntoThem) {
  const std::string none = "NATS Streaming carries no headers";
  EXPECT_THAT(Errors(Text(std::string("    schedule: { subject: in, key: 'header:Id', "
                                      "due: 'header:At', match: { 'header:X': a } }\n") +
                          kPublish)),
              SizeIs(3));
  EXPECT_THAT(
      Errors(Text(std::string(kSchedule) +
                  "    publish: { subject: out, via: stan, headers: { A: b } }\n")),
      ElementsAre(HasSubstr(none)));
}

TEST_F(StanRules, OneDurableIsOneRules) {
  const std::string rules = Text(std::string("    durable: d\n") + kSchedule + kPublish);
  EXPECT_THAT(Errors(rules + "  - name: other\n    source: stan\n    durable: d\n" +
                     kSchedule + kPublish),
              ElementsAre(HasSubstr("rules[0] has this one")));
  EXPECT_THAT(Errors(std::string("rules:\n  - name: r\n    durable: d\n") + kSchedule +
                     "    publish: { subject: out }\n"),
              ElementsAre(HasSubstr("it applies only to source: stan")));
}

TEST_F(StanRules, ARenamedRuleKeepsItsDurable) {
  EXPECT_THAT(Errors(Text(std::string("    was: old\n") + kSchedule + kPublish)),
              ElementsAre(HasSubstr("expected `durable` with the old name")));
}

TEST_F(StanRules, TheBuiltInOneTakesTheAppsPlace) {
  ConfigResult result = ParseConfig(StanConfigText(), "f");
  ASSERT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty());
  const Rule& rule = result.config.rules.at(0);
  EXPECT_EQ(rule.durable, "expiration-service");
  EXPECT_EQ(rule.schedule.at(0).subject, "order:created");
  EXPECT_THAT(rule.cancel, SizeIs(2));
  EXPECT_EQ(rule.publish.at(0).target.Filter(), "expiration:complete");
  const auto environment = [](const char* name) -> const char* {
    const std::string_view asked = name;
    if (asked == "NATS_URL") return "http://nats-srv:4222";
    if (asked == "NATS_CLUSTER_ID") return "shop";
    if (asked == "NATS_CLIENT_ID") return "pod-1";
    return nullptr;
  };
  EXPECT_THAT(ApplyOverrides(&result.config, EnvironmentOverrides(environment)),
              IsEmpty());
  EXPECT_THAT(result.config.nats.servers, ElementsAre("nats://nats-srv:4222"));
  EXPECT_EQ(result.config.stan.cluster, "shop");
  EXPECT_EQ(result.config.stan.client, "pod-1");
}

TEST(StanChannel, IsAnExactNameWithoutSlashes) {
  for (const char* const good : {"order:created", "a.b", "A_1-x"})
    EXPECT_TRUE(IsStanChannel(good)) << good;
  for (const char* const bad : {"", ".a", "a.", "a..b", "a.*", ">", "a/b"})
    EXPECT_FALSE(IsStanChannel(bad)) << bad;
}

}  // namespace
}  // namespace expirer
