#include "replay/trace_writer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "json/view.h"
#include "json/writer.h"

namespace expirer {
namespace {

void AppendHeaderValue(const std::string& value, std::string* out) {
  if (IsUtf8(value))
    *out += JsonQuoted(value);
  else
    *out += "{\"base64\":\"" + absl::Base64Escape(value) + "\"}";
}

// The values of one name, in their order; from the first on.
void AppendHeader(const Headers& headers, size_t first, std::string* out) {
  const std::string& name = headers[first].first;
  std::vector<const std::string*> values;
  for (size_t i = first; i < headers.size(); ++i)
    if (headers[i].first == name) values.push_back(&headers[i].second);
  *out += JsonQuoted(name) + ":";
  if (values.size() > 1) *out += "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) *out += ",";
    AppendHeaderValue(*values[i], out);
  }
  if (values.size() > 1) *out += "]";
}

// Whether an object by names can tell the order of the values.
bool RepeatedStandTogether(const Headers& headers) {
  for (size_t i = 2; i < headers.size(); ++i)
    for (size_t j = 0; j + 1 < i; ++j)
      if (headers[j].first == headers[i].first &&
          headers[i - 1].first != headers[i].first)
        return false;
  return true;
}

void AppendHeaderPairs(const Headers& headers, std::string* out) {
  const char* separator = "[";
  for (const auto& [name, value] : headers) {
    *out += separator;
    *out += "[" + JsonQuoted(name) + ",";
    AppendHeaderValue(value, out);
    *out += "]";
    separator = ",";
  }
  *out += "]";
}

// Whether the reader finds exactly these bytes as the value of a member.
bool IsJsonOfOneLine(const std::string& payload) {
  if (payload.empty() || payload.find('\n') != payload.npos) return false;
  const std::string object = "{\"json\":" + payload + "}";
  const auto members = JsonMembers(object);
  return members.ok() && members->size() == 1 && members->front().second.raw == payload;
}

}  // namespace

absl::Status CheckTraceable(const TraceLine& line) {
  RETURN_IF_ERROR(CheckMessageSubject(line.subject));
  if (!IsUtf8(line.subject)) return Invalid("its subject is no UTF-8");
  const auto untold = [](const auto& header) { return !IsUtf8(header.first); };
  if (std::any_of(line.headers.begin(), line.headers.end(), untold))
    return Invalid("the name of a header is no UTF-8");
  return absl::OkStatus();
}

void AppendTraceLine(const TraceLine& line, std::string* out) {
  *out += "{\"at\":\"" + FormatRfc3339Ns(line.at_ns) +
          "\",\"subject\":" + JsonQuoted(line.subject);
  if (line.stream != kFileStream)
    *out +=
        ",\"stream\":" + JsonQuoted(line.stream) + ",\"seq\":" + std::to_string(line.seq);
  if (!line.headers.empty()) {
    *out += ",\"headers\":";
    AppendTraceHeaders(line.headers, out);
  }
  *out += ",";
  if (IsJsonOfOneLine(line.payload))
    *out += "\"json\":" + line.payload;
  else
    AppendTracePayload(line.payload, out);
  *out += "}";
}

void AppendTraceHeaders(const Headers& headers, std::string* out) {
  if (!RepeatedStandTogether(headers)) {
    AppendHeaderPairs(headers, out);
    return;
  }
  *out += "{";
  for (size_t i = 0; i < headers.size(); ++i) {
    if (i > 0 && headers[i].first == headers[i - 1].first) continue;
    if (i > 0) *out += ",";
    AppendHeader(headers, i, out);
  }
  *out += "}";
}

void AppendTracePayload(const std::string& payload, std::string* out) {
  if (IsUtf8(payload))
    *out += "\"payload\":" + JsonQuoted(payload);
  else
    *out += "\"payload_base64\":\"" + absl::Base64Escape(payload) + "\"";
}

}  // namespace expirer
