#include "replay/fires.h"

#include <charconv>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/check.h"
#include "base/rfc3339.h"
#include "job/json.h"
#include "job/json_view.h"

namespace expirer {
namespace {

// The inverse of AppendPercentEncoded.
std::string PercentDecoded(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    unsigned byte = 0;
    if (text[0] == '%' && text.size() >= 3 &&
        std::from_chars(text.data() + 1, text.data() + 3, byte, 16).ptr ==
            text.data() + 3) {
      out.push_back(static_cast<char>(byte));
      text.remove_prefix(3);
      continue;
    }
    out.push_back(text[0]);
    text.remove_prefix(1);
  }
  return out;
}

void AppendTime(int64_t ms, std::string* out) {
  out->push_back('"');
  AppendRfc3339Ms(ms, out);
  out->push_back('"');
}

// The values of one name, in their order; from the first on.
void AppendHeader(const Headers& headers, size_t first, std::string* out) {
  const std::string& name = headers[first].first;
  std::vector<const std::string*> values;
  for (size_t i = first; i < headers.size(); ++i)
    if (headers[i].first == name) values.push_back(&headers[i].second);
  *out += JsonQuoted(name) + ":";
  if (values.size() > 1) *out += "[";
  for (size_t i = 0; i < values.size(); ++i)
    *out += (i == 0 ? "" : ",") + JsonQuoted(*values[i]);
  if (values.size() > 1) *out += "]";
}

void AppendHeaders(const Headers& headers, std::string* out) {
  const auto known_before = [&headers](size_t i) {
    for (size_t j = 0; j < i; ++j)
      if (headers[j].first == headers[i].first) return true;
    return false;
  };
  *out += "{";
  for (size_t i = 0; i < headers.size(); ++i) {
    if (known_before(i)) continue;
    if (i > 0) *out += ",";
    AppendHeader(headers, i, out);
  }
  *out += "}";
}

}  // namespace

Fire FireOf(int64_t at_ms, const MemoryBus::Published& message) {
  Fire fire;
  fire.at_ms = at_ms;
  fire.job = PercentDecoded(message.Header("Expirer-Job"));
  fire.attempt = message.Header("Expirer-Attempt");
  const auto due_ms = ParseRfc3339(message.Header("Expirer-Due"));
  CHECK(due_ms.ok());
  fire.due_ms = *due_ms;
  fire.message = &message;
  return fire;
}

void AppendFire(const Fire& fire, std::string* out) {
  *out += "{\"at\":";
  AppendTime(fire.at_ms, out);
  *out += ",\"job\":" + JsonQuoted(fire.job) + ",\"due\":";
  AppendTime(fire.due_ms, out);
  *out += ",\"lateness_ms\":" + std::to_string(fire.at_ms - fire.due_ms);
  *out += ",\"attempt\":" + fire.attempt;
  *out += ",\"subject\":" + JsonQuoted(fire.message->target) + ",\"headers\":";
  AppendHeaders(fire.message->headers, out);
  if (IsUtf8(fire.message->body))
    *out += ",\"payload\":" + JsonQuoted(fire.message->body);
  else
    *out += ",\"payload_base64\":\"" + absl::Base64Escape(fire.message->body) + "\"";
  *out += "}";
}

}  // namespace expirer
