// Single values out of a JSON text, by pointer: for replies and status files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace expirer::load {

// The value's JSON; "" when it is missing or the text is no JSON.
[[nodiscard]] std::string JsonRaw(std::string_view text, std::string_view pointer);
// A string's text; "" for anything else.
[[nodiscard]] std::string JsonTextAt(std::string_view text, std::string_view pointer);
// A whole number; 0 for anything else.
[[nodiscard]] uint64_t JsonWhole(std::string_view text, std::string_view pointer);

}  // namespace expirer::load
