#include "job/rules.h"

#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job/header_block.h"

namespace expirer {
namespace {

constexpr int64_t kNowMs = 1'795'369'000'000;  // 2026-11-22T17:36:40Z
constexpr int64_t kTimeNs = kNowMs * 1'000'000 - 1;

Source At(std::string_view text) { return *Source::Parse(text); }

Entry MakeEntry(std::string_view subject, std::string_view key,
                std::string_view due = "") {
  Entry entry;
  entry.subject = subject;
  entry.key.push_back(At(key));
  if (!due.empty()) entry.due = At(due);
  return entry;
}

Template Text(std::string_view text, Template::Place place) {
  return *Template::Parse(text, place);
}

// The contract's ticketing rule.
Rule Ticketing() {
  Rule rule;
  rule.name = "order-expiration";
  rule.schedule.push_back(MakeEntry("order:created", "/id", "/expiresAt"));
  rule.cancel.push_back(MakeEntry("order:cancelled", "/id"));
  rule.cancel.push_back(MakeEntry("payment:created", "/orderId"));
  rule.publish[0].target = Text("expiration:complete", Template::Place::kSubject);
  rule.publish[0].body = Text("{\"orderId\":${/id}}", Template::Place::kBody);
  return rule;
}

// A rule whose key is the second subject token and whose body is the event's.
Rule Plain() {
  Rule rule;
  rule.name = "plain";
  rule.schedule.push_back(MakeEntry("in.*", "subject:2"));
  rule.publish[0].target = Text("out", Template::Place::kSubject);
  return rule;
}

Intent Evaluate(const Rule& rule, std::string_view subject, std::string_view payload,
                const Headers& headers = {}, const JobLimits& limits = {}) {
  RuleEvaluator evaluator(rule, limits);
  return evaluator.Evaluate({subject, payload, &headers, kTimeNs}, kNowMs);
}

Job Scheduled(const Intent& intent) {
  if (const auto* reject = std::get_if<RejectIntent>(&intent))
    ADD_FAILURE() << reject->reason;
  const auto* schedule = std::get_if<ScheduleIntent>(&intent);
  EXPECT_NE(schedule, nullptr);
  return schedule == nullptr ? Job() : schedule->job;
}

std::string Reason(const Intent& intent) {
  const auto* reject = std::get_if<RejectIntent>(&intent);
  return reject == nullptr ? "not rejected" : reject->reason;
}

// The reason or the key of an order:created with this key and due.
std::string WhyKey(std::string_view key_json) {
  return Reason(Evaluate(Ticketing(), "order:created",
                         "{\"id\":" + std::string(key_json) +
                             ",\"expiresAt\":\"2026-11-22T17:48:44.123Z\"}"));
}
Intent Due(std::string_view due_json, const JobLimits& limits = {}) {
  return Evaluate(Ticketing(), "order:created",
                  "{\"id\":\"1\",\"expiresAt\":" + std::string(due_json) + "}", {},
                  limits);
}
int64_t DueMs(std::string_view due_json) { return Scheduled(Due(due_json)).due_ms; }
std::string WhyDue(std::string_view due_json) { return Reason(Due(due_json)); }

TEST(Rules, AnEventBecomesTheJobOfTheContract) {
  const Job job = Scheduled(Evaluate(
      Ticketing(), "order:created",
      R"({"id":"655f","version":0,"expiresAt":"2026-11-22T17:48:44.123Z","ticket":{"id":"t"}})"));
  EXPECT_EQ(job.key, "655f");
  EXPECT_EQ(job.due_ms, 1795369724123);
  EXPECT_EQ(job.target, "expiration:complete");
  EXPECT_EQ(job.body, R"({"orderId":"655f"})");
  EXPECT_TRUE(job.headers.empty());
  EXPECT_EQ(job.source.version, std::nullopt);
}

TEST(Rules, ACancelTakesItsOwnEntrysKey) {
  const Intent intent =
      Evaluate(Ticketing(), "payment:created", R"({"id":"p1","orderId":"655f"})");
  ASSERT_TRUE(std::holds_alternative<CancelIntent>(intent));
  EXPECT_EQ(std::get<CancelIntent>(intent).key, "655f");
  EXPECT_EQ(std::get<CancelIntent>(intent).version, std::nullopt);
}

TEST(Rules, CancelEntryWinsOverSchedule) {
  Rule rule = Ticketing();
  rule.cancel.push_back(MakeEntry(">", "/id"));
  EXPECT_TRUE(std::holds_alternative<CancelIntent>(
      Evaluate(rule, "order:created", R"({"id":"1"})")));
}

TEST(Rules, ARejectedCancelIsNotTriedAsSchedule) {
  Rule rule = Ticketing();
  rule.cancel.insert(rule.cancel.begin(), MakeEntry("order:created", "/other"));
  EXPECT_EQ(Reason(Evaluate(rule, "order:created",
                            R"({"id":"1","expiresAt":"2026-11-22T17:48:44Z"})")),
            "key /other: it is missing, expected a string or an integer");
}

TEST(Rules, OtherSubjectsAreIgnored) {
  EXPECT_TRUE(
      std::holds_alternative<IgnoreIntent>(Evaluate(Ticketing(), "ticket:created", "x")));
}

TEST(Rules, TheFirstMatchingScheduleEntryDecides) {
  Rule rule = Plain();
  rule.schedule[0].delay_ms = 1;
  rule.schedule.push_back(MakeEntry("in.>", "subject:1"));
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.a", "")).key, "a");
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.a.b", "")).key, "in");
}

TEST(Rules, KeysAreStringsOrIntegersKeptByTheirDigits) {
  const auto key = [](std::string_view json) {
    return Scheduled(Evaluate(Ticketing(), "order:created",
                              "{\"id\":" + std::string(json) +
                                  ",\"expiresAt\":\"2026-11-22T17:48:44.123Z\"}"))
        .key;
  };
  EXPECT_EQ(key("\"a/b\""), "a/b");
  EXPECT_EQ(key("\"caf\\u00e9\""), "caf\xC3\xA9");
  EXPECT_EQ(key("0"), "0");
  EXPECT_EQ(key("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(key("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(key("\"" + std::string(512, 'k') + "\""), std::string(512, 'k'));
}

TEST(Rules, OtherKeysAreRejected) {
  EXPECT_EQ(WhyKey("1.0"), "key /id: \"1.0\" is not an integer of 64 bits");
  EXPECT_EQ(WhyKey("1e3"), "key /id: \"1e3\" is not an integer of 64 bits");
  EXPECT_EQ(WhyKey("-0"), "key /id: \"-0\" is not an integer of 64 bits");
  EXPECT_EQ(WhyKey("18446744073709551616"),
            "key /id: \"18446744073709551616\" is not an integer of 64 bits");
  EXPECT_EQ(WhyKey("null"), "key /id: it is null, expected a string or an integer");
  EXPECT_EQ(WhyKey("true"), "key /id: it is a boolean, expected a string or an integer");
  EXPECT_EQ(WhyKey("[1]"), "key /id: it is an array, expected a string or an integer");
  EXPECT_EQ(WhyKey("\"\""), "key /id: it is empty");
  EXPECT_EQ(WhyKey("\"a\\u0000b\""), "key /id: \"a\\x00b\" holds a zero byte");
  EXPECT_EQ(WhyKey("\"\\ud800\""),
            "key /id: it holds half of a surrogate pair, which is no text");
  EXPECT_EQ(WhyKey("\"" + std::string(513, 'k') + "\""),
            "key /id: it has 513 bytes, expected at most 512");
  EXPECT_EQ(WhyKey("1,\"id\":2"),
            "the body is not usable JSON: the member \"id\" is there twice");
}

TEST(Rules, KeysComeFromSubjectsAndHeadersToo) {
  Rule rule = Plain();
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.42", "")).key, "42");
  rule.schedule[0].key = {At("header:Order-Id")};
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "", {{"order-id", "h7"}})).key, "h7");
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "")),
            "key header:Order-Id: there is no such header");
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "", {{"Order-Id", "\xFF"}})),
            "key header:Order-Id: \"\\xff\" is not valid UTF-8");
  rule.schedule[0].key = {At("subject:3")};
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "")),
            "key subject:3: the subject \"in.x\" has fewer tokens");
}

