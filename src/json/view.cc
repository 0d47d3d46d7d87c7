#include "json/view.h"

#include "json/reader.h"
#include "json/writer.h"

namespace expirer {
namespace {

using Parts = std::vector<JsonReader::Part>;

// Of a text that begins with `bracket`.
absl::StatusOr<Parts> ReadParts(std::string_view text, char bracket) {
  static thread_local JsonReader reader;
  Parts parts;
  RETURN_IF_ERROR(reader.ReadParts(text, &parts));
  if (text[text.find_first_not_of(" \t\r\n")] != bracket)
    return Invalid(bracket == '{' ? "it is not an object" : "it is not an array");
  return parts;
}

}  // namespace

absl::StatusOr<std::vector<JsonMember>> JsonMembers(std::string_view text) {
  ASSIGN_OR_RETURN(const Parts parts, ReadParts(text, '{'));
  std::vector<JsonMember> members;
  members.reserve(parts.size());
  for (const auto& [quoted, value] : parts) {
    std::string name;
    if (!DecodeJsonString(quoted, &name))
      return Invalid("a name in it holds half of a surrogate pair");
    members.emplace_back(std::move(name), value);
  }
  return members;
}

absl::StatusOr<std::vector<JsonValue>> JsonItems(std::string_view text) {
  ASSIGN_OR_RETURN(const Parts parts, ReadParts(text, '['));
  std::vector<JsonValue> items;
  items.reserve(parts.size());
  for (const auto& part : parts) items.push_back(part.value);
  return items;
}

std::string WithMember(std::string_view object, std::string_view name,
                       std::string_view value) {
  const std::string quoted = JsonQuoted(name);
  JsonWriter with;
  with.Object();
  const absl::StatusOr<Parts> parts = ReadParts(object, '{');
  for (const auto& part : parts.ok() ? *parts : Parts()) {
    const char* const begin = part.name.data() - 1;  // its quote
    const char* const end = part.value.raw.data() + part.value.raw.size();
    const bool same = part.name == std::string_view(quoted).substr(1, quoted.size() - 2);
    if (!same) with.Members({begin, static_cast<size_t>(end - begin)});
  }
  if (!value.empty()) with.Members(quoted + ":" + std::string(value));
  return with.Take();
}

}  // namespace expirer
