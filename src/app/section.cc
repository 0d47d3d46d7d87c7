#include "app/section.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "job/template.h"

namespace expirer {
namespace {

// "rules[0].cancel[12]" as the table has it: "rules[].cancel[]".
std::string TablePath(std::string_view path) {
  std::string out;
  bool index = false;
  for (char c : path) {
    if (c == ']') index = false;
    if (!index) out += c;
    if (c == '[') index = true;
  }
  return out;
}

// What a node is, for "found ...".
std::string Found(const Yaml& node, bool hidden) {
  switch (node.kind) {
    case Yaml::Kind::kNull: return "found nothing";
    case Yaml::Kind::kScalar:
      return "found " + (hidden ? "a text that is not shown" : Quote(node.text));
    case Yaml::Kind::kList: return "found a list";
    case Yaml::Kind::kMap: return "found a map";
  }
  return "";
}

}  // namespace

Section::Section(const Yaml* node, std::string path, const Yaml* place,
                 ConfigReport* report)
    : node_(node),
      path_(std::move(path)),
      table_path_(TablePath(path_)),
      place_(place),
      report_(report) {
  if (node_ != nullptr && node_->kind != Yaml::Kind::kMap) {
    Refuse(*node_, {.type = KeyType::kMap}, path_);
    place_ = node_;
    node_ = nullptr;
  }
  if (node_ == nullptr) return;
  place_ = node_;
  CheckNames();
}

void Section::CheckNames() const {
  const std::vector<std::string_view> known = KeysUnder(table_path_);
  for (const YamlMember& member : node_->members) {
    const std::string& name = member.key.text;
    const Key* key = FindKey(KeyPath(table_path_, name));
    if (key != nullptr && key->type == KeyType::kLater) {
      Report(member.key, PathOf(name),
             "this key is not in this release; expected it left out");
    } else if (key == nullptr || name.find_first_of(".[") != name.npos) {
      const std::string_view nearest = Nearest(name, known);
      Report(member.key, PathOf(name),
             nearest.empty()
                 ? fmt::format("unknown key; expected one of {}", fmt::join(known, ", "))
                 : fmt::format("unknown key; expected perhaps \"{}\"", nearest));
    }
  }
}

void Section::Report(const Yaml& at, const std::string& path,
                     const std::string& what) const {
  report_->issues.push_back({at.line, at.column, path, what});
}

void Section::Refuse(const Yaml& node, const Key& key, const std::string& path) const {
  Report(node, path, Expected(key) + ", " + Found(node, key.secret || key.has_logins));
}

void Section::Fail(std::string_view name, const std::string& what) const {
  report_->issues.push_back(Issue(name, what));
}

void Section::Warn(std::string_view name, const std::string& what) const {
  report_->warnings.push_back(Issue(name, what));
}

void Section::Check(std::string_view name, const absl::Status& status,
                    std::string_view found) const {
  if (!status.ok())
    Fail(name, fmt::format("{}, found {}", Message(status), Quote(found)));
}

YamlIssue Section::Issue(std::string_view name, const std::string& what) const {
  const Yaml* at = Find(name);
  if (at == nullptr) at = place_;
  return {at->line, at->column, PathOf(name), what};
}

const Yaml* Section::Find(std::string_view name) const {
  return node_ == nullptr ? nullptr : node_->Find(name);
}

std::string Section::PathOf(std::string_view name) const { return KeyPath(path_, name); }

const Key& Section::KeyOf(std::string_view name) const {
  const Key* key = FindKey(KeyPath(table_path_, name));
  CHECK(key != nullptr);
  return *key;
}

// The node of `name`, noting where it came from and, when a required key of a
// section that is there is missing, reporting that.
const Yaml* Section::Scalar(std::string_view name) const {
  const Yaml* node = Find(name);
  if (node != nullptr) {
    report_->lines[PathOf(name)] = node->line;
  } else if (KeyOf(name).required && present()) {
    Report(*place_, PathOf(name), "it is missing; " + Expected(KeyOf(name)));
  }
  return node;
}

// The text of a scalar of this type, or nothing, reported, when it is none.
std::optional<std::string> Section::Checked(const Yaml& node, const Key& key,
                                            const std::string& path) const {
  const auto size = static_cast<int64_t>(node.text.size());
  const bool text_type = key.type == KeyType::kText || key.type == KeyType::kTexts ||
                         key.type == KeyType::kTextMap;
  bool good = node.kind == Yaml::Kind::kScalar;
  if (good && text_type)
    good = size >= key.min && size <= key.max;
  else if (good)
    good = NumberOf(key, node.text) && (node.plain || key.type != KeyType::kBool);
  if (!good) {
    Refuse(node, key, path);
    return std::nullopt;
  }
  const std::string_view wrong = key.wrong ? key.wrong(node.text) : "";
  if (wrong.empty()) return node.text;
  const bool found = wrong.starts_with("expected") && !key.has_logins;
  Report(node, path, std::string(wrong) + (found ? ", found " + Quote(node.text) : ""));
  return std::nullopt;
}

void Section::Fill(const void* owner, void* object) const {
  for (const std::string_view name : KeysUnder(table_path_)) {
    const Key& key = KeyOf(name);
    if (key.type == KeyType::kMap) Map(name).Fill(owner, object);
    if (key.at.owner != owner) continue;
    if (const std::optional<std::string> text = OptionalText(name))
      Assign(key, *text, key.at.field(object));
  }
}

std::optional<std::string> Section::OptionalText(std::string_view name) const {
  const Yaml* node = Scalar(name);
  if (node == nullptr) return std::nullopt;
  return Checked(*node, KeyOf(name), PathOf(name));
}

std::string Section::Text(std::string_view name) const {
  return OptionalText(name).value_or(Default(KeyOf(name)));
}

std::optional<int64_t> Section::OptionalDurationMs(std::string_view name) const {
  const std::optional<std::string> text = OptionalText(name);
  return text ? NumberOf(KeyOf(name), *text) : std::nullopt;
}

std::vector<std::string> Section::Texts(std::string_view name) const {
  const Yaml* node = Scalar(name);
  if (node == nullptr) return {};
  std::vector<std::string> texts;
  const std::span<const Yaml> items = node->Items();
  for (size_t i = 0; i < items.size(); ++i) {
    const bool one = &items[i] == node;
    auto text = Checked(items[i], KeyOf(name),
                        PathOf(name) + (one ? "" : fmt::format("[{}]", i)));
    if (text) texts.push_back(*std::move(text));
  }
  if (items.empty()) Report(*node, PathOf(name), "expected at least one, found none");
  return texts;
}

std::vector<std::pair<std::string, std::string>> Section::TextMap(
    std::string_view name) const {
  const Yaml* node = MapNode(name);
  std::vector<std::pair<std::string, std::string>> texts;
  if (node == nullptr) return texts;
  for (const YamlMember& member : node->members) {
    auto text = Checked(member.value, KeyOf(name), PathOf(name) + "." + member.key.text);
    if (text) texts.emplace_back(member.key.text, *std::move(text));
  }
  return texts;
}

const Yaml* Section::MapNode(std::string_view name) const {
  const Yaml* node = Scalar(name);
  if (node == nullptr || node->kind == Yaml::Kind::kMap) return node;
  Refuse(*node, KeyOf(name), PathOf(name));
  return nullptr;
}

Section Section::Map(std::string_view name) const {
  const Yaml* node = Scalar(name);
  return Section(node, PathOf(name), node == nullptr ? place_ : node, report_);
}

std::vector<Section> Section::List(std::string_view name) const {
  const Yaml* node = Scalar(name);
  if (node == nullptr) return {};
  const Key& key = KeyOf(name);
  std::vector<Section> sections;
  const bool one = node->kind == Yaml::Kind::kMap && key.type == KeyType::kEntries;
  if (!one && node->kind != Yaml::Kind::kList) {
    Refuse(*node, key, PathOf(name));
    return sections;
  }
  for (const Yaml& item : node->Items())
    sections.emplace_back(&item, fmt::format("{}[{}]", PathOf(name), sections.size()),
                          &item, report_);
  if (key.required && sections.empty())
    Report(*node, PathOf(name), "expected at least one, found none");
  return sections;
}

}  // namespace expirer
