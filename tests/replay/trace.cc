#include "replay/trace.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "job/json.h"

namespace expirer {
namespace {

namespace od = simdjson::ondemand;

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  AppendJsonEscaped(text, &out);
  return out + "\"";
}

std::string Text(od::value value) { return std::string(std::string_view(value)); }

int64_t Time(od::value value) {
  const auto ms = ParseRfc3339(Text(value));
  EXPECT_TRUE(ms.ok()) << ms.status();
  return ms.value_or(0);
}

// What events and fires share; whether it was that.
template <typename Line>
bool ReadCommon(std::string_view name, od::value value, Line* line) {
  if (name == "at") {
    line->at_ms = Time(value);
  } else if (name == "subject") {
    line->subject = Text(value);
  } else if (name == "headers") {
    for (od::field header : value.get_object()) {
      const std::string key(std::string_view(header.unescaped_key()));
      line->headers.emplace_back(key, Text(header.value()));
    }
  } else if (name == "payload") {
    line->payload = Text(value);
  } else if (name == "payload_base64") {
    EXPECT_TRUE(absl::Base64Unescape(Text(value), &line->payload));
  } else {
    return false;
  }
  return true;
}

void ReadMember(std::string_view name, od::value value, TraceEvent* event) {
  if (name == "json") return;  // its raw bytes are read apart
  if (!ReadCommon(name, value, event)) ADD_FAILURE() << "unknown member " << name;
}

void ReadMember(std::string_view name, od::value value, TraceFire* fire) {
  if (name == "due") {
    fire->due_ms = Time(value);
  } else if (name == "job") {
    fire->job = Text(value);
  } else if (name != "lateness_ms" && name != "attempt") {
    if (!ReadCommon(name, value, fire)) ADD_FAILURE() << "unknown member " << name;
  }
}

template <typename Line>
void ReadMembers(const std::string& text, Line* line) {
  const simdjson::padded_string padded(text);
  od::parser parser;
  od::document document = parser.iterate(padded);
  for (od::field member : document.get_object()) {
    const std::string name(std::string_view(member.unescaped_key()));
    ReadMember(name, member.value(), line);
  }
}

TraceEvent ReadEvent(const std::string& line) {
  TraceEvent event;
  JsonPointers pointers;
  const size_t json = pointers.Add("/json");
  JsonReader reader;
  EXPECT_TRUE(reader.Read(line, pointers).ok()) << line;
  event.payload = reader.value(json).raw;
  ReadMembers(line, &event);
  return event;
}

TraceFire ReadFire(const std::string& line) {
  TraceFire fire;
  ReadMembers(line, &fire);
  return fire;
}

// `read` of every line of a file.
template <typename Read>
auto ReadLines(const std::string& path, Read read) {
  std::vector<decltype(read(std::string()))> all;
  std::istringstream lines(ReadWhole(path));
  for (std::string line; std::getline(lines, line);) {
    try {
      all.push_back(read(line));
    } catch (const simdjson::simdjson_error& error) {
      ADD_FAILURE() << path << ": " << error.what() << ": " << line;
    }
  }
  return all;
}

}  // namespace

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<TraceEvent> ReadTrace(const std::string& path) {
  return ReadLines(path, ReadEvent);
}

std::vector<TraceFire> ReadFires(const std::string& path) {
  return ReadLines(path, ReadFire);
}

TraceEvent ParseTraceEvent(const std::string& line) { return ReadEvent(line); }

std::string FireLine(int64_t at_ms, const MemoryBus::Published& fire) {
  const std::string due = fire.Header("Expirer-Due");
  const auto due_ms = ParseRfc3339(due);
  EXPECT_TRUE(due_ms.ok()) << due;
  std::string headers;
  for (const auto& [name, value] : fire.headers)
    headers += (headers.empty() ? "" : ",") + Quoted(name) + ":" + Quoted(value);
  const bool text = IsUtf8(fire.body);
  return "{\"at\":" + Quoted(FormatRfc3339Ms(at_ms)) +
         ",\"job\":" + Quoted(fire.Header("Expirer-Job")) + ",\"due\":" + Quoted(due) +
         ",\"lateness_ms\":" + std::to_string(at_ms - due_ms.value_or(0)) +
         ",\"attempt\":" + fire.Header("Expirer-Attempt") +
         ",\"subject\":" + Quoted(fire.target) + ",\"headers\":{" + headers + "}," +
         (text ? "\"payload\":" + Quoted(fire.body)
               : "\"payload_base64\":" + Quoted(absl::Base64Escape(fire.body))) +
         "}\n";
}

}  // namespace expirer
