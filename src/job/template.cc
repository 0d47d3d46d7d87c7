#include "job/template.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/rfc3339.h"
#include "json/reader.h"
#include "json/writer.h"

namespace expirer {
namespace {

constexpr std::string_view kExpected =
    "expected ${/pointer}, ${key}, ${subject:N}, ${header:N}, ${time} or ${due}";

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

absl::Status AtColumn(size_t offset, std::string_view message) {
  return Invalid(fmt::format("column {}: {}", offset + 1, message));
}

// A subject token's number, 1-256, or 0.
int TokenNumber(std::string_view text) {
  int number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number >= 1 && number <= 256 && text[0] != '0' ? number : 0;
}

// The first byte of `text` that may not stand in a literal of this place.
size_t FindForbidden(std::string_view text, Template::Place place) {
  if (place == Template::Place::kBody) return std::string_view::npos;
  const bool header = place == Template::Place::kHeader;
  const auto bad = std::find_if(text.begin(), text.end(), [header](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F || (!header && byte == ' ');
  });
  return bad == text.end() ? text.npos : static_cast<size_t>(bad - text.begin());
}

}  // namespace

// Splits the text into literals and values, following the JSON strings of a
// body.
class Template::Parser {
 public:
  Parser(std::string_view text, Place place) : text_(text), place_(place) {}

  absl::StatusOr<Template> Parse() {
    if (const size_t bad = FindForbidden(text_, place_); bad != text_.npos)
      return AtColumn(bad, "expected no white space or control byte here");
    Template result;
    size_t at = 0;
    for (size_t open = text_.find("${"); open != text_.npos;
         open = text_.find("${", at)) {
      const size_t close = text_.find('}', open);
      if (close == text_.npos) return AtColumn(open, "expected } after ${");
      const std::string_view literal = text_.substr(at, open - at);
      FollowStrings(literal, at);
      absl::StatusOr<Value> value =
          ParseValue(text_.substr(open + 2, close - open - 2), place_);
      if (!value.ok()) return AtColumn(open, Message(value.status()));
      if (escaping_) return AtColumn(open, "expected no \\ right before ${");
      if (in_string_) value->form = Form::kJsonString;
      value->before = literal;
      result.literal_bytes_ += literal.size();
      result.values_.push_back(*std::move(value));
      at = close + 1;
    }
    result.tail_ = text_.substr(at);
    result.literal_bytes_ += result.tail_.size();
    FollowStrings(result.tail_, at);
    if (in_string_ && !result.is_literal())
      return AtColumn(string_at_, "expected a closing \" for this one");
    return result;
  }

 private:
  void FollowStrings(std::string_view literal, size_t offset) {
    if (place_ != Place::kBody) return;
    for (size_t i = 0; i < literal.size(); ++i) {
      if (std::exchange(escaping_, false)) continue;
      if (literal[i] == '"') {
        in_string_ = !in_string_;
        string_at_ = offset + i;
      }
      escaping_ = in_string_ && literal[i] == '\\';
    }
  }

