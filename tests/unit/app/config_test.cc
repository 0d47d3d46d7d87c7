#include "app/config.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "app/config_limits.h"
#include "app/config_show.h"
#include "app/config_table.h"
#include "app/yaml.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> Errors(std::string_view text) {
  return ParseConfig(text, "f").errors;
}

// The one error of `text`.
std::string Error(std::string_view text) {
  const std::vector<std::string> errors = Errors(text);
  EXPECT_THAT(errors, SizeIs(1)) << text;
  return errors.empty() ? "" : errors[0];
}

// A config of one rule with these lines in it; line 3 is the first of them.
std::string WithRule(std::string_view lines) {
  return "rules:\n  - name: r\n" + std::string(lines);
}

// A rule that is fine, beside which others are judged. Nine lines.
constexpr std::string_view kGood = R"(
    schedule:
      subject: "in.a"
      key: /id
      due: /at
    publish:
      subject: "out.a"
)";

std::string Good(std::string_view more = "") {
  return WithRule(std::string(kGood.substr(1)) + std::string(more));
}

TEST(Config, TheDefaultIsTheTicketingRuleOfTheContract) {
  const ConfigResult result = ParseConfig(DefaultConfigText(), "default");
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty());
  const Config config = DefaultConfig();
  EXPECT_EQ(config.name, "expirer");
  EXPECT_THAT(config.nats.servers, ElementsAre("nats://127.0.0.1:4222"));
  EXPECT_EQ(config.store.path, "data");
  EXPECT_EQ(config.core.history_ms, 604'800'000);
  ASSERT_THAT(config.streams, SizeIs(1));
  EXPECT_EQ(config.streams[0].name, "TICKETING");
  EXPECT_THAT(config.streams[0].subjects,
              ElementsAre("order:created", "order:cancelled", "payment:created",
                          "expiration:complete"));
  ASSERT_THAT(config.rules, SizeIs(1));
  const Rule& rule = config.rules[0];
  EXPECT_EQ(rule.name, "order-expiration");
  EXPECT_FALSE(rule.reopen);
  ASSERT_THAT(rule.schedule, SizeIs(1));
  EXPECT_EQ(rule.schedule[0].due->Spelling(), "/expiresAt");
  ASSERT_THAT(rule.cancel, SizeIs(2));
  EXPECT_EQ(rule.cancel[1].key[0].Spelling(), "/orderId");
  EXPECT_EQ(rule.publish[0].target.literal(), "expiration:complete");
  EXPECT_THAT(config.origins, IsEmpty());
}

TEST(Config, TheDefaultRuleFiresTheBytesTheAppExpects) {
  const Config config = DefaultConfig();
  RuleEvaluator evaluator(config.rules[0], config.job_limits());
  const Intent intent = evaluator.Evaluate(
      {"order:created", R"({"id":"655f","expiresAt":"2026-11-22T17:48:44.123Z"})",
       nullptr, 0},
      1'795'369'000'000);
  ASSERT_TRUE(std::holds_alternative<ScheduleIntent>(intent));
  EXPECT_EQ(std::get<ScheduleIntent>(intent).job.body, R"({"orderId":"655f"})");
}

