#include "app/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/visible.h"
#include "json/places.h"

namespace expirer {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kLeast = 8;  // no column is cut below this

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// In characters, as good as columns for what jobs are named by.
size_t Width(const std::string& cell) {
  return static_cast<size_t>(
      std::count_if(cell.begin(), cell.end(), [](char c) { return !Continues(c); }));
}

std::string Cut(const std::string& cell, size_t width) {
  if (Width(cell) <= width) return cell;
  std::string out;
  size_t used = 0;
  for (const char c : cell) {
    if (!Continues(c) && ++used >= width) break;
    out.push_back(c);
  }
  return out + "\u2026";
}

}  // namespace

void Table::Add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = Visible(cell);
  rows_.push_back(std::move(row));
}

void Table::AddMembers(std::string_view object, const std::vector<std::string>& names) {
  std::vector<std::string> cells;
  for (const std::string& name : names)
    (void)ReadPlaces(object, {{"/" + name, &cells.emplace_back()}});
  Add(std::move(cells));
}

std::string Table::Format(size_t columns) const {
  std::vector<size_t> widths;
  for (const std::string& cell : head_) widths.push_back(Width(cell));
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], Width(row[i]));
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
  };
  while (columns > 0 && total() > columns) {
    size_t& widest = *std::max_element(widths.begin(), widths.end());
    if (widest <= kLeast) break;
    --widest;
  }
  std::string out;
  const auto write = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = Cut(row[i], widths[i]);
      out += cell;
      if (i + 1 < row.size()) out.append(widths[i] - Width(cell) + kGap, ' ');
    }
    out.push_back('\n');
  };
  write(head_);
  for (const auto& row : rows_) write(row);
  return out;
}

size_t TerminalColumns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
    return 0;
  return size.ws_col;
}

}  // namespace expirer