  const std::string_view text_;
  const Place place_;
  bool in_string_ = false;
  bool escaping_ = false;  // the last byte was a backslash inside a string
  size_t string_at_ = 0;   // the last quote
};

absl::StatusOr<Template> Template::Parse(std::string_view text, Place place) {
  return Parser(text, place).Parse();
}

absl::StatusOr<Template::Value> Template::ParseValue(std::string_view name, Place place) {
  Value value;
  value.form = place == Place::kBody     ? Form::kJson
               : place == Place::kHeader ? Form::kHeader
                                         : Form::kSubject;
  if (name.starts_with('/')) {
    RETURN_IF_ERROR(CheckJsonPointer(name));
    value.from = From::kPointer;
    value.name = name;
  } else if (name == "key") {
    value.from = From::kKey;
  } else if (name == "time" || name == "due") {
    // RFC 3339 text holds a dot.
    if (place == Place::kSubject)
      return Invalid(
          fmt::format("expected no ${{{}}} in a subject: it is not one token", name));
    value.from = name == "time" ? From::kTime : From::kDue;
  } else if (name.starts_with("subject:")) {
    value.from = From::kSubject;
    value.token = TokenNumber(name.substr(8));
    if (value.token == 0) return Invalid("expected a token number from 1 after subject:");
  } else if (name.starts_with("header:")) {
    value.from = From::kHeader;
    value.name = name.substr(7);
    if (value.name.empty()) return Invalid("expected a header name after header:");
  } else {
    return Invalid(std::string(kExpected));
  }
  return value;
}

std::string Template::Value::Spelling() const {
  switch (from) {
    case From::kPointer: return fmt::format("${{{}}}", name);
    case From::kKey: return "${key}";
    case From::kSubject: return fmt::format("${{subject:{}}}", token);
    case From::kHeader: return fmt::format("${{header:{}}}", name);
    case From::kTime: return "${time}";
    case From::kDue: return "${due}";
  }
  return "";
}

bool Template::uses_json() const {
  return std::any_of(values_.begin(), values_.end(),
                     [](const Value& value) { return value.from == From::kPointer; });
}

bool Template::uses_due() const {
  return std::any_of(values_.begin(), values_.end(),
                     [](const Value& value) { return value.from == From::kDue; });
}

int Template::subject_tokens() const {
  int highest = 0;
  for (const Value& value : values_) highest = std::max(highest, value.token);
  return highest;
}

std::string Template::Filter() const {
  std::string shape;  // with \0 for each value, which no subject holds
  for (const Value& value : values_) shape += value.before + '\0';
  shape += tail_;
  std::string filter;
  for (size_t at = 0; at <= shape.size();) {
    const size_t dot = std::min(shape.find('.', at), shape.size());
    const std::string_view token = std::string_view(shape).substr(at, dot - at);
    if (at > 0) filter += '.';
    filter += token.find('\0') == token.npos ? token : "*";
    at = dot + 1;
  }
  return filter;
}

void Template::Bind(JsonPointers* pointers) {
  for (Value& value : values_)
    if (value.from == From::kPointer) value.slot = pointers->Add(value.name);
}

absl::Status Template::Render(const RenderContext& context, std::string* out) const {
  // Room for ids and times: most templates then grow the string only once.
  if (!is_literal()) out->reserve(out->size() + literal_bytes_ + 40 * values_.size());
  for (const Value& value : values_) {
    out->append(value.before);
    switch (value.from) {
      case From::kPointer: RETURN_IF_ERROR(RenderJson(value, context, out)); break;
      case From::kKey: RETURN_IF_ERROR(RenderText(value, context.key, out)); break;
      case From::kSubject: {
        const std::string_view token = SubjectToken(context.subject, value.token);
        if (token.empty())
          return Invalid(value.Spelling() + ": the subject has fewer tokens");
        RETURN_IF_ERROR(RenderText(value, token, out));
        break;
      }
      case From::kHeader: {
        const std::string* header = FindHeader(context.headers, value.name);
        if (header == nullptr)
          return Invalid(value.Spelling() + ": there is no such header");
        RETURN_IF_ERROR(RenderText(value, *header, out));
        break;
      }
      case From::kTime:
      case From::kDue: {
        const int64_t ms = value.from == From::kTime ? context.time_ms : context.due_ms;
        const bool quoted = value.form == Form::kJson;
        if (quoted) out->push_back('"');
        AppendRfc3339Ms(ms, out);
        if (quoted) out->push_back('"');
        break;
      }
    }
  }
  out->append(tail_);
  return absl::OkStatus();
}

absl::Status Template::RenderJson(const Value& value, const RenderContext& context,
                                  std::string* out) {
  CHECK(context.json != nullptr);
  const JsonValue& found = context.json->value(value.slot);
  if (found.kind == JsonValue::Kind::kMissing)
    return Invalid(value.Spelling() + ": there is no such value");
  if (value.form == Form::kJson) {
    out->append(found.raw);
    return absl::OkStatus();
  }
  // What stands in one JSON string may stand in another, byte for byte.
  if (value.form == Form::kJsonString && found.kind == JsonValue::Kind::kString) {
    out->append(found.Quoted());
    return absl::OkStatus();
  }
  std::string scratch;
  const absl::StatusOr<std::string_view> text = JsonText(found, &scratch);
  if (!text.ok()) {
    return Invalid(
        fmt::format("{}: {}, expected a text", value.Spelling(), Message(text.status())));
  }
  return RenderText(value, *text, out);
}

absl::Status Template::RenderText(const Value& value, std::string_view text,
                                  std::string* out) {
  switch (value.form) {
    case Form::kJson:
    case Form::kJsonString: {
      // Subjects and headers may hold any bytes; JSON may not.
      if (!IsUtf8(text)) return Invalid(value.Spelling() + ": it is not valid UTF-8");
      const bool quoted = value.form == Form::kJson;
      if (quoted) out->push_back('"');
      AppendJsonEscaped(text, out);
      if (quoted) out->push_back('"');
      return absl::OkStatus();
    }
    case Form::kHeader: AppendPercentEncoded(text, out); return absl::OkStatus();
    case Form::kSubject:
      if (!IsPlainToken(text)) {
        return Invalid(fmt::format("{}: {} is not one plain subject token",
                                   value.Spelling(), Quote(text)));
      }
      out->append(text);
      return absl::OkStatus();
  }
  return Internal("a template value has no form");
}

std::string_view SubjectToken(std::string_view subject, int number) {
  for (; number > 1; --number) {
    const size_t dot = subject.find('.');
    if (dot == subject.npos) return {};
    subject.remove_prefix(dot + 1);
  }
  return subject.substr(0, subject.find('.'));
}

const std::string* FindHeader(const Headers* headers, std::string_view name) {
  if (headers == nullptr) return nullptr;
  const std::string* similar = nullptr;
  for (const auto& [header, value] : *headers) {
    if (header == name) return &value;
    if (similar == nullptr && EqualsIgnoringCase(header, name)) similar = &value;
  }
  return similar;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

bool IsPlainToken(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7F || c == '.' || c == '*' || c == '>';
  });
}

std::string Quote(std::string_view text) {
  constexpr size_t kBytesMax = 64;
  std::string out = "\"";
  for (char c : text.substr(0, kBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + (text.size() > kBytesMax ? "\"..." : "\"");
}

}  // namespace expirer
