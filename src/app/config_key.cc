#include "app/config_key.h"

#include <algorithm>
#include <charconv>
#include <type_traits>

#include <fmt/format.h>

#include "absl/strings/str_split.h"
#include "app/config.h"
#include "base/duration.h"

namespace expirer {
namespace {

constexpr std::string_view kServers =
    "expected servers such as nats://host:4222 or tls://host, separated by commas";

std::vector<std::string> Split(std::string_view text, char at) {
  return absl::StrSplit(absl::string_view(text.data(), text.size()), at);
}
std::vector<std::string> Words(const Key& key) {
  return Split(key.type == KeyType::kBool ? "false|true" : key.choices, '|');
}

std::optional<int64_t> Whole(std::string_view text) {
  int64_t value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

std::optional<int64_t> ValueOf(const absl::StatusOr<int64_t>& value) {
  return value.ok() ? std::optional(*value) : std::nullopt;
}

// host or host:port, perhaps after a login.
bool IsHostAndPort(std::string_view server) {
  server.remove_prefix(server.rfind('@') + 1);
  const size_t colon = server.rfind(':');
  if (colon == server.npos || server.ends_with(']')) return !server.empty();
  const int64_t number = Whole(server.substr(colon + 1)).value_or(0);
  return colon > 0 && number >= 1 && number <= 65'535;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row;
  for (size_t j = 0; j <= b.size(); ++j) row.push_back(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min(
          {row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

bool IsRuleName(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace

std::string KeyPath(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

std::string Default(const Key& key) {
  return key.required || key.at.fresh == nullptr ? std::string(key.fallback)
                                                 : key.at.fresh(key);
}

std::optional<int64_t> NumberOf(const Key& key, std::string_view text) {
  if (key.type == KeyType::kBool || key.type == KeyType::kChoice) {
    const auto words = Words(key);
    const auto found = std::find(words.begin(), words.end(), text);
    return found == words.end() ? std::nullopt : std::optional(found - words.begin());
  }
  std::optional<int64_t> value;
  if (key.type == KeyType::kInteger) value = Whole(text);
  if (key.type == KeyType::kBytes) value = ValueOf(ParseBytes(text));
  if (key.type == KeyType::kDuration)
    value = ValueOf(key.min < 0 ? ParseSignedDuration(text) : ParseDuration(text));
  return value && *value >= key.min && *value <= key.max ? value : std::nullopt;
}

void Assign(const Key& key, std::string_view text, KeyField field) {
  std::visit(
      [&](auto* value) {
        using Type = std::remove_pointer_t<decltype(value)>;
        if constexpr (std::is_same_v<Type, std::string>)
          *value = text;
        else if constexpr (std::is_same_v<Type, std::vector<std::string>>)
          *value = ParseServers(text).value_or(*value);
        else
          *value = static_cast<Type>(NumberOf(key, text).value());
      },
      field);
}

std::string Spelled(const Key& key, KeyField field) {
  return std::visit(
      [&key](const auto* value) -> std::string {
        if constexpr (std::is_same_v<decltype(value), const std::string*>) {
          return *value;
        } else if constexpr (std::is_same_v<decltype(value),
                                            const std::vector<std::string>*>) {
          return fmt::format("{}", fmt::join(*value, ","));
        } else {
          const auto number = static_cast<int64_t>(*value);
          switch (key.type) {
            case KeyType::kBool:
            case KeyType::kChoice: return Words(key).at(static_cast<size_t>(number));
            case KeyType::kDuration: return FormatDuration(number);
            case KeyType::kBytes: return FormatBytes(number);
            default: return fmt::to_string(number);
          }
        }
      },
      field);
}

std::string Expected(const Key& key) {
  switch (key.type) {
    case KeyType::kMap: return "expected a map of keys";
    case KeyType::kList: return "expected a list of maps (lines that begin with -)";
    case KeyType::kEntries: return "expected a map or a list of maps";
    case KeyType::kTexts: return "expected a text or a list of texts";
    case KeyType::kTextMap: return "expected a map of texts";
    case KeyType::kMatch:
      return "expected a map of JSON pointers or header:Names with the value, list of "
             "values or null that each must be";
    case KeyType::kText:
      if (key.max == kTextMax || key.max == kYamlText) return "expected a text";
      return fmt::format("expected a text of {} to {} bytes", key.min, key.max);
    case KeyType::kBool: return "expected true or false";
    case KeyType::kInteger:
      return fmt::format("expected a whole number from {} to {}", key.min, key.max);
    case KeyType::kDuration:
      return fmt::format("expected a duration from {} to {}, such as 90s, 15m or 168h",
                         FormatDuration(key.min), FormatDuration(key.max));
    case KeyType::kBytes:
      return fmt::format("expected a size from {} to {}, such as 512MB or 64MiB",
                         FormatBytes(key.min), FormatBytes(key.max));
    case KeyType::kChoice:
      return fmt::format("expected {}", fmt::join(Words(key), " or "));
    case KeyType::kLater: return "expected nothing, it is not in this release";
  }
  return "";
}

std::string WrongOverride(const Key& key, std::string_view value) {
  if (key.type == KeyType::kChoice && !NumberOf(key, value))
    return fmt::format("{}, found {}", Expected(key), Quote(value));
  if (const std::string_view wrong = WrongLogin(value); !wrong.empty())
    return std::string(wrong);
  return key.wrong == nullptr ? "" : std::string(key.wrong(value));
}

std::string_view WrongName(std::string_view text) {
  const bool good = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
  });
  return good && !text.empty() ? "" : "expected letters, digits, - and _ only";
}

absl::StatusOr<std::vector<std::string>> ParseServers(std::string_view text) {
  std::vector<std::string> servers;
  for (const std::string& one : Split(text, ',')) {
    std::string_view server = one;
    while (server.starts_with(' ')) server.remove_prefix(1);
    while (server.ends_with(' ')) server.remove_suffix(1);
    std::string_view scheme = "nats";
    if (const size_t end = server.find("://"); end != server.npos) {
      scheme = server.substr(0, end);
      server.remove_prefix(end + 3);
    }
    if (scheme == "http") scheme = "nats";
    while (server.ends_with('/')) server.remove_suffix(1);
    const bool plain =
        !server.empty() && std::none_of(server.begin(), server.end(), [](char c) {
          return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '/';
        });
    if (!plain || !IsHostAndPort(server) || (scheme != "nats" && scheme != "tls")) {
      return Invalid(std::string(kServers));
    }
    servers.push_back(fmt::format("{}://{}", scheme, server));
  }
  return servers;
}

std::string_view WrongFormerName(std::string_view text) {
  return IsRuleName(text) ? "" : "expected 1 to 24 of a-z, 0-9 and -";
}

std::string_view WrongRuleName(std::string_view text) {
  if (text == "api")
    return "api is reserved for jobs made through the API; expected another name";
  return WrongFormerName(text);
}

std::string_view WrongPublishName(std::string_view text) {
  if (text == kLateQueue)
    return "late is reserved for the jobs of late cancels; expected another name";
  return WrongFormerName(text);
}

// What the server takes for a stream's name, which is a token of API subjects.
std::string_view WrongStreamName(std::string_view text) {
  const bool good = std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c != 0x7F &&
           std::string_view(".*>/\\").find(c) == std::string_view::npos;
  });
  return good ? "" : "expected the name of a stream, without spaces and . * > / \\";
}

std::string_view WrongServers(std::string_view text) {
  return ParseServers(text).ok() ? "" : kServers;
}

std::string_view WrongInboxPrefix(std::string_view text) {
  const bool good =
      CheckSubjectFilter(text).ok() && text.find_first_of("*>") == text.npos;
  return good ? "" : "expected a subject without wildcards, such as _INBOX_mine";
}

std::string_view WrongLogin(std::string_view text) {
  const bool good = std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  return good ? ""
              : "control characters are not allowed (check for a newline at its end)";
}

std::string_view Nearest(std::string_view name,
                         const std::vector<std::string_view>& known) {
  std::string_view nearest;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    // A slip changes less than the whole word.
    const size_t distance = EditDistance(name, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace expirer
