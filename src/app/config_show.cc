#include "app/config_show.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "app/config_table.h"
#include "app/yaml.h"
#include "json/writer.h"
#include "net/connection_options.h"

namespace expirer {
namespace {

bool IsPlain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./:+").find(c) != std::string_view::npos;
  });
}

std::string Spelled(std::string_view text) {
  return IsPlain(text) ? std::string(text) : JsonQuoted(text);
}

// A value as one line: texts, [lists] and {maps}.
std::string Spelled(const Yaml& node) {
  std::vector<std::string> parts;
  switch (node.kind) {
    case Yaml::Kind::kNull: return "null";
    case Yaml::Kind::kScalar: return Spelled(node.text);
    case Yaml::Kind::kList:
      for (const Yaml& item : node.items) parts.push_back(Spelled(item));
      return fmt::format("[{}]", fmt::join(parts, ", "));
    case Yaml::Kind::kMap:
      for (const YamlMember& member : node.members)
        parts.push_back(Spelled(member.key.text) + ": " + Spelled(member.value));
      return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
  return "";
}

// True for a map with a key that must be there: left out, it says nothing.
bool HasNoDefault(std::string_view table_path) {
  const std::string below = std::string(table_path) + ".";
  const auto keys = ConfigKeys();
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) {
    return key.path.starts_with(below) && key.required;
  });
}

class Shower {
 public:
  Shower(std::string_view file_name, const std::vector<ConfigOverride>& overrides)
      : file_name_(file_name), overrides_(overrides) {}

  // Everything under one map; `node` is null where it was left out.
  void Map(const Yaml* node, const std::string& table_path, const std::string& path) {
    for (const std::string_view name : KeysUnder(table_path)) {
      const Key* key = FindKey(KeyPath(table_path, name));
      const Yaml* value = node == nullptr ? nullptr : node->Find(name);
      const std::string value_path = KeyPath(path, name);
      switch (key->type) {
        case KeyType::kMap:
          if (value != nullptr || !HasNoDefault(key->path))
            Map(value, std::string(key->path), value_path);
          break;
        case KeyType::kList:
        case KeyType::kEntries: List(value, *key, value_path); break;
        default: Value(value, *key, value_path); break;
      }
    }
  }

  [[nodiscard]] std::string Take() { return std::move(out_); }

 private:
  void List(const Yaml* node, const Key& key, const std::string& path) {
    if (node == nullptr) return;
    size_t i = 0;
    for (const Yaml& item : node->Items())
      Map(&item, std::string(key.path) + "[]", fmt::format("{}[{}]", path, i++));
  }

  void Value(const Yaml* node, const Key& key, const std::string& path) {
    std::string value = Default(key);
    std::string origin = "default";
    if (node != nullptr) {
      value = node->kind == Yaml::Kind::kScalar ? node->text : Spelled(*node);
      origin = fmt::format("{}:{}", file_name_, node->line);
    }
    // No override has the path of such a key.
    const bool composed = node != nullptr && node->kind != Yaml::Kind::kScalar;
    for (const ConfigOverride& one : overrides_) {
      if (one.path != path || (one.value.empty() && value.empty())) continue;
      value = one.value;
      origin = one.origin;
    }
    // What a rule or stream leaves out and has no default does not apply to it.
    const bool of_list = path.find('[') != path.npos;
    if (of_list && node == nullptr && value.empty()) return;
    if (key.secret && !value.empty()) value = "(hidden)";
    if (key.has_logins) value = WithoutLogins(value);
    out_ +=
        fmt::format("{}: {}  # {}\n", path, composed ? value : Spelled(value), origin);
  }

  const std::string file_name_;
  const std::vector<ConfigOverride>& overrides_;
  std::string out_;
};

}  // namespace

std::string ShowConfig(std::string_view text, std::string_view file_name,
                       const std::vector<ConfigOverride>& overrides) {
  std::vector<YamlIssue> issues;
  const Yaml tree = ParseYaml(text, &issues);
  Shower shower(file_name, overrides);
  shower.Map(&tree, "", "");
  return shower.Take();
}

}  // namespace expirer
