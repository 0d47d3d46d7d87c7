#include "json/fields.h"

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "json/view.h"

namespace expirer {
namespace {

constexpr std::string_view kBase64 = "_base64";

template <typename Number>
absl::Status ParseNumber(const JsonValue& value, Number* number) {
  const std::optional<Number> integer = JsonInteger<Number>(value);
  *number = integer.value_or(0);
  if (integer) return absl::OkStatus();
  return Invalid(value.IsInteger()
                     ? "it is out of range"
                     : "expected an integer, it is " + std::string(Name(value.kind)));
}

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

uint64_t JsonFields::Unsigned(std::string_view name, Need need, uint64_t max) {
  const JsonValue value = Take(name, need);
  if (value.kind == JsonValue::Kind::kMissing) return 0;
  uint64_t number = 0;
  Fail(name, ParseNumber(value, &number));
  if (number > max) Fail(name, Invalid("it is out of range"));
  return status_.ok() ? number : 0;
}

int64_t JsonFields::Signed(std::string_view name, Need need) {
  const JsonValue value = Take(name, need);
  int64_t number = 0;
  if (value.kind != JsonValue::Kind::kMissing) Fail(name, ParseNumber(value, &number));
  return number;
}

bool JsonFields::Flag(std::string_view name) {
  const JsonValue value = Take(name, Need::kOptional);
  if (value.kind != JsonValue::Kind::kMissing && value.kind != JsonValue::Kind::kBool)
    Fail(name, Invalid("expected true or false, it is " + std::string(Name(value.kind))));
  return status_.ok() && value.raw == "true";
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
