// Tables for people. On a terminal a table fits into the width: the widest columns are
// cut and end with an ellipsis. Elsewhere nothing is cut.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace expirer {

class Table {
 public:
  explicit Table(std::vector<std::string> head) : head_(std::move(head)) {}
  // Adds a row. REQUIRES: it has as many cells as the head. The cells are escaped
  // (base/visible.h), so that a job's text cannot control the terminal.
  void Add(std::vector<std::string> row);
  // Adds as a row these members of a JSON object; "" for those it lacks.
  void AddMembers(std::string_view object, const std::vector<std::string>& names);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // The lines, each with a newline. `columns` = the terminal's width; 0 = no limit.
  [[nodiscard]] std::string Format(size_t columns) const;

 private:
  const std::vector<std::string> head_;
  std::vector<std::vector<std::string>> rows_;
};

// The width of the terminal at stdout; 0 if stdout is not a terminal.
[[nodiscard]] size_t TerminalColumns();

}  // namespace expirer
