#include "replay/trace_writer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "json/view.h"

namespace expirer {
namespace {

Json ValueJson(const std::string& value) {
  return IsUtf8(value) ? ToJson(value) : JsonObject("base64", absl::Base64Escape(value));
}

// The values of the name of the header `first`, in their order.
void AddValues(const Headers& headers, size_t first, JsonWriter* out) {
  const std::string& name = headers[first].first;
  std::vector<Json> values;
  for (size_t i = first; i < headers.size(); ++i)
    if (headers[i].first == name) values.push_back(ValueJson(headers[i].second));
  if (values.size() == 1)
    out->Add(name, values.front());
  else
    out->Add(name, values);
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

// Whether the reader finds exactly these bytes as the value of a member.
bool IsJsonOfOneLine(const std::string& payload) {
  if (payload.empty() || payload.find('\n') != payload.npos) return false;
  const std::string object = JsonObject("json", Json{payload});
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
  JsonWriter json(out);
  json.Object().Add("at", FormatRfc3339Ns(line.at_ns), "subject", line.subject);
  if (line.stream != kFileStream) json.Add("stream", line.stream, "seq", line.seq);
  if (!line.headers.empty()) AddTraceHeaders(line.headers, &json);
  if (IsJsonOfOneLine(line.payload))
    json.Add("json", Json{line.payload});
  else
    json.Add("payload", JsonBytes{line.payload});
  json.End();
}

void AddTraceHeaders(const Headers& headers, JsonWriter* out) {
  if (!RepeatedStandTogether(headers)) {
    out->Array("headers");
    for (const auto& [name, value] : headers)
      out->Array().Item(name).Item(ValueJson(value)).End();
  } else {
    out->Object("headers");
    for (size_t i = 0; i < headers.size(); ++i)
      if (i == 0 || headers[i].first != headers[i - 1].first) AddValues(headers, i, out);
  }
  out->End();
}

}  // namespace expirer
