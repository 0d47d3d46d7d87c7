#include "load/report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "json/writer.h"

namespace expirer::load {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  AppendJsonEscaped(text, &out);
  out.push_back('"');
  return out;
}

std::string Number(double value, int decimals) {
  return fmt::format("{:.{}f}", std::isfinite(value) ? value : 0.0, decimals);
}

// 123456.7 -> "123,457": for people.
std::string Grouped(double value, int decimals) {
  std::string text = Number(value, decimals);
  const size_t first = text[0] == '-' ? 1 : 0;
  for (size_t at = std::min(text.find('.'), text.size()); at > first + 3; at -= 3)
    text.insert(at - 3, 1, ',');
  return text;
}

std::string Spelling(const Must& must, int decimals) {
  switch (must.kind) {
    case Must::Kind::kNothing: return "";
    case Must::Kind::kAtLeast: return "≥ " + Grouped(must.value, decimals);
    case Must::Kind::kAtMost: return "≤ " + Grouped(must.value, decimals);
  }
  return "";
}

}  // namespace

bool Must::Met(double figure) const {
  switch (kind) {
    case Kind::kNothing: return true;
    case Kind::kAtLeast: return figure >= value;
    case Kind::kAtMost: return figure <= value;
  }
  return false;
}

void Report::Setting(std::string_view name, std::string_view value) {
  settings_.emplace_back(name, Quoted(value));
}

void Report::Setting(std::string_view name, double value) {
  settings_.emplace_back(name, fmt::format("{}", value));
}

void Report::Figure(std::string_view name, std::string_view label, double value,
                    int decimals, std::string_view unit, Must must) {
  figures_.push_back(
      {std::string(name), std::string(label), value, decimals, std::string(unit), must});
}

void Report::Fail(std::string_view sentence) { failures_.emplace_back(sentence); }

bool Report::MeetsAll() const {
  return std::all_of(figures_.begin(), figures_.end(),
                     [](const Entry& e) { return e.must.Met(e.value); });
}

std::string Report::Title() const {
  std::string title = scenario_;
  for (const auto& [name, value] : settings_) {
    std::string plain = value;
    std::erase(plain, '"');
    title += fmt::format(" {}={}", name, plain);
  }
  return title;
}

std::string Report::Json() const {
  std::string out = fmt::format("{{\"scenario\":{}", Quoted(scenario_));
  for (const auto& [name, value] : settings_)
    out += fmt::format(",{}:{}", Quoted(name), value);
  for (const Entry& e : figures_)
    out += fmt::format(",{}:{}", Quoted(e.name), Number(e.value, e.decimals));
  out += ",\"failures\":[";
  for (size_t i = 0; i < failures_.size(); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ",", Quoted(failures_[i]));
  return out.append("]}");
}

std::string Report::Text() const {
  std::string out = Title() + "\n";
  for (const Entry& e : figures_) {
    out += fmt::format("  {:<46}{:>14} {:<8}", e.label, Grouped(e.value, e.decimals),
                       e.unit);
    if (e.must.kind != Must::Kind::kNothing)
      out += fmt::format("must {:<10} {}", Spelling(e.must, e.decimals),
                         e.must.Met(e.value) ? "met" : "NOT MET");
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  }
  for (const std::string& failure : failures_)
    out += fmt::format("  FAILED: {}\n", failure);
  return out;
}

std::string Report::MarkdownRows() const {
  std::string out;
  for (const Entry& e : figures_) {
    const bool asked = e.must.kind != Must::Kind::kNothing;
    out += fmt::format("| {} | {} | {}{}{} | {} | {} |\n", Title(), e.label,
                       Grouped(e.value, e.decimals), e.unit.empty() ? "" : " ", e.unit,
                       Spelling(e.must, e.decimals),
                       !asked                ? ""
                       : e.must.Met(e.value) ? "yes"
                                             : "**no**");
  }
  for (const std::string& failure : failures_)
    out += fmt::format("| {} | **failed: {}** | | | **no** |\n", Title(), failure);
  return out;
}

}  // namespace expirer::load
