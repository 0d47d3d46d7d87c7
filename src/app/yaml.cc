#include "app/yaml.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "json/value.h"

namespace expirer {
namespace {

constexpr size_t kDepthMax = 32;

// Builds the tree from yaml-cpp's events. Its own Node would lose repeated
// members, quotes and anchors.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::vector<YamlIssue>* issues) : issues_(*issues) {}

  [[nodiscard]] Yaml Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Make(mark, Yaml::Kind::kNull, "", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Issue(mark, "expected no alias (*); write the value out");
    Add(Make(mark, Yaml::Kind::kNull, "", 0));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Yaml node = Make(mark, Yaml::Kind::kScalar, tag, anchor);
    node.text = value;
    node.plain = tag == "?";
    if (node.plain && value.find("${") != value.npos)
      Issue(mark, "a text with ${ must stand in quotes: '...'");
    Add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open_.push_back({Make(mark, Yaml::Kind::kList, tag, anchor), {}, false});
    CheckDepth(mark);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({Make(mark, Yaml::Kind::kMap, tag, anchor), {}, false});
    CheckDepth(mark);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Open {
    Yaml node;
    Yaml key;  // of a map, once read
    bool has_key;
  };

  void Issue(const Yaml& at, std::string what) {
    issues_.push_back({at.line, at.column, Path(), std::move(what)});
  }
  void Issue(const YAML::Mark& mark, std::string what) {
    Issue(Make(mark, Yaml::Kind::kNull, "", 0), std::move(what));
  }

  // Of what is being read: "rules[0].publish".
  [[nodiscard]] std::string Path() const {
    std::string path;
    for (const Open& open : open_) {
      if (open.node.kind == Yaml::Kind::kList) {
        path += fmt::format("[{}]", open.node.items.size());
      } else if (open.key.kind == Yaml::Kind::kScalar) {
        path += (path.empty() ? "" : ".") + open.key.text;
      }
    }
    return path;
  }

  Yaml Make(const YAML::Mark& mark, Yaml::Kind kind, const std::string& tag,
            YAML::anchor_t anchor) {
    if (anchor != 0)
      Issue(mark, "expected no anchor (&); write the value out where it is used");
    if (!tag.empty() && tag != "?" && tag != "!") Issue(mark, "expected no tag (!)");
    Yaml node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  void CheckDepth(const YAML::Mark& mark) {
    if (open_.size() > kDepthMax)
      throw YAML::ParserException(mark,
                                  fmt::format("it nests deeper than {}", kDepthMax));
  }

  void Close() {
    Yaml node = std::move(open_.back().node);
    open_.pop_back();
    Add(std::move(node));
  }

  void Add(Yaml node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Yaml::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!std::exchange(parent.has_key, !parent.has_key)) {
      parent.key = std::move(node);
    } else {
      AddMember(&parent, std::move(node));
    }
  }

  void AddMember(Open* parent, Yaml value) {
    const Yaml& key = parent->key;
    if (key.kind != Yaml::Kind::kScalar) {
      Issue(key, "expected a name here; a text with ${ or { must stand in quotes: '...'");
      return;
    }
    if (key.text == "<<") {
      Issue(key, "expected no merge (<<); write the members out");
      return;
    }
    for (const YamlMember& member : parent->node.members) {
      if (member.key.text != key.text) continue;
      Issue(key, fmt::format("\"{}\" is there twice, first in line {}; expected it once",
                             key.text, member.key.line));
      return;
    }
    // yaml-cpp places a value that was left out somewhere before its key.
    if (value.kind == Yaml::Kind::kNull) {
      value.line = key.line;
      value.column = key.column;
    }
    parent->node.members.push_back({std::move(parent->key), std::move(value)});
  }

  std::vector<YamlIssue>& issues_;
  std::vector<Open> open_;
  Yaml root_;
};

// The text of a line, from 1.
std::string_view Line(std::string_view text, int number) {
  for (; number > 1; --number) {
    const size_t end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

YamlIssue FromException(std::string_view text, const YAML::Exception& exception) {
  const int line = std::max(exception.mark.line + 1, 1);
  const std::string& why = exception.msg;
  // A * or & outside quotes, which YAML takes for an alias or an anchor.
  const bool star =
      why.find("alias") != why.npos || why.find("referenced anchor") != why.npos;
  YamlIssue issue{line, std::max(exception.mark.column + 1, 1), "",
                  fmt::format("not YAML: {}",
                              star ? "a text that begins with * must stand in quotes: "
                                     "'...'"
                                   : why)};
  // {"id":${/id}} without quotes is YAML of a kind, and fails a line later.
  if (Line(text, line).find("${") != text.npos ||
      (line > 1 && Line(text, line - 1).find("${") != text.npos)) {
    issue.what += "; a text with ${ must stand in quotes: '...'";
  }
  return issue;
}

// Why the text cannot be read; null if it can.
const char* Unreadable(std::string_view text) {
  if (text.size() > kYamlBytesMax) return "expected at most 1 MiB";
  if (!IsUtf8(text)) return "expected valid UTF-8";
  if (text.find('\0') != text.npos) return "expected no zero byte";
  return nullptr;
}

}  // namespace

const Yaml* Yaml::Find(std::string_view name) const {
  for (const YamlMember& member : members)
    if (member.key.text == name) return &member.value;
  return nullptr;
}

Yaml ParseYaml(std::string_view text, std::vector<YamlIssue>* issues) {
  Yaml empty;
  empty.kind = Yaml::Kind::kMap;
  if (const char* what = Unreadable(text); what != nullptr) {
    issues->push_back({1, 1, "", what});
    return empty;
  }
  TreeBuilder builder(issues);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return empty;
    TreeBuilder second(issues);
    if (parser.HandleNextDocument(second)) {
      const Yaml other = second.Take();
      issues->push_back(
          {other.line, other.column, "", "expected one YAML document, not two"});
    }
  } catch (const YAML::Exception& exception) {
    issues->push_back(FromException(text, exception));
  }
  Yaml root = builder.Take();
  if (root.kind == Yaml::Kind::kNull) root.kind = Yaml::Kind::kMap;
  return root;
}

}  // namespace expirer
