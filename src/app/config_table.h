// Every key of the config, once: what parsing, error messages, `config
// default` and the docs are made from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace expirer {

enum class KeyType : uint8_t {
  kMap,      // has keys of its own
  kList,     // a list of maps
  kEntries,  // one map or a list of them
  kTexts,    // one text or a list of them
  kTextMap,  // free names with texts
  kMatch,    // pointers and headers with the values they must have
  kText,     // min and max are its length in bytes
  kBool,
  kInteger,
  kDuration,  // min and max in ms; may begin with - or + where min is below 0
  kBytes,
  kChoice,  // one of the words in `choices`
  kLater,   // known, but refused in this release
};

struct Key {
  std::string_view path;  // "limits.window", "rules[].schedule[].key"
  KeyType type;
  std::string_view fallback;  // the default, as a file would write it; "" = none
  int64_t min = 0;
  int64_t max = 0;
  std::string_view doc;           // one sentence: what it does
  std::string_view choices = {};  // "text|json"
  bool required = false;
  bool secret = false;  // never shown
};

// In the order in which a file is best written.
[[nodiscard]] std::span<const Key> ConfigKeys();
// The key at `path`, or null.
[[nodiscard]] const Key* FindKey(std::string_view path);
// The names of the keys directly under `parent` ("" = the top level), without
// those refused in this release.
[[nodiscard]] std::vector<std::string_view> KeysUnder(std::string_view parent);
// "expected a duration from 1ms to 10s": what a value of this key must be.
[[nodiscard]] std::string Expected(const Key& key);
// The name among `known` nearest to `name` by edit distance, or empty when
// none is near enough to be a slip of the finger.
[[nodiscard]] std::string_view Nearest(std::string_view name,
                                       const std::vector<std::string_view>& known);

}  // namespace expirer
