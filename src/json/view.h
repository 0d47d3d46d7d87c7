// Splits one level of a JSON text into the members of an object or the items of an
// array, as views. Unlike json/reader.h, which finds known places at any depth, it
// also returns members that nobody expected.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "json/value.h"

namespace expirer {

using JsonMember = std::pair<std::string, JsonValue>;  // the name decoded

// Views are valid as long as `text`. The whole text is checked as strictly as by
// JsonReader. An error's message is the reason ("it ends too early").
absl::StatusOr<std::vector<JsonMember>> JsonMembers(std::string_view text);
absl::StatusOr<std::vector<JsonValue>> JsonItems(std::string_view text);

// `object`, the text of a JSON object, with the member `name` set to `value` (JSON
// text), or without it if `value` is empty. All other bytes stay the same. REQUIRED:
// a reader has checked `object`.
[[nodiscard]] std::string WithMember(std::string_view object, std::string_view name,
                                     std::string_view value);

}  // namespace expirer