TEST(Rules, SeveralKeysJoinWithoutCollisions) {
  Rule rule = Plain();
  rule.schedule[0].key = {At("header:A"), At("header:B")};
  const auto key = [&rule](const char* a, const char* b) {
    return Scheduled(Evaluate(rule, "in.x", "", {{"A", a}, {"B", b}})).key;
  };
  EXPECT_EQ(key("a", "b"), "a/b");
  EXPECT_EQ(key("a/b", "c"), "a%2Fb/c");
  EXPECT_EQ(key("a", "b/c"), "a/b%2Fc");
  EXPECT_EQ(key("a%2Fb", "c"), "a%252Fb/c");
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "", {{"A", "a"}, {"B", ""}})),
            "key header:B: it is empty");
}

TEST(Rules, DueIsATimeOrMilliseconds) {
  EXPECT_EQ(DueMs("\"2026-11-22T17:48:44.1234+00:00\""), 1795369724124);
  EXPECT_EQ(DueMs("1795369724123"), 1795369724123);
  EXPECT_EQ(DueMs("1795369724123.0"), 1795369724123);
  EXPECT_EQ(DueMs("1795369724123.0001"), 1795369724124);
  EXPECT_EQ(DueMs("\"1970-01-01T00:00:00Z\""), 0) << "due in the past fires at once";
  EXPECT_EQ(DueMs("253402300799999"), kDueMaxMs);
}

TEST(Rules, OtherDueTimesAreRejectedWithTheReason) {
  EXPECT_EQ(WhyDue("\"tomorrow\""),
            "due /expiresAt: expected an RFC 3339 time or a number of ms, found "
            "\"tomorrow\": it is too short for a date and a time with an offset");
  EXPECT_EQ(WhyDue("1795369724"),
            "due /expiresAt: 1795369724 looks like seconds, expected ms or unit: s");
  EXPECT_EQ(WhyDue("0"), "due /expiresAt: 0 looks like seconds, expected ms or unit: s");
  EXPECT_EQ(WhyDue("99999999999.9"),
            "due /expiresAt: 99999999999.9 looks like seconds, expected ms or unit: s");
  EXPECT_EQ(WhyDue("-1"), "due /expiresAt: -1 is outside 1970 to 9999");
  EXPECT_EQ(WhyDue("99999999999999999999"),
            "due /expiresAt: 99999999999999999999 is outside 1970 to 9999");
  EXPECT_EQ(WhyDue("9223372036854775807.5"),
            "due /expiresAt: 9223372036854775807.5 is outside 1970 to 9999");
  EXPECT_EQ(WhyDue("253402300799999.5"),
            "due /expiresAt: 10000-01-01T00:00:00.000Z is outside 1970 to 9999");
  EXPECT_EQ(WhyDue("\"1969-12-31T23:59:59Z\""),
            "due /expiresAt: 1969-12-31T23:59:59.000Z is outside 1970 to 9999");
  EXPECT_EQ(WhyDue("null"),
            "due /expiresAt: it is null, expected an RFC 3339 time or a number of ms");
  EXPECT_EQ(WhyDue("\"1795369724\""),
            "due /expiresAt: 1795369724 looks like seconds, expected ms or unit: s");
  EXPECT_EQ(WhyDue("1e300"), "due /expiresAt: 1e300 is outside 1970 to 9999");
  EXPECT_EQ(
      WhyDue("9.99999999999e10"),
      "due /expiresAt: 9.99999999999e10 looks like seconds, expected ms or unit: s");
  EXPECT_EQ(WhyDue("\"2026-11-22\""),
            "due /expiresAt: expected an RFC 3339 time or a number of ms, found "
            "\"2026-11-22\": it is too short for a date and a time with an offset");
  EXPECT_EQ(WhyDue("\"\"").substr(0, 69),
            "due /expiresAt: expected an RFC 3339 time or a number of ms, found \"\"");
}

