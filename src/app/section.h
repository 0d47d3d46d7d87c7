// Reads one map of a config file by the key table (app/config_table.h): types,
// defaults, ranges and unknown keys come from there, so that the code below
// only says where each value goes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/config_table.h"
#include "app/yaml.h"

namespace expirer {

// What all sections of one file share.
struct ConfigReport {
  std::vector<YamlIssue> issues;
  // Where values came from: "limits.window" -> "12" (the line). Keys that were
  // left out are not in it.
  std::map<std::string, int> lines;
};

// Cheap to copy; the tree and the report must outlive it. Every value it is
// asked for has a value also when it is wrong or missing, so that reading goes
// on and reports everything.
class Section {
 public:
  // `node` may be null: a map that was left out. Reports at once what no table
  // entry knows. `place` is where a missing key is reported.
  Section(const Yaml* node, std::string path, const Yaml* place, ConfigReport* report);

  // Reads the keys that fill fields of `object`, those of maps in this section too.
  // What is left out or wrong leaves its field as it is.
  template <typename Type>
  void Fill(Type* object) const {
    Fill(&kOwner<Type>, object);
  }

  [[nodiscard]] std::string Text(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> OptionalText(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> Texts(std::string_view name) const;
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> TextMap(
      std::string_view name) const;
  [[nodiscard]] std::optional<int64_t> OptionalDurationMs(std::string_view name) const;

  [[nodiscard]] Section Map(std::string_view name) const;
  // The map of a KeyType::kMatch, unread; null when left out, or reported.
  [[nodiscard]] const Yaml* MapNode(std::string_view name) const;
  // A list of maps, or the one map of a KeyType::kEntries.
  [[nodiscard]] std::vector<Section> List(std::string_view name) const;

  [[nodiscard]] bool present() const { return node_ != nullptr; }
  [[nodiscard]] bool Has(std::string_view name) const { return Find(name) != nullptr; }
  // The value as it stands in the file, unchecked; null when left out.
  [[nodiscard]] const Yaml* Find(std::string_view name) const;
  // The line and column where Fail(name) would report, and the path.
  [[nodiscard]] YamlIssue Issue(std::string_view name, const std::string& what) const;
  // Reports `what` at a key of this section, or at the section itself when it
  // was left out.
  void Fail(std::string_view name, const std::string& what) const;

 private:
  void Fill(const void* owner, void* object) const;
  [[nodiscard]] const Key& KeyOf(std::string_view name) const;
  [[nodiscard]] std::string PathOf(std::string_view name) const;
  [[nodiscard]] const Yaml* Scalar(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> Checked(const Yaml& node, const Key& key,
                                                   const std::string& path) const;
  void CheckNames() const;
  void Report(const Yaml& at, const std::string& path, const std::string& what) const;

  const Yaml* node_;
  std::string path_;        // "rules[0].publish"
  std::string table_path_;  // "rules[].publish"
  const Yaml* place_;
  ConfigReport* report_;
};

}  // namespace expirer
