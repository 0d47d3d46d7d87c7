// Reads the members of one JSON object by name, for our own formats, in which every
// name is known. In the text the members may come in any order.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
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
  // An integer from 0 to `max`.
  [[nodiscard]] uint64_t Unsigned(std::string_view name, Need need,
                                  uint64_t max = UINT64_MAX);
  [[nodiscard]] int64_t Signed(std::string_view name, Need need);
  // true or false; false if the member is absent.
  [[nodiscard]] bool Flag(std::string_view name);
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
  [[nodiscard]] absl::Status Done() const;

 private:
  // Kind kMissing if it is absent, or after an error.
  JsonValue Take(std::string_view name, Need need);

  absl::Status status_;
  std::map<std::string, JsonValue, std::less<>> left_;
};

}  // namespace expirer
