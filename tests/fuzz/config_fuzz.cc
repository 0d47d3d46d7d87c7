// Any bytes as a config file. Nothing may crash, and what is taken must hold
// what the rest of expirer relies on.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "app/config.h"
#include "base/check.h"

namespace expirer {
namespace {

void Run(std::string_view text) {
  const ConfigResult result = ParseConfig(text, "f");
  for (const std::string& error : result.errors) CHECK(error.starts_with("f:"));
  if (!result.errors.empty()) return;
  const Config& config = result.config;
  CHECK(!config.name.empty() && !config.nats.servers.empty() &&
        !config.store.path.empty());
  CHECK(config.core.window > 0 && config.core.batch > 0 && config.core.in_flight > 0);
  for (const Rule& rule : config.rules) {
    CHECK(!rule.name.empty() && !rule.schedule.empty());
    for (const Entry& entry : rule.schedule) CHECK(!(entry.due && entry.delay_ms));
    RuleEvaluator evaluator(rule, config.job_limits());
    const Intent intent =
        evaluator.Evaluate({rule.schedule[0].subject,
                            "{\"id\":\"1\",\"expiresAt\":1795369724123}", nullptr, 1},
                           1);
    if (const auto* schedule = std::get_if<ScheduleIntent>(&intent))
      CHECK(CheckTarget(schedule->job.target).ok());
  }
}

}  // namespace
}  // namespace expirer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expirer::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
