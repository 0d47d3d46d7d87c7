// Appends JSON to a string, front to back. All JSON that expirer prints gets its
// brackets, commas, quotes and escapes here.
//
//   return JsonObject("job", name, "attempts", 3, "target", optional_target);
//
//   JsonWriter out;
//   out.Object().Add("limit", limit, "rule", IfAny(rule)).Array("jobs");
//   for (const Job& job : jobs) out.Item(JsonObject("job", job.name));
//   return out.Take();
//
// Values are integers, booleans, text, Json, JsonBytes, a std::vector of those (an
// array), and a std::optional of any of these: if it is empty the member is left out.
// A call writes its arguments in their order and adds no white space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace expirer {

// Appends `text` as the inside of a JSON string, without the quotes around it:
// quotes, backslashes and control characters below U+0020 are escaped, all other
// characters are copied. REQUIRED: valid UTF-8.
void AppendJsonEscaped(std::string_view text, std::string* out);
// `text` as a JSON string with its quotes. Text that is not valid UTF-8 is
// percent-encoded (base/coding.h).
void AppendJsonQuoted(std::string_view text, std::string* out);
[[nodiscard]] std::string JsonQuoted(std::string_view text);

// The text of one JSON value. It has its own type, so that the writer copies it and
// does not quote it like a string.
struct Json {
  std::string text;
  operator std::string() && { return std::move(text); }  // NOLINT: on purpose
  bool operator==(const Json&) const = default;
};

// Text that may not be UTF-8, for a member. If it is valid UTF-8 the member NAME has
// it as a string; otherwise the member NAME_base64 has it in base64.
// JsonFields::Text reads both.
struct JsonBytes {
  std::string_view bytes;
  bool operator==(const JsonBytes&) const = default;
};

// Empty if `value` is zero, false or the empty text, so that its member is left out;
// otherwise `value` (a view of it if it is text).
template <typename Value>
[[nodiscard]] auto IfAny(const Value& value) {
  using Kept = std::conditional_t<std::is_convertible_v<const Value&, std::string_view>,
                                  std::string_view, Value>;
  return value == Kept() ? std::optional<Kept>() : std::optional<Kept>(value);
}

// Not thread-safe. REQUIRED: the caller ends each Object and Array, and adds only
// members to an object and only items to an array. Members that are written outside
// an Object are a fragment, for Members.
class JsonWriter {
 public:
  // Appends to `*out`, which must outlive the writer. Text that is already in it is
  // left alone.
  explicit JsonWriter(std::string* out) : out_(*out) {}
  // Writes into the writer's own text, which Take returns.
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
  // Ends the object or array that was begun last.
  JsonWriter& End();
  // Ends all open objects and arrays and returns the text. REQUIRED: the writer was
  // made without `out`. It must not be used again.
  [[nodiscard]] std::string Take();
  // Makes the next member, item or closing bracket begin on a new line.
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
    else if constexpr (std::is_integral_v<Value>)
      out_ += std::to_string(value);
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

// The JSON of a single value.
template <typename Value>
[[nodiscard]] Json ToJson(const Value& value) {
  return {JsonWriter().Item(value).Take()};
}

}  // namespace expirer
