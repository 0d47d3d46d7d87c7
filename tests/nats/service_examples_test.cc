// Each rule file of examples/rules through the whole service: the events of
// NAME.trace.jsonl are published to a real stream, and what comes back must be
// NAME.fires.jsonl.
//
// A trace tells of hours and days. Here its times are moved onto seconds: the
// knots of an example say which instant of the trace is which millisecond of
// the run, the times in the events are rewritten so, and the durations that
// stand in the rule file or in the events are replaced by a list of theirs.
// All else, and the whole rule file where it has no duration, is used as it
// stands. The order of events, due times and fires stays that of the trace: an
// event waits for the fires before it, and must have been applied before the
// due times after it. Where the machine was too slow for that, the run counts
// for nothing and is begun again with all times longer.

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>
#include <thread>

#include <gmock/gmock.h>

#include "base/duration.h"
#include "base/rfc3339.h"
#include "nats/service_world.h"
#include "replay/files.h"

namespace expirer::test {
namespace {

constexpr char kFolder[] = "examples/rules/";
constexpr char kStream[] = "LIVE";

// An instant of the trace and the millisecond of the run that it becomes;
// between two of them time goes evenly.
struct Knot {
  std::string_view at;
  int64_t live_ms;
};

// `before` + `text`, once in the rule file or in events (a header as "Name:
// value"): `text` becomes this many milliseconds.
struct Span {
  std::string_view before;
  std::string_view text;
  int64_t live_ms;
};

struct Example {
  std::string name;
  std::vector<std::string> subjects;  // of the stream: events and targets
  std::vector<Knot> knots;
  // An event of the same rule after all others, and its job, due after all
  // others: a rule fires in due order, so what did not fire before it never will.
  std::string marker;
  std::string marker_job;
  std::vector<Span> in_rules = {};
  std::vector<Span> in_events = {};
};

// ctest's names of tests are made from it.
void PrintTo(const Example& example, std::ostream* out) { *out << example.name; }

std::vector<Example> Examples() {
  return {
      {.name = "article-publication",
       .subjects = {"article.*", "site.publish"},
       .knots = {{"2027-02-01T09:00:00Z", 0},
                 {"2027-02-01T09:31:00Z", 100},
                 {"2027-02-01T09:59:59.999Z", 200},
                 {"2027-02-01T10:00:00Z", 600},  // due of a revision that came too late
                 {"2027-02-01T11:00:00Z", 700},
                 {"2027-02-01T11:30:00Z", 800},
                 {"2027-02-01T12:00:00Z", 1'300},
                 {"2027-02-01T12:30:00Z", 1'400},
                 {"2027-02-01T13:00:00Z", 1'900},
                 {"2027-02-01T14:00:00Z", 2'100},
                 {"2027-02-01T14:31:00Z", 2'200},
                 {"2027-02-01T14:40:00Z", 2'700}},
       .marker = R"({"at":"2027-02-01T14:31:00Z","subject":"article.scheduled",)"
                 R"("json":{"id":"marker","rev":1,"title":"",)"
                 R"("publishAt":"2027-02-01T14:40:00Z"}})",
       .marker_job = "article/marker"},
      {.name = "cart-reminder",
       .subjects = {"cart.*", "mail.*"},
       .knots = {{"2027-02-01T10:00:00Z", 0},
                 {"2027-02-01T10:30:00Z", 600},
                 {"2027-02-01T10:32:00Z", 700},
                 {"2027-02-01T12:00:00Z", 800},
                 {"2027-02-01T12:31:00Z", 900}},
       .marker = R"({"at":"2027-02-01T12:31:00Z","subject":"cart.updated",)"
                 R"("json":{"cart":"marker","owner":"","count":1}})",
       .marker_job = "cart-reminder/marker",
       .in_rules = {{"delay: ", "30m", 1'000}}},
      {.name = "device-offline",
       .subjects = {"device.>", "alarm.>"},
       .knots = {{"2027-02-01T10:00:00Z", 0},
                 {"2027-02-01T10:00:10Z", 100},
                 {"2027-02-01T10:01:00Z", 600},
                 {"2027-02-01T10:01:20Z", 900},
                 {"2027-02-01T10:02:00Z", 1'650},
                 {"2027-02-01T10:02:30Z", 1'700},
                 {"2027-02-01T10:12:00Z", 1'800}},
       .marker = R"({"at":"2027-02-01T10:12:00Z",)"
                 R"("subject":"device.berlin.marker.heartbeat","payload":""})",
       .marker_job = "offline/berlin/marker",
       .in_rules = {{"delay: ", "90s", 1'500}}},
      {.name = "order-expiry",
       .subjects = {"order:created", "order:cancelled", "payment:created",
                    "expiration:complete"},
       .knots = {{"2027-02-01T10:00:00Z", 0},
                 {"2027-02-01T10:05:00Z", 200},
                 {"2027-02-01T10:15:00Z", 800},
                 {"2027-02-01T10:15:01Z", 900},
                 {"2027-02-01T10:15:01.999Z", 950},
                 {"2027-02-01T10:15:02Z", 1'500},  // due and cancelled
                 {"2027-02-01T10:20:00Z", 1'550},
                 {"2027-02-01T10:30:00Z", 1'600},
                 {"2027-02-01T11:00:00Z", 2'200},
                 {"2027-02-01T11:00:01Z", 2'210}},
       .marker = R"({"at":"2027-02-01T10:30:00Z","subject":"order:created",)"
                 R"("json":{"id":"marker","expiresAt":"2027-02-01T11:00:01.000Z"}})",
       .marker_job = "order-expiration/marker"},
      {.name = "session-timeout",
       .subjects = {"session.>"},
       .knots = {{"2027-02-01T10:00:00Z", 0},
                 {"2027-02-01T10:05:00Z", 250},
                 {"2027-02-01T10:15:00Z", 600},
                 {"2027-02-01T10:20:00Z", 700},
                 {"2027-02-01T10:21:00Z", 750},
                 {"2027-02-01T10:34:59.999Z", 1'100},
                 {"2027-02-01T10:55:00Z", 1'600}},
       .marker = R"({"at":"2027-02-01T10:55:00Z","subject":"session.marker.active",)"
                 R"("payload":""})",
       .marker_job = "session/marker",
       .in_rules = {{"delay: ", "20m", 1'000}}},
      {.name = "sla",
       .subjects = {"support.*", "chat.>"},
       .knots = {{"2027-02-01T10:00:00Z", 0},
                 {"2027-02-01T10:30:00Z", 100},
                 {"2027-02-01T10:40:00Z", 200},
                 {"2027-02-01T10:41:00Z", 250},
                 {"2027-02-01T10:45:00Z", 700},
                 {"2027-02-01T10:46:00Z", 720},
                 {"2027-02-01T10:50:00Z", 900},
                 {"2027-02-01T11:00:00Z", 1'500},
                 {"2027-02-01T11:01:00Z", 1'520}},
       .marker = R"({"at":"2027-02-01T10:41:00Z","subject":"support.opened",)"
                 R"("json":{"ticket":"marker","team":"blue",)"
                 R"("answerBy":"2027-02-01T11:01:00Z"}})",
       .marker_job = "sla.breach/marker",
       .in_rules = {{"offset: ", "-15m", -800}}},
      {.name = "trial-end",
       .subjects = {"billing.>", "mail.*"},
       .knots = {{"2027-02-01T09:00:00Z", 0},
                 {"2027-02-01T09:00:02Z", 100},
                 {"2027-02-12T09:00:00Z", 500},
                 {"2027-02-12T09:00:01Z", 501},
                 {"2027-02-13T09:00:00Z", 800},
                 {"2027-02-14T08:59:59.999Z", 1'000},
                 {"2027-02-14T09:00:00Z", 1'400},  // extended when its reminder is due
                 {"2027-02-14T09:00:01Z", 1'405},
                 {"2027-02-14T09:30:00Z", 1'450},
                 {"2027-02-14T10:00:00Z", 1'700},
                 {"2027-02-15T09:00:00Z", 2'000},
                 {"2027-02-15T09:00:01Z", 2'001},
                 {"2027-02-17T09:00:00Z", 2'900},
                 {"2027-02-17T10:00:00Z", 3'200}},
       .marker = R"({"at":"2027-02-14T09:30:00Z","subject":"billing.trial",)"
                 R"("json":{"type":"started","account":"marker","ends":1802858400}})",
       .marker_job = "trial.end/marker",
       .in_rules = {{"offset: ", "-72h", -1'500}, {"after: ", "1h", 500}}},
      {.name = "webhook-retry",
       .subjects = {"webhook.*"},
       .knots = {{"2027-02-01T10:00:00Z", 0},
                 {"2027-02-01T10:00:02Z", 100},
                 {"2027-02-01T10:00:20Z", 700},
                 {"2027-02-01T10:00:31Z", 1'300},
                 {"2027-02-01T10:03:00Z", 1'400}},
       .marker = R"({"at":"2027-02-01T10:03:00Z","subject":"webhook.failed",)"
                 R"("json":{"id":"marker","retry_in":60}})",
       .marker_job = "webhook-retry/marker",
       .in_events = {{"Retry-In: ", "30s", 1'200},
                     {"Retry-In: ", "45", 1'800},
                     {"Retry-In: ", "2m", 1'000},
                     {R"("retry_in":)", "2.5", 500},
                     {R"("retry_in":)", "60", 100}}},
  };
}

int64_t Ms(std::string_view rfc3339) {
  const auto ms = ParseRfc3339(rfc3339);
  EXPECT_TRUE(ms.ok()) << rfc3339;
  return ms.value_or(0);
}

// "-72h" and "2.5" (seconds) in milliseconds, and back in the same form.
int64_t SpanMs(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool bare = std::isdigit(static_cast<unsigned char>(text.back())) != 0;
  const auto ms = ParseDuration(std::string(text) + (bare ? "s" : ""));
  EXPECT_TRUE(ms.ok()) << text;
  return ms.value_or(0) * (negative ? -1 : 1);
}
std::string Seconds(int64_t ms) {
  std::string decimals = std::to_string(1'000 + ms % 1'000);
  return std::to_string(ms / 1'000) + "." + decimals.substr(1);
}
std::string SpanText(std::string_view like, int64_t ms) {
  if (std::isdigit(static_cast<unsigned char>(like.back())) != 0) return Seconds(ms);
  return (ms < 0 ? "-" : "") + FormatDuration(std::abs(ms));
}

// The time that a word of an event tells: RFC 3339, or seconds since 1970.
std::optional<int64_t> TimeOf(std::string_view word) {
  if (word.size() == 10 && word.starts_with("18") &&
      word.find_first_not_of("0123456789") == word.npos)
    return std::stoll(std::string(word)) * 1'000;
  const auto ms = ParseRfc3339(word);
  return ms.ok() ? std::optional(*ms) : std::nullopt;
}
// The same form for another time; an offset stays what it was.
std::string TimeText(std::string_view like, int64_t ms) {
  if (like.find('T') == like.npos) return Seconds(ms);
  if (like.ends_with('Z')) return Iso(ms);
  const std::string offset(like.substr(like.size() - 6));  // "+01:00"
  const int64_t minutes =
      std::stoll(offset.substr(1, 2)) * 60 + std::stoll(offset.substr(4));
  std::string text = Iso(ms + (offset[0] == '-' ? -minutes : minutes) * 60'000);
  return text.replace(text.size() - 1, 1, offset);
}

// `text` with `replace(time, word)` for every word that tells a time.
template <typename Replace>
std::string WithTimes(std::string_view text, Replace replace) {
  std::string out;
  while (!text.empty()) {
    const size_t digit = std::min(text.find_first_of("0123456789"), text.size());
    out += text.substr(0, digit);
    text.remove_prefix(digit);
    const size_t end = std::min(text.find_first_not_of("0123456789-:.TZ+"), text.size());
    const std::string_view word = text.substr(0, end);
    const auto time = TimeOf(word);
    out += time ? replace(*time, word) : std::string(word);
    text.remove_prefix(end);
  }
  return out;
}

// One run of an example, all its times `scale` times as long.
class LiveRun {
 public:
  LiveRun(const Example& example, int64_t scale)
      : example_(example),
        scale_(scale),
        events_(ReadTrace(kFolder + example.name + ".trace.jsonl")),
        fires_(ReadFires(kFolder + example.name + ".fires.jsonl")),
        world_({.config = Rules()}) {
    const TraceLine marker = ParsedTraceLine(example.marker);
    const auto after =
        std::find_if(events_.begin(), events_.end(),
                     [&](const TraceLine& e) { return e.at_ms() > marker.at_ms(); });
    events_.insert(after, marker);
    world_.client().CreateStream(kStream, example.subjects);
    world_.service().StartReady();
  }

  // False where the machine was too slow to keep the order of the trace.
  bool Play() {
    start_ms_ = NowMs();
    for (const TraceLine& event : events_) {
      WaitForFires(event.at_ms());
      // What happens in the millisecond of a due time comes before the fire.
      SleepUntil(Live(event.at_ms() - 1 < FirstMs() ? event.at_ms() : event.at_ms() - 1));
      Publish(event);
      if (testing::Test::HasFailure()) return true;
      const int64_t applied_ms = NowMs();
      for (const auto& [due_ms, live_ms] : dues_)
        if (due_ms >= event.at_ms() && live_ms <= applied_ms) return false;
    }
    return std::is_sorted(fires_.begin(), fires_.end(),
                          [&](const TraceFire& a, const TraceFire& b) {
                            return dues_[a.due_ms] < dues_[b.due_ms];
                          });
  }

  void ExpectTheFires() {
    ASSERT_TRUE(WaitFor([&] { return MarkerFired(); }, kLongMs))
        << world_.service().LogOfThisStart();
    std::vector<StoredMessage> fired = Fired();
    for (const StoredMessage& one : fired) {
      if (one.Header("Expirer-Job") != example_.marker_job) continue;
      EXPECT_EQ(one.Header("Expirer-Due"), Iso(LastDue())) << "nothing is due later";
    }
    std::erase_if(fired, [](const StoredMessage& one) {
      return one.Header("Expirer-Job").ends_with("/marker");
    });
    ASSERT_EQ(fired.size(), fires_.size());
    for (size_t i = 0; i < fires_.size(); ++i) ExpectFire(fired[i], fires_[i]);
    const auto stats = world_.client().Request("expirer.v1.stats", "", kLongMs);
    EXPECT_EQ(Number(stats.value_or(""), "rejected"), 0);
    EXPECT_EQ(Number(stats.value_or(""), "dead"), 0);
  }

 private:
  // ---- The trace's times and texts as those of this run.

  int64_t FirstMs() const { return Ms(example_.knots.front().at); }

  int64_t Live(int64_t at_ms) const {
    for (size_t i = 1; i < example_.knots.size(); ++i) {
      const Knot& from = example_.knots[i - 1];
      const Knot& to = example_.knots[i];
      const int64_t from_ms = Ms(from.at);
      const int64_t to_ms = Ms(to.at);
      if (at_ms < from_ms || at_ms > to_ms) continue;
      const int64_t share =
          (to.live_ms - from.live_ms) * (at_ms - from_ms) / (to_ms - from_ms);
      return start_ms_ + (from.live_ms + share) * scale_;
    }
    ADD_FAILURE() << example_.name << " has no knots around " << Iso(at_ms);
    return start_ms_;
  }

  std::string Replaced(std::string text, const Span& span, size_t* found) const {
    const std::string old = std::string(span.before) + std::string(span.text);
    const std::string now =
        std::string(span.before) + SpanText(span.text, span.live_ms * scale_);
    for (size_t at = text.find(old); at != text.npos;
         at = text.find(old, at + now.size())) {
      text.replace(at, old.size(), now);
      ++*found;
    }
    return text;
  }

  std::string Rules() const {
    std::string rules = ReadWhole(kFolder + example_.name + ".yaml");
    for (const Span& span : example_.in_rules) {
      size_t found = 0;
      rules = Replaced(rules, span, &found);
      EXPECT_EQ(found, 1u) << "the rule file has no one " << span.before << span.text;
    }
    return rules;
  }

  std::string Payload(std::string text) const {
    size_t found = 0;
    for (const Span& span : example_.in_events) text = Replaced(text, span, &found);
    return text;
  }

  Headers HeadersNow(Headers headers) const {
    size_t found = 0;
    for (auto& [name, value] : headers) {
      for (const Span& span : example_.in_events) {
        const std::string line = name + ": " + value;
        if (line != std::string(span.before) + std::string(span.text)) continue;
        value = Replaced(line, span, &found).substr(name.size() + 2);
        break;
      }
    }
    return headers;
  }

  // ---- Playing.

  static void SleepUntil(int64_t ms) {
    const int64_t left_ms = ms - NowMs();
    if (left_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(left_ms));
  }

  std::vector<StoredMessage> Fired() {
    std::vector<StoredMessage> all = world_.client().ReadStream(kStream);
    std::erase_if(all,
                  [](const StoredMessage& m) { return m.Header("Expirer-Job").empty(); });
    return all;
  }

  bool MarkerFired() {
    const std::vector<StoredMessage> fired = Fired();
    return std::any_of(fired.begin(), fired.end(), [&](const StoredMessage& one) {
      return one.Header("Expirer-Job") == example_.marker_job;
    });
  }

  // Those that the trace has before this instant.
  void WaitForFires(int64_t at_ms) {
    const auto before = static_cast<size_t>(
        std::count_if(fires_.begin(), fires_.end(),
                      [&](const TraceFire& fire) { return fire.at_ms < at_ms; }));
    ASSERT_TRUE(WaitFor([&] { return Fired().size() >= before; }, kLongMs))
        << "of " << before << " fires before " << Iso(at_ms) << ", " << Fired().size()
        << " came: " << world_.service().LogOfThisStart();
  }

  // Applied and on disk when it returns: its ack says so.
  void Publish(const TraceLine& event) {
    const std::string payload = WithTimes(
        Payload(event.payload),
        [&](int64_t ms, std::string_view word) { return TimeText(word, Live(ms)); });
    const uint64_t seq =
        world_.client().Publish(event.subject, payload, HeadersNow(event.headers));
    ASSERT_GT(seq, 0u) << "no stream took " << event.subject;
    for (const StoredMessage& stored : world_.client().ReadStream(kStream))
      if (stored.seq == seq)  // as expirer counts it, up to the next millisecond
        stored_ms_[event.at_ms()] = (stored.time_ns + 999'999) / 1'000'000;
    NoteDues(event);
    const std::string durable =
        "expirer-" + fires_[0].job.substr(0, fires_[0].job.find_first_of("./"));
    const bool acked = WaitFor(
        [&] {
          const std::string info = world_.client().Api(std::string("CONSUMER.INFO.") +
                                                       kStream + "." + durable);
          const size_t floor = info.find("\"ack_floor\"");
          return floor != info.npos &&
                 Number(info.substr(floor), "stream_seq") >= static_cast<int64_t>(seq);
        },
        kLongMs);
    ASSERT_TRUE(acked) << world_.service().LogOfThisStart();
  }

  // When the event's jobs are due, in the trace and here; also of events that
  // schedule none, which does no harm.
  void NoteDues(const TraceLine& event) {
    const auto note_delay = [&](const Span& span) {
      dues_[event.at_ms() + SpanMs(span.text)] =
          stored_ms_[event.at_ms()] + span.live_ms * scale_;
    };
    for (const Span& span : example_.in_rules)
      if (span.before == "delay: ") note_delay(span);
    for (const Span& span : example_.in_events)
      if (Holds(event, span)) note_delay(span);
    (void)WithTimes(event.payload, [&](int64_t ms, std::string_view) {
      dues_[ms] = Live(ms);
      for (const Span& span : example_.in_rules)
        if (span.before == "offset: ")
          dues_[ms + SpanMs(span.text)] = Live(ms) + span.live_ms * scale_;
      return std::string();
    });
  }

  static bool Holds(const TraceLine& event, const Span& span) {
    const std::string text = std::string(span.before) + std::string(span.text);
    for (const auto& [name, value] : event.headers)
      if (name + ": " + value == text) return true;
    return event.payload.find(text) != event.payload.npos;
  }

  int64_t LastDue() const {
    int64_t last = 0;
    for (const auto& [due_ms, live_ms] : dues_) last = std::max(last, live_ms);
    return last;
  }

  // ---- Judging.

  void ExpectFire(const StoredMessage& got, const TraceFire& want) {
    SCOPED_TRACE(want.job + " due at " + Iso(want.due_ms) + " of the trace");
    ASSERT_TRUE(dues_.contains(want.due_ms));
    const int64_t due_ms = dues_[want.due_ms];
    EXPECT_EQ(got.subject, want.subject);
    // A time in it is that of the event, which JetStream gave, or one that we
    // rewrote.
    EXPECT_EQ(got.payload,
              WithTimes(Payload(want.payload), [&](int64_t ms, std::string_view word) {
                const auto stored = stored_ms_.find(ms);
                return TimeText(word,
                                stored == stored_ms_.end() ? Live(ms) : stored->second);
              }));
    EXPECT_GE(got.time_ns, due_ms * 1'000'000) << "fired early";
    EXPECT_EQ(got.JobAndDue(), want.job + "/" + std::to_string(due_ms));
    Headers headers = HeadersNow(want.headers);
    for (auto& [name, value] : headers) {
      if (name == "Nats-Msg-Id") value = got.Header(name);
      if (name == "Expirer-Due") value = Iso(due_ms);
    }
    EXPECT_THAT(got.headers, testing::UnorderedElementsAreArray(headers));
  }

  const Example& example_;
  const int64_t scale_;
  std::vector<TraceLine> events_;
  const std::vector<TraceFire> fires_;
  World world_;
  int64_t start_ms_ = 0;
  std::map<int64_t, int64_t> stored_ms_;  // of events, by their time in the trace
  std::map<int64_t, int64_t> dues_;       // of jobs, by theirs
};

class ServiceExamples : public testing::TestWithParam<Example> {};

TEST_P(ServiceExamples, FireLiveWhatTheirFilesSay) {
  for (const int64_t scale : {1, 4, 16}) {
    LiveRun run(GetParam(), scale);
    if (run.Play()) {
      if (!HasFailure()) run.ExpectTheFires();
      return;
    }
    std::printf("too slow a machine, once more with longer times\n");
  }
  FAIL() << "too slow a machine to tell";
}

TEST(ServiceExamplesFolder, HasEveryRuleFileHere) {
  std::vector<std::string> here;
  for (const Example& example : Examples()) here.push_back(example.name + ".yaml");
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().filename());
  EXPECT_THAT(here, testing::UnorderedElementsAreArray(files));
}

INSTANTIATE_TEST_SUITE_P(Rules, ServiceExamples, testing::ValuesIn(Examples()),
                         [](const auto& parameter) {
                           std::string name = parameter.param.name;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace expirer::test