TEST(Rules, ANumberIsADueTimeHoweverItIsWritten) {
  for (const char* json :
       {"1800000000000", "1.8E12", "1.8e+12", "1800000000000.0", "18000000000000000e-4",
        "0.0018e15", "\"1800000000000\"", "\"1.8E12\"", "\"1800000000000.0\""})
    EXPECT_EQ(DueMs(json), 1'800'000'000'000) << json;
  EXPECT_EQ(DueMs("1.8000000000001e12"), 1'800'000'000'001) << "part of one rounded up";
  EXPECT_EQ(DueMs("18000000000001e-1"), 1'800'000'000'001);
  Rule rule = Plain();
  rule.schedule[0].due = At("header:At");
  for (const char* text : {"1800000000000", "1.8E12", "1800000000000.0"})
    EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "", {{"At", text}})).due_ms,
              1'800'000'000'000)
        << text;
  rule.schedule[0].unit_ms = 1'000;
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "", {{"At", "1.8000000001234E9"}})).due_ms,
            1'800'000'000'124)
      << "part of a millisecond rounded up";
}

TEST(Rules, TheHorizonCountsFromNow) {
  JobLimits limits;
  limits.horizon_ms = 1'000;
  EXPECT_EQ(Scheduled(Due(std::to_string(kNowMs + 1'000), limits)).due_ms,
            kNowMs + 1'000);
  EXPECT_EQ(
      Reason(Due(std::to_string(kNowMs + 1'001), limits)),
      "due /expiresAt: 2026-11-22T17:36:41.001Z is beyond limits.horizon, 1s from now");
}

TEST(Rules, AHeaderHoldsADueTimeOfEitherKind) {
  Rule rule = Plain();
  rule.schedule[0].due = At("header:At");
  const auto due = [&rule](const char* text) {
    return Evaluate(rule, "in.x", "", {{"At", text}});
  };
  EXPECT_EQ(Scheduled(due("2026-11-22T17:48:44.123Z")).due_ms, 1795369724123);
  EXPECT_EQ(Scheduled(due("1795369724123")).due_ms, 1795369724123);
  EXPECT_EQ(Reason(due("1795369724")),
            "due header:At: 1795369724 looks like seconds, expected ms or unit: s");
  for (const char* bad : {"", "-", ".", "1795369724123.", "1.2.3", " 1795369724123", "1e",
                          "1e+", "e12", "+1795369724123", "0x1A"})
    EXPECT_NE(Reason(due(bad)), "not rejected") << bad;
}

TEST(Rules, ADelayCountsFromTheMessagesTimeRoundedUp) {
  Rule rule = Plain();
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "")).due_ms, kNowMs)
      << "neither: that time itself";
  rule.schedule[0].delay_ms = 900'000;
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "")).due_ms, kNowMs + 900'000);
  rule.schedule[0].delay_ms = INT64_MAX;
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "")),
            "delay: 2562047788015h12m55s807ms from the message's time is outside 1970 to "
            "9999");
}

TEST(Rules, NumbersCountInTheRulesUnitAndNeverRoundDown) {
  Rule rule = Ticketing();
  rule.schedule[0].unit_ms = 1'000;
  const auto due = [&rule](const std::string& json) {
    return Evaluate(rule, "order:created", R"({"id":"1","expiresAt":)" + json + "}");
  };
  EXPECT_EQ(Scheduled(due("1795369724")).due_ms, 1'795'369'724'000);
  EXPECT_EQ(Scheduled(due("1795369724.123")).due_ms, 1'795'369'724'123);
  EXPECT_EQ(Scheduled(due("1795369724.1230001")).due_ms, 1'795'369'724'124);
  EXPECT_EQ(Scheduled(due("0")).due_ms, 0) << "seconds may be of 1970";
  EXPECT_EQ(Scheduled(due(R"("2026-11-22T17:48:44.123Z")")).due_ms, 1'795'369'724'123);
  EXPECT_EQ(Reason(due("1795369724123")),
            "due /expiresAt: 1795369724123 is outside 1970 to 9999 in seconds, it looks "
            "like ms");
  EXPECT_EQ(Reason(due("9223372036854775807")),
            "due /expiresAt: 9223372036854775807 is outside 1970 to 9999");
}

