// A key of the config: its type and range, and the field that its value fills.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "job/rules.h"

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
  kDuration,  // min and max in ms; may begin with - or + if min is below 0
  kBytes,
  kChoice,  // one of the words in `choices`
  kLater,   // known, but refused in this release
};
// The longest text of most keys, and of those that may be as long as the file.
inline constexpr int64_t kTextMax = 4096;
inline constexpr int64_t kYamlText = 1 << 20;

// A field that a key fills. The words of a choice are the values of an enum, or
// false and true, in their order.
using KeyField = std::variant<std::string*, std::vector<std::string>*, bool*, int*,
                              int64_t*, uint64_t*, Transport*, LateAction*>;

struct Key;
// Where the value of a key goes; without a field, the code that reads the section
// reads the key.
struct Binding {
  const void* owner = nullptr;                // &kOwner<Type> of the section's struct
  KeyField (*field)(void* object) = nullptr;  // the field in a struct of that type
  std::string (*fresh)(const Key& key) = nullptr;  // its initial value, as text
};
// Its address identifies the type.
template <typename Type>
inline constexpr char kOwner = 0;

struct Key {
  std::string_view path = {};  // "limits.window", "rules[].schedule[].key"
  KeyType type = KeyType::kText;
  Binding at = {};
  int64_t min = 1;
  int64_t max = kTextMax;
  std::string_view doc = {};      // one sentence: what it does
  std::string_view choices = {};  // "text|json"
  bool required = false;
  bool secret = false;             // never shown
  bool has_logins = false;         // URLs, of which a login is never shown
  const char* variable = nullptr;  // of the environment; overrides the file
  // Says what is wrong with a text, "" if nothing is. Null: every text is right. The
  // report of a sentence that begins with "expected" adds what was found.
  std::string_view (*wrong)(std::string_view text) = nullptr;
  std::string_view fallback = {};  // the default if no field has it
};

// The path of the key `name` in the map at `parent`; "" = the top level.
[[nodiscard]] std::string KeyPath(std::string_view parent, std::string_view name);
// The default, as a file would write it; "" if there is none.
[[nodiscard]] std::string Default(const Key& key);
// `text` as a number: `true` is 1, a choice is the index of its word. Empty if it does
// not fit the key, or if the key's values are texts.
[[nodiscard]] std::optional<int64_t> NumberOf(const Key& key, std::string_view text);
// Writes the value of `text` to the field. REQUIRED: it fits the key.
void Assign(const Key& key, std::string_view text, KeyField field);
// The value of `field` as a file would write it.
[[nodiscard]] std::string Spelled(const Key& key, KeyField field);
// "expected a duration from 1ms to 10s": what a value of this key must be.
[[nodiscard]] std::string Expected(const Key& key);
// Says what is wrong with a value from the environment, a flag or a context of the
// `nats` CLI, which may be empty; "" if nothing is.
[[nodiscard]] std::string WrongOverride(const Key& key, std::string_view value);

// What is wrong with a text, for Key::wrong.
[[nodiscard]] std::string_view WrongName(std::string_view text);
[[nodiscard]] std::string_view WrongRuleName(std::string_view text);
[[nodiscard]] std::string_view WrongPublishName(std::string_view text);
[[nodiscard]] std::string_view WrongFormerName(std::string_view text);
[[nodiscard]] std::string_view WrongStreamName(std::string_view text);
[[nodiscard]] std::string_view WrongServers(std::string_view text);
[[nodiscard]] std::string_view WrongInboxPrefix(std::string_view text);
// A user, password or token holds no control character: the protocol could not
// carry it, and a Secret made with echo ends in one.
[[nodiscard]] std::string_view WrongLogin(std::string_view text);

// The name among `known` nearest to `name` by edit distance, or empty when
// none is near enough to be a slip of the finger.
[[nodiscard]] std::string_view Nearest(std::string_view name,
                                       const std::vector<std::string_view>& known);

}  // namespace expirer
