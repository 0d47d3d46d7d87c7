#include "replay/trace_merge.h"

#include <utility>

namespace expirer {

TraceMerge::TraceMerge(std::vector<Source> sources) {
  for (Source& source : sources) heads_.push_back(Head{std::move(source)});
}

absl::Status TraceMerge::Fill(Head* head) {
  if (head->there || head->ended) return absl::OkStatus();
  ASSIGN_OR_RETURN(head->there, head->source(&head->line));
  head->ended = !head->there;
  if (head->ended) return absl::OkStatus();
  if (head->line.at_ns < head->last_ns) {
    ++raised_;
    head->line.at_ns = head->last_ns;
  }
  head->last_ns = head->line.at_ns;
  return absl::OkStatus();
}

absl::StatusOr<bool> TraceMerge::Next(TraceLine* line) {
  Head* first = nullptr;
  for (Head& head : heads_) {
    RETURN_IF_ERROR(Fill(&head));
    if (!head.there) continue;
    if (first == nullptr || head.line.at_ns < first->line.at_ns) first = &head;
  }
  if (first == nullptr) return false;
  std::swap(*line, first->line);
  first->there = false;
  return true;
}

}  // namespace expirer