TEST(Rules, ADelayComesFromAPointerOrAHeader) {
  Rule rule = Plain();
  rule.schedule[0].delay = At("/in");
  const auto by_pointer = [&rule](const std::string& json) {
    return Evaluate(rule, "in.x", "{\"in\":" + json + "}");
  };
  EXPECT_EQ(Scheduled(by_pointer("1500")).due_ms, kNowMs + 1'500);
  EXPECT_EQ(Scheduled(by_pointer("0.5")).due_ms, kNowMs + 1);
  EXPECT_EQ(Scheduled(by_pointer("\"1h30m\"")).due_ms, kNowMs + 5'400'000);
  EXPECT_EQ(Scheduled(by_pointer("\"90\"")).due_ms, kNowMs + 90);
  EXPECT_EQ(Scheduled(by_pointer("1.5E3")).due_ms, kNowMs + 1'500);
  EXPECT_EQ(Scheduled(by_pointer("\"PT15M\"")).due_ms, kNowMs + 900'000);
  EXPECT_EQ(Scheduled(by_pointer("\"P2DT3H\"")).due_ms, kNowMs + 183'600'000);
  EXPECT_EQ(Scheduled(by_pointer("\"PT0.0001S\"")).due_ms, kNowMs + 1) << "never early";
  for (const char* negative :
       {"0", "-1", "-0.5", "-1e30", "\"-1\"", "\"-15m\"", "\"PT-15M\"", "\"-P2DT3H\""})
    EXPECT_EQ(Scheduled(by_pointer(negative)).due_ms, kNowMs) << negative;
  EXPECT_EQ(
      Reason(by_pointer("\"90 minutes\"")),
      "delay /in: expected a duration such as 90s, 15m, 1h30m or PT15M, or a number "
      "of ms, found \"90 minutes\"");
  EXPECT_EQ(Reason(by_pointer("\"P1M\"")),
            "delay /in: expected a duration in weeks, days, hours, minutes and seconds "
            "(years and months have no fixed length), found \"P1M\"");
  EXPECT_EQ(
      Reason(by_pointer("1e300")),
      "delay /in: 1e300 is too long, expected a delay that ends before the year 10000");
  EXPECT_EQ(Reason(by_pointer("true")),
            "delay /in: it is a boolean, expected a duration or a number of ms");
  EXPECT_EQ(
      Reason(by_pointer("9223372036854775807")),
      "delay /in: 9223372036854775807 is too long, expected a delay that ends before "
      "the year 10000");
  EXPECT_EQ(
      Reason(by_pointer("9223372036854775806")),
      "delay /in: 2562047788015h12m55s806ms from the message's time is outside 1970 "
      "to 9999");
  rule.schedule[0].unit_ms = 1'000;
  EXPECT_EQ(Scheduled(by_pointer("1.5")).due_ms, kNowMs + 1'500);

  rule.schedule[0].delay = At("header:In");
  const auto by_header = [&rule](const char* text) {
    return Evaluate(rule, "in.x", "no JSON", {{"In", text}});
  };
  EXPECT_EQ(Scheduled(by_header("30")).due_ms, kNowMs + 30'000);
  EXPECT_EQ(Scheduled(by_header("30ms")).due_ms, kNowMs + 30);
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "")),
            "delay header:In: there is no such header");
}

TEST(Rules, ARejectTellsWhatOfTheMessageIsAtFault) {
  const auto kind = [](const Intent& intent) {
    const auto* reject = std::get_if<RejectIntent>(&intent);
    EXPECT_NE(reject, nullptr);
    return reject == nullptr ? RejectKind::kStale : reject->kind;
  };
  EXPECT_EQ(kind(Evaluate(Ticketing(), "order:created", "no JSON")), RejectKind::kBody);
  EXPECT_EQ(kind(Evaluate(Ticketing(), "order:cancelled", "{}")), RejectKind::kKey);
  EXPECT_EQ(kind(Due("\"soon\"")), RejectKind::kDue);
  JobLimits near;
  near.horizon_ms = 1'000;
  EXPECT_EQ(kind(Due("\"2026-11-22T18:00:00Z\"", near)), RejectKind::kHorizon);
  JobLimits small;
  small.payload_bytes = 10;
  EXPECT_EQ(kind(Due("\"2026-11-22T18:00:00Z\"", small)), RejectKind::kPayload);
  Rule rule = Ticketing();
  rule.publish[0].target = Text("out.${/where}", Template::Place::kSubject);
  EXPECT_EQ(kind(Evaluate(rule, "order:created",
                          R"({"id":"1","expiresAt":"2026-11-22T18:00:00Z"})")),
            RejectKind::kContent);
  rule.schedule[0].version = At("/version");
  EXPECT_EQ(kind(Evaluate(rule, "order:created",
                          R"({"id":"1","expiresAt":"2026-11-22T18:00:00Z"})")),
            RejectKind::kVersion);
}

Match Is(std::string_view where, std::vector<MatchValue> any_of) {
  return {At(where), std::move(any_of)};
}
MatchValue Str(std::string text) { return {MatchValue::Kind::kString, std::move(text)}; }
MatchValue Num(std::string text) { return {MatchValue::Kind::kNumber, std::move(text)}; }
MatchValue Bool(std::string text) { return {MatchValue::Kind::kBool, std::move(text)}; }

TEST(Rules, AMatchHoldsByKindAndValue) {
  const auto holds = [](const std::string& json, std::vector<MatchValue> any_of) {
    Rule rule = Plain();
    rule.schedule[0].match = {Is("/v", std::move(any_of))};
    const Intent intent = Evaluate(rule, "in.x", json);
    EXPECT_FALSE(std::holds_alternative<RejectIntent>(intent)) << json;
    return std::holds_alternative<ScheduleIntent>(intent);
  };
  EXPECT_TRUE(holds(R"({"v":"a"})", {Str("a")}));
  EXPECT_TRUE(holds(R"({"v":"\u0061"})", {Str("b"), Str("a")}));
  EXPECT_FALSE(holds(R"({"v":"A"})", {Str("a")}));
  EXPECT_FALSE(holds(R"({"v":["a"]})", {Str("a")}));
  EXPECT_FALSE(holds(R"({"v":"1"})", {Num("1")}));
  EXPECT_FALSE(holds(R"({"v":1})", {Str("1")}));
  EXPECT_TRUE(holds(R"({"v":1.0})", {Num("1")}));
  EXPECT_TRUE(holds(R"({"v":1e2})", {Num("100")}));
  EXPECT_TRUE(holds(R"({"v":-0})", {Num("0")}));
  EXPECT_TRUE(holds(R"({"v":9007199254740993})", {Num("9007199254740993")}));
  EXPECT_FALSE(holds(R"({"v":9007199254740993})", {Num("9007199254740992")}));
  EXPECT_FALSE(holds(R"({"v":1e999})", {Num("0")}));
  EXPECT_TRUE(holds(R"({"v":true})", {Bool("true")}));
  EXPECT_FALSE(holds(R"({"v":"true"})", {Bool("true")}));
  EXPECT_TRUE(holds(R"({"v":null})", {MatchValue{}}));
  EXPECT_TRUE(holds(R"({"w":1})", {MatchValue{}}));
  EXPECT_FALSE(holds(R"({"v":false})", {MatchValue{}}));
}

TEST(Rules, AHeaderMatchComparesTextsAndNullMeansAbsent) {
  Rule rule = Plain();
  const auto holds = [&rule](std::vector<MatchValue> any_of, const Headers& headers) {
    rule.schedule[0].match = {Is("header:Type", std::move(any_of))};
    return std::holds_alternative<ScheduleIntent>(
        Evaluate(rule, "in.x", "no JSON", headers));
  };
  EXPECT_TRUE(holds({Str("a")}, {{"type", "a"}}));
  EXPECT_TRUE(holds({Num("1")}, {{"Type", "1"}}));
  EXPECT_FALSE(holds({Num("1")}, {{"Type", "1.0"}}));
  EXPECT_FALSE(holds({Str("a")}, {}));
  EXPECT_TRUE(holds({MatchValue{}}, {}));
  EXPECT_FALSE(holds({MatchValue{}}, {{"Type", ""}}));
}

// Headers as those of an event whose line without a colon cannot be read.
Headers Unread() { return UnreadHeaders("NATS/1.0\r\nX\r\n\r\n"); }
constexpr const char* kUnread = "the headers cannot be read: line 2, \"X\", has no colon";

TEST(Rules, AnEventWhoseHeadersCannotBeReadSchedulesNothing) {
  const Intent intent = Evaluate(Plain(), "in.x", "", Unread());
  EXPECT_EQ(Reason(intent), kUnread);
  const auto* reject = std::get_if<RejectIntent>(&intent);
  EXPECT_TRUE(reject != nullptr && reject->kind == RejectKind::kHeaders);
  EXPECT_TRUE(
      std::holds_alternative<IgnoreIntent>(Evaluate(Plain(), "elsewhere", "", Unread())));
}

TEST(Rules, NoMatchOnAHeaderHoldsWhereTheHeadersCannotBeRead) {
  Rule rule = Ticketing();
  for (const MatchValue& value : {MatchValue{}, Str("a")}) {
    rule.cancel[0].match = {Is("header:Type", {value})};
    EXPECT_EQ(Reason(Evaluate(rule, "order:cancelled", R"({"id":"7"})", Unread())),
              kUnread);
  }
  rule.cancel[0].match.clear();
  rule.cancel[0].key = {At("header:Order-Id")};
  EXPECT_EQ(Reason(Evaluate(rule, "order:cancelled", "{}", Unread())), kUnread);
}

TEST(Rules, ACancelThatLooksAtNoHeaderCountsWhateverTheyAre) {
  Rule rule = Ticketing();
  Publish& late = rule.cancel[0].late.emplace();
  late.name = kLateQueue;
  late.target = Text("refund", Template::Place::kSubject);
  const Intent intent = Evaluate(rule, "order:cancelled", R"({"id":"7"})", Unread());
  const auto* cancel = std::get_if<CancelIntent>(&intent);
  ASSERT_TRUE(cancel != nullptr && cancel->late != nullptr);
  EXPECT_EQ(cancel->key, "7");
  EXPECT_EQ(cancel->late->trouble, kUnread) << "its headers would pass through";
}

TEST(Rules, AHeaderWithAZeroByteIsReadWholeAndNotPassedOn) {
  Rule rule = Plain();
  const Headers headers = {{"Type", std::string("a\0b", 3)}};
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "", headers)),
            "the event's header \"Type\" holds a zero byte, which cannot be passed on");
  rule.schedule[0].match = {Is("header:Type", {Str("a")})};
  EXPECT_TRUE(std::holds_alternative<IgnoreIntent>(Evaluate(rule, "in.x", "", headers)));
  rule.schedule[0].match.clear();
  rule.publish[0].headers.emplace_back("type", Text("x", Template::Place::kHeader));
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "", headers)).headers,
            (Headers{{"type", "x"}}));
}

