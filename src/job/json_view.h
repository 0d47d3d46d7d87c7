// Takes one level of a JSON text apart: the members of an object or the items
// of an array, as views. Beside job/json.h, which finds known places in any
// depth; here nothing needs to be known before, so that a name nobody expects
// is seen.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "job/json.h"

namespace expirer {

// Views live as long as `text`. The whole text is checked as strictly as
// JsonReader checks it; the message of an error is the reason ("it ends too
// early").
using JsonMember = std::pair<std::string, JsonValue>;  // the name decoded
[[nodiscard]] absl::StatusOr<std::vector<JsonMember>> JsonMembers(std::string_view text);
[[nodiscard]] absl::StatusOr<std::vector<JsonValue>> JsonItems(std::string_view text);

// `text` as a JSON string with its quotes; what is no UTF-8 is written with
// its bytes percent-encoded.
[[nodiscard]] std::string JsonQuoted(std::string_view text);

}  // namespace expirer
