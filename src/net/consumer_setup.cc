#include "net/consumer_setup.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "job/json_view.h"
#include "job/rules.h"

namespace expirer {
namespace {

constexpr std::string_view kStorePrefix = "expirer store ";

bool CoversAll(const std::vector<std::string>& outer,
               const std::vector<std::string>& inner) {
  if (outer.empty()) return true;
  return std::all_of(inner.begin(), inner.end(), [&](const std::string& one) {
    return std::any_of(outer.begin(), outer.end(),
                       [&](const std::string& o) { return SubjectCovers(o, one); });
  });
}

std::string Joined(const std::vector<std::string>& filters) {
  return filters.empty() ? ">" : fmt::format("{}", fmt::join(filters, ", "));
}

// Puts `base` with the filters of `wish`. A server before 2.10 overlooks
// filter_subjects and would deliver everything, so the narrowest single filter
// goes with them: a newer one refuses the pair, and gets the list alone.
absl::StatusOr<ConsumerInfo> PutFiltered(JetStream* js, const std::string& stream,
                                         const ConsumerWish& wish,
                                         const std::string& base) {
  const std::string common = CommonFilter(wish.filters);
  const std::string single =
      WithMember(WithMember(base, "filter_subjects", ""), "filter_subject",
                 common == ">" ? "" : JsonQuoted(common));
  if (wish.filters.size() == 1) return js->PutConsumer(stream, wish.durable, single);
  const std::string list = JsonList(wish.filters);
  auto put =
      js->PutConsumer(stream, wish.durable, WithMember(single, "filter_subjects", list));
  if (!put.ok() && JetStreamCode(put.status()) == kBothFilters) {
    put = js->PutConsumer(
        stream, wish.durable,
        WithMember(WithMember(base, "filter_subject", ""), "filter_subjects", list));
    // Filters that overlap in part are refused: then one for all.
    if (!put.ok() && JetStreamCode(put.status()) != 0) {
      put = js->PutConsumer(stream, wish.durable, single);
    }
  }
  return put;
}

absl::StatusOr<ConsumerInfo> Create(JetStream* js, const StreamInfo& stream,
                                    const ConsumerWish& wish) {
  const std::optional<uint64_t> after = StartAfter(wish.floor, stream);
  const auto config = [&](bool all) {
    return fmt::format(
        "{{\"durable_name\":{0},\"name\":{0},\"description\":{1},{2},"
        "\"ack_policy\":\"explicit\",\"ack_wait\":{3},\"max_deliver\":-1,"
        "\"max_ack_pending\":{4},\"max_waiting\":512,\"replay_policy\":\"instant\"}}",
        JsonQuoted(wish.durable), JsonQuoted(std::string(kStorePrefix) + wish.store_id),
        all ? std::string("\"deliver_policy\":\"all\"")
            : fmt::format("\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":{}",
                          after.value_or(0) + 1),
        kAckWaitNs, wish.max_ack_pending);
  };
  Log(Level::kInfo, "creating a consumer",
      {{"stream", stream.name},
       {"consumer", wish.durable},
       {"from", after.has_value() ? *after + 1 : 0}});
  auto created = PutFiltered(js, stream.name, wish, config(!after.has_value()));
  // Work queues let a consumer begin only at the beginning.
  if (!created.ok() && JetStreamCode(created.status()) != 0 && after.has_value()) {
    created = PutFiltered(js, stream.name, wish, config(true));
  }
  return created;
}

absl::Status CheckFit(const StreamInfo& stream, const ConsumerWish& wish,
                      const ConsumerInfo& info) {
  const std::string who = "consumer " + wish.durable + " of stream " + stream.name;
  if (!info.deliver_subject.empty()) return Refused(who + " is push based");
  if (info.ack_policy != "explicit") {
    return Refused(who + " has ack policy " + info.ack_policy + ", explicit is needed");
  }
  if (info.max_deliver > 0) {
    return Refused(who + fmt::format(" gives up after {} deliveries, -1 is needed",
                                     info.max_deliver));
  }
  const std::string ours = std::string(kStorePrefix) + wish.store_id;
  if (info.description.rfind(kStorePrefix, 0) == 0 && info.description != ours &&
      !wish.adopt) {
    return Refused(who + " belongs to another store: " + info.description);
  }
  return absl::OkStatus();
}

}  // namespace

std::string EncodeFloor(const FloorMark& mark) {
  return mark.created + "\n" + std::to_string(mark.floor);
}

std::optional<FloorMark> DecodeFloor(std::string_view value) {
  const size_t line = value.find('\n');
  if (line == std::string_view::npos) return std::nullopt;
  FloorMark mark{std::string(value.substr(0, line)), 0};
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data() + line + 1, end, mark.floor);
  if (error != std::errc() || stop != end) return std::nullopt;
  return mark;
}