// What a server puts where messages expired (subject_delete_marker_ttl).
const Headers kMarker = {{"Nats-Marker-Reason", "MaxAge"}, {"Nats-TTL", "1m0s"}};

TEST(Rules, AMessageThatTheServerMadeIsIgnoredAsAMarker) {
  const auto marker = [](const Intent& intent) {
    const auto* ignore = std::get_if<IgnoreIntent>(&intent);
    return ignore != nullptr && ignore->marker;
  };
  EXPECT_TRUE(marker(Evaluate(Plain(), "in.x", "", kMarker)));
  EXPECT_TRUE(marker(Evaluate(Ticketing(), "order:cancelled", "", kMarker)));
  EXPECT_FALSE(marker(Evaluate(Plain(), "elsewhere", "", kMarker)));
  Rule rule = Plain();
  rule.schedule[0].match = {Is("header:Other", {MatchValue{}})};
  EXPECT_TRUE(marker(Evaluate(rule, "in.x", "", kMarker)));
}

TEST(Rules, AnEntryThatMatchesOnTheMarkersHeaderTakesMarkers) {
  Rule rule = Plain();
  rule.cancel.push_back(MakeEntry("in.*", "subject:2"));
  rule.cancel[0].match = {Is("header:nats-marker-reason", {Str("MaxAge")})};
  const Intent expired = Evaluate(rule, "in.x", "", kMarker);
  ASSERT_TRUE(std::holds_alternative<CancelIntent>(expired));
  EXPECT_EQ(std::get<CancelIntent>(expired).key, "x");
  // The other entry of the rule takes none.
  const Intent purged = Evaluate(rule, "in.x", "", {{"Nats-Marker-Reason", "Purge"}});
  EXPECT_TRUE(std::holds_alternative<IgnoreIntent>(purged));
  EXPECT_TRUE(std::holds_alternative<ScheduleIntent>(Evaluate(rule, "in.x", "")));
}

TEST(Rules, AllMatchesMustHoldElseTheNextEntryIsTried) {
  Rule rule = Plain();
  Entry entry = rule.schedule[0];
  entry.match = {Is("/type", {Str("started")}), Is("/plan", {Str("free"), Str("pro")})};
  rule.schedule = {entry};
  entry.match = {Is("/type", {Str("moved")})};
  entry.delay_ms = 5;
  rule.schedule.push_back(entry);
  entry.match = {Is("/type", {Str("ended")})};
  entry.delay_ms.reset();
  rule.cancel = {entry};
  const auto of = [&rule](const std::string& json) {
    return Evaluate(rule, "in.x", json);
  };
  EXPECT_EQ(Scheduled(of(R"({"type":"started","plan":"pro"})")).due_ms, kNowMs);
  EXPECT_EQ(Scheduled(of(R"({"type":"moved"})")).due_ms, kNowMs + 5);
  EXPECT_TRUE(std::holds_alternative<CancelIntent>(of(R"({"type":"ended"})")));
  EXPECT_TRUE(std::holds_alternative<IgnoreIntent>(of(R"({"type":"started"})")));
  EXPECT_TRUE(std::holds_alternative<IgnoreIntent>(of(R"({})")));
  EXPECT_EQ(Reason(of("no JSON")).substr(0, 23), "the body is not usable ");
}

// A warning three minutes before the due time, and the breach at it.
Rule WithTwoEntries() {
  Rule rule = Ticketing();
  rule.name = "sla";
  rule.publish.resize(2);
  rule.publish[0].name = "warning";
  rule.publish[0].offset_ms = -180'000;
  rule.publish[0].body = Text("{\"at\":${due}}", Template::Place::kBody);
  rule.publish[1].name = "breach";
  rule.publish[1].target = Text("breach.${/id}", Template::Place::kSubject);
  return rule;
}

