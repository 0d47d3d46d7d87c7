// `list`: a page of the jobs that may be sent next. It is read beside the core: the
// store's reads are thread-safe, and the core then says what is in flight and holds the
// reply until all that the page may show is durable (P1).
#pragma once

#include "api/request.h"
#include "base/clock.h"
#include "sched/queues.h"
#include "sched/timer_heap.h"

namespace expirer {

// Where a page of `list` begins: after this place, in the order in which jobs
// are sent.
using ListPlace = TimerEntry;

struct ListQuery : Query {  // state: pending, in_flight, retrying, held; "" = all
  std::optional<ListPlace> after;
};
absl::StatusOr<ListQuery> ListQueryOf(Query query);
[[nodiscard]] std::string FormatListPlace(const ListPlace& place);

struct ListCommand : Command {
  // A job that is complete but for its state, which stands between `head` and `tail`.
  struct Row {
    uint64_t seq = 0;
    bool retrying = false;
    bool held = false;  // its rule is not configured
    std::string head;
    std::string tail;
  };

  // `jobs` come by the time at which they stand in the store (due, or a next attempt).
  // Jobs of no queue in `queues` are held. The clock must not lie before the newest
  // write's by more than a minute. Errors: kDataLoss, and the disk's.
  absl::Status Read(const Store& store) override;
  absl::StatusOr<Reply> Answer(Core& core) override;

  ListQuery query;
  const Queues* queues = nullptr;
  const Clock* clock = nullptr;
  std::vector<Row> jobs;
  std::string cursor;  // "" = the last page
};

}  // namespace expirer
