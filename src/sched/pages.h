// Pages of the store for the API's `list` and `dead.*`, read beside the core:
// the store's reads are thread-safe, and whoever read a page passes it through
// the core, which says what is in flight and holds the reply until all that
// the page may show is durable (P1).
//
// A page touches at most kPageRowsMax rows and kPageScanBytesMax of their bytes,
// whatever the store holds and the filters leave out, and is no longer than
// kPageBytesMax and what its caller's server takes: it may therefore hold fewer
// jobs than asked for, or none, and still have a cursor. What alone is too long
// for a page is shortened, and says so; so a page always leads on.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/request.h"
#include "sched/events.h"
#include "sched/queues.h"
#include "store/store.h"

namespace expirer {

inline constexpr size_t kPageRowsMax = 10'000;
inline constexpr size_t kPageScanBytesMax = 16 << 20;
inline constexpr size_t kPageBytesMax = 256 << 10;
// The longest that stands around the items of a page: the cursor, which of dead
// entries is the hex form of a key, and the members' names.
inline constexpr size_t kPageEndBytes = 64;
inline constexpr size_t kDeadPageEndBytes = 2 * (kKeyBytesMax + 64) + kPageEndBytes;

// What the items of a page of dead entries may take of a reply of `bytes_max`. Where
// a server takes so little that the longest cursor would leave no room, the reply
// may be too long when one comes, which is then told as an error.
[[nodiscard]] size_t DeadPageBytes(size_t bytes_max);

// Any thread. `*page` gets the jobs that may be sent next, by the time at which
// they stand in the store (due, or a next attempt), and the cursor. Jobs of
// no queue in `queues` are held. `now_ms` must not lie before the newest
// write's by more than a minute. The reply is no longer than
// `page->caller.bytes_max`. Errors: kDataLoss, and the disk's.
[[nodiscard]] absl::Status ReadJobs(const Store& store, const Queues& queues,
                                    const ListQuery& query, int64_t now_ms,
                                    ListRequest* page);

// Any thread. Calls `visit` for the dead entries of the page, in the order of
// their keys, and sets `*cursor`, "" on the last page. False from `visit` ends the
// page before this entry; it must take the first.
using VisitDead = std::function<bool(std::string_view key, const Dead& dead)>;
[[nodiscard]] absl::Status ReadDead(const Store& store, const DeadQuery& query,
                                    const VisitDead& visit, std::string* cursor);

// The name of a stream by its number; "" for one that the store has not read.
using StreamNames = std::function<std::string(uint16_t number)>;
// The streams that the store has read so far. Any thread.
[[nodiscard]] absl::StatusOr<StreamNames> NamesOfStreams(const Store& store);

// The JSON of one dead entry for dead.list. If it would be longer than `bytes_max`, its
// longest members are left out and it has "shortened":true.
[[nodiscard]] std::string FormatDeadEntry(std::string_view key, const Dead& dead,
                                          const StreamNames& streams, size_t bytes_max);

// The rule of a dead entry's key, and whether it is a job; see job/job.h.
struct DeadName {
  std::string_view rule;
  bool job = false;
  std::string_view key;  // of a job
};
[[nodiscard]] std::optional<DeadName> SplitDeadKey(std::string_view key);

}  // namespace expirer