std::string FloorKey(std::string_view rule, std::string_view stream) {
  return std::string(rule) + '\0' + std::string(stream);
}

std::vector<std::string> NarrowFilters(std::vector<std::string> filters) {
  std::sort(filters.begin(), filters.end());
  filters.erase(std::unique(filters.begin(), filters.end()), filters.end());
  std::vector<std::string> narrow;
  for (const std::string& one : filters) {
    const bool covered = std::any_of(
        filters.begin(), filters.end(),
        [&](const std::string& o) { return o != one && SubjectCovers(o, one); });
    if (!covered) narrow.push_back(one);
  }
  return narrow;
}

std::optional<uint64_t> StartAfter(const std::optional<FloorMark>& mark,
                                   const StreamInfo& stream) {
  if (!mark.has_value() || mark->floor == 0) return std::nullopt;
  if (mark->created != stream.created || stream.last_seq < mark->floor)
    return std::nullopt;
  return mark->floor;
}

absl::StatusOr<ConsumerInfo> EnsureConsumer(JetStream* js, const StreamInfo& stream,
                                            const ConsumerWish& wish) {
  auto found = js->Consumer(stream.name, wish.durable);
  if (!found.ok()) {
    if (JetStreamCode(found.status()) != kConsumerNotFound) return found.status();
    return Create(js, stream, wish);
  }
  RETURN_IF_ERROR(CheckFit(stream, wish, *found));
  std::vector<std::string> have = found->filters;
  std::sort(have.begin(), have.end());
  const bool claimed = !found->description.empty() && !wish.adopt;
  const bool exact =
      have == wish.filters ||
      (!have.empty() && have.size() == 1 && have[0] == CommonFilter(wish.filters)) ||
      (have.empty() && CommonFilter(wish.filters) == ">");
  if (exact && claimed) return found;
  const std::string base =
      claimed ? found->config
              : WithMember(found->config, "description",
                           JsonQuoted(std::string(kStorePrefix) + wish.store_id));
  auto updated = exact ? js->PutConsumer(stream.name, wish.durable, base)
                       : PutFiltered(js, stream.name, wish, base);
  if (updated.ok()) return updated;
  if (CoversAll(have, wish.filters)) {
    // Reads more than it has to, or a right to update is missing: it works.
    if (!exact) {
      Log(Level::kWarn,
          "a consumer's filter is wider than its rule and cannot be changed",
          {{"consumer", wish.durable},
           {"has", Joined(have)},
           {"needs", Joined(wish.filters)},
           {"why", Message(updated.status())}});
    }
    return found;
  }
  return Refused(
      fmt::format("consumer {} of stream {} filters {}, the rule needs {}, and "
                  "changing it is refused: {}",
                  wish.durable, stream.name, Joined(have), Joined(wish.filters),
                  Message(updated.status())));
}

absl::Status SetAckWait(JetStream* js, const std::string& stream,
                        const std::string& durable, const ConsumerInfo& now,
                        int64_t ack_wait_ns) {
  if (now.ack_wait_ns == ack_wait_ns) return absl::OkStatus();
  return js
      ->PutConsumer(stream, durable,
                    WithMember(now.config, "ack_wait", std::to_string(ack_wait_ns)))
      .status();
}

}  // namespace expirer
