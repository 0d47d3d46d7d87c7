// Any bytes as an event: subject, header and body. Nothing may crash; a job
// that is scheduled must keep its bounds; and what the strict reader takes,
// simdjson's fully validating DOM parser must take too.
//
// Input: subject, newline, header value, newline, body.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "base/check.h"
#include "job/rules.h"
#include "json/reader.h"

namespace expirer {
namespace {

constexpr int64_t kNowMs = 1'795'369'724'123;

Entry MakeEntry(std::string_view subject, std::vector<std::string_view> keys) {
  Entry entry;
  entry.subject = subject;
  for (const std::string_view key : keys) entry.key.push_back(*Source::Parse(key));
  return entry;
}

std::vector<Rule> MakeRules() {
  std::vector<Rule> rules(2);
  Rule& orders = rules[0];
  orders.name = "orders";
  orders.schedule.push_back(MakeEntry("order:created", {"/id"}));
  orders.schedule[0].due = *Source::Parse("/expiresAt");
  orders.schedule[0].version = *Source::Parse("/version");
  orders.cancel.push_back(MakeEntry("order:cancelled", {"/o/l/0", "/o/a~1b"}));
  orders.publish[0].target =
      *Template::Parse("expired.${/id}", Template::Place::kSubject);
  orders.publish[0].body =
      *Template::Parse("{\"o\":${/o},\"s\":\"${/id} ${key} ${header:H}\",\"d\":${due}}",
                       Template::Place::kBody);
  orders.publish[0].headers.emplace_back(
      "X", *Template::Parse("${/id}", Template::Place::kHeader));
  Rule& plain = rules[1];
  plain.name = "plain";
  plain.schedule.push_back(MakeEntry("in.>", {"subject:2", "header:H"}));
  plain.schedule[0].due = *Source::Parse("header:H");
  plain.publish[0].target =
      *Template::Parse("${subject:2}.out", Template::Place::kSubject);
  return rules;
}

void CheckJob(const Job& job, const JobLimits& limits) {
  CHECK(!job.key.empty() && job.key.size() <= kKeyBytesMax);
  CHECK(job.key.find('\0') == std::string::npos && IsUtf8(job.key));
  CHECK(job.due_ms >= 0 && job.due_ms <= kDueMaxMs);
  CHECK(job.due_ms <= kNowMs + limits.horizon_ms);
  CHECK(CheckTarget(job.target).ok());
  CHECK(job.body.size() <= limits.payload_bytes);
}

void CheckJson(std::string_view body) {
  static JsonReader reader;
  static simdjson::dom::parser dom;
  JsonPointers pointers;
  const size_t id = pointers.Add("/id");
  if (!reader.Read(body, pointers).ok()) return;
  const simdjson::error_code error = dom.parse(body.data(), body.size()).error();
  // It refuses numbers beyond 64 bits and lone surrogates, which are JSON; by
  // which codes depends on its version.
  CHECK(error != simdjson::TAPE_ERROR && error != simdjson::UTF8_ERROR &&
        error != simdjson::UNCLOSED_STRING && error != simdjson::UNESCAPED_CHARS &&
        error != simdjson::EMPTY && error != simdjson::T_ATOM_ERROR &&
        error != simdjson::F_ATOM_ERROR && error != simdjson::N_ATOM_ERROR);
  // A value's bytes are JSON by themselves.
  const JsonValue& value = reader.value(id);
  if (value.kind == JsonValue::Kind::kMissing) return;
  const std::string alone = "[" + std::string(value.raw) + "]";
  JsonReader second;
  CHECK(second.Read(alone, JsonPointers()).ok());
}

void Run(std::string_view input) {
  static const std::vector<Rule> rules = MakeRules();
  static JobLimits limits = [] {
    JobLimits bounds;
    bounds.payload_bytes = 2'000;
    bounds.service = "expirer";
    return bounds;
  }();
  static std::vector<std::unique_ptr<RuleEvaluator>> evaluators = [] {
    std::vector<std::unique_ptr<RuleEvaluator>> result;
    for (const Rule& rule : rules)
      result.push_back(std::make_unique<RuleEvaluator>(rule, limits));
    return result;
  }();
  const size_t first = std::min(input.find('\n'), input.size());
  const std::string_view subject = input.substr(0, first);
  input.remove_prefix(std::min(first + 1, input.size()));
  const size_t second = std::min(input.find('\n'), input.size());
  const Headers headers = {{"H", std::string(input.substr(0, second))}};
  input.remove_prefix(std::min(second + 1, input.size()));
  for (const auto& evaluator : evaluators) {
    const EventView event{subject, input, &headers, kNowMs * 1'000'000};
    const Intent intent = evaluator->Evaluate(event, kNowMs);
    if (const auto* schedule = std::get_if<ScheduleIntent>(&intent))
      CheckJob(schedule->job, limits);
    if (const auto* reject = std::get_if<RejectIntent>(&intent)) {
      CHECK(!reject->reason.empty() && reject->reason.size() <= 300 &&
            IsUtf8(reject->reason));
    }
  }
  CheckJson(input);
}

}  // namespace
}  // namespace expirer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expirer::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
