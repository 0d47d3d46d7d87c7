// Reads the members of one JSON object by name, for our own formats, in which every
// name is known. In the text the members may come in any order.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "json/value.h"

namespace expirer {

// After the first error every further read returns zero or empty. Done returns it,
// or the name of a member that nobody read. Views live as long as the text.
class JsonFields {
 public:
  enum class Need { kRequired, kOptional };  // zero if an optional one is absent

  explicit JsonFields(std::string_view object);

  [[nodiscard]] bool Has(std::string_view name) const;
  // Reads members: name, variable, name, variable and so on. Must refuses an object that
  // lacks one; May makes its variable zero, false or empty. A variable is an integer of
  // any type, whose range is checked, a bool, or a std::string, which is read like Text.
  template <typename Value, typename... More>
  void Must(std::string_view name, Value* value, const More&... more) {
    Read(name, Need::kRequired, value);
    if constexpr (sizeof...(more) > 0) Must(more...);
  }
  template <typename Value, typename... More>
  void May(std::string_view name, Value* value, const More&... more) {
    Read(name, Need::kOptional, value);
    if constexpr (sizeof...(more) > 0) May(more...);
  }
  // The string NAME, or the bytes that the string NAME_base64 encodes.
  [[nodiscard]] std::string Text(std::string_view name, Need need);
  // Calls `read` with the members of the object NAME, of which it must read every
  // one. False, without a call, if the member is absent or was not read because of
  // an earlier error.
  bool Object(std::string_view name, Need need,
              const std::function<void(JsonFields*)>& read);
  // The unparsed JSON of the value; empty if an optional one is absent.
  [[nodiscard]] std::string_view Raw(std::string_view name, Need need);

  // Notes `status` as the error of the member `name`; ignored if it is OK.
  void Fail(std::string_view name, const absl::Status& status);
  // The first error, or an error that names a member nobody read.
  absl::Status Done() const;

 private:
  // Kind kMissing if it is absent, or after an error.
  JsonValue Take(std::string_view name, Need need);
  template <typename Integer>
  void Read(std::string_view name, Need need, Integer* value) {
    const JsonValue found = Take(name, need);
    const std::optional<Integer> integer = JsonInteger<Integer>(found);
    *value = integer.value_or(0);
    if (!integer) FailInteger(name, found);
  }
  void Read(std::string_view name, Need need, bool* value);
  void Read(std::string_view name, Need need, std::string* value) {
    *value = Text(name, need);
  }
  void FailInteger(std::string_view name, const JsonValue& found);

  absl::Status status_;
  std::map<std::string, JsonValue, std::less<>> left_;
};

}  // namespace expirer
