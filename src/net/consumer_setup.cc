#include "net/consumer_setup.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/cord.h"

#include "base/log.h"
#include "base/rfc3339.h"
#include "json/view.h"
#include "json/writer.h"

namespace expirer {
namespace {

constexpr std::string_view kStorePrefix = "expirer store ";
constexpr char kForeignPayload[] = "expirer/foreign-consumer";

// How this store describes its consumers.
std::string Ours(const ConsumerWish& wish) {
  return std::string(kStorePrefix) + wish.store_id;
}

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

// Puts `base` with the filters of `wish`: as a list only from nats-server 2.12
// on. Before 2.10 servers overlook the list; 2.10.27 takes it, but looks
// through the whole rest of the stream for each message where one of its
// subjects has none (160 messages a second of 100,000; one filter: 84,000).
// They get the narrowest single filter for all; the rule ignores the rest.
absl::StatusOr<ConsumerInfo> PutFiltered(JetStream* js, const std::string& stream,
                                         const ConsumerWish& wish,
                                         const std::string& base) {
  const std::string common = CommonFilter(wish.filters);
  const std::string single =
      WithMember(WithMember(base, "filter_subjects", ""), "filter_subject",
                 common == ">" ? "" : JsonQuoted(common));
  if (wish.filters.size() == 1) return js->PutConsumer(stream, wish.durable, single);
  // Where it may not be asked the single filter is right as well.
  const auto level = js->Level();
  if (!level.ok() || *level < kLevelOf212)
    return js->PutConsumer(stream, wish.durable, single);
  auto put = js->PutConsumer(stream, wish.durable,
                             WithMember(WithMember(base, "filter_subject", ""),
                                        "filter_subjects", ToJson(wish.filters).text));
  // Filters that overlap in part are refused: then one for all.
  if (!put.ok() && JetStreamCode(put.status()) != 0)
    put = js->PutConsumer(stream, wish.durable, single);
  return put;
}

absl::StatusOr<ConsumerInfo> Create(JetStream* js, const StreamInfo& stream,
                                    const ConsumerWish& wish) {
  const std::optional<uint64_t> after = StartAfter(wish.floor, stream);
  // The rule began long ago: all of a stream that took the place of the one it
  // read is new to it.
  const bool another = !after && wish.floor &&
                       (wish.floor->created != stream.created || wish.floor->floor > 0);
  const Deliver deliver =
      another && wish.deliver.from == Deliver::From::kNew ? Deliver() : wish.deliver;
  const auto config = [&](const std::string& policy) {
    return JsonWriter()
        .Object()
        .Add("durable_name", wish.durable, "name", wish.durable, "description",
             Ours(wish))
        .Members(policy)
        .Add("ack_policy", "explicit", "ack_wait", kAckWaitNs, "max_deliver", -1,
             "max_ack_pending", wish.max_ack_pending, "max_waiting", 512, "replay_policy",
             "instant")
        .Take();
  };
  Log(Level::kInfo, "creating a consumer",
      {{"stream", stream.name},
       {"consumer", wish.durable},
       {"from", after.has_value() ? *after + 1 : 0}});
  auto created =
      PutFiltered(js, stream.name, wish, config(DeliverPolicy(after, deliver)));
  // Work queues let a consumer begin only at the beginning, and hold nothing
  // that was acked; but what `deliver` leaves out is not read against its word.
  if (!created.ok() && JetStreamCode(created.status()) != 0 && after.has_value()) {
    created = PutFiltered(js, stream.name, wish,
                          config(DeliverPolicy(std::nullopt, Deliver())));
  }
  return created;
}

bool SameFilters(const ConsumerWish& wish, const ConsumerInfo& info) {
  std::vector<std::string> have = info.filters;
  std::sort(have.begin(), have.end());
  const std::string common = CommonFilter(wish.filters);
  return have == wish.filters || (have.size() == 1 && have[0] == common) ||
         (have.empty() && common == ">");
}

absl::Status Foreign(const std::string& why) {
  absl::Status status = Refused(why);
  status.SetPayload(kForeignPayload, absl::Cord("1"));
  return status;
}

// By one that goes on where the other had acked up to.
absl::StatusOr<ConsumerInfo> ReplaceUnfit(JetStream* js, const StreamInfo& stream,
                                          ConsumerWish wish, const ConsumerInfo& old) {
  wish.floor = StoredFloor{stream.created, old.ack_floor_stream_seq};
  RETURN_IF_ERROR(js->DeleteConsumer(stream.name, wish.durable));
  return Create(js, stream, wish);
}

// The durable under its new name goes on after what the old one had acked, then
// the old one goes. Should we end in between, the next start finds both.
absl::StatusOr<ConsumerInfo> TakePlace(JetStream* js, const StreamInfo& stream,
                                       ConsumerWish wish) {
  const std::string was = std::exchange(wish.was, "");
  const auto old = js->Consumer(stream.name, was);
  if (!old.ok()) {
    if (JetStreamCode(old.status()) != kConsumerNotFound) return old.status();
    return EnsureConsumer(js, stream, wish);
  }
  if (old->description != Ours(wish) && !wish.adopt)
    return Foreign("consumer " + was + " of stream " + stream.name +
                   " belongs to another store: " + old->description);
  wish.floor = StoredFloor{stream.created, old->ack_floor_stream_seq};
  auto consumer = EnsureConsumer(js, stream, wish);
  // A work queue gives each subject to one consumer only.
  const bool crowded = !consumer.ok() && JetStreamCode(consumer.status()) != 0;
  if (!consumer.ok() && !crowded) return consumer;
  RETURN_IF_ERROR(js->DeleteConsumer(stream.name, was));
  Log(Level::kInfo, "a renamed rule's consumer was replaced",
      {{"stream", stream.name}, {"was", was}, {"consumer", wish.durable}});
  return crowded ? EnsureConsumer(js, stream, wish) : consumer;
}

}  // namespace

std::string EncodeFloor(const StoredFloor& stored) {
  return stored.created + "\n" + std::to_string(stored.floor);
}

std::optional<StoredFloor> DecodeFloor(std::string_view value) {
  const size_t line = value.find('\n');
  if (line == std::string_view::npos) return std::nullopt;
  StoredFloor stored{std::string(value.substr(0, line)), 0};
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data() + line + 1, end, stored.floor);
  if (error != std::errc() || stop != end) return std::nullopt;
  return stored;
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

std::string DeliverPolicy(const std::optional<uint64_t>& after, const Deliver& deliver) {
  JsonWriter out;
  if (after.has_value())
    out.Add("deliver_policy", "by_start_sequence", "opt_start_seq", *after + 1);
  else if (deliver.from == Deliver::From::kTime)
    out.Add("deliver_policy", "by_start_time", "opt_start_time",
            FormatRfc3339Ms(deliver.time_ms));
  else
    out.Add("deliver_policy", deliver.from == Deliver::From::kNew ? "new" : "all");
  return out.Take();
}

std::optional<uint64_t> StartAfter(const std::optional<StoredFloor>& stored,
                                   const StreamInfo& stream) {
  if (!stored.has_value() || stored->floor == 0) return std::nullopt;
  if (stored->created != stream.created || stream.last_seq < stored->floor)
    return std::nullopt;
  return stored->floor;
}

bool IsForeign(const absl::Status& status) {
  return status.GetPayload(kForeignPayload).has_value();
}

Standing Inspect(const StreamInfo& stream, const ConsumerWish& wish,
                 const ConsumerInfo& info) {
  const std::string who = "consumer " + wish.durable + " of stream " + stream.name;
  const auto unfit = [&](const std::string& why) {
    return Standing{Standing::Kind::kUnfit, who + why};
  };
  const std::string ours = Ours(wish);
  if (!info.description.empty() && info.description != ours) {
    const bool store = info.description.starts_with(kStorePrefix);
    return {Standing::Kind::kForeign,
            store ? fmt::format(
                        "{} belongs to another {}, this is {}: the volume was lost or "
                        "replaced, or two services have one name",
                        who, info.description.substr(8), ours.substr(8))
                  : fmt::format("{} is not expirer's: it is described as {}", who,
                                JsonQuoted(info.description))};
  }
  if (!info.deliver_subject.empty()) return unfit(" is push based");
  if (info.ack_policy != "explicit")
    return unfit(" has ack policy " + info.ack_policy + ", expected explicit");
  if (info.max_deliver > 0)
    return unfit(
        fmt::format(" gives up after {} deliveries, expected -1", info.max_deliver));
  if (info.description.empty() && !SameFilters(wish, info))
    return unfit(fmt::format(" is nobody's yet and filters {}, the rule needs {}",
                             Joined(info.filters), Joined(wish.filters)));
  return {};
}

absl::StatusOr<ConsumerInfo> EnsureConsumer(JetStream* js, const StreamInfo& stream,
                                            const ConsumerWish& wish) {
  if (!wish.was.empty()) return TakePlace(js, stream, wish);
  auto found = js->Consumer(stream.name, wish.durable);
  if (!found.ok()) {
    if (JetStreamCode(found.status()) != kConsumerNotFound) return found.status();
    return Create(js, stream, wish);
  }
  const std::string ours = Ours(wish);
  const bool claimed = found->description == ours;
  Standing standing = Inspect(stream, wish, *found);
  if (standing.kind == Standing::Kind::kForeign) {
    if (!wish.adopt) return Foreign(standing.why);
    ConsumerInfo adopted = *found;
    adopted.description = ours;
    standing = Inspect(stream, wish, adopted);
  }
  if (standing.kind == Standing::Kind::kUnfit) {
    if (!wish.adopt) return Refused(standing.why);
    return ReplaceUnfit(js, stream, wish, *found);
  }
  const bool exact = SameFilters(wish, *found);
  if (exact && claimed) return found;
  const std::string base =
      claimed ? found->config
              : WithMember(found->config, "description", JsonQuoted(ours));
  auto updated = exact ? js->PutConsumer(stream.name, wish.durable, base)
                       : PutFiltered(js, stream.name, wish, base);
  if (updated.ok()) return updated;
  if (CoversAll(found->filters, wish.filters)) {
    // Reads more than it has to, or a right to update is missing: it works.
    if (!exact) {
      Log(Level::kWarn,
          "a consumer's filter is wider than its rule and cannot be changed",
          {{"consumer", wish.durable},
           {"has", Joined(found->filters)},
           {"needs", Joined(wish.filters)},
           {"why", Message(updated.status())}});
    }
    return found;
  }
  return Refused(
      fmt::format("consumer {} of stream {} filters {}, the rule needs {}, and "
                  "changing it is refused: {}",
                  wish.durable, stream.name, Joined(found->filters), Joined(wish.filters),
                  Message(updated.status())));
}

absl::StatusOr<ConsumerInfo> ReadAnew(JetStream* js, const StreamInfo& stream,
                                      ConsumerWish wish, const ConsumerInfo& old) {
  wish.floor.reset();
  // What a rule of `deliver: new` left out at its beginning is not read now.
  if (wish.deliver.from == Deliver::From::kNew)
    wish.deliver = {Deliver::From::kTime,
                    ParseRfc3339Ns(old.created).value_or(0) / 1'000'000};
  RETURN_IF_ERROR(js->DeleteConsumer(stream.name, wish.durable));
  return Create(js, stream, wish);
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
