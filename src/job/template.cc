#include "job/template.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/rfc3339.h"
#include "json/writer.h"

namespace expirer {
namespace {

absl::Status AtColumn(size_t offset, std::string_view message) {
  return Invalid(fmt::format("column {}: {}", offset + 1, message));
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

// Parses the text between ${ and }.
absl::StatusOr<Source> ParseValue(std::string_view name, Template::Place place) {
  using Kind = Source::Kind;
  if (name == "key") return Source{Kind::kKey};
  if (name == "time" || name == "due") {
    // RFC 3339 text holds a dot.
    if (place == Template::Place::kSubject)
      return Invalid(
          fmt::format("expected no ${{{}}} in a subject: it is not one token", name));
    return Source{name == "time" ? Kind::kTime : Kind::kDue};
  }
  absl::StatusOr<Source> source = Source::Parse(name);
  if (source.ok() || name.starts_with('/')) return source;
  if (name.starts_with("subject:"))
    return Invalid("expected a token number from 1 after subject:");
  if (name.starts_with("header:")) return Invalid("expected a header name after header:");
  return Invalid(
      "expected ${/pointer}, ${key}, ${subject:N}, ${header:N}, ${time} or ${due}");
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
      absl::StatusOr<Source> source =
          ParseValue(text_.substr(open + 2, close - open - 2), place_);
      if (!source.ok()) return AtColumn(open, Message(source.status()));
      if (escaping_) return AtColumn(open, "expected no \\ right before ${");
      const Form form = place_ == Place::kHeader    ? Form::kHeader
                        : place_ == Place::kSubject ? Form::kSubject
                        : in_string_                ? Form::kJsonString
                                                    : Form::kJson;
      result.literal_bytes_ += literal.size();
      result.values_.push_back({std::string(literal), *std::move(source), form});
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

absl::Status Template::Value::Wrong(std::string_view reason) const {
  return Invalid(fmt::format("${{{}}}: {}", source.Spelling(), reason));
}

bool Template::Uses(Source::Kind kind) const {
  return std::any_of(values_.begin(), values_.end(),
                     [kind](const Value& value) { return value.source.kind == kind; });
}

int Template::subject_tokens() const {
  int highest = 0;
  for (const Value& value : values_) highest = std::max(highest, value.source.token);
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
    if (value.source.kind == Source::Kind::kPointer)
      value.slot = pointers->Add(value.source.name);
}

absl::Status Template::Render(const RenderContext& context, std::string* out) const {
  // Room for ids and times: most templates then grow the string only once.
  if (!is_literal()) out->reserve(out->size() + literal_bytes_ + 40 * values_.size());
  for (const Value& value : values_) {
    out->append(value.before);
    using Kind = Source::Kind;
    switch (value.source.kind) {
      case Kind::kPointer: RETURN_IF_ERROR(RenderJson(value, context, out)); break;
      case Kind::kKey: RETURN_IF_ERROR(RenderText(value, context.key, out)); break;
      case Kind::kSubjectToken:
      case Kind::kHeader: {
        const auto text = value.source.Find(context.subject, context.headers);
        if (!text)
          return value.Wrong(value.source.kind == Kind::kHeader
                                 ? "there is no such header"
                                 : "the subject has fewer tokens");
        RETURN_IF_ERROR(RenderText(value, *text, out));
        break;
      }
      case Kind::kTime:
        RETURN_IF_ERROR(RenderText(value, FormatRfc3339Ms(context.time_ms), out));
        break;
      case Kind::kDue:
        RETURN_IF_ERROR(RenderText(value, FormatRfc3339Ms(context.due_ms), out));
        break;
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
    return value.Wrong("there is no such value");
  if (value.form == Form::kJson) {
    out->append(found.raw);
    return absl::OkStatus();
  }
  // The bytes of one JSON string are valid in another.
  if (value.form == Form::kJsonString && found.kind == JsonValue::Kind::kString) {
    out->append(found.Quoted());
    return absl::OkStatus();
  }
  std::string scratch;
  const absl::StatusOr<std::string_view> text = JsonText(found, &scratch);
  if (!text.ok()) return value.Wrong(Message(text.status()) + ", expected a text");
  return RenderText(value, *text, out);
}

absl::Status Template::RenderText(const Value& value, std::string_view text,
                                  std::string* out) {
  switch (value.form) {
    case Form::kJson:
    case Form::kJsonString: {
      // Subjects and headers may hold any bytes; JSON may not.
      if (!IsUtf8(text)) return value.Wrong("it is not valid UTF-8");
      const bool quoted = value.form == Form::kJson;
      if (quoted) out->push_back('"');
      AppendJsonEscaped(text, out);
      if (quoted) out->push_back('"');
      return absl::OkStatus();
    }
    case Form::kHeader: AppendPercentEncoded(text, out); return absl::OkStatus();
    case Form::kSubject:
      if (!IsPlainToken(text))
        return value.Wrong(Quote(text) + " is not one plain subject token");
      out->append(text);
      return absl::OkStatus();
  }
  return Internal("a template value has no form");
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
