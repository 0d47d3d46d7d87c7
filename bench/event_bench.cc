// What it costs to turn an event into a job: the built-in rule on a 250-byte
// JSON event, beside simdjson alone reading the same two values.
#include <string>

#include "app/config.h"
#include "base/check.h"
#include "base/rfc3339.h"
#include "benchmark/benchmark.h"
#include "job/rules.h"
#include "json/reader.h"
#include "simdjson.h"

namespace expirer {
namespace {

constexpr int64_t kNowMs = 1'800'000'000'000;

std::string Event() {
  return R"({"id":"64f1c0ffee0123456789abcd","version":0,"status":"created",)"
         R"("userId":"64f1c0ffee0123456789abce","expiresAt":"2027-01-15T08:15:00.000Z",)"
         R"("ticket":{"id":"64f1c0ffee0123456789abcf","price":20.5,"title":"a concert"},)"
         R"("seats":["A1","A2"],"notes":""})";
}

void Report(benchmark::State& state, size_t bytes) {
  state.SetItemsProcessed(state.iterations());
  state.counters["bytes"] = static_cast<double>(bytes);
}

// Padded once, read in place; both values as text.
void SimdjsonAlone(benchmark::State& state) {
  const simdjson::padded_string event(Event());
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    auto document = parser.iterate(event);
    std::string_view id;
    std::string_view due;
    CHECK(document["id"].get(id) == simdjson::SUCCESS);
    CHECK(document["expiresAt"].get(due) == simdjson::SUCCESS);
    benchmark::DoNotOptimize(id);
    benchmark::DoNotOptimize(due);
  }
  Report(state, event.size());
}
BENCHMARK(SimdjsonAlone);

// As strict as we are, it must look at every byte: all values, none skipped.
void Walk(simdjson::ondemand::value value) {
  switch (value.type()) {
    case simdjson::ondemand::json_type::object:
      for (auto field : value.get_object()) {
        benchmark::DoNotOptimize(std::string_view(field.unescaped_key()));
        Walk(field.value());
      }
      break;
    case simdjson::ondemand::json_type::array:
      for (auto element : value.get_array()) Walk(element.value());
      break;
    case simdjson::ondemand::json_type::string:
      benchmark::DoNotOptimize(std::string_view(value.get_string()));
      break;
    case simdjson::ondemand::json_type::number:
      benchmark::DoNotOptimize(double(value.get_double()));
      break;
    default: break;
  }
}
void SimdjsonWholeWalk(benchmark::State& state) {
  const simdjson::padded_string event(Event());
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    auto document = parser.iterate(event);
    Walk(document.get_value());
  }
  Report(state, event.size());
}
BENCHMARK(SimdjsonWholeWalk);

// Our strict reader, which checks every byte, and what is made of its values:
// the key as text and the due time in ms.
void KeyAndDue(benchmark::State& state) {
  const std::string event = Event();
  JsonPointers pointers;
  const size_t id = pointers.Add("/id");
  const size_t due = pointers.Add("/expiresAt");
  JsonReader reader;
  std::string scratch;
  for (auto _ : state) {
    CHECK(reader.Read(event, pointers).ok());
    benchmark::DoNotOptimize(*JsonText(reader.value(id), &scratch));
    benchmark::DoNotOptimize(*ParseRfc3339(*JsonText(reader.value(due), &scratch)));
  }
  Report(state, event.size());
}
BENCHMARK(KeyAndDue);

void Evaluate(benchmark::State& state, const std::string& subject,
              const std::string& event) {
  const Config config = DefaultConfig();
  RuleEvaluator evaluator(config.rules[0], config.job_limits());
  const Headers headers;
  for (auto _ : state) {
    Intent intent =
        evaluator.Evaluate({subject, event, &headers, kNowMs * 1'000'000}, kNowMs);
    CHECK(!std::holds_alternative<RejectIntent>(intent));
    benchmark::DoNotOptimize(intent);
  }
  Report(state, event.size());
}

// Event -> whole job: key, due time, target and body rendered.
void EvaluateSchedule(benchmark::State& state) {
  Evaluate(state, "order:created", Event());
}
BENCHMARK(EvaluateSchedule);

void EvaluateCancel(benchmark::State& state) {
  Evaluate(state, "order:cancelled", Event());
}
BENCHMARK(EvaluateCancel);

}  // namespace
}  // namespace expirer
