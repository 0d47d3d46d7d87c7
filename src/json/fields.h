// Reads the members of one JSON object by name, for formats of ours in which
// every name is known: front to back in the code, in any order in the text.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "json/value.h"

namespace expirer {

// After the first error every further read gives zero or empty; Done tells it,
// or the name of a member that nobody read. Views live as long as the text.
class JsonFields {
 public:
  enum class Need { kRequired, kOptional };  // an absent optional one is zero

  explicit JsonFields(std::string_view object);

  [[nodiscard]] bool Has(std::string_view name) const;
  [[nodiscard]] uint64_t Unsigned(std::string_view name, Need need,
                                  uint64_t max = UINT64_MAX);
  [[nodiscard]] int64_t Signed(std::string_view name, Need need);
  [[nodiscard]] bool Flag(std::string_view name);
  // A string NAME, or the bytes that the string NAME_base64 stands for.
  [[nodiscard]] std::string Text(std::string_view name, Need need);
  // Calls `read` with the members of the object NAME, of which it must read every
  // one. False, without a call, if the member is absent or was not read because of
  // an earlier error.
  bool Object(std::string_view name, Need need,
              const std::function<void(JsonFields*)>& read);
  // The value as it stands; empty for an absent optional one.
  [[nodiscard]] std::string_view Raw(std::string_view name, Need need);

  // Makes `status`, if it is an error, that of the member `name`.
  void Fail(std::string_view name, const absl::Status& status);
  [[nodiscard]] absl::Status Done() const;

 private:
  // Kind kMissing for one that is not there or after an error.
  JsonValue Take(std::string_view name, Need need);

  absl::Status status_;
  std::map<std::string, JsonValue, std::less<>> left_;
};

}  // namespace expirer
