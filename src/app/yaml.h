// Reads a YAML file as a plain tree with positions. Stricter than YAML: one document, no
// anchors, aliases, merges or tags, and no repeated member, so that a reader of the file
// sees what it means.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace expirer {

struct YamlMember;

struct Yaml {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 1;  // line and column count from 1
  int column = 1;
  std::string text;    // of a scalar
  bool plain = false;  // a scalar without quotes and not a block
  std::vector<Yaml> items;
  std::vector<YamlMember> members;  // of a map, in the file's order

  // The value of a map's member; null if there is none, or if this is not a map.
  [[nodiscard]] const Yaml* Find(std::string_view name) const;
  // The items of a list; of any other node, the node itself.
  [[nodiscard]] std::span<const Yaml> Items() const {
    return kind == Kind::kList ? std::span<const Yaml>(items) : std::span(this, 1);
  }
};

struct YamlMember {
  Yaml key;
  Yaml value;
};

// An error in a file: its place, its key, and one sentence.
struct YamlIssue {
  int line = 1;
  int column = 1;
  std::string path;
  std::string what;
};

// The largest file that is read, in bytes.
inline constexpr size_t kYamlBytesMax = 1 << 20;

// Reads `text` and adds its errors to `issues`. The tree has everything that could be
// read. An empty text is an empty map. Never throws.
[[nodiscard]] Yaml ParseYaml(std::string_view text, std::vector<YamlIssue>* issues);

}  // namespace expirer
