// Reads the few values of an event that a rule asks for, by RFC 6901 pointer,
// in one strict pass over its bytes (simdjson On-Demand).
//
// It is strict, because a message that is read wrongly would become a wrong job
// without an error:
// - The whole text must be one JSON object or array; cut-off tails, trailing
//   bytes, malformed numbers, literals and escapes anywhere in it, invalid
//   UTF-8 and a byte order mark are errors, also in values nobody asked for.
// - An object that a pointer goes through must not repeat the member name that
//   the pointer takes: parsers differ in which one they mean. Repeated names
//   elsewhere are harmless and ignored.
// - Nesting deeper than 128 is an error.
// - Numbers of any size and precision are carried as their text, untouched.
// - `\u0000` and lone surrogates are legal JSON: JsonText (json/value.h) lets
//   its caller accept the first and rejects the second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "json/value.h"

namespace expirer {

// OK for a pointer of RFC 6901 with at least one token ("/a/0/b~1c").
absl::Status CheckJsonPointer(std::string_view pointer);

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

// Not thread-safe; use one per thread. It reuses its buffers: about six bytes of
// memory for each byte of the largest text that it has read.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Reads `text`, which need not outlive the call: values are valid until the next
  // Read. On error no value is found, and the message is the reason ("it ends too
  // early").
  absl::Status Read(std::string_view text, const JsonPointers& pointers);
  // Reads one level: the members of an object, or the items of an array, which have no
  // name. Views are valid as long as `text`; a name is not decoded. After an error the
  // content of `parts` is undefined.
  struct Part {
    std::string_view name;
    JsonValue value;
  };
  absl::Status ReadParts(std::string_view text, std::vector<Part>* parts);
  // The value of a slot of the last Read's pointers.
  [[nodiscard]] const JsonValue& value(size_t slot) const { return values_[slot]; }

 private:
  struct State;
  absl::Status Walk(std::string_view text, const JsonPointers& pointers,
                    std::vector<Part>* parts);
  std::unique_ptr<State> state_;
  std::vector<JsonValue> values_;
};

}  // namespace expirer
