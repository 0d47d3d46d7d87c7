#include "replay/files.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "json/view.h"

namespace expirer {
namespace {

std::string Text(const JsonValue& value) {
  std::string scratch;
  const auto text = JsonText(value, &scratch);
  EXPECT_TRUE(text.ok()) << text.status();
  return std::string(text.value_or(""));
}

int64_t Time(const JsonValue& value) {
  const auto ms = ParseRfc3339(Text(value));
  EXPECT_TRUE(ms.ok()) << ms.status();
  return ms.value_or(0);
}

std::vector<JsonMember> Members(std::string_view text) {
  auto members = JsonMembers(text);
  EXPECT_TRUE(members.ok()) << members.status() << ": " << text;
  return members.ok() ? *std::move(members) : std::vector<JsonMember>();
}

void ReadHeader(const std::string& name, const JsonValue& value, Headers* headers) {
  if (value.kind != JsonValue::Kind::kArray) {
    headers->emplace_back(name, Text(value));
    return;
  }
  const auto items = JsonItems(value.raw);
  ASSERT_TRUE(items.ok());
  for (const JsonValue& item : *items) headers->emplace_back(name, Text(item));
}

TraceFire ReadFire(std::string_view line) {
  TraceFire fire;
  for (const auto& [name, value] : Members(line)) {
    if (name == "at") fire.at_ms = Time(value);
    if (name == "due") fire.due_ms = Time(value);
    if (name == "job") fire.job = Text(value);
    if (name == "subject") fire.subject = Text(value);
    if (name == "payload") fire.payload = Text(value);
    if (name == "payload_base64") {
      EXPECT_TRUE(absl::Base64Unescape(Text(value), &fire.payload));
    }
    if (name != "headers") continue;
    for (const auto& [header, one] : Members(value.raw))
      ReadHeader(header, one, &fire.headers);
  }
  return fire;
}

}  // namespace

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<TraceLine> ReadTrace(const std::string& path) {
  std::vector<TraceLine> lines;
  const auto reader = TraceReader::Open(path);
  EXPECT_TRUE(reader.ok()) << reader.status();
  TraceLine line;
  while (reader.ok()) {
    const auto more = (*reader)->Next(&line);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) break;
    lines.push_back(line);
  }
  return lines;
}

TraceLine ParsedTraceLine(std::string_view text) {
  TraceLine line;
  const absl::Status parsed = ParseTraceLine(text, &line);
  EXPECT_TRUE(parsed.ok()) << parsed << ": " << text;
  return line;
}

std::vector<TraceFire> ReadFires(const std::string& path) {
  std::vector<TraceFire> fires;
  std::istringstream lines(ReadWhole(path));
  for (std::string line; std::getline(lines, line);) fires.push_back(ReadFire(line));
  return fires;
}

}  // namespace expirer
