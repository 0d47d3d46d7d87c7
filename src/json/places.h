// Reads a few places of one text into variables, for replies and files that are
// read rarely. If speed matters use json/reader.h.
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

// A place (JSON pointer) and the variable that gets its value. The variable is not
// changed if the place is missing or holds another kind. A std::string takes strings,
// and numbers and booleans as they are spelled; a vector takes the strings of an
// array; Json takes the text of any value.
struct JsonPlace {
  std::string_view pointer;
  std::variant<std::string*, int64_t*, uint64_t*, bool*, std::vector<std::string>*, Json*>
      to;
};

// Error kInvalidArgument, with the reason, if JsonReader rejects `text`; then no
// variable is changed. REQUIRED: CheckJsonPointer is OK for each pointer.
absl::Status ReadPlaces(std::string_view text, const std::vector<JsonPlace>& places);

}  // namespace expirer
