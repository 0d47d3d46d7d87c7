#include "net/rule_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/rule_streams.h"
#include "sched/streams.h"

namespace expirer {
namespace {

// Messages wait for so long and none comes: the rule is not reading.
constexpr int64_t kNotReadingMs = 10'000;
constexpr int64_t kPollFirstMs = 4;
constexpr int64_t kPollMaxMs = 250;
// If a goal is reached within this time twice in a row, messages are read as they are
// published. Once is not enough: behind a backlog the first goal may be near by chance.
constexpr int64_t kNearMs = 1'000;
constexpr int64_t kFloorEveryMs = 5'000;
// If the leader of a consumer goes, the acks sent to it are lost. The consumer waits
// ack_wait for them, and the gate waits for the consumer.
constexpr int64_t kAckStuckMs = 1'500;
// A new leader of a stream may not know its end for a moment.
constexpr int64_t kAheadForMs = 1'000;

}  // namespace

void Reading::PostFloor(const std::string& key, const StoredFloor& stored) {
  floors[key] = EncodeFloor(stored);
  inbox->Complete(ConsumerFloor{key, floors[key]});
}

ConsumerWish Reading::WishFor(const Rule& rule, const StreamInfo& stream) const {
  ConsumerWish wish;
  wish.durable = options.Durable(rule.name);
  wish.filters = FiltersFor(FiltersOf(rule), stream);
  wish.store_id = options.store_id;
  wish.max_ack_pending = options.max_ack_pending;
  if (!rule.was.empty()) wish.was = options.Durable(rule.was);
  wish.deliver = rule.deliver;
  const auto floor = floors.find(SourceKey(rule.name, stream.name));
  if (floor != floors.end()) wish.floor = DecodeFloor(floor->second);
  return wish;
}

RuleReader::RuleReader(Reading* reading, RuleIndex rule, std::string stream)
    : reading_(reading),
      rule_(rule),
      stream_(std::move(stream)),
      durable_(reading->options.Durable(reading->rules[rule].name)),
      evaluator_(reading->rules[rule], reading->options.job_limits),
      pull_({.rule = rule,
             .stream = &stream_,
             .created_ns = &created_ns_,
             .consumer = durable_,
             .api_prefix = reading->js->prefix()},
            reading->connection, reading->replies, reading->inbox, reading->clock,
            [this](const EventView& event, int64_t now_ms) {
              EventView placed = event;
              placed.stream = stream_;
              placed.only_named = only_named_;
              return evaluator_.Evaluate(placed, now_ms);
            },
            {[this] { reading_->link->Unheard(rule_, &unheard_); },
             [this](const std::string& why) {
               Log(Level::kWarn, "a consumer broke off",
                   {{"stream", stream_}, {"consumer", durable_}, {"why", why}});
               broken_ = true;
               reading_->link->Wake();
             }}) {
  reading_->link->Add(&pull_);
}

absl::Status RuleReader::SetUp() {
  JetStream* const js = reading_->js;
  const Rule& rule = reading_->rules[rule_];
  const Instant asked = reading_->link->Now();
  ASSIGN_OR_RETURN(const StreamInfo stream, js->Stream(stream_));
  reading_->streams.NoteThere(stream_);
  const ConsumerWish wish = reading_->WishFor(rule, stream);
  if (wish.filters.empty())
    return NotFound("stream " + stream.name + " changed its subjects");
  const std::vector<std::string> stored = StoredSubjects(js, stream);
  for (const std::string& filter : wish.filters)
    RETURN_IF_ERROR(CheckStores(stream, stored, filter));
  only_named_ = IsOnlyNamed(FiltersOf(rule), stream);
  ASSIGN_OR_RETURN(ConsumerInfo consumer, EnsureConsumer(js, stream, wish));
  if (read_anew_) {
    // The floor of the sequences before means nothing now.
    PostFloor(StoredFloor());
    ASSIGN_OR_RETURN(consumer, ReadAnew(js, stream, wish, consumer));
    read_anew_ = false;
  }
  // What was delivered to a process that is gone, or before the link was lost,
  // is asked back now and not after ack_wait.
  asking_back_ = false;
  const absl::Status asked_back = AskBack(consumer, consumer.num_ack_pending > 0);
  if (!asked_back.ok())
    Log(Level::kWarn, "cannot change a consumer's ack_wait",
        {{"consumer", durable_}, {"why", Message(asked_back)}});
  created_ns_ = stream.created_ns;
  life_ = {.created = stream.created,
           .subjects = stream.subjects,
           .goal = Goal{stream.last_seq, asked},
           .end = stream.last_seq,
           .moved_ms = MonotonicMs()};
  LookAgain();
  ready_ = true;
  return absl::OkStatus();
}

void RuleReader::Open(size_t batch, size_t bytes, uint64_t epoch) {
  if (ready_ && !broken_) reading_->link->Open(&pull_, batch, bytes, epoch);
}

void RuleReader::Close() {
  ready_ = false;
  life_.caught_up = false;
  broken_ = false;
  hindrance_.clear();
  pull_.Close(/*abandon=*/true);
}

// The goal stays: once it is reached, all that was published before it is applied.
void RuleReader::LookAgain() {
  life_.caught_up = false;
  life_.near = false;
  poll_every_ms_ = kPollFirstMs;
  next_poll_ms_ = 0;
}

RuleReader::News RuleReader::TakeNews() {
  const News news = {.unheard = unheard_.exchange(false),
                     .resubjected = std::exchange(resubjected_, false),
                     .broken = broken_};
  if (news.unheard) LookAgain();
  if (news.broken) Close();
  return news;
}

void RuleReader::PollLater() {
  const bool urgent = !life_.caught_up || asking_back_ || life_.ahead_since_ms != 0 ||
                      !hindrance_.empty();
  poll_every_ms_ = urgent ? std::min(poll_every_ms_ * 3 / 2, kPollMaxMs) : kFloorEveryMs;
  next_poll_ms_ = MonotonicMs() + poll_every_ms_;
}

void RuleReader::NotePoll(const absl::StatusOr<ConsumerInfo>& info, Instant asked) {
  if (!info.ok()) {
    const int code = JetStreamCode(info.status());
    if (code == kConsumerNotFound || code == kStreamNotFound) broken_ = true;
    return;
  }
  hindrance_ = Hindrance(*info);
  if (!EndsWell(*info)) return;
  NoteRead(*info, asked);
  AskBackWhatIsStuck(*info);
  NoteFloor(*info);
}

std::string RuleReader::Hindrance(const ConsumerInfo& info) {
  const std::string who = fmt::format("consumer {} of stream {}", durable_, stream_);
  if (info.paused) return fmt::format("{} is paused until {}", who, info.pause_until);
  const uint64_t received = pull_.received();
  const std::string refusal = pull_.refusal();
  const bool came = std::exchange(received_, received) != received;
  // It may be larger than the server allowed when this connection was made.
  if (refusal.find("MaxBytes") != refusal.npos) reading_->connection->CheckMaxPayload();
  // Without room in the inbox or with the intake closed nothing is asked for.
  const bool waits = info.num_pending > 0 || !refusal.empty();
  if (came || !waits || !pull_.asking()) life_.moved_ms = MonotonicMs();
  if (MonotonicMs() - life_.moved_ms < kNotReadingMs) return "";
  if (!refusal.empty())
    return fmt::format("{} refuses what is asked of it: {}", who, refusal);
  return fmt::format("{} messages wait in {} and none comes", info.num_pending, who);
}

void RuleReader::NoteRead(const ConsumerInfo& info, Instant asked) {
  if (life_.caught_up) return;
  if (info.num_pending == 0 && info.num_ack_pending == 0) {
    life_.read_to = asked;
    life_.caught_up = true;
    return;
  }
  if (!life_.goal.has_value() || info.ack_floor_stream_seq < life_.goal->seq) return;
  const bool near = asked.mono_ms - life_.goal->at.mono_ms <= kNearMs;
  life_.read_to = life_.goal->at;
  life_.caught_up = near && life_.near;
  life_.near = near;
  life_.goal.reset();
}

bool RuleReader::WantsGoal() const {
  return ready_ && !broken_ && !life_.caught_up && !life_.goal.has_value();
}

void RuleReader::SetGoal(uint64_t end, Instant at) {
  life_.goal = Goal{end, at};
  poll_every_ms_ = kPollFirstMs;
}

absl::Status RuleReader::AskBack(const ConsumerInfo& info, bool soon) {
  if (soon) asked_to_ = info.delivered_stream_seq;
  absl::Status status =
      SetAckWait(reading_->js, stream_, durable_, info, soon ? kAskBackNs : kAckWaitNs);
  if (status.ok()) asking_back_ = soon;
  return status;
}

// What was applied and is not acked comes again, and is acked again.
void RuleReader::AskBackWhatIsStuck(const ConsumerInfo& info) {
  const uint64_t before = std::exchange(acked_to_, info.ack_floor_stream_seq);
  const bool moves = before != acked_to_ || info.num_ack_pending == 0 || asking_back_;
  if (moves)
    life_.stuck_since_ms = 0;
  else if (life_.stuck_since_ms == 0)
    life_.stuck_since_ms = MonotonicMs();
  else if (MonotonicMs() - life_.stuck_since_ms >= kAckStuckMs)
    (void)AskBack(info, true);
}

void RuleReader::NoteFloor(const ConsumerInfo& info) {
  // If it fails it is tried again at the next poll.
  if (asking_back_ &&
      (info.num_ack_pending == 0 || info.ack_floor_stream_seq >= asked_to_))
    (void)AskBack(info, false);
  // Seldom, however often it is looked at: each is a write.
  if (MonotonicMs() < life_.next_floor_ms) return;
  life_.next_floor_ms = MonotonicMs() + kFloorEveryMs;
  if (std::exchange(life_.floor, info.ack_floor_stream_seq) == info.ack_floor_stream_seq)
    return;
  PostFloor({life_.created, life_.floor});
}

void RuleReader::PostFloor(const StoredFloor& stored) {
  reading_->PostFloor(SourceKey(reading_->rules[rule_].name, stream_), stored);
}

// A stream may lose messages, or be restored from an older copy, and its consumer
// stay: it then waits for sequences far ahead, and what is written meanwhile would
// never be read.
bool RuleReader::EndsWell(const ConsumerInfo& consumer) {
  if (consumer.delivered_stream_seq <= life_.end && MonotonicMs() < life_.next_look_ms)
    return true;
  // After the consumer: of two that grow it must be the further.
  const auto stream = reading_->js->Stream(stream_);
  if (!stream.ok()) return false;
  life_.next_look_ms = MonotonicMs() + kFloorEveryMs;
  life_.end = stream->last_seq;
  // What the rule reads may be in another stream now.
  if (std::exchange(life_.subjects, stream->subjects) != stream->subjects) {
    resubjected_ = true;
    reading_->link->Wake();
  }
  if (stream->created != life_.created) {
    broken_ = true;  // another stream of that name
    return false;
  }
  if (consumer.delivered_stream_seq <= stream->last_seq) {
    life_.ahead_since_ms = 0;
    return true;
  }
  if (life_.ahead_since_ms == 0) life_.ahead_since_ms = MonotonicMs();
  if (MonotonicMs() - life_.ahead_since_ms < kAheadForMs) return false;
  Log(Level::kWarn,
      "a consumer has read further than its stream goes: the stream lost messages or "
      "was restored, and is read anew",
      {{"stream", stream_},
       {"consumer", durable_},
       {"read_to", consumer.delivered_stream_seq},
       {"stream_ends", stream->last_seq}});
  ++reading_->consumers_ahead;
  read_anew_ = true;
  broken_ = true;
  return false;
}

}  // namespace expirer
