// What a scenario found: figures with what they must be, printed for people,
// as a JSON object or as rows of a Markdown table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace expirer::load {

// What a figure must be, where the targets say so.
struct Must {
  enum class Kind { kNothing, kAtLeast, kAtMost };
  Kind kind = Kind::kNothing;
  double value = 0;
  [[nodiscard]] bool Met(double figure) const;
};
[[nodiscard]] inline Must AtLeast(double value) { return {Must::Kind::kAtLeast, value}; }
[[nodiscard]] inline Must AtMost(double value) { return {Must::Kind::kAtMost, value}; }

class Report {
 public:
  explicit Report(std::string scenario) : scenario_(std::move(scenario)) {}

  // A setting of the run.
  void Setting(std::string_view name, std::string_view value);
  void Setting(std::string_view name, double value);
  // `name` is the JSON member, `label` what people read, `unit` "jobs/s".
  void Figure(std::string_view name, std::string_view label, double value, int decimals,
              std::string_view unit, Must must = {});
  // The scenario broke a promise, or could not be measured: the run fails.
  void Fail(std::string_view sentence);

  [[nodiscard]] bool failed() const { return !failures_.empty(); }
  // Every figure is what it must be.
  [[nodiscard]] bool MeetsAll() const;
  [[nodiscard]] std::string Json() const;
  [[nodiscard]] std::string Text() const;
  // | scenario: label | measured | must | met? |
  [[nodiscard]] std::string MarkdownRows() const;

 private:
  struct Entry {
    std::string name;
    std::string label;
    double value = 0;
    int decimals = 0;
    std::string unit;
    Must must;
  };
  [[nodiscard]] std::string Title() const;

  std::string scenario_;
  std::vector<std::pair<std::string, std::string>> settings_;  // value as JSON
  std::vector<Entry> figures_;
  std::vector<std::string> failures_;
};

}  // namespace expirer::load
