// Reads the few values of an event that a rule asks for, by RFC 6901 pointer,
// in one strict pass over its bytes (simdjson On-Demand).
//
// What is strict, on purpose, since a message that is read wrongly becomes a
// wrong job in silence:
// - The whole text must be one JSON object or array; cut-off tails, trailing
//   bytes, malformed numbers, literals and escapes anywhere in it, invalid
//   UTF-8 and a byte order mark are errors, also in values nobody asked for.
// - An object that a pointer goes through must not repeat the member name that
//   the pointer takes: parsers differ in which one they mean. Repeated names
//   elsewhere are harmless and ignored.
// - Nesting deeper than 128 is an error.
// - Numbers of any size and precision are carried as their text, untouched.
// - `\u0000` and lone surrogates are legal JSON; whoever asks for the *text*
//   of a value decides about the first and is refused the second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace expirer {

// A value found by a pointer. Views live until the next JsonReader::Read.
struct JsonValue {
  enum class Kind : uint8_t { kMissing, kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kMissing;
  std::string_view raw;  // its JSON as it stood, strings with their quotes

  // True for a number written without fraction or exponent; "-0" is none.
  [[nodiscard]] bool IsInteger() const;
  // What stands between a string's quotes: legal inside any JSON string.
  [[nodiscard]] std::string_view Quoted() const { return raw.substr(1, raw.size() - 2); }
};
[[nodiscard]] std::string_view Name(JsonValue::Kind kind);

// The text of a string, number or boolean value: a view of `value.raw`, or of
// `scratch` when escapes had to be decoded. kInvalidArgument, saying what the
// value is instead, for other kinds and for strings with a lone surrogate.
[[nodiscard]] absl::StatusOr<std::string_view> JsonText(const JsonValue& value,
                                                        std::string* scratch);

// Decodes what stands between the quotes of a JSON string, appending to `out`;
// false when an escape is malformed or names half of a surrogate pair.
[[nodiscard]] bool DecodeJsonString(std::string_view quoted, std::string* out);
// Appends `text` as it stands inside a JSON string. REQUIRED: valid UTF-8.
void AppendJsonEscaped(std::string_view text, std::string* out);
[[nodiscard]] bool IsUtf8(std::string_view text);

// OK for a pointer of RFC 6901 with at least one token ("/a/0/b~1c").
[[nodiscard]] absl::Status CheckJsonPointer(std::string_view pointer);

// A set of pointers, merged into a tree so that one pass answers all of them.
class JsonPointers {
 public:
  JsonPointers() : nodes_(1) {}
  // The slot of `pointer` in every Read with this set; the same pointer gets
  // the same slot. REQUIRED: CheckJsonPointer(pointer) is OK.
  size_t Add(std::string_view pointer);
  [[nodiscard]] size_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }

 private:
  friend class JsonWalk;
  static constexpr int64_t kNone = -1;
  struct Edge {
    std::string name;       // member name, decoded
    int64_t index = kNone;  // the same token as an array index, if it is one
    size_t node = 0;
  };
  struct Node {
    std::vector<Edge> edges;
    int64_t slot = kNone;
  };
  size_t Child(size_t node, const std::string& token);

  std::vector<Node> nodes_;  // [0] is the whole document
  size_t count_ = 0;
};

// Not thread-safe; one per thread. Keeps its buffers from call to call: about
// six bytes for each of the largest text it has seen.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Reads `text`, which need not outlive the call. On error no value is found,
  // and the message is the reason ("it ends too early").
  [[nodiscard]] absl::Status Read(std::string_view text, const JsonPointers& pointers);
  // The value of a slot of the last Read's pointers.
  [[nodiscard]] const JsonValue& value(size_t slot) const { return values_[slot]; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::vector<JsonValue> values_;
};

}  // namespace expirer
