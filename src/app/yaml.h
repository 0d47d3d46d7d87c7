// A YAML file as a plain tree with positions. Stricter than YAML: one
// document, no anchors, aliases, merges or tags, and no member twice, so that
// what a file says can be read off the page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace expirer {

struct YamlMember;

struct Yaml {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 1;  // both from 1
  int column = 1;
  std::string text;    // of a scalar
  bool plain = false;  // a scalar without quotes and not a block
  std::vector<Yaml> items;
  std::vector<YamlMember> members;  // of a map, in the file's order
};

struct YamlMember {
  Yaml key;
  Yaml value;
};

// Something wrong in a file: where, at which key, and one sentence.
struct YamlIssue {
  int line = 1;
  int column = 1;
  std::string path;
  std::string what;
};

// The longest file read, in bytes.
inline constexpr size_t kYamlBytesMax = 1 << 20;

// Reads `text`, adding to `issues` what is wrong with it; the tree holds all
// that could be read. An empty text is an empty map. Never throws.
[[nodiscard]] Yaml ParseYaml(std::string_view text, std::vector<YamlIssue>* issues);

}  // namespace expirer
