#include "load/json_value.h"

#include <cstdlib>

#include "json/reader.h"

namespace expirer::load {
namespace {

// Calls `use` with the value, if there is one.
template <typename Use>
void WithValue(std::string_view text, std::string_view pointer, Use use) {
  JsonPointers pointers;
  const size_t slot = pointers.Add(pointer);
  JsonReader reader;
  if (reader.Read(text, pointers).ok()) use(reader.value(slot));
}

}  // namespace

std::string JsonRaw(std::string_view text, std::string_view pointer) {
  std::string raw;
  WithValue(text, pointer, [&](const JsonValue& value) { raw = value.raw; });
  return raw;
}

std::string JsonTextAt(std::string_view text, std::string_view pointer) {
  std::string found;
  WithValue(text, pointer, [&](const JsonValue& value) {
    if (value.kind != JsonValue::Kind::kString) return;
    std::string scratch;
    if (const auto plain = JsonText(value, &scratch); plain.ok()) found = *plain;
  });
  return found;
}

uint64_t JsonWhole(std::string_view text, std::string_view pointer) {
  return std::strtoull(JsonRaw(text, pointer).c_str(), nullptr, 10);
}

}  // namespace expirer::load
