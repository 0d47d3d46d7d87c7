// Writes JSON onto the end of a string, front to back. Brackets, commas, quotes
// and escapes of all JSON that expirer prints come from here.
//
//   return JsonObject("job", name, "attempts", 3, "target", optional_target);
//
//   JsonWriter out;
//   out.Object().Add("limit", limit, "rule", IfAny(rule)).Array("jobs");
//   for (const Job& job : jobs) out.Item(JsonObject("job", job.name));
//   return out.Take();
//
// Values are integers, booleans, text, Json and JsonBytes, a std::vector of those
// (an array), and a std::optional of any of these: without a value the member is
// left out. A call writes in the order of its arguments and adds no white space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace expirer {

// Appends `text` as it stands between the quotes of a JSON string: quotes,
// backslashes and control characters below U+0020 are escaped, all else is
// copied. REQUIRED: valid UTF-8.
void AppendJsonEscaped(std::string_view text, std::string* out);
// `text` as a JSON string with its quotes. Text that is not valid UTF-8 is
// percent-encoded (base/coding.h).
void AppendJsonQuoted(std::string_view text, std::string* out);
[[nodiscard]] std::string JsonQuoted(std::string_view text);

// The text of one JSON value. A type of its own, so that the writer copies it
// where it would quote a string.
struct Json {
  std::string text;
  operator std::string() && { return std::move(text); }  // NOLINT: on purpose
  bool operator==(const Json&) const = default;
};

// Text that need not be UTF-8, as a member. The member NAME is its text; if it is
// not valid UTF-8, the member is called NAME_base64 instead. JsonFields::Text
// reads both.
struct JsonBytes {
  std::string_view bytes;
  bool operator==(const JsonBytes&) const = default;
};

// No value for zero, false and the empty text, so that their member is left out;
// else `value` (text as a view of it).
template <typename Value>
[[nodiscard]] auto IfAny(const Value& value) {
  using Kept = std::conditional_t<std::is_convertible_v<const Value&, std::string_view>,
                                  std::string_view, Value>;
  return value == Kept() ? std::optional<Kept>() : std::optional<Kept>(value);
}

// Not thread-safe. REQUIRED: the caller ends each Object and Array, and gives members
// to an object and items to an array. Members without an Object around them are a
// fragment for Members.
class JsonWriter {
 public:
  // Appends to `*out`, which must outlive the writer. What it holds already is
  // not looked at.
  explicit JsonWriter(std::string* out) : out_(*out) {}
  // Writes into a text of its own, for Take.
  JsonWriter() : out_(own_) {}
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  // Writes members: name, value, name, value and so on.
  template <typename Value, typename... More>
  JsonWriter& Add(std::string_view name, const Value& value, const More&... more) {
    AddOne(name, value);
    if constexpr (sizeof...(more) > 0) Add(more...);
    return *this;
  }
  // Writes an item of an array.
  template <typename Value>
  JsonWriter& Item(const Value& value) {
    Separate();
    Put(value);
    return *this;
  }
  // Writes members that another writer wrote as a fragment; may be empty.
  JsonWriter& Members(std::string_view fragment);

  // Begins an object or array, as an item or as the member `name`.
  JsonWriter& Object() { return Begin('{', '}'); }
  JsonWriter& Object(std::string_view name);
  JsonWriter& Array() { return Begin('[', ']'); }
  JsonWriter& Array(std::string_view name);
  // Ends what was begun last.
  JsonWriter& End();
  // Ends all that is open and hands over the text. REQUIRED: the writer has one of
  // its own. The writer is not used again.
  [[nodiscard]] std::string Take();
  // Lets the next member, item or end begin on a line of its own.
  JsonWriter& Line();

 private:
  template <typename Value>
  void AddOne(std::string_view name, const Value& value) {
    Name(name);
    Put(value);
  }
  template <typename Value>
  void AddOne(std::string_view name, const std::optional<Value>& value) {
    if (value) AddOne(name, *value);
  }
  void AddOne(std::string_view name, JsonBytes value);

  template <typename Value>
  void Put(const Value& value) {
    if constexpr (std::is_same_v<Value, bool>)
      out_ += value ? "true" : "false";
    else if constexpr (std::is_integral_v<Value> && std::is_signed_v<Value>)
      PutSigned(value);
    else if constexpr (std::is_integral_v<Value>)
      PutUnsigned(value);
    else if constexpr (std::is_same_v<Value, Json>)
      out_ += value.text;
    else
      AppendJsonQuoted(value, &out_);
  }
  template <typename Value>
  void Put(const std::vector<Value>& values) {
    Open('[', ']');
    for (const Value& value : values) Item(value);
    End();
  }
  void PutSigned(int64_t number);
  void PutUnsigned(uint64_t number);

  // The comma and line break before a member or item.
  void Separate();
  void Name(std::string_view name);
  JsonWriter& Begin(char open, char close);
  void Open(char open, char close);

  std::string own_;
  std::string& out_;
  std::string ends_;  // the brackets that are open, the outermost first
  bool comma_ = false;
  bool line_ = false;
};

// A whole object of these members: name, value, name, value and so on.
template <typename... Members>
[[nodiscard]] Json JsonObject(const Members&... members) {
  JsonWriter out;
  out.Object();
  if constexpr (sizeof...(members) > 0) out.Add(members...);
  return {out.Take()};
}

// One value that stands alone.
template <typename Value>
[[nodiscard]] Json ToJson(const Value& value) {
  return {JsonWriter().Item(value).Take()};
}

}  // namespace expirer
