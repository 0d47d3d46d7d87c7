// Templates: text of a fired message with values from the event that scheduled it.
//
//   ${/a/b}       value at a JSON pointer of the event's body
//   ${key}        the job's key
//   ${subject:N}  token N of the event's subject, from 1
//   ${header:N}   the event's header N
//   ${time}       the event's JetStream time    } RFC 3339 in milliseconds,
//   ${due}        the job's due time            } not in subjects
//
// The place of a value decides how it is written:
// - in a body, outside a JSON string: as JSON; all values but pointers are strings;
// - in a body, inside a JSON string: its text, escaped for JSON;
// - in a header: its text, bytes outside 0x21-0x7E and % percent-encoded;
// - in a subject: its text, which must be one plain token.
// Only strings, numbers and booleans have a text. Render fails if a value is missing,
// or if a text is needed and the value is null, an object or an array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "job/source.h"
#include "json/reader.h"

namespace expirer {

// The values for a template. Views and pointers are valid during the call.
struct RenderContext {
  std::string_view subject;
  const Headers* headers = nullptr;  // may be null
  const JsonReader* json = nullptr;  // REQUIRED if the template uses_json()
  std::string_view key;
  int64_t time_ms = 0;
  int64_t due_ms = 0;
};

class Template {
 public:
  enum class Place : uint8_t { kBody, kHeader, kSubject };

  // An empty literal.
  Template() = default;

  // An error's message names the column (from 1) and what was expected.
  static absl::StatusOr<Template> Parse(std::string_view text, Place place);

  [[nodiscard]] bool uses_json() const { return Uses(Source::Kind::kPointer); }
  [[nodiscard]] bool uses_due() const { return Uses(Source::Kind::kDue); }
  [[nodiscard]] bool is_literal() const { return values_.empty(); }
  // REQUIRED: is_literal().
  [[nodiscard]] std::string_view literal() const { return tail_; }
  // The highest N of ${subject:N}, or 0.
  [[nodiscard]] int subject_tokens() const;
  // For a subject template: a filter that matches every subject it can render, with
  // * for each token with a value.
  [[nodiscard]] std::string Filter() const;

  // Adds the template's pointers to `pointers`; bodies must be read with that set.
  // REQUIRED before Render if uses_json().
  void Bind(JsonPointers* pointers);
  // Appends to `out`. Error kInvalidArgument, naming the value, if the event lacks it
  // or it does not fit its place; then `out` has only a part of the text.
  absl::Status Render(const RenderContext& context, std::string* out) const;

 private:
  enum class Form : uint8_t { kJson, kJsonString, kHeader, kSubject };
  struct Value {
    std::string before;  // literal text that precedes it
    Source source;
    Form form = Form::kJson;
    size_t slot = 0;  // of the pointer, once bound
    // `${...}: reason`
    absl::Status Wrong(std::string_view reason) const;
  };
  class Parser;
  [[nodiscard]] bool Uses(Source::Kind kind) const;
  static absl::Status RenderJson(const Value& value, const RenderContext& context,
                                 std::string* out);
  static absl::Status RenderText(const Value& value, std::string_view text,
                                 std::string* out);

  std::vector<Value> values_;
  std::string tail_;  // literal text after the last value
  size_t literal_bytes_ = 0;
};

// True if `text` can be a subject token: no white space, control bytes, dots or
// wildcards.
[[nodiscard]] bool IsPlainToken(std::string_view text);
// `text` in quotes for an error message: at most 64 bytes of it, control and
// non-ASCII bytes and quotes escaped.
[[nodiscard]] std::string Quote(std::string_view text);

}  // namespace expirer