TEST(Rules, OneEventMakesAJobOfEachPublishEntry) {
  const Intent intent =
      Evaluate(WithTwoEntries(), "order:created",
               R"({"id":"7","expiresAt":"2026-11-22T17:48:44.123Z"})", {{"H", "1"}});
  const auto* schedule = std::get_if<ScheduleIntent>(&intent);
  ASSERT_NE(schedule, nullptr);
  EXPECT_EQ(schedule->job.due_ms, 1'795'369'544'123);
  EXPECT_EQ(schedule->job.body, R"({"at":"2026-11-22T17:45:44.123Z"})");
  ASSERT_EQ(schedule->more.size(), 1u);
  EXPECT_EQ(schedule->more[0].due_ms, 1'795'369'724'123);
  EXPECT_EQ(schedule->more[0].key, "7");
  EXPECT_EQ(schedule->more[0].target, "breach.7");
  EXPECT_EQ(schedule->more[0].headers, (Headers{{"H", "1"}}));
}

TEST(Rules, AnEntryThatCannotBeRenderedRejectsTheWholeEvent) {
  EXPECT_EQ(Reason(Evaluate(WithTwoEntries(), "order:created",
                            R"({"id":"a.b","expiresAt":"2026-11-22T17:48:44.123Z"})")),
            "publish.breach.subject: ${/id}: \"a.b\" is not one plain subject token");
  EXPECT_EQ(Reason(Evaluate(WithTwoEntries(), "order:created",
                            R"({"id":"1","expiresAt":"1970-01-01T00:01:00Z"})")),
            "due /expiresAt: 1969-12-31T23:58:00.000Z is outside 1970 to 9999");
}

TEST(Rules, ALateCancelIsRenderedFromTheCancel) {
  Rule rule = Ticketing();
  Publish& late = rule.cancel[1].late.emplace();
  late.name = kLateQueue;
  late.target = Text("refund.${key}", Template::Place::kSubject);
  late.body = Text("{\"p\":${/stripe}}", Template::Place::kBody);
  const Intent good =
      Evaluate(rule, "payment:created", R"({"orderId":"7","stripe":"x"})", {{"H", "1"}});
  const auto* cancel = std::get_if<CancelIntent>(&good);
  ASSERT_TRUE(cancel != nullptr && cancel->late != nullptr);
  EXPECT_EQ(cancel->late->job.target, "refund.7");
  EXPECT_EQ(cancel->late->job.body, R"({"p":"x"})");
  EXPECT_EQ(cancel->late->job.headers, (Headers{{"H", "1"}}));
  // Without a value for it the cancel still counts.
  const Intent bad = Evaluate(rule, "payment:created", R"({"orderId":"7"})");
  cancel = std::get_if<CancelIntent>(&bad);
  ASSERT_TRUE(cancel != nullptr && cancel->late != nullptr);
  EXPECT_EQ(cancel->key, "7");
  EXPECT_EQ(cancel->late->trouble, "late.body: ${/stripe}: there is no such value");
  const Intent other = Evaluate(rule, "order:cancelled", R"({"id":"7"})");
  EXPECT_EQ(std::get<CancelIntent>(other).late, nullptr);
}

TEST(Rules, VersionsAreSignedIntegers) {
  Rule rule = Ticketing();
  rule.schedule[0].version = At("/version");
  rule.cancel[0].version = At("/version");
  const auto event = [](const std::string& version) {
    return "{\"id\":\"1\",\"expiresAt\":1795369724123,\"version\":" + version + "}";
  };
  EXPECT_EQ(Scheduled(Evaluate(rule, "order:created", event("7"))).source.version, 7);
  EXPECT_EQ(
      std::get<CancelIntent>(Evaluate(rule, "order:cancelled", event("-3"))).version, -3);
  EXPECT_EQ(Reason(Evaluate(rule, "order:created", event("1.5"))),
            "version /version: \"1.5\" is not an integer of 64 bits");
  EXPECT_EQ(Reason(Evaluate(rule, "order:created", event("9223372036854775808"))),
            "version /version: \"9223372036854775808\" is not an integer of 64 bits");
  EXPECT_EQ(Reason(Evaluate(rule, "order:created", event("\"7\""))),
            "version /version: it is a string, expected an integer");
}

TEST(Rules, ABodyIsReadAsJsonOnlyWhereAPointerNeedsIt) {
  Rule rule = Plain();
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.x", "\xFF not JSON")).body, "\xFF not JSON");
  rule.publish[0].headers.emplace_back("Id", Text("${/id}", Template::Place::kHeader));
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "\xFF not JSON")),
            "the body is not usable JSON: it is not valid UTF-8");
  EXPECT_EQ(Reason(Evaluate(rule, "in.x", "")),
            "the body is not usable JSON: it is empty");
  rule.cancel.push_back(MakeEntry("stop.*", "subject:2"));
  EXPECT_TRUE(std::holds_alternative<CancelIntent>(Evaluate(rule, "stop.x", "not JSON")));
}

TEST(Rules, HeadersPassThroughExceptReservedAndOverriddenOnes) {
  Rule rule = Plain();
  rule.publish[0].headers.emplace_back(
      "X-Shop", Text("new ${subject:2}", Template::Place::kHeader));
  const Headers in = {{"traceparent", "00-4bf9-00f0-01"},
                      {"nats-msg-id", "1"},
                      {"NATS-Expected-Stream", "S"},
                      {"Expirer-Job", "x"},
                      {"eXpIrEr-At", "y"},
                      {"Natsy", "kept"},
                      {"x-shop", "old"},
                      {"b", " \xFF "},
                      {"b", "2"}};
  const Headers expected = {{"traceparent", "00-4bf9-00f0-01"},
                            {"Natsy", "kept"},
                            {"b", " \xFF "},
                            {"b", "2"},
                            {"X-Shop", "new k"}};
  EXPECT_EQ(Scheduled(Evaluate(rule, "in.k", "", in)).headers, expected);
}

