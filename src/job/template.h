// Templates: text of a fired message with values of the event that scheduled
// it (contract section 3).
//
//   ${/a/b}       value at a JSON pointer of the event's body
//   ${key}        the job's key
//   ${subject:N}  token N of the event's subject, from 1
//   ${header:N}   the event's header N
//   ${time}       the event's JetStream time    } RFC 3339 in milliseconds,
//   ${due}        the job's due time            } not in subjects
//
// How a value is written depends on where it stands:
// - in a body, outside a JSON string: as JSON; all but pointers are strings;
// - in a body, inside a JSON string: its text, escaped for JSON;
// - in a header: its text, bytes outside 0x21-0x7E and % percent-encoded;
// - in a subject: its text, which must be one plain token.
// Only strings, numbers and booleans have a text; a missing value, and null,
// an object or an array where a text is needed, is an error of Render.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "json/reader.h"

namespace expirer {

// What a template may take values from; views and pointers live for the call.
struct RenderContext {
  std::string_view subject;
  const Headers* headers = nullptr;  // may be null
  const JsonReader* json = nullptr;  // REQUIRED when the template uses_json()
  std::string_view key;
  int64_t time_ms = 0;
  int64_t due_ms = 0;
};

class Template {
 public:
  enum class Place : uint8_t { kBody, kHeader, kSubject };

  // An empty literal.
  Template() = default;

  // On error the message says the column (from 1) and what was expected.
  [[nodiscard]] static absl::StatusOr<Template> Parse(std::string_view text, Place place);

  [[nodiscard]] bool uses_json() const;
  [[nodiscard]] bool uses_due() const;
  [[nodiscard]] bool is_literal() const { return values_.empty(); }
  // REQUIRED: is_literal().
  [[nodiscard]] std::string_view literal() const { return tail_; }
  // The highest N of ${subject:N}, or 0.
  [[nodiscard]] int subject_tokens() const;
  // Of a subject: a filter that matches every subject it can render, with *
  // for each token that holds a value.
  [[nodiscard]] std::string Filter() const;

  // Adds its pointers to `pointers`, with which the events' bodies must then
  // be read. REQUIRED before Render when uses_json().
  void Bind(JsonPointers* pointers);
  // Appends to `out`. kInvalidArgument, naming the value, when the event lacks
  // it or it does not fit the place; `out` then holds a part of the text.
  [[nodiscard]] absl::Status Render(const RenderContext& context, std::string* out) const;

 private:
  enum class Form : uint8_t { kJson, kJsonString, kHeader, kSubject };
  enum class From : uint8_t { kPointer, kKey, kSubject, kHeader, kTime, kDue };
  struct Value {
    std::string before;  // literal text that precedes it
    From from = From::kKey;
    Form form = Form::kJson;
    std::string name;  // pointer or header
    int token = 0;     // of the subject
    size_t slot = 0;   // of the pointer, once bound
    [[nodiscard]] std::string Spelling() const;
  };
  class Parser;
  [[nodiscard]] static absl::StatusOr<Value> ParseValue(std::string_view name,
                                                        Place place);
  [[nodiscard]] static absl::Status RenderJson(const Value& value,
                                               const RenderContext& context,
                                               std::string* out);
  [[nodiscard]] static absl::Status RenderText(const Value& value, std::string_view text,
                                               std::string* out);

  std::vector<Value> values_;
  std::string tail_;  // literal text after the last value
  size_t literal_bytes_ = 0;
};

// Token `number` (from 1) of a subject, or an empty view when it has fewer.
[[nodiscard]] std::string_view SubjectToken(std::string_view subject, int number);
// The value of a header: of the first with just this name, else of the first
// that differs only in case, else null.
[[nodiscard]] const std::string* FindHeader(const Headers* headers,
                                            std::string_view name);
[[nodiscard]] bool EqualsIgnoringCase(std::string_view a, std::string_view b);
// True for bytes that may stand in a subject token: no white space, control
// bytes, dots or wildcards.
[[nodiscard]] bool IsPlainToken(std::string_view text);
// `text` in quotes for an error message: at most 64 bytes of it, control and
// non-ASCII bytes and quotes escaped.
[[nodiscard]] std::string Quote(std::string_view text);

}  // namespace expirer
