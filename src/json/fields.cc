#include "json/fields.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "json/view.h"

namespace expirer {
namespace {

constexpr std::string_view kBase64 = "_base64";

}  // namespace

JsonFields::JsonFields(std::string_view object) {
  absl::StatusOr<std::vector<JsonMember>> members = JsonMembers(object);
  if (!members.ok()) {
    status_ = members.status();
    return;
  }
  for (auto& [name, value] : *members) {
    const auto [at, fresh] = left_.emplace(std::move(name), value);
    if (!fresh) Fail(at->first, Invalid("it is there twice"));
  }
}

bool JsonFields::Has(std::string_view name) const {
  return left_.find(name) != left_.end();
}

void JsonFields::Fail(std::string_view name, const absl::Status& status) {
  if (status_.ok() && !status.ok())
    status_ = Annotate(status, "`" + std::string(name) + "`");
}

JsonValue JsonFields::Take(std::string_view name, Need need) {
  const auto at = left_.find(name);
  if (!status_.ok()) return {};
  if (at == left_.end()) {
    if (need == Need::kRequired)
      status_ = Invalid("it has no `" + std::string(name) + "`");
    return {};
  }
  const JsonValue value = at->second;
  left_.erase(at);
  return value;
}

void JsonFields::FailInteger(std::string_view name, const JsonValue& found) {
  if (found.kind == JsonValue::Kind::kMissing) return;
  Fail(name, Invalid(found.IsInteger() ? "it is out of range"
                                       : "expected an integer, it is " +
                                             std::string(Name(found.kind))));
}

void JsonFields::Read(std::string_view name, Need need, bool* value) {
  const JsonValue found = Take(name, need);
  *value = found.raw == "true";
  if (found.kind != JsonValue::Kind::kMissing && found.kind != JsonValue::Kind::kBool)
    Fail(name, Invalid("expected true or false, it is " + std::string(Name(found.kind))));
}

std::string JsonFields::Text(std::string_view name, Need need) {
  const std::string coded = std::string(name) + std::string(kBase64);
  const bool base64 = Has(coded);
  if (base64 && Has(name)) Fail(name, Invalid("it is there twice, once in base64"));
  const JsonValue value = Take(base64 ? coded : name, need);
  if (value.kind == JsonValue::Kind::kMissing) return "";
  absl::StatusOr<std::string> text = JsonString(value);
  Fail(name, text.status());
  if (!base64 || !text.ok()) return std::move(text).value_or("");
  std::string bytes;
  if (!absl::Base64Unescape(*text, &bytes)) Fail(coded, Invalid("it is not base64"));
  return bytes;
}

bool JsonFields::Object(std::string_view name, Need need,
                        const std::function<void(JsonFields*)>& read) {
  const std::string_view object = Raw(name, need);
  if (object.empty()) return false;
  JsonFields fields(object);
  read(&fields);
  Fail(name, fields.Done());
  return true;
}

std::string_view JsonFields::Raw(std::string_view name, Need need) {
  return Take(name, need).raw;
}

absl::Status JsonFields::Done() const {
  RETURN_IF_ERROR(status_);
  if (left_.empty()) return absl::OkStatus();
  return Invalid("`" + left_.begin()->first + "` is not known");
}

}  // namespace expirer
