// Tables for people. On a terminal a table fits its width: the widest columns
// are cut, which shows as an ellipsis. Anywhere else nothing is cut.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace expirer {

class Table {
 public:
  explicit Table(std::vector<std::string> head) : head_(std::move(head)) {}
  // REQUIRES: as many cells as the head has. They are escaped (base/visible.h), so
  // that no job can write to the terminal in its own way.
  void Add(std::vector<std::string> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Lines with a newline each. `columns` = the terminal's width; 0 = no limit.
  [[nodiscard]] std::string Format(size_t columns) const;

 private:
  const std::vector<std::string> head_;
  std::vector<std::vector<std::string>> rows_;
};

// The width of the terminal that stdout is; 0 when it is none.
[[nodiscard]] size_t TerminalColumns();

}  // namespace expirer
