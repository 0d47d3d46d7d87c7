// Takes one level of a JSON text apart: the members of an object or the items
// of an array, as views. json/reader.h finds known places in any depth; here
// nothing needs to be known before, so that a name nobody expects is seen.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "json/value.h"

namespace expirer {

using JsonMember = std::pair<std::string, JsonValue>;  // the name decoded

// Views live as long as `text`. The whole text is checked as strictly as
// JsonReader checks it; the message of an error is the reason ("it ends too
// early").
[[nodiscard]] absl::StatusOr<std::vector<JsonMember>> JsonMembers(std::string_view text);
[[nodiscard]] absl::StatusOr<std::vector<JsonValue>> JsonItems(std::string_view text);

// `object`, the text of a JSON object, with the member `name` set to `value` (JSON
// text), or without it if `value` is empty. All else stays byte for byte. REQUIRED:
// a reader has checked `object`.
[[nodiscard]] std::string WithMember(std::string_view object, std::string_view name,
                                     std::string_view value);

}  // namespace expirer
