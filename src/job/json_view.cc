#include "job/json_view.h"

#include "job/template.h"

namespace expirer {
namespace {

// What follows walks a text that JsonReader found to be whole and well-formed:
// so it ends nowhere inside a value.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) { SkipSpace(); }

  [[nodiscard]] bool At(char c) const { return at_ < text_.size() && text_[at_] == c; }
  void Step() {
    ++at_;
    SkipSpace();
  }
  JsonValue Value() {
    const size_t from = at_;
    const JsonValue::Kind kind = KindAt();
    if (kind == JsonValue::Kind::kString) {
      SkipString();
    } else if (kind == JsonValue::Kind::kObject || kind == JsonValue::Kind::kArray) {
      SkipNested();
    } else {
      while (at_ < text_.size() && !IsEnd(text_[at_])) ++at_;
    }
    const JsonValue value{kind, text_.substr(from, at_ - from)};
    SkipSpace();
    return value;
  }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
  static bool IsEnd(char c) { return IsSpace(c) || c == ',' || c == ']' || c == '}'; }
  void SkipSpace() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }
  [[nodiscard]] JsonValue::Kind KindAt() const {
    switch (text_[at_]) {
      case '"': return JsonValue::Kind::kString;
      case '{': return JsonValue::Kind::kObject;
      case '[': return JsonValue::Kind::kArray;
      case 'n': return JsonValue::Kind::kNull;
      case 't':
      case 'f': return JsonValue::Kind::kBool;
      default: return JsonValue::Kind::kNumber;
    }
  }
  void SkipString() {
    for (++at_; text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  void SkipNested() {
    int depth = 0;
    do {
      const char c = text_[at_];
      if (c == '"') {
        SkipString();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0);
  }

  const std::string_view text_;
  size_t at_ = 0;
};

absl::Status CheckWhole(std::string_view text) {
  static const JsonPointers kNone;
  static thread_local JsonReader reader;
  return reader.Read(text, kNone);
}

}  // namespace

absl::StatusOr<std::vector<JsonMember>> JsonMembers(std::string_view text) {
  RETURN_IF_ERROR(CheckWhole(text));
  Walk walk(text);
  if (!walk.At('{')) return Invalid("it is not an object");
  walk.Step();
  std::vector<JsonMember> members;
  while (!walk.At('}')) {
    std::string name;
    if (!DecodeJsonString(walk.Value().Quoted(), &name))
      return Invalid("a name in it holds half of a surrogate pair");
    walk.Step();  // ':'
    members.emplace_back(std::move(name), walk.Value());
    if (walk.At(',')) walk.Step();
  }
  return members;
}

absl::StatusOr<std::vector<JsonValue>> JsonItems(std::string_view text) {
  RETURN_IF_ERROR(CheckWhole(text));
  Walk walk(text);
  if (!walk.At('[')) return Invalid("it is not an array");
  walk.Step();
  std::vector<JsonValue> items;
  while (!walk.At(']')) {
    items.push_back(walk.Value());
    if (walk.At(',')) walk.Step();
  }
  return items;
}

std::string JsonQuoted(std::string_view text) {
  std::string out = "\"";
  if (IsUtf8(text))
    AppendJsonEscaped(text, &out);
  else
    AppendPercentEncoded(text, &out);
  return out.append("\"");
}

}  // namespace expirer