TEST(Rules, ARenderedTargetMustBeOneThatAnyoneMayPublishTo) {
  Rule rule = Plain();
  rule.publish[0].target = Text("${/a}.${/b}", Template::Place::kSubject);
  JobLimits limits;
  limits.service = "expirer";
  const auto target = [&](std::string_view a, std::string_view b) {
    return Evaluate(rule, "in.x",
                    "{\"a\":\"" + std::string(a) + "\",\"b\":\"" + std::string(b) + "\"}",
                    {}, limits);
  };
  EXPECT_EQ(Scheduled(target("out", "x")).target, "out.x");
  EXPECT_EQ(
      Reason(target("$JS", "API")),
      "publish.subject \"$JS.API\": expected a subject outside $... and _INBOX..., which "
      "belong to NATS");
  EXPECT_EQ(Reason(target("expirer", "v1")),
            "publish.subject \"expirer.v1\": expected a subject outside expirer....");
  EXPECT_EQ(Scheduled(target("expirers", "v1")).target, "expirers.v1");
  EXPECT_EQ(Reason(target("a", "b.c")),
            "publish.subject: ${/b}: \"b.c\" is not one plain subject token");
  EXPECT_NE(Reason(target("a", std::string(kTargetBytesMax, 'x'))), "not rejected");
}

// What an event of a stranger may not do. The template: one token of his.
Rule Open() {
  Rule rule = Plain();
  rule.publish[0].target = Text("out.${/to}.x", Template::Place::kSubject);
  return rule;
}

TEST(HostileEvent, CannotChooseASubjectOutsideTheTemplatesShape) {
  for (const char* to : {"a.b", "*", ">", "a b", "a\\tb", "", "a\\r\\nPUB x 0", "\\u0000",
                         "\\u007f", ".", "a*", "a>"}) {
    EXPECT_NE(Reason(Evaluate(Open(), "in.x", "{\"to\":\"" + std::string(to) + "\"}")),
              "not rejected")
        << to;
  }
  for (const char* to : {"null", "{}", "[\"a\"]"}) {
    EXPECT_NE(Reason(Evaluate(Open(), "in.x", "{\"to\":" + std::string(to) + "}")),
              "not rejected")
        << to;
  }
  EXPECT_EQ(Scheduled(Evaluate(Open(), "in.x", R"({"to":"$SYS"})")).target, "out.$SYS.x");
}

TEST(HostileEvent, CannotMakeUsPublishToNatsOrToOurselves) {
  Rule rule = Plain();
  rule.publish[0].target = Text("${/to}.x", Template::Place::kSubject);
  JobLimits limits;
  limits.service = "expirer";
  for (const char* to : {"$JS", "$SYS", "$", "_INBOX", "_INBOX_other", "expirer"}) {
    const Intent intent =
        Evaluate(rule, "in.x", "{\"to\":\"" + std::string(to) + "\"}", {}, limits);
    EXPECT_NE(Reason(intent), "not rejected") << to;
  }
}

TEST(HostileEvent, CannotInjectAHeader) {
  Rule rule = Plain();
  rule.publish[0].headers.emplace_back("X-Who",
                                       Text("by ${/who}", Template::Place::kHeader));
  const Job job =
      Scheduled(Evaluate(rule, "in.x", R"({"who":"a\r\nNats-Msg-Id: mine\n%0A\u00e9"})"));
  EXPECT_EQ(job.headers,
            (Headers{{"X-Who", "by a%0D%0ANats-Msg-Id:%20mine%0A%250A%C3%A9"}}));
}

TEST(HostileEvent, CannotSetAHeaderThatNatsOrExpirerReads) {
  const Headers sent = {
      {"nats-msg-id", "mine"},      {"Nats-Expected-Last-Sequence", "1"},
      {"NATS-ROLLUP", "all"},       {"expirer-Job", "x"},
      {"EXPIRER-AT", "x"},          {"Natsy", "stays"},
      {"traceparent", "00-a-b-01"}, {"Odd", " \xff\x01 bytes "}};
  const Job job = Scheduled(Evaluate(Plain(), "in.x", "", sent));
  EXPECT_EQ(job.headers, (Headers{{"Natsy", "stays"},
                                  {"traceparent", "00-a-b-01"},
                                  {"Odd", " \xff\x01 bytes "}}))
      << "and what stays is byte-identical";
}

TEST(HostileEvent, CannotBreakOutOfAJsonBody) {
  Rule rule = Plain();
  rule.publish[0].body = Text(R"({"a":"<${/v}>","b":${/v}})", Template::Place::kBody);
  EXPECT_EQ(
      Scheduled(Evaluate(rule, "in.x", R"({"v":"\",\"admin\":true,\"c\":\""})")).body,
      R"({"a":"<\",\"admin\":true,\"c\":\">","b":"\",\"admin\":true,\"c\":\""})");
}

TEST(HostileEvent, CannotTakeAnotherKeysIdentity) {
  Rule rule = Plain();
  rule.schedule[0].key = {At("/a"), At("/b")};
  const auto key = [&rule](const char* json) {
    return Scheduled(Evaluate(rule, "in.x", json)).key;
  };
  EXPECT_NE(key(R"({"a":"x/y","b":"z"})"), key(R"({"a":"x","b":"y/z"})"));
  EXPECT_NE(Reason(Evaluate(rule, "in.x", R"({"a":"x\u0000","b":"y"})")), "not rejected");
}

TEST(Rules, AMissingTemplateValueIsRejectedWithItsPlace) {
  EXPECT_EQ(Reason(Evaluate(
                [] {
                  Rule rule = Ticketing();
                  rule.publish[0].body = Text("${/none}", Template::Place::kBody);
                  return rule;
                }(),
                "order:created", R"({"id":"1","expiresAt":1795369724123})")),
            "publish.body: ${/none}: there is no such value");
}

TEST(Rules, ThePayloadLimitCountsBodyAndAllHeaders) {
  Rule rule = Plain();
  JobLimits limits;
  limits.payload_bytes = 1'000;
  size_t largest = 0;
  for (size_t size = 0; size <= 1'000; ++size) {
    const Intent intent = Evaluate(rule, "in.x", std::string(size, 'b'), {}, limits);
    if (std::holds_alternative<ScheduleIntent>(intent)) largest = size;
  }
  EXPECT_GT(largest, 750u);
  EXPECT_LT(largest, 850u) << "the headers that firing adds count too";
  const Headers headers = {{"Name", "value"}};  // "Name: value\r\n" is 13 bytes
  const auto fits = [&](size_t size) {
    return std::holds_alternative<ScheduleIntent>(
        Evaluate(rule, "in.x", std::string(size, 'b'), headers, limits));
  };
  EXPECT_TRUE(fits(largest - 13));
  EXPECT_FALSE(fits(largest - 12));
}

