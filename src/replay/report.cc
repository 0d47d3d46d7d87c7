#include "replay/report.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/rfc3339.h"

namespace expirer {
namespace {

constexpr char kStyle[] = R"(
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60666d; --page: #ffffff;
  --line: #d9dde1; --fill: #3a6ea5; --pale: #c9daec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa0a6;
  --page: #16181b; --line: #34383d; --fill: #7fb2e5; --pale: #26405a; } }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p, figcaption, th { color: var(--soft); }
p, figure { margin: 0; }
code { overflow-wrap: anywhere; }
ul { list-style: none; margin: 1.5rem 0 0; padding: 0; display: grid; gap: 1px;
  grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); }
li b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
li { color: var(--soft); } li b { color: var(--ink); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--line); } svg .bar { fill: var(--fill); }
svg .area { fill: var(--pale); stroke: var(--fill); stroke-width: 1.5; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .5rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
)";

// Of all charts, in units of the drawing.
constexpr double kWidth = 900;
constexpr double kLeft = 60;
constexpr double kPlot = kWidth - kLeft - 10;
constexpr double kTop = 12;
constexpr double kHeight = 180;
constexpr double kBottom = kTop + kHeight;

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string Grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

// "minute", "10 minutes".
std::string Span(int64_t ms) {
  struct Unit {
    int64_t ms;
    std::string_view name;
  };
  constexpr Unit kUnits[] = {{86'400'000, "day"},
                             {3'600'000, "hour"},
                             {60'000, "minute"},
                             {1'000, "second"},
                             {1, "millisecond"}};
  for (const Unit& unit : kUnits) {
    if (ms % unit.ms != 0) continue;
    const int64_t count = ms / unit.ms;
    return count == 1 ? std::string(unit.name) : fmt::format("{} {}s", count, unit.name);
  }
  return "";
}

double YOf(uint64_t value, uint64_t most) {
  return kBottom - kHeight * static_cast<double>(value) / static_cast<double>(most);
}

// Head, axis and scale of a chart whose values go up to `most`.
std::string Frame(std::string_view label, uint64_t most) {
  return fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)"
                     R"(<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>)"
                     R"(<text x="{}" y="{}" text-anchor="end">{}</text>)"
                     R"(<text x="{}" y="{}" text-anchor="end">0</text>)",
                     kWidth, kBottom + 24, label, kLeft, kBottom, kLeft + kPlot, kBottom,
                     kLeft - 6, kTop + 8, Grouped(most), kLeft - 6, kBottom);
}

std::string Below(double x, std::string_view anchor, std::string_view text) {
  return fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>)", x,
                     kBottom + 18, anchor, text);
}

std::string Bar(double x, double width, uint64_t value, uint64_t most,
                std::string_view title) {
  if (value == 0) return "";
  const double top = std::min(YOf(value, most), kBottom - 1);
  return fmt::format(
      "<rect class=\"bar\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" "
      "height=\"{:.2f}\"><title>{}</title></rect>",
      x, top, width, kBottom - top, title);
}

std::string TimesBelow(const Timeline& line) {
  const auto count = static_cast<int64_t>(line.buckets().size());
  return Below(kLeft, "start", FormatRfc3339Ms(line.start_ms())) +
         Below(kLeft + kPlot, "end",
               FormatRfc3339Ms(line.start_ms() + count * line.width_ms()));
}

std::string Tile(uint64_t number, std::string_view name) {
  return fmt::format("<li><b>{}</b>{}</li>", Grouped(number), name);
}

std::string Tiles(const ReplaySummary& summary) {
  return "<ul>" + Tile(summary.events, "events") + Tile(summary.scheduled, "scheduled") +
         Tile(summary.moved, "moved") + Tile(summary.cancelled, "cancelled") +
         Tile(summary.fired, "fired") + Tile(summary.skipped, "skipped") +
         Tile(summary.rejected, "rejected") + Tile(summary.ignored, "ignored") +
         Tile(summary.pending, "pending") + "</ul>\n";
}

