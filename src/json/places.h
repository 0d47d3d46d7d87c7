// Reads a few places of one text into variables, for replies and files that are
// read once in a while. Where every microsecond counts: json/reader.h.
//
//   RETURN_IF_ERROR(ReadPlaces(text, {{"/state/first_seq", &first_seq},
//                                     {"/config/subjects", &subjects}}));
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "json/writer.h"

namespace expirer {

// Where to look (a JSON pointer) and the variable that gets what is there. A
// variable keeps its value if the place is missing or holds another kind: a
// std::string takes strings, and numbers and booleans as they are spelled; a vector
// takes the strings of an array; Json takes any value as it stands.
struct JsonPlace {
  std::string_view pointer;
  std::variant<std::string*, int64_t*, uint64_t*, bool*, std::vector<std::string>*, Json*>
      to;
};

// Fails, with the reason, if `text` is not JSON by JsonReader's rules; no variable
// is changed then. REQUIRED: CheckJsonPointer is OK for each pointer.
[[nodiscard]] absl::Status ReadPlaces(std::string_view text,
                                      const std::vector<JsonPlace>& places);

}  // namespace expirer
