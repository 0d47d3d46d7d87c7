// Any bytes as a request to the API. Nothing may crash; what is taken must
// keep its bounds, be JSON to the strict reader too, and a cursor must be read
// back as it was given.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "json/view.h"
#include "support/commands.h"

namespace expirer {
namespace {

void CheckRef(const JobRef& ref) {
  CHECK(!ref.rule.empty() && ref.rule.find('/') == std::string::npos);
  CHECK(!ref.key.empty() && ref.key.size() <= kKeyBytesMax);
}

void CheckList(const ListQuery& query) {
  CHECK(query.limit >= 1 && query.limit <= kPageMax);
  if (!query.after) return;
  const auto again =
      ParseListQuery("{\"cursor\":\"" + FormatListPlace(*query.after) + "\"}");
  CHECK(again.ok() && again->after == query.after);
}

void CheckText(std::string_view text) {
  const auto members = JsonMembers(text);
  for (const auto& [name, value] : members.ok() ? *members : std::vector<JsonMember>()) {
    CHECK(value.kind != JsonValue::Kind::kMissing && !value.raw.empty());
    CHECK(value.raw.data() >= text.data() &&
          value.raw.data() + value.raw.size() <= text.data() + text.size());
    if (value.kind == JsonValue::Kind::kArray) CHECK(JsonItems(value.raw).ok());
    if (value.kind == JsonValue::Kind::kObject) CHECK(JsonMembers(value.raw).ok());
  }
}

}  // namespace
}  // namespace expirer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace expirer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckText(text);
  if (const auto get = ParseRequest("get", text); get.ok()) CheckRef(*get->job);
  if (const auto job = ParseJobName(text); job.ok()) CheckRef(*job);
  if (const auto list = ParseListQuery(text); list.ok()) CheckList(*list);
  for (const std::string_view verb : {"dead.list", "dead.requeue", "dead.purge"}) {
    const auto dead = ParseDeadQuery(text, verb);
    if (!dead.ok()) continue;
    CHECK(dead->limit >= 1 && dead->limit <= kPageMax);
    CHECK(verb == "dead.purge" || !dead->dry_run);
    if (dead->job) CheckRef(*dead->job);
  }
  (void)ParseQuery(text, "rule state cursor");
  if (const auto trip = ParseRequest("round-trip", text); trip.ok())
    CHECK(!trip->id->empty() && trip->id->size() <= 40 && trip->in_ms <= kRoundTripMaxMs);
  return 0;
}