TEST(Rules, ReasonsAreShortPrintableSentences) {
  const std::string reason = WhyDue("\"" + std::string(10'000, 'x') + "\"");
  EXPECT_LE(reason.size(), 300u);
  EXPECT_THAT(reason, testing::HasSubstr("found \"" + std::string(64, 'x') + "\""));
  const std::string pointer = "/" + std::string(1'000, 'p');
  Rule rule = Ticketing();
  rule.schedule[0].key = {At(pointer)};
  EXPECT_EQ(Reason(Evaluate(rule, "order:created", "{}")).size(), 300u);
}

TEST(Rules, AnEvaluatorKeepsNothingFromOneEventToTheNext) {
  const Rule rule = Ticketing();
  RuleEvaluator evaluator(rule, {});
  const auto run = [&evaluator](std::string_view payload) {
    return evaluator.Evaluate({"order:created", payload, nullptr, kTimeNs}, kNowMs);
  };
  const std::string good = R"({"id":"a\nb","expiresAt":1795369724123})";
  EXPECT_EQ(Scheduled(run(good)).body, R"({"orderId":"a\nb"})");
  EXPECT_NE(Reason(run(R"({"id":"x"})")), "not rejected");
  EXPECT_NE(Reason(run("{")), "not rejected");
  EXPECT_EQ(Scheduled(run(good)), Scheduled(run(good)));
}

TEST(Rules, SourcesAreReadAndSpelledAlike) {
  for (const char* text : {"/a/b~1c", "subject:2", "header:Order-Id", "/"})
    EXPECT_EQ(At(text).Spelling(), text);
  for (const char* bad :
       {"", "id", "subject:", "subject:0", "subject:x", "subject:-1", "subject:+1",
        "subject:1 ", "subject:999", "header:", "/a~", "${/id}"}) {
    EXPECT_FALSE(Source::Parse(bad).ok()) << bad;
  }
}

TEST(RuleEvaluator, AnEntryThatNamesAStreamTakesItsEventsOnly) {
  Rule rule = Plain();
  rule.schedule[0].stream = "M";
  rule.cancel.push_back(MakeEntry("in.*", "subject:2"));
  rule.cancel[0].stream = "N";
  rule.cancel.push_back(MakeEntry("out.*", "subject:2"));
  RuleEvaluator evaluator(rule, {});
  const auto in = [&](std::string_view subject, std::string_view stream,
                      bool only_named = false) {
    return evaluator.Evaluate({subject, "", nullptr, kTimeNs, stream, only_named}, kNowMs)
        .index();
  };
  const size_t ignored = Intent(IgnoreIntent()).index();
  const size_t scheduled = Intent(ScheduleIntent()).index();
  const size_t cancelled = Intent(CancelIntent()).index();
  EXPECT_EQ(in("in.a", "M"), scheduled);
  EXPECT_EQ(in("in.a", "N"), cancelled);
  EXPECT_EQ(in("in.a", "O"), ignored);
  EXPECT_EQ(in("out.a", "O"), cancelled) << "names none";
  EXPECT_EQ(in("out.a", "M", true), ignored) << "a stream that does not carry it";
  EXPECT_EQ(in("in.a", "M", true), scheduled);
  EXPECT_EQ(in("in.a", ""), cancelled) << "nobody knows the stream: the first that fits";
}

// A target that takes so many bytes.
class OneLimit : public TargetLimits {
 public:
  explicit OneLimit(size_t bytes) : bytes_(bytes) {}
  absl::Status Fits(Transport, std::string_view target, size_t bytes) override {
    target_ = target;
    asked_ = bytes;
    if (bytes <= bytes_) return absl::OkStatus();
    return MakeStatus(absl::StatusCode::kOutOfRange, "the message is too large for it");
  }
  size_t bytes_;
  size_t asked_ = 0;
  std::string target_;
};

constexpr char kOrder[] = R"({"id":"1","expiresAt":"2026-11-22T18:00:00Z"})";

TEST(RuleEvaluator, WhatItsTargetCannotTakeIsRejectedInTheTargetsWords) {
  OneLimit target(1'000);
  JobLimits limits;
  limits.targets = &target;
  Rule rule = Ticketing();
  EXPECT_TRUE(std::holds_alternative<ScheduleIntent>(
      Evaluate(rule, "order:created", kOrder, {}, limits)));
  EXPECT_EQ(target.target_, "expiration:complete");
  // Our own headers count, and those of every later attempt.
  EXPECT_GT(target.asked_, std::string(R"({"orderId":"1"})").size() + 100);
  target.bytes_ = 100;
  const Intent intent = Evaluate(rule, "order:created", kOrder, {}, limits);
  ASSERT_TRUE(std::holds_alternative<RejectIntent>(intent));
  EXPECT_EQ(std::get<RejectIntent>(intent).reason, "the message is too large for it");
  EXPECT_EQ(std::get<RejectIntent>(intent).kind, RejectKind::kPayload);
}

TEST(RuleEvaluator, HeadersBeyondWhatAStreamStoresAreRejectedButOverCoreNats) {
  Rule rule = Ticketing();
  const Headers large = {{"H", std::string(65'535 - 100, 'x')}};
  const Intent intent = Evaluate(rule, "order:created", kOrder, large);
  ASSERT_TRUE(std::holds_alternative<RejectIntent>(intent));
  EXPECT_THAT(
      std::get<RejectIntent>(intent).reason,
      testing::HasSubstr("bytes with expirer's own, a stream stores 65535 at most"));
  EXPECT_EQ(std::get<RejectIntent>(intent).kind, RejectKind::kPayload);
  rule.publish[0].via = Transport::kCore;
  EXPECT_TRUE(std::holds_alternative<ScheduleIntent>(
      Evaluate(rule, "order:created", kOrder, large)));
  rule.publish[0].via = Transport::kJetStream;
  const Headers small = {{"H", std::string(65'535 - 1'000, 'x')}};
  EXPECT_TRUE(std::holds_alternative<ScheduleIntent>(
      Evaluate(rule, "order:created", kOrder, small)));
}

}  // namespace
}  // namespace expirer