std::string RuleTable(const ReplaySummary& summary) {
  std::string html =
      "<div class=\"wide\"><table><tr><th>jobs of</th><th>scheduled</th><th>moved</th>"
      "<th>cancelled</th><th>fired</th><th>skipped</th><th>dead</th><th>rejected</th>"
      "<th>pending</th></tr>\n";
  for (const ReplaySummary::Queue& queue : summary.queues) {
    const Outcomes& of = queue.outcomes;
    html += "<tr><td>" + Escaped(queue.name) + "</td>";
    for (const uint64_t number : {of.scheduled, of.moved, of.cancelled, of.fired,
                                  of.skipped, of.dead, of.rejected, queue.pending})
      html += "<td>" + Grouped(number) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string Section(std::string_view title, std::string_view chart,
                    std::string_view caption) {
  return fmt::format("<h2>{}</h2>\n<figure>\n{}<figcaption>{}</figcaption></figure>\n",
                     title, chart, caption);
}

}  // namespace

void Report::AddFire(const Fire& fire) {
  line_.AddFire(fire.at_ms);
  const int64_t late_ms = fire.at_ms - fire.due_ms;
  size_t at = 0;
  while (late_ms >= kLate[at].below_ms) ++at;
  ++late_[at];
}

std::string Report::PendingChart() const {
  uint64_t most = 1;
  for (const Timeline::Bucket& bucket : line_.buckets())
    most = std::max(most, bucket.pending_max);
  const double step = kPlot / static_cast<double>(line_.buckets().size());
  std::string path = fmt::format("M{} {}", kLeft, kBottom);
  double x = kLeft;
  for (const Timeline::Bucket& bucket : line_.buckets()) {
    path += fmt::format("V{:.2f}H{:.2f}", YOf(bucket.pending_max, most), x += step);
  }
  return Frame("pending jobs over time", most) +
         fmt::format("<path class=\"area\" d=\"{}V{}Z\"/>\n", path, kBottom) +
         TimesBelow(line_) + "</svg>\n";
}

std::string Report::FiresChart() const {
  uint64_t most = 1;
  for (const Timeline::Bucket& bucket : line_.buckets())
    most = std::max(most, bucket.fires);
  const double step = kPlot / static_cast<double>(line_.buckets().size());
  std::string bars;
  for (size_t i = 0; i < line_.buckets().size(); ++i) {
    const uint64_t fires = line_.buckets()[i].fires;
    const int64_t from_ms = line_.start_ms() + static_cast<int64_t>(i) * line_.width_ms();
    bars += Bar(kLeft + static_cast<double>(i) * step, std::max(step * 0.9, 1.0), fires,
                most, FormatRfc3339Ms(from_ms) + ": " + Grouped(fires));
  }
  return Frame("fires over time", most) + bars + TimesBelow(line_) + "</svg>\n";
}

std::string Report::LatenessChart() const {
  const uint64_t most =
      std::max<uint64_t>(1, *std::max_element(late_.begin(), late_.end()));
  const double step = kPlot / static_cast<double>(late_.size());
  std::string bars;
  for (size_t i = 0; i < late_.size(); ++i) {
    const double x = kLeft + static_cast<double>(i) * step;
    bars += Bar(x + step * 0.1, step * 0.8, late_[i], most,
                std::string(kLate[i].name) + ": " + Grouped(late_[i]));
    bars += Below(x + step / 2, "middle", kLate[i].name);
  }
  return Frame("fires by lateness", most) + bars + "</svg>\n";
}

std::string Report::Html(const ReplaySummary& summary, std::string_view trace,
                         std::string_view config) const {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>expirer replay: {0}</title>\n<style>{2}</style>\n</head>\n<body>\n"
      "<h1>expirer replay</h1>\n<p>The trace <code>{0}</code> by the rules of "
      "<code>{1}</code></p>\n",
      Escaped(trace), Escaped(config), kStyle);
  if (summary.first_ms != 0)
    html += fmt::format("<p>{} to {}</p>\n", FormatRfc3339Ms(summary.first_ms),
                        FormatRfc3339Ms(summary.last_ms));
  html += Tiles(summary);
  const std::string bucket = Span(line_.width_ms());
  if (!line_.buckets().empty()) {
    html += Section("Pending jobs", PendingChart(), "the most in each " + bucket);
    html += Section("Fires", FiresChart(), "in each " + bucket);
    html += Section("Lateness", LatenessChart(),
                    "of each fire: its time less its due time. Replayed time stands "
                    "still while expirer works, so this is what waited for the link, "
                    "for its own arrival or for <code>rate</code>.");
  }
  return html + "<h2>Rules</h2>\n" + RuleTable(summary) + "</body>\n</html>\n";
}

}  // namespace expirer