TEST(Config, WhatAFileLeavesOutHasItsDefault) {
  const ConfigResult result = ParseConfig("", "f");
  EXPECT_THAT(result.errors, IsEmpty());
  const Config& config = result.config;
  EXPECT_EQ(config.core.window, 1'000'000);
  EXPECT_EQ(config.core.in_flight, 4'096);
  EXPECT_EQ(config.limits.inbox, 16'384);
  EXPECT_EQ(config.limits.ack_pending, 20'000);
  EXPECT_EQ(config.core.batch, 1'024);
  EXPECT_EQ(config.limits.payload_bytes, 1'000'000);
  EXPECT_EQ(config.limits.horizon_ms, int64_t{87'600} * 3'600'000);
  EXPECT_EQ(config.core.dead, 100'000);
  EXPECT_EQ(config.core.dead_bytes, 1'000'000'000);
  EXPECT_EQ(config.core.history_keys, 10'000'000);
  EXPECT_EQ(config.core.unsynced_ms, 50);
  EXPECT_EQ(config.core.disk_free, 512'000'000);
  EXPECT_EQ(config.core.settle_ms, 30'000);
  EXPECT_EQ(config.nats.connect_timeout_ms, 2'000);
  EXPECT_EQ(config.nats.inbox_prefix, "_INBOX");
  EXPECT_EQ(config.log.level, "info");
  EXPECT_EQ(config.log.format, "text");
  EXPECT_EQ(config.StatusFile(), "data/status.json");
  EXPECT_THAT(config.rules, IsEmpty());
  EXPECT_THAT(config.streams, IsEmpty());
  EXPECT_THAT(result.warnings,
              ElementsAre("f:1:1: rules: there are none, so nothing is scheduled"));
}

TEST(Config, EveryKeyOfTheContractIsRead) {
  const ConfigResult result = ParseConfig(R"(
name: shop
nats:
  url: "tls://a:4222, nats://b, http://c:1"
  creds: c.creds
  nkey: n.nk
  user: u
  password: 'p#1'
  token: t
  tls: { ca: ca.pem, cert: c.pem, key: k.pem }
  domain: hub
  inbox_prefix: _INBOX_shop
  connect_timeout: 5s
store: { path: /var/lib/x, history: 200h }
streams:
  - { name: S, subjects: "in.>", replicas: 3, storage: memory, max_age: 7d, duplicates: 1h }
limits: { window: 5, inflight: 6, inbox: 77, batch: 8, payload: 64 KiB, horizon: 24h, dead: 9,
          dead_bytes: 8MB,
          history: 10, unsynced: 5ms, disk_free: 1GB, settle: 1m }
status_file: /run/status.json
log: { level: debug, format: json }
)",
                                          "f");
  ASSERT_THAT(result.errors, IsEmpty());
  const Config& config = result.config;
  EXPECT_EQ(config.name, "shop");
  EXPECT_THAT(config.nats.servers, ElementsAre("tls://a:4222", "nats://b", "nats://c:1"));
  EXPECT_EQ(config.nats.creds, "c.creds");
  EXPECT_EQ(config.nats.nkey, "n.nk");
  EXPECT_EQ(config.nats.user, "u");
  EXPECT_EQ(config.nats.password, "p#1");
  EXPECT_EQ(config.nats.token, "t");
  EXPECT_EQ(config.nats.tls_ca, "ca.pem");
  EXPECT_EQ(config.nats.tls_cert, "c.pem");
  EXPECT_EQ(config.nats.tls_key, "k.pem");
  EXPECT_EQ(config.nats.domain, "hub");
  EXPECT_EQ(config.nats.inbox_prefix, "_INBOX_shop");
  EXPECT_EQ(config.nats.connect_timeout_ms, 5'000);
  EXPECT_EQ(config.store.path, "/var/lib/x");
  EXPECT_EQ(config.core.history_ms, 720'000'000);
  const StreamSpec& stream = config.streams.at(0);
  EXPECT_THAT(stream.subjects, ElementsAre("in.>"));
  EXPECT_EQ(stream.replicas, 3);
  EXPECT_TRUE(stream.memory);
  EXPECT_EQ(stream.max_age_ms, 604'800'000);
  EXPECT_EQ(stream.duplicates_ms, 3'600'000);
  EXPECT_EQ(config.core.window, 5);
  EXPECT_EQ(config.core.in_flight, 6);
  EXPECT_EQ(config.limits.inbox, 77);
  EXPECT_EQ(config.core.batch, 8);
  EXPECT_EQ(config.limits.payload_bytes, 65'536);
  EXPECT_EQ(config.limits.horizon_ms, 86'400'000);
  EXPECT_EQ(config.core.dead, 9);
  EXPECT_EQ(config.core.dead_bytes, 8'000'000);
  EXPECT_EQ(config.core.history_keys, 10);
  EXPECT_EQ(config.core.unsynced_ms, 5);
  EXPECT_EQ(config.core.disk_free, 1'000'000'000);
  EXPECT_EQ(config.core.settle_ms, 60'000);
  EXPECT_EQ(config.StatusFile(), "/run/status.json");
  EXPECT_EQ(config.log.level, "debug");
  EXPECT_EQ(config.log.format, "json");
  const JobLimits limits = config.job_limits();
  EXPECT_EQ(limits.payload_bytes, 65'536u);
  EXPECT_EQ(limits.horizon_ms, 86'400'000);
  EXPECT_EQ(limits.service, "shop");
}

TEST(Config, RuleKeysAreRead) {
  const ConfigResult result = ParseConfig(R"(
rules:
  - name: a-1
    reopen: false
    schedule:
      - { subject: "in.*.x", key: [/id, "subject:2"], due: "header:At", version: /v }
      - { subject: "in.y", key: "header:Id", delay: 1h30m, version: /v }
    cancel: { subject: "in.z", key: /id, version: /v }
    publish:
      subject: "out.${subject:1}"
      body: '{"k":${key}}'
      headers: { X-Key: "${key}", X-Fix: fix }
      late: { after: 10m, action: skip }
    retry: { initial: 2s, max: 1m, attempts: 4 }
    events: [fired, late]
    loop: true
)",
                                          "f");
  ASSERT_THAT(result.errors, IsEmpty());
  const Rule& rule = result.config.rules.at(0);
  EXPECT_EQ(rule.name, "a-1");
  EXPECT_FALSE(rule.reopen);
  EXPECT_TRUE(rule.loop);
  ASSERT_THAT(rule.schedule, SizeIs(2));
  EXPECT_EQ(rule.schedule[0].key.at(1).Spelling(), "subject:2");
  EXPECT_EQ(rule.schedule[0].due->Spelling(), "header:At");
  EXPECT_EQ(rule.schedule[0].version->Spelling(), "/v");
  EXPECT_EQ(rule.schedule[1].delay_ms, 5'400'000);
  ASSERT_THAT(rule.cancel, SizeIs(1));
  EXPECT_EQ(rule.publish[0].target.Filter(), "out.*");
  EXPECT_TRUE(rule.publish[0].body.has_value());
  ASSERT_THAT(rule.publish[0].headers, SizeIs(2));
  EXPECT_EQ(rule.publish[0].headers[1].second.literal(), "fix");
  EXPECT_EQ(rule.publish[0].late.after_ms, 600'000);
  EXPECT_EQ(rule.publish[0].late.action, LateAction::kSkip);
  EXPECT_EQ(rule.retry.initial_ms, 2'000);
  EXPECT_EQ(rule.retry.max_ms, 60'000);
  EXPECT_EQ(rule.retry.attempts, 4u);
  EXPECT_EQ(rule.events, 1U << static_cast<unsigned>(JobEvent::kFired) |
                             1U << static_cast<unsigned>(JobEvent::kLate));
}

TEST(Config, AnUnknownEventIsRefusedWithThoseThatThereAre) {
  const ConfigResult result = ParseConfig(R"(
rules:
  - name: a
    schedule: { subject: in, key: /id, delay: 1s }
    publish: { subject: out }
    events: [fired, sent]
)",
                                          "f");
  ASSERT_THAT(result.errors, SizeIs(1));
  EXPECT_THAT(result.errors[0],
              HasSubstr("expected scheduled, moved, cancelled, fired, late, dead or "
                        "skipped, found \"sent\""));
}

TEST(Config, OfARuleOnlyWhatMustBeIsNeeded) {
  const ConfigResult result = ParseConfig(Good(), "f");
  EXPECT_THAT(result.errors, IsEmpty());
  const Rule& rule = result.config.rules.at(0);
  EXPECT_TRUE(rule.reopen);
  EXPECT_FALSE(rule.publish[0].body.has_value());
  EXPECT_FALSE(rule.loop);
  EXPECT_EQ(rule.publish[0].late.action, LateAction::kFire);
  EXPECT_EQ(rule.retry.initial_ms, 1'000);
  EXPECT_EQ(rule.retry.max_ms, 300'000);
  EXPECT_EQ(rule.retry.attempts, 0u);
}

TEST(Config, EveryErrorIsReportedInTheFilesOrder) {
  EXPECT_THAT(
      Errors("name: 'a b'\nlimits:\n  windw: 5\n  batch: x\nlog: { level: loud }\n"),
      ElementsAre("f:1:7: name: expected letters, digits, - and _ only, found \"a b\"",
                  "f:3:3: limits.windw: unknown key; expected perhaps \"window\"",
                  "f:4:10: limits.batch: expected a whole number from 1 to 65536, found "
                  "\"x\"",
                  "f:5:15: log.level: expected debug or info or warn or error, found "
                  "\"loud\""));
}

TEST(Config, UnknownKeysNameTheNearestOrAllThatThereAre) {
  EXPECT_EQ(Error("stores: {}"),
            "f:1:1: stores: unknown key; expected perhaps \"store\"");
  EXPECT_EQ(Error("log: { x: 1 }"),
            "f:1:8: log.x: unknown key; expected one of level, format");
  EXPECT_EQ(Error(Good("      bodi: x\n")),
            "f:9:7: rules[0].publish[0].bodi: unknown key; expected perhaps \"body\"");
  EXPECT_EQ(Error("\"limits.window\": 5"),
            "f:1:1: limits.window: unknown key; expected one of name, nats, store, "
            "streams, limits, status_file, log, metrics, rules");
}

TEST(Config, RepeatedKeysAreRefused) {
  EXPECT_EQ(Error("name: a\nlog: {}\nname: b\n"),
            "f:3:1: name: \"name\" is there twice, first in line 1; expected it once");
  EXPECT_EQ(Error("limits: { batch: 5, batch: 6 }"),
            "f:1:21: limits.batch: \"batch\" is there twice, first in line 1; expected "
            "it once");
}

TEST(Config, MergesAnchorsAliasesAndTagsAreRefused) {
  EXPECT_EQ(Error("log:\n  <<: { level: info }\n"),
            "f:2:3: log.<<: expected no merge (<<); write the members out");
  EXPECT_EQ(Error("name: &n shop\n"),
            "f:1:7: name: expected no anchor (&); write the value out where it is used");
  EXPECT_THAT(
      Errors("name: &n shop\nlog: { level: *n }\n"),
      testing::Contains("f:2:15: log.level: expected no alias (*); write the value out"));
  EXPECT_EQ(Error("name: !!str shop\n"), "f:1:7: name: expected no tag (!)");
}

TEST(Config, UnquotedTemplatesAreRefusedWithTheMend) {
  EXPECT_EQ(Error(WithRule(kGood.substr(1)) + "      body: a${/id}\n"),
            "f:9:13: rules[0].publish.body: a text with ${ must stand in quotes: '...'");
  for (const char* body :
       {"      body: {\"orderId\":${/id}}\n", "      body: {${/id}: 1}\n"}) {
    EXPECT_THAT(
        Errors(Good(body)),
        testing::Contains(HasSubstr("a text with ${ must stand in quotes: '...'")))
        << body;
  }
}

// Each value alone is fine.
TEST(Config, ValuesThatCanNeverWorkTogetherAreRefusedAtTheirPlace) {
  const auto rule = [](const std::string& schedule, const std::string& publish,
                       const std::string& more = "") {
    return more + WithRule("    schedule: { subject: in.a, key: /id, " + schedule +
                           " }\n    publish: { subject: out.a, " + publish + " }\n");
  };
  const std::string week = "limits: { horizon: 168h }\n";
  const std::string rejected =
      " every event is beyond limits.horizon and is rejected; expected at most 168h, or "
      "a "
      "larger limits.horizon";
  EXPECT_EQ(Error(rule("delay: 10d", "body: x", week)),
            "f:4:49: rules[0].schedule[0].delay: with a delay of 240h" + rejected);
  EXPECT_EQ(Error(rule("delay: 6d", "offset: 2d", week)),
            "f:5:40: rules[0].publish[0].offset: with delay and offset, 192h together," +
                rejected);
  EXPECT_EQ(Error(rule("due: /at", "offset: 8d", week)),
            "f:5:40: rules[0].publish[0].offset: with an offset of 192h" + rejected);
  EXPECT_THAT(Errors(rule("delay: 8d", "offset: -1d", week)), IsEmpty());
  EXPECT_EQ(
      Error(rule("due: /at", "late: { after: 168h, action: skip }")),
      "f:4:47: rules[0].publish[0].late.after: an event that is due longer ago than "
      "store.history (168h) is rejected as stale, so this has no effect; expected "
      "less");
  EXPECT_THAT(Errors(rule("due: /at", "late: { after: 168h, action: fire }")), IsEmpty());
  EXPECT_EQ(
      Error(rule("delay: 1h", "offset: -3h, late: { after: 1h, action: dead }")),
      "f:4:40: rules[0].publish[0].offset: with delay and offset, -2h together, every "
      "job is due before its event, by more than late.after (1h), so none fires; "
      "expected a smaller negative offset");
  EXPECT_THAT(
      ParseConfig(rule("delay: 1h", "offset: -3h"), "f").warnings,
      ElementsAre("f:4:40: rules[0].publish[0].offset: with delay and offset, -2h "
                  "together, every job is due before its event and fires at once"));
  EXPECT_EQ(
      Error(rule("due: /at", "body: '" + std::string(300, 'x') + "'",
                 "limits: { payload: 256 }\n")),
      "f:5:38: rules[0].publish[0].body: it has 300 bytes, more than limits.payload "
      "(256), so every event is rejected; expected less, or a larger limits.payload");
  EXPECT_EQ(
      Error("store: { history: 0s }\n" + Good("    reopen: false\n")),
      "f:10:13: rules[0].reopen: with a store.history of 0s no closed key is "
      "remembered, so each may be scheduled again; expected a longer store.history");
}

TEST(Config, LimitsThatMemoryDoesNotAllowAreRefused) {
  constexpr char kText[] = "limits:\n  window: 1000000000\n  inflight: 1000000\n";
  const auto judged = [&](int64_t memory_bytes) {
    ConfigReport report;
    const Yaml tree = ParseYaml(kText, &report.issues);
    const Section root(&tree, "", &tree, &report);
    CheckMemory(ParseConfig(kText, "f").config, root.Map("limits"), memory_bytes);
    std::vector<std::string> told;
    for (const YamlIssue& issue : report.issues)
      told.push_back(
          fmt::format("{}:{}: {}: {}", issue.line, issue.column, issue.path, issue.what));
    return told;
  };
  EXPECT_THAT(judged(16'000'000'000), IsEmpty());
  EXPECT_THAT(
      judged(1'000'000'000),
      ElementsAre("2:11: limits.window: 1000000000 of 16 bytes each need more than "
                  "the 1000000000 bytes of memory available; expected at most "
                  "62500000",
                  "3:13: limits.inflight: 1000000 of 1024 bytes each need more than "
                  "the 1000000000 bytes of memory available; expected at most "
                  "976562"));
  EXPECT_GT(MemoryBytes(), 0);
  EXPECT_EQ(Errors(kText).empty(), MemoryBytes() >= 16'000'000'000);
}

TEST(ConfigLimits, WarnOfAVolumeSmallerThanFourTimesTheDeadStore) {
  const Config config = ParseConfig("name: x\n", "f").config;
  EXPECT_EQ(WarnOfVolume(config, 4'000'000'000), "");
  EXPECT_THAT(WarnOfVolume(config, 2'000'000'000),
              AllOf(HasSubstr("limits.dead_bytes (1000000000)"),
                    HasSubstr("the 2000000000 bytes of the volume"),
                    HasSubstr("expected at most 500000000")));
}

TEST(ConfigLimits, FindTheVolumeOfAStoreThatIsNotMadeYet) {
  const uint64_t here = VolumeBytes(".");
  EXPECT_GT(here, 0u);
  EXPECT_EQ(VolumeBytes("not/made/yet"), here);
  EXPECT_EQ(VolumeBytes("/"), VolumeBytes("/not/made/yet"));
}

TEST(Config, WhatIsNoYamlIsRefusedWithItsPlace) {
  EXPECT_THAT(Errors("name: [\n"), testing::Contains(HasSubstr("not YAML:")));
  EXPECT_THAT(Errors("a: b: c\n"), testing::Contains(HasSubstr("f:1:5: not YAML:")));
  EXPECT_EQ(Error("name: a\n---\nname: b\n"),
            "f:3:1: expected one YAML document, not two");
  EXPECT_EQ(Error("name: \xFF"), "f:1:1: expected valid UTF-8");
  EXPECT_EQ(Error(std::string_view("name: a\0", 8)), "f:1:1: expected no zero byte");
  EXPECT_EQ(Error(std::string(kYamlBytesMax + 1, ' ')), "f:1:1: expected at most 1 MiB");
  EXPECT_EQ(Error("just a text"), "f:1:1: expected a map of keys, found \"just a text\"");
  EXPECT_THAT(Errors("a: " + std::string(5'000, '[')), testing::Not(IsEmpty()));
}

TEST(Config, ValuesOfAWrongTypeOrOutOfRangeAreRefused) {
  EXPECT_EQ(
      Error("limits: { window: 0 }"),
      "f:1:19: limits.window: expected a whole number from 1 to 1000000000, found \"0\"");
  EXPECT_EQ(
      Error("limits: { unsynced: 11s }"),
      "f:1:21: limits.unsynced: expected a duration from 1ms to 10s, such as 90s, 15m or "
      "168h, found \"11s\"");
  EXPECT_EQ(
      Error("limits: { disk_free: 47MB }"),
      "f:1:22: limits.disk_free: expected a size from 48MB to 1TB, such as 512MB or "
      "64MiB, found \"47MB\"");
  EXPECT_EQ(Error("limits: { disk_free: 1 EB }"),
            "f:1:22: limits.disk_free: expected a size from 48MB to 1TB, such as 512MB "
            "or 64MiB, "
            "found \"1 EB\"");
  EXPECT_EQ(Error("limits: 5"), "f:1:9: limits: expected a map of keys, found \"5\"");
  EXPECT_EQ(
      Error("log: {}\nlimits:\n  batch:\n"),
      "f:3:3: limits.batch: expected a whole number from 1 to 65536, found nothing");
  EXPECT_EQ(Error("name:"),
            "f:1:1: name: expected a text of 1 to 24 bytes, found nothing");
  EXPECT_EQ(Error("name: [a]"),
            "f:1:7: name: expected a text of 1 to 24 bytes, found a list");
  EXPECT_EQ(
      Error("streams: {}"),
      "f:1:10: streams: expected a list of maps (lines that begin with -), found a map");
  EXPECT_EQ(Error(Good("    reopen: yes\n")),
            "f:9:13: rules[0].reopen: expected true or false, found \"yes\"");
  EXPECT_EQ(Error(Good("    reopen: 'true'\n")),
            "f:9:13: rules[0].reopen: expected true or false, found \"true\"");
}

TEST(Config, AStreamsNameHasAtMost255Bytes) {
  const auto stream = [](size_t bytes) {
    return "streams: [{ name: " + std::string(bytes, 's') + ", subjects: [a] }]";
  };
  EXPECT_THAT(Error(stream(256)), HasSubstr("streams[0].name: expected"));
  EXPECT_THAT(Error(stream(256)), HasSubstr("255"));
}

TEST(Config, KeysOfLaterReleasesAreRefusedByName) {
  const std::string later = ": this key is not in this release; expected it left out";
  EXPECT_EQ(Error("api: {}"), "f:1:1: api" + later);
}

// The first rule of a config with this schedule entry and these further lines.
Rule RuleWith(const std::string& schedule, const std::string& more = "") {
  const ConfigResult result =
      ParseConfig(WithRule("    schedule: { " + schedule + " }\n" +
                           (more.find("publish:") == std::string::npos
                                ? "    publish: { subject: out }\n"
                                : "") +
                           more),
                  "f");
  EXPECT_THAT(result.errors, IsEmpty());
  return result.config.rules.at(0);
}

std::string ErrorWith(const std::string& schedule, const std::string& more = "") {
  return Error(WithRule("    schedule: { " + schedule + " }\n" +
                        (more.find("publish:") == std::string::npos
                             ? "    publish: { subject: out }\n"
                             : "") +
                        more));
}

TEST(Config, MatchTakesScalarsListsAndNullByTheirYamlKind) {
  const Rule rule = RuleWith(
      "subject: in, key: /id, match: { /type: [a, '2', 3, true, null], "
      "'header:X': 1.50, /gone: null, /empty: }");
  const std::vector<Match>& match = rule.schedule[0].match;
  ASSERT_THAT(match, SizeIs(4));
  EXPECT_EQ(match[0].source.Spelling(), "/type");
  std::vector<MatchValue::Kind> kinds;
  for (const MatchValue& value : match[0].any_of) kinds.push_back(value.kind);
  using Kind = MatchValue::Kind;
  EXPECT_THAT(kinds, ElementsAre(Kind::kString, Kind::kString, Kind::kNumber, Kind::kBool,
                                 Kind::kNull));
  EXPECT_EQ(match[1].source.Spelling(), "header:X");
  EXPECT_EQ(match[1].any_of.at(0).text, "1.50");
  EXPECT_EQ(match[2].any_of.at(0).kind, Kind::kNull);
  EXPECT_EQ(match[3].any_of.at(0).kind, Kind::kNull);
}

TEST(Config, MatchesAreChecked) {
  const std::string at = "f:3:47: rules[0].schedule[0].match: ";
  EXPECT_EQ(ErrorWith("subject: in, key: /id, match: { type: a }"),
            at + "expected a JSON pointer such as /id, subject:N or header:Name, found "
                 "\"type\"");
  EXPECT_EQ(ErrorWith("subject: in, key: /id, match: { 'subject:1': a }"),
            at + "expected a JSON pointer or header:Name, found subject:N");
  EXPECT_EQ(ErrorWith("subject: in, key: /id, match: { /a: [] }"),
            at + "expected at least one value in the list of \"/a\"");
  EXPECT_THAT(ErrorWith("subject: in, key: /id, match: { /a: { b: c } }"),
              HasSubstr("expected texts, numbers, true, false, null"));
  EXPECT_THAT(ErrorWith("subject: in, key: /id, match: [a]"),
              HasSubstr("expected a map of JSON pointers or header:Names"));
}

TEST(Config, ADelayIsADurationOrComesFromTheEventInAUnit) {
  EXPECT_EQ(RuleWith("subject: in, key: /id, delay: 2h").schedule[0].delay_ms, 7'200'000);
  const Entry entry =
      RuleWith("subject: in, key: /id, delay: /retry/in, unit: s").schedule[0];
  EXPECT_EQ(entry.delay->Spelling(), "/retry/in");
  EXPECT_FALSE(entry.delay_ms.has_value());
  EXPECT_EQ(entry.unit_ms, 1'000);
  EXPECT_EQ(
      RuleWith("subject: in, key: /id, delay: 'header:In'").schedule[0].delay->Spelling(),
      "header:In");
  EXPECT_EQ(RuleWith("subject: in, key: /id, due: /at, unit: ms").schedule[0].unit_ms, 1);
  EXPECT_THAT(ErrorWith("subject: in, key: /id, delay: 'subject:1'"),
              HasSubstr("expected a JSON pointer or header:Name, found subject:N"));
  EXPECT_THAT(ErrorWith("subject: in, key: /id, due: /at, unit: m"),
              HasSubstr("unit: expected ms or s, found \"m\""));
  EXPECT_THAT(ErrorWith("subject: in, key: /id, delay: 5s, unit: s"),
              HasSubstr("unit: it applies only to numbers in the event"));
  EXPECT_THAT(ErrorWith("subject: in, key: /id, due: /at, delay: /in"),
              HasSubstr("expected due or delay, found both"));
}

TEST(Config, SeveralPublishEntriesHaveNamesOfTheirOwn) {
  const Rule rule = RuleWith("subject: in, key: /id, due: /at", R"(
    publish:
      - { name: warning, subject: w, offset: -72h, late: { after: 1h, action: skip } }
      - { name: breach, subject: b, body: '${due}' }
      - { name: report, subject: c, offset: +72h }
)");
  ASSERT_THAT(rule.publish, SizeIs(3));
  EXPECT_EQ(QueueName(rule, rule.publish[0]), "r.warning");
  EXPECT_EQ(rule.publish[0].offset_ms, -259'200'000);
  EXPECT_EQ(rule.publish[0].late.after_ms, 3'600'000);
  EXPECT_EQ(rule.publish[0].late.action, LateAction::kSkip);
  EXPECT_EQ(rule.publish[1].offset_ms, 0);
  EXPECT_EQ(rule.publish[1].late.action, LateAction::kFire);
  EXPECT_EQ(rule.publish[2].offset_ms, 259'200'000);
}

TEST(Config, PublishNamesAreChecked) {
  const auto error = [](const std::string& entries) {
    return ErrorWith("subject: in, key: /id", "    publish: " + entries + "\n");
  };
  EXPECT_EQ(error("[{ subject: b }]"),
            "f:4:15: rules[0].publish[0].name: it is missing; each entry of a list needs "
            "one");
  EXPECT_THAT(error("{ name: a, subject: b }"), HasSubstr("expected it only in a list"));
  EXPECT_THAT(error("[{ name: A, subject: b }]"), HasSubstr("1 to 24 of a-z, 0-9 and -"));
  EXPECT_THAT(error("[{ name: late, subject: b }]"),
              HasSubstr("late is reserved for the jobs of late cancels"));
  EXPECT_THAT(error("[{ name: a, subject: b }, { name: a, subject: c }]"),
              HasSubstr("publish[1].name: publish[0] has this name"));
  EXPECT_THAT(error("[{ name: a, subject: b }, { name: c, subject: in }]"),
              HasSubstr("publish[1].subject: rule \"r\" reads this subject"));
  for (const char* wrong : {"3", "+", "+-3s", "++3s", "'+ 3s'"})
    EXPECT_THAT(error("{ subject: b, offset: " + std::string(wrong) + " }"),
                HasSubstr("expected a duration from -"));
}

TEST(Config, ALateCancelIsAPublishEntryOfTheCancel) {
  const Rule rule = RuleWith("subject: in, key: /id",
                             "    cancel: { subject: paid.*, key: /id, late: { subject: "
                             "'refund.${subject:2}', body: '${/id}' } }\n");
  ASSERT_TRUE(rule.cancel[0].late.has_value());
  EXPECT_EQ(QueueName(rule, *rule.cancel[0].late), "r.late");
  EXPECT_EQ(rule.cancel[0].late->target.Filter(), "refund.*");
  const auto error = [](const std::string& late) {
    return ErrorWith("subject: in, key: /id",
                     "    cancel: { subject: paid.*, key: /id, late: " + late + " }\n");
  };
  EXPECT_THAT(error("{}"), HasSubstr("late.subject: it is missing"));
  EXPECT_THAT(error("{ subject: paid.x }"), HasSubstr("so fired jobs would come back"));
  EXPECT_THAT(error("{ subject: $SYS.x }"), HasSubstr("which belong to NATS"));
  EXPECT_THAT(error("{ subject: x, body: '${due}' }"), HasSubstr("expected no ${due}"));
  EXPECT_THAT(error("{ subject: 'x.${subject:3}' }"),
              HasSubstr("subject:3 does not exist"));
  EXPECT_THAT(error("{ subject: x, headers: {} }"), HasSubstr("unknown key"));
}

TEST(Config, RateAndDeliverAreRead) {
  EXPECT_EQ(RuleWith("subject: in, key: /id").rate, 0);
  EXPECT_EQ(RuleWith("subject: in, key: /id", "    rate: 50\n").rate, 50);
  EXPECT_THAT(ErrorWith("subject: in, key: /id", "    rate: fast\n"),
              HasSubstr("rate: expected a whole number from 0 to 1000000"));
  const auto deliver = [](const std::string& text) {
    return RuleWith("subject: in, key: /id", "    deliver: " + text + "\n").deliver;
  };
  EXPECT_EQ(RuleWith("subject: in, key: /id").deliver.from, Deliver::From::kAll);
  EXPECT_EQ(deliver("new").from, Deliver::From::kNew);
  EXPECT_EQ(deliver("'2026-11-22T17:48:44.123Z'").from, Deliver::From::kTime);
  EXPECT_EQ(deliver("'2026-11-22T17:48:44.123Z'").time_ms, 1'795'369'724'123);
  EXPECT_THAT(ErrorWith("subject: in, key: /id", "    deliver: last\n"),
              HasSubstr("expected all, new or an RFC 3339 time, found \"last\""));
}

TEST(Config, CoreSourcesAndTargetsAreChosenByName) {
  const Rule rule =
      RuleWith("subject: in, key: /id",
               "    source: core\n    publish: { subject: b, via: core }\n");
  EXPECT_EQ(rule.source, Transport::kCore);
  EXPECT_EQ(rule.publish[0].via, Transport::kCore);
  EXPECT_EQ(RuleWith("subject: in, key: /id").source, Transport::kJetStream);
  EXPECT_EQ(RuleWith("subject: in, key: /id").publish[0].via, Transport::kJetStream);
  EXPECT_THAT(ErrorWith("subject: in, key: /id", "    source: core\n    deliver: new\n"),
              HasSubstr("deliver: core NATS keeps no events"));
  EXPECT_THAT(ErrorWith("subject: in, key: /id", "    source: kafka\n"),
              HasSubstr("expected jetstream or core or stan, found \"kafka\""));
}

TEST(Config, WasNamesARuleThatIsGone) {
  EXPECT_EQ(RuleWith("subject: in, key: /id", "    was: old\n").was, "old");
  EXPECT_THAT(ErrorWith("subject: in, key: /id", "    was: r\n"),
              HasSubstr("was: rules[0] has this name or takes it over"));
  EXPECT_THAT(ErrorWith("subject: in, key: /id", "    was: O\n"),
              HasSubstr("was: expected 1 to 24 of a-z, 0-9 and -"));
}

TEST(Config, MissingKeysAreReportedAtTheirMap) {
  EXPECT_THAT(
      Errors("rules:\n  - reopen: true\n"),
      ElementsAre("f:2:5: rules[0].name: it is missing; expected a text of 1 to 24 bytes",
                  "f:2:5: rules[0].schedule: it is missing; expected a map or a list of "
                  "maps",
                  "f:2:5: rules[0].publish: it is missing; expected a map or a list of "
                  "maps"));
  EXPECT_THAT(
      Errors(WithRule("    schedule: {}\n    publish: {}\n")),
      ElementsAre("f:3:15: rules[0].schedule[0].subject: it is missing; expected a text",
                  "f:3:15: rules[0].schedule[0].key: it is missing; expected a text or a "
                  "list of texts",
                  "f:4:14: rules[0].publish[0].subject: it is missing; expected a text"));
  EXPECT_EQ(
      Error(Good("      late: { after: 5m }\n")),
      "f:9:13: rules[0].publish[0].late.action: it is missing; expected fire or skip "
      "or dead");
  EXPECT_EQ(
      Error("streams: [{ name: S }]"),
      "f:1:11: streams[0].subjects: it is missing; expected a text or a list of texts");
  EXPECT_EQ(Error(WithRule("    schedule: []\n    publish: { subject: b }\n")),
            "f:3:15: rules[0].schedule: expected at least one, found none");
}

TEST(Config, RuleNamesAreCheckedAndUnique) {
  const auto named = [](const std::string& name) {
    return "rules:\n  - { name: " + name +
           ", schedule: { subject: a, key: /id }, publish: { subject: b } }\n";
  };
  EXPECT_THAT(Errors(named("order-2")), IsEmpty());
  EXPECT_EQ(Error(named("Order")),
            "f:2:13: rules[0].name: expected 1 to 24 of a-z, 0-9 and -, found \"Order\"");
  EXPECT_EQ(Error(named("api")),
            "f:2:13: rules[0].name: api is reserved for jobs made through the API; "
            "expected another name");
  EXPECT_EQ(Error(named("a") + named("a").substr(7)),
            "f:3:13: rules[1].name: rules[0] has this name; expected another");
}

TEST(Config, EntriesAreChecked) {
  const auto entry = [](const std::string& text) {
    return WithRule("    schedule: { " + text + " }\n    publish: { subject: out }\n");
  };
  EXPECT_EQ(Error(entry("subject: a, key: id")),
            "f:3:34: rules[0].schedule[0].key: expected a JSON pointer such as /id, "
            "subject:N or "
            "header:Name, found \"id\"");
  EXPECT_EQ(Error(entry("subject: a, key: 'subject:2'")),
            "f:3:34: rules[0].schedule[0].key: subject:2 does not exist; expected at "
            "most 1, as "
            "many tokens as a has");
  EXPECT_THAT(Errors(entry("subject: 'a.>', key: 'subject:9'")), IsEmpty());
  EXPECT_EQ(Error(entry("subject: a, key: []")),
            "f:3:34: rules[0].schedule[0].key: expected at least one, found none");
  EXPECT_EQ(
      Error(entry("subject: a, key: /id, due: 'subject:1'")),
      "f:3:44: rules[0].schedule[0].due: expected a JSON pointer or header:Name, found "
      "subject:N");
  EXPECT_EQ(Error(entry("subject: a, key: /id, due: /at, delay: 5m")),
            "f:3:56: rules[0].schedule[0].delay: expected due or delay, found both");
  EXPECT_EQ(
      Error(entry("subject: a, key: /id, version: 'header:V'")),
      "f:3:48: rules[0].schedule[0].version: expected a JSON pointer such as /version");
  EXPECT_EQ(
      Error(Good("    cancel: { subject: c, key: /id, version: /v }\n")),
      "f:4:7: rules[0].schedule: expected version on all entries of the rule or on none");
}

TEST(Config, EntriesMayNameTheirStreams) {
  const ConfigResult result = ParseConfig(
      Good("    cancel:\n      - { subject: 'in.*', stream: MIRROR_1, key: /id }\n"
           "      - { subject: c, key: /id }\n"),
      "f");
  ASSERT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty()) << "it hides nothing of another stream";
  const Rule& rule = result.config.rules.at(0);
  EXPECT_EQ(rule.cancel.at(0).stream, "MIRROR_1");
  EXPECT_EQ(rule.cancel.at(1).stream, "");
  EXPECT_EQ(rule.schedule.at(0).stream, "");
  EXPECT_EQ(Error(Good("    cancel: { subject: c, key: /id, stream: 'a.b' }\n")),
            "f:9:45: rules[0].cancel[0].stream: expected the name of a stream, without "
            "spaces and . * > / \\, found \"a.b\"");
  EXPECT_EQ(Error(Good("    source: core\n    cancel: { subject: c, key: /id, stream: S "
                       "}\n")),
            "f:10:45: rules[0].cancel[0].stream: only source: jetstream reads streams; "
            "expected it left out");
}

TEST(Config, FiltersAreChecked) {
  const auto filter = [](const std::string& text) {
    return Error(WithRule("    schedule: { subject: '" + text +
                          "', key: /id }\n    publish: { subject: zzz }\n"));
  };
  const std::string at = "f:3:26: rules[0].schedule[0].subject: ";
  EXPECT_EQ(filter("a*"),
            at + "expected * and > only as whole tokens, such as orders.*, found \"a*\"");
  EXPECT_EQ(
      filter("a>.b"),
      at + "expected * and > only as whole tokens, such as orders.*, found \"a>.b\"");
  EXPECT_EQ(filter("a.>.b"), at + "expected > only as the last token, found \"a.>.b\"");
  EXPECT_EQ(filter("a b"),
            at + "expected no white space or control bytes in a subject, found \"a b\"");
  EXPECT_EQ(filter("a..b"), at + "expected no empty token (two dots together, or one at "
                                 "an end), found \"a..b\"");
  for (const char* reserved : {"$JS.x", "_INBOX.x"}) {
    EXPECT_THAT(filter(reserved),
                HasSubstr("outside $... and _INBOX..., which belong to NATS"));
  }
  for (const char* own : {"expirer.x", "expirer", "expirer.>", "*.v1.rejected.*"}) {
    EXPECT_THAT(filter(own), HasSubstr("leaves out expirer.>, which is expirer's own"));
  }
}

TEST(Config, TargetsAreChecked) {
  const auto target = [](const std::string& text) {
    return Error(WithRule(
        "    schedule: { subject: 'in.*', key: /id }\n    publish: { subject: '" + text +
        "' }\n"));
  };
  const std::string at = "f:4:25: rules[0].publish[0].subject: ";
  EXPECT_EQ(target("a.*"),
            at + "expected no * or > in a subject that is published to, found \"a.*\"");
  EXPECT_EQ(
      target("$JS.API"),
      at + "expected a subject outside $... and _INBOX..., which belong to NATS, found "
           "\"$JS.API\"");
  EXPECT_EQ(target("expirer.v1.cancel"),
            at + "expected a subject outside expirer.>, which is expirer's own, found "
                 "\"expirer.v1.cancel\"");
  EXPECT_EQ(target("a..${key}"), at + "expected no empty token (two dots together, or "
                                      "one at an end), found \"a..*\"");
  EXPECT_EQ(
      target("a.${id}"),
      at +
          "column 3: expected ${/pointer}, ${key}, ${subject:N}, ${header:N}, ${time} or "
          "${due}");
  EXPECT_EQ(
      target("a.${subject:3}"),
      at + "subject:3 does not exist; expected at most 2, as many tokens as in.* has");
}

TEST(Config, ATargetThatFeedsARuleNeedsLoop) {
  const auto target = [](const std::string& text, const std::string& more) {
    return WithRule(
        "    schedule: { subject: 'in.*', key: /id }\n    cancel: { subject: stop, key: "
        "/id }\n"
        "    publish: { subject: '" +
        text + "' }\n" + more);
  };
  EXPECT_EQ(Error(target("in.x", "")),
            "f:5:25: rules[0].publish[0].subject: rule \"r\" reads this subject by "
            "its filter \"in.*\", so fired jobs would come back as events; expected "
            "another subject, or loop: true");
  EXPECT_THAT(Error(target("${key}.x", "")), HasSubstr("loop: true"));
  EXPECT_THAT(Error(target("stop", "")), HasSubstr("by its filter \"stop\""));
  EXPECT_THAT(Errors(target("in.x", "    loop: true\n")), IsEmpty());
  EXPECT_THAT(Errors(target("in.x.y", "")), IsEmpty());
}

TEST(Config, HeaderNamesAreChecked) {
  EXPECT_THAT(
      Error(Good("      headers: { Nats-TTL: 1 }\n")),
      HasSubstr(
          "f:9:16: rules[0].publish[0].headers: expected no Nats-... and Expirer-..."));
  EXPECT_THAT(
      Error(Good("      headers: { 'a b': 1 }\n")),
      HasSubstr("expected header names without spaces and colons, found \"a b\""));
  EXPECT_THAT(
      Error(Good("      headers: { A: [1] }\n")),
      HasSubstr("rules[0].publish[0].headers.A: expected a map of texts, found a list"));
}

TEST(Config, StreamsAreChecked) {
  EXPECT_EQ(
      Error("store: { history: 999h }\nstreams: [{ name: a.b, subjects: x }]"),
      "f:2:19: streams[0].name: expected letters, digits, - and _ only, found \"a.b\"");
  EXPECT_EQ(Error("streams: [{ name: S, subjects: [x, 'y*'] }]"),
            "f:1:32: streams[0].subjects: expected * and > only as whole tokens, such as "
            "orders.*, "
            "found \"y*\"");
  EXPECT_EQ(
      Error("streams: [{ name: S, subjects: x, replicas: 6 }]"),
      "f:1:45: streams[0].replicas: expected a whole number from 1 to 5, found \"6\"");
  EXPECT_EQ(Error("streams: [{ name: S, subjects: x, max_age: 1m }]"),
            "f:1:11: streams[0].duplicates: expected at most as long as max_age");
  EXPECT_EQ(Error("streams: [{ name: S, subjects: x }, { name: S, subjects: y }]"),
            "f:1:45: streams[1].name: streams[0] has this name; expected another");
  EXPECT_EQ(Error("streams: [{ name: S, subjects: 'x.>' }, { name: T, subjects: x.y }]"),
            "f:1:62: streams[1].subjects: streams[0] keeps \"x.>\" already; expected "
            "subjects that "
            "no other stream keeps");
}

TEST(Config, ConnectionsAreChecked) {
  EXPECT_EQ(Error("nats: { url: 'ws://x' }"),
            "f:1:14: nats.url: expected servers such as nats://host:4222 or tls://host, "
            "separated "
            "by commas");
  for (const char* wrong : {"nats://a:0", "a:65536", "tls://a:x", "a:", ":4222", "u@"})
    EXPECT_THAT(Error(fmt::format("nats: {{ url: '{}' }}", wrong)),
                HasSubstr("nats.url: expected servers such as"))
        << wrong;
  for (const char* right : {"a", "a:65535", "nats://u:p@a:1", "[::1]", "[::1]:4222"})
    EXPECT_TRUE(ParseServers(right).ok()) << right;
  EXPECT_EQ(Error("nats: { token: \"secret\\n\" }"),
            "f:1:16: nats.token: control characters are not allowed (check for a newline "
            "at its end)");
  EXPECT_EQ(Error("nats: { token: [s3cret] }"),
            "f:1:16: nats.token: expected a text, found a list");
  EXPECT_EQ(Error("nats: { token: " + std::string(5'000, 's') + " }"),
            "f:1:16: nats.token: expected a text, found a text that is not shown");
  EXPECT_EQ(Error("nats: { tls: { cert: c.pem } }"),
            "f:1:14: nats.tls: expected cert and key together, found one of them");
  EXPECT_EQ(Error("nats: { inbox_prefix: 'a.*' }"),
            "f:1:23: nats.inbox_prefix: expected a subject without wildcards, such as "
            "_INBOX_mine, found \"a.*\"");
  EXPECT_EQ(Error("nats: { domain: 'a.b' }"),
            "f:1:17: nats.domain: expected letters, digits, - and _ only, found \"a.b\"");
}

TEST(Config, AShortRetryMaximumIsRefused) {
  EXPECT_EQ(Error(Good("    retry: { initial: 5s, max: 1s }\n")),
            "f:9:32: rules[0].retry.max: expected at least as long as retry.initial");
}

TEST(Config, WarnsOfHistoryShorterThanAStream) {
  const ConfigResult result = ParseConfig(
      "store: { history: 1h }\nstreams: [{ name: S, subjects: x, max_age: 2h }]\n" +
          Good(),
      "f");
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings,
              ElementsAre(HasSubstr(
                  "f:2:44: streams[0].max_age: store.history is shorter than")));
}

TEST(Config, WarnsOfScheduleEntriesThatNeverSchedule) {
  const ConfigResult result =
      ParseConfig(Good("    cancel: { subject: 'in.*', key: /id }\n"), "f");
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(
      result.warnings,
      ElementsAre("f:4:7: rules[0].schedule: every event of \"in.a\" matches the cancel "
                  "entry \"in.*\", so it never schedules a job"));
}

TEST(Config, OriginsNameTheFileAndLine) {
  const ConfigResult result =
      ParseConfig("name: shop\nlimits:\n  batch: 5\n", "dir/f.yaml");
  EXPECT_EQ(result.config.origins.at("limits.batch"), "dir/f.yaml:3");
  EXPECT_EQ(result.config.origins.count("limits.window"), 0u);
}

// An environment of a few variables.
std::vector<std::string> Apply(Config* config,
                               const std::map<std::string, std::string>& values) {
  return ApplyOverrides(config,
                        EnvironmentOverrides([&values](const char* name) -> const char* {
                          const auto found = values.find(name);
                          return found == values.end() ? nullptr : found->second.c_str();
                        }));
}

TEST(Config, TheEnvironmentOverridesTheFile) {
  Config config = DefaultConfig();
  EXPECT_THAT(Apply(&config, {{"NATS_URL", "http://nats-srv:4222, tls://b:1/"},
                              {"NATS_CREDS", "a.creds"},
                              {"NATS_NKEY", "b.nk"},
                              {"NATS_USER", "u"},
                              {"NATS_PASSWORD", "p"},
                              {"NATS_TOKEN", "t"},
                              {"NATS_CA", "ca"},
                              {"NATS_CERT", "cert"},
                              {"NATS_KEY", "key"},
                              {"EXPIRER_STORE", "/data"},
                              {"EXPIRER_LOG_LEVEL", "warn"},
                              {"EXPIRER_LOG_FORMAT", "json"}}),
              IsEmpty());
  EXPECT_THAT(config.nats.servers, ElementsAre("nats://nats-srv:4222", "tls://b:1"));
  EXPECT_EQ(config.nats.creds + config.nats.nkey + config.nats.user +
                config.nats.password + config.nats.token + config.nats.tls_ca +
                config.nats.tls_cert + config.nats.tls_key,
            "a.credsb.nkuptcacertkey");
  EXPECT_EQ(config.StatusFile(), "/data/status.json");
  EXPECT_EQ(config.log.level, "warn");
  EXPECT_EQ(config.log.format, "json");
  EXPECT_EQ(config.origins.at("nats.url"), "NATS_URL");
}

TEST(Config, EmptyVariablesAreNotSet) {
  Config config = DefaultConfig();
  EXPECT_THAT(Apply(&config, {{"NATS_URL", ""}, {"EXPIRER_STORE", ""}}), IsEmpty());
  EXPECT_EQ(config.store.path, "data");
  EXPECT_THAT(config.origins, IsEmpty());
}

TEST(Config, WrongVariablesAreReportedByName) {
  Config config = DefaultConfig();
  EXPECT_THAT(
      Apply(
          &config,
          {{"NATS_URL", "x,,y"}, {"EXPIRER_LOG_LEVEL", "info|warn"}, {"NATS_CERT", "c"}}),
      ElementsAre(HasSubstr("NATS_URL: expected servers such as"),
                  "EXPIRER_LOG_LEVEL: expected debug or info or warn or error, found "
                  "\"info|warn\""));
  EXPECT_EQ(Message(CheckTls(config)),
            "nats.tls: expected cert and key together, found only cert (by NATS_CERT)");
  EXPECT_EQ(config.log.level, "info");
}

TEST(Config, ASecretThatEndsInALineBreakIsRefusedByNameAndNotShown) {
  for (const std::string name : {"NATS_USER", "NATS_PASSWORD", "NATS_TOKEN"}) {
    Config config = DefaultConfig();
    EXPECT_THAT(Apply(&config, {{name, "s3cr3t\n"}}),
                ElementsAre(name + ": control characters are not allowed (check for a "
                                   "newline at its end)"));
  }
}

TEST(Config, OfAFileThatIsWrongItIsNotSaidThatItHasNoRules) {
  EXPECT_THAT(ParseConfig("rules: 3", "f").warnings, IsEmpty());
  EXPECT_THAT(ParseConfig("rules: [", "f").warnings, IsEmpty());
  EXPECT_THAT(ParseConfig("rules: []", "f").warnings, Not(IsEmpty()));
}

// The line of `path` in what is shown.
std::string Shown(std::string_view text, const std::string& path,
                  const std::vector<ConfigOverride>& overrides = {}) {
  const std::string shown = "\n" + ShowConfig(text, "f", overrides);
  const size_t at = shown.find("\n" + path + ": ");
  if (at == shown.npos) return "not shown";
  return shown.substr(at + 1, shown.find('\n', at + 1) - at - 1);
}

TEST(ConfigShow, SaysWhereEachValueCameFrom) {
  const std::string text =
      "limits: { window: 5 }\n" + Good("      late: { after: 5s, action: skip }\n");
  EXPECT_EQ(Shown(text, "limits.window"), "limits.window: 5  # f:1");
  EXPECT_EQ(Shown(text, "limits.settle"), "limits.settle: 30s  # default");
  EXPECT_EQ(Shown(text, "nats.creds"), "nats.creds: \"\"  # default");
  EXPECT_EQ(Shown(text, "rules[0].name"), "rules[0].name: r  # f:3");
  EXPECT_EQ(Shown(text, "rules[0].schedule[0].key"),
            "rules[0].schedule[0].key: /id  # f:6");
  EXPECT_EQ(Shown(text, "rules[0].schedule[0].unit"),
            "rules[0].schedule[0].unit: ms  # default");
  EXPECT_EQ(Shown(text, "rules[0].publish[0].late.action"),
            "rules[0].publish[0].late.action: skip  # f:10");
  EXPECT_EQ(Shown(text, "rules[0].retry.max"), "rules[0].retry.max: 5m  # default");
  EXPECT_EQ(Shown(text, "rules[0].schedule[0].delay"), "not shown");
  const std::vector<ConfigOverride> overrides = {{"store.path", "/env", "EXPIRER_STORE"},
                                                 {"store.path", "/flag", "--store"}};
  EXPECT_EQ(Shown("store: { path: here }", "store.path", overrides),
            "store.path: /flag  # --store");
}

TEST(ConfigShow, ShowsListsAndMapsOnOneLine) {
  const std::string text = WithRule(
      "    schedule: { subject: a, key: [/a, 'subject:1'], match: { /t: [x, null] } }\n"
      "    publish: { subject: b, headers: { X: 'y z' } }\n");
  EXPECT_EQ(Shown(text, "rules[0].schedule[0].key"),
            "rules[0].schedule[0].key: [/a, subject:1]  # f:3");
  EXPECT_EQ(Shown(text, "rules[0].schedule[0].match"),
            "rules[0].schedule[0].match: {/t: [x, null]}  # f:3");
  EXPECT_EQ(Shown(text, "rules[0].publish[0].headers"),
            "rules[0].publish[0].headers: {X: \"y z\"}  # f:4");
}

TEST(ConfigShow, NeverShowsASecret) {
  const std::string shown = ShowConfig(
      "nats: { url: 'nats://joe:s3cret@h:1,tls://s3cret@h2', password: s3cret }", "f",
      {{"nats.token", "s3cret", "NATS_TOKEN"}});
  EXPECT_EQ(shown.find("s3cret"), shown.npos) << shown;
  EXPECT_THAT(shown, HasSubstr("nats.password: \"(hidden)\"  # f:1\n"));
  EXPECT_THAT(shown, HasSubstr("nats.token: \"(hidden)\"  # NATS_TOKEN\n"));
  EXPECT_THAT(shown, HasSubstr("nats://(hidden)@h:1,tls://(hidden)@h2"));
}

TEST(ConfigShow, WhatItShowsOfTheDefaultIsEveryKeyThatApplies) {
  const std::string shown = ShowConfig(DefaultConfigText(), "built-in", {});
  for (const Key& key : ConfigKeys()) {
    const bool scalar = key.type != KeyType::kMap && key.type != KeyType::kList &&
                        key.type != KeyType::kEntries && key.type != KeyType::kLater;
    if (!scalar || key.path.find('[') != key.path.npos) continue;
    EXPECT_THAT("\n" + shown, HasSubstr("\n" + std::string(key.path) + ": "));
  }
}

TEST(Config, AListenerIsReadWhereThereIsHttpAndRefusedWithOneSentenceWhereNot) {
  const std::string file = "metrics: { listen: \"127.0.0.1:9464\" }\n" + Good();
#ifdef EXPIRER_HTTP
  EXPECT_EQ(ParseConfig(file, "f").config.metrics.listen, "127.0.0.1:9464");
  EXPECT_THAT(Error("metrics: { listen: nowhere }\n" + Good()),
              HasSubstr("f:1:20: metrics.listen: "));
#else
  EXPECT_EQ(
      Error(file),
      "f:1:20: metrics.listen: expected it left out: this binary is built without HTTP");
#endif
}

TEST(Config, AnUnquotedStarIsRefusedWithTheMend) {
  const std::vector<std::string> errors =
      Errors(WithRule("    schedule: { subject: *.created, key: /id }\n"));
  EXPECT_THAT(errors, testing::Contains(HasSubstr(
                          "f:3:26: not YAML: a text that begins with * must stand in "
                          "quotes: '...'")));
}

TEST(Config, WhatIsWrongInsideAnEntryNamesTheNearestKey) {
  EXPECT_EQ(ErrorWith("subject: in, key: /id, mach: {}"),
            "f:3:40: rules[0].schedule[0].mach: unknown key; expected perhaps \"match\"");
  EXPECT_EQ(Error(Good("      ofset: 1s\n")),
            "f:9:7: rules[0].publish[0].ofset: unknown key; expected perhaps \"offset\"");
  EXPECT_THAT(
      Errors(Good("    cancel: { subject: c, key: /id, late: { subjekt: d } }\n")),
      testing::Contains("f:9:45: rules[0].cancel[0].late.subjekt: unknown key; "
                        "expected perhaps \"subject\""));
}

TEST(ConfigTable, EveryKeyHasADocAndAParent) {
  for (const Key& key : ConfigKeys()) {
    if (key.type != KeyType::kLater) {
      EXPECT_TRUE(key.doc.ends_with('.')) << key.path;
    }
    const size_t dot = key.path.rfind('.');
    if (dot == key.path.npos) continue;
    std::string_view parent = key.path.substr(0, dot);
    if (parent.ends_with("[]")) parent.remove_suffix(2);
    EXPECT_NE(FindKey(parent), nullptr) << key.path;
  }
}

TEST(ConfigTable, EveryDefaultIsInItsRange) {
  for (const Key& key : ConfigKeys()) {
    if (Default(key).empty() || key.path.find("[]") != key.path.npos) continue;
    std::string text = "'" + Default(key) + "'";
    std::string_view path = key.path;
    for (size_t dot = path.rfind('.'); dot != path.npos; dot = path.rfind('.')) {
      text = "{ " + std::string(path.substr(dot + 1)) + ": " + text + " }";
      path = path.substr(0, dot);
    }
    EXPECT_THAT(Errors(std::string(path) + ": " + text), IsEmpty());
  }
}

}  // namespace
}  // namespace expirer
