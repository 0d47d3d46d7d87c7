// Reads one map of a config file by the key table (app/config_table.h), which has types,
// defaults, ranges and the known keys. So callers only say where each value goes.
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
#include "base/status.h"

namespace expirer {

// Data that all sections of one file share.
struct ConfigReport {
  std::vector<YamlIssue> issues;  // errors
  std::vector<YamlIssue> warnings;
  // The origins of values: "limits.window" -> "12" (the line). Without keys that were
  // left out.
  std::map<std::string, int> lines;
};

// Cheap to copy. The tree and the report must outlive it. A wrong or missing value is
// reported and replaced by a default, so that reading goes on and reports all errors.
class Section {
 public:
  // `node` may be null: the map was left out. Reports unknown keys at once. `place` is
  // where a missing key is reported.
  Section(const Yaml* node, std::string path, const Yaml* place, ConfigReport* report);

  // Reads the keys that fill fields of `object`, including those of maps in this section.
  // A key that is left out or wrong does not change its field.
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
  // The unread map of a KeyType::kMatch; null if left out, or if it is wrong and was
  // reported.
  [[nodiscard]] const Yaml* MapNode(std::string_view name) const;
  // A list of maps, or the one map of a KeyType::kEntries.
  [[nodiscard]] std::vector<Section> List(std::string_view name) const;

  [[nodiscard]] bool present() const { return node_ != nullptr; }
  [[nodiscard]] bool Has(std::string_view name) const { return Find(name) != nullptr; }
  // The unchecked value in the file; null if left out.
  [[nodiscard]] const Yaml* Find(std::string_view name) const;
  // Reports `what` at a key of this section, or at the section itself if the key was left
  // out.
  void Fail(std::string_view name, const std::string& what) const;
  void Warn(std::string_view name, const std::string& what) const;
  // Reports the error of `status`, if it is one, and `found`, the text that it is about.
  void Check(std::string_view name, const absl::Status& status,
             std::string_view found) const;
  // Reports every item of `list` that has the name of this section, which must be new.
  template <typename Item>
  void CheckNew(const std::string& name, std::string_view list_name,
                const std::vector<Item>& list) const {
    for (size_t i = 0; i < list.size(); ++i)
      if (!name.empty() && list[i].name == name)
        Fail("name", std::string(list_name) + "[" + std::to_string(i) +
                         "] has this name; expected another");
  }

 private:
  void Fill(const void* owner, void* object) const;
  [[nodiscard]] YamlIssue Issue(std::string_view name, const std::string& what) const;
  [[nodiscard]] const Key& KeyOf(std::string_view name) const;
  [[nodiscard]] std::string PathOf(std::string_view name) const;
  [[nodiscard]] const Yaml* Scalar(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> Checked(const Yaml& node, const Key& key,
                                                   const std::string& path) const;
  void CheckNames() const;
  void Report(const Yaml& at, const std::string& path, const std::string& what) const;
  // Reports that the node is not what the key expects.
  void Refuse(const Yaml& node, const Key& key, const std::string& path) const;

  const Yaml* node_;
  std::string path_;        // "rules[0].publish"
  std::string table_path_;  // "rules[].publish"
  const Yaml* place_;
  ConfigReport* report_;
};

}  // namespace expirer
