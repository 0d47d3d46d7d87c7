#include "sched/registers.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "support/seed.h"

namespace expirer {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;
constexpr RegisterPolicy kReopen{.reopen = true, .history_ms = 1'000'000};
constexpr RegisterPolicy kOnce{.reopen = false, .history_ms = 1'000'000};

Position At(uint64_t seq, std::optional<int64_t> version = {}) {
  return {1, 1, seq, kNow * 1'000'000 + static_cast<int64_t>(seq), version};
}

// One key under one policy, as the scheduler keeps it.
class Key {
 public:
  explicit Key(const RegisterPolicy& policy) : policy_(policy) {}

  ScheduleEffect Schedule(const Position& position, int64_t due_ms,
                          int64_t now_ms = kNow) {
    ScheduleResult result = ApplySchedule(known, position, due_ms, policy_, now_ms);
    if (result.effect == ScheduleEffect::kOpen) {
      result.reg.job = JobKey{1, due_ms, ++seq_};
      ++opened;
    }
    if (result.effect == ScheduleEffect::kOpen ||
        result.effect == ScheduleEffect::kRecord)
      known = result.reg;
    return result.effect;
  }
  CancelEffect Cancel(const Position& position, int64_t now_ms = kNow) {
    const CancelResult result = ApplyCancel(known, position, policy_, now_ms);
    if (result.effect != CancelEffect::kNone) known = result.reg;
    return result.effect;
  }
  void Close(JobState how, int64_t now_ms = kNow) {
    known->state = how;
    known->expires_ms = ExpiryMs(now_ms, known->schedule->due_ms, policy_);
  }
  [[nodiscard]] JobState state() const { return known->state; }

  std::optional<Register> known;
  int opened = 0;

 private:
  const RegisterPolicy policy_;
  uint64_t seq_ = 0;
};

TEST(Registers, NewerScheduleReplacesAndOlderOneChangesNothing) {
  Key key(kReopen);
  EXPECT_EQ(key.Schedule(At(2), kNow + 20), ScheduleEffect::kOpen);
  EXPECT_EQ(key.Schedule(At(1), kNow + 10), ScheduleEffect::kNone);
  EXPECT_EQ(key.Schedule(At(2), kNow + 20), ScheduleEffect::kNone);
  EXPECT_EQ(key.Schedule(At(3), kNow + 20), ScheduleEffect::kOpen);
  EXPECT_EQ(key.known->schedule->position, At(3));
}

TEST(Registers, CancelClosesWhatIsOlderAndNothingNewer) {
  Key key(kReopen);
  key.Schedule(At(2), kNow + 10);
  EXPECT_EQ(key.Cancel(At(1)), CancelEffect::kNone);
  EXPECT_EQ(key.Cancel(At(3)), CancelEffect::kClose);
  EXPECT_EQ(key.state(), JobState::kCancelled);
  EXPECT_EQ(key.Cancel(At(3)), CancelEffect::kNone);
}

TEST(Registers, CancelThatCameFirstIsRemembered) {
  Key key(kReopen);
  EXPECT_EQ(key.Cancel(At(2)), CancelEffect::kRecord);
  EXPECT_EQ(key.Schedule(At(1), kNow + 10), ScheduleEffect::kRecord);
  EXPECT_EQ(key.state(), JobState::kCancelled);
  EXPECT_EQ(key.Schedule(At(3), kNow + 10), ScheduleEffect::kOpen);
}

TEST(Registers, FiredKeyOpensAgainForAnotherDueTimeOnly) {
  for (const JobState how : {JobState::kFired, JobState::kSkipped}) {
    Key key(kReopen);
    key.Schedule(At(1), kNow + 10);
    key.Close(how);
    EXPECT_EQ(key.Schedule(At(2), kNow + 10), ScheduleEffect::kRecord);
    EXPECT_EQ(key.state(), how);
    EXPECT_EQ(key.Schedule(At(3), kNow + 30), ScheduleEffect::kOpen);
  }
}

TEST(Registers, CancelledKeyOpensAgainForTheSameDueTime) {
  Key key(kReopen);
  key.Schedule(At(1), kNow + 10);
  key.Cancel(At(2));
  EXPECT_EQ(key.Schedule(At(3), kNow + 10), ScheduleEffect::kOpen);
}

TEST(Registers, ReopenFalseKeepsEveryClosedKeyClosed) {
  for (const JobState how : {JobState::kFired, JobState::kSkipped}) {
    Key key(kOnce);
    key.Schedule(At(1), kNow + 10);
    key.Close(how);
    EXPECT_EQ(key.Schedule(At(2), kNow + 30), ScheduleEffect::kRecord);
    EXPECT_EQ(key.state(), how);
  }
  Key cancelled(kOnce);
  cancelled.Cancel(At(1));
  EXPECT_EQ(cancelled.Schedule(At(2), kNow + 10), ScheduleEffect::kRecord);
}

TEST(Registers, ReopenFalseClosesForAnOlderCancelToo) {
  Key key(kOnce);
  key.Schedule(At(2), kNow + 10);
  EXPECT_EQ(key.Cancel(At(1)), CancelEffect::kClose);
  EXPECT_EQ(key.state(), JobState::kCancelled);
}

TEST(Registers, DeadJobIsStillItsKeysJob) {
  Key key(kReopen);
  key.Schedule(At(1), kNow + 10);
  key.known->state = JobState::kDead;
  EXPECT_EQ(key.Schedule(At(1), kNow + 10), ScheduleEffect::kNone);
  Key replaced = key;
  EXPECT_EQ(replaced.Schedule(At(2), kNow + 10), ScheduleEffect::kOpen);
  EXPECT_EQ(key.Cancel(At(2)), CancelEffect::kClose);
}

TEST(Registers, CancelAfterTheFireOutranksAScheduleFromBefore) {
  Key key(kReopen);
  key.Schedule(At(1), kNow + 10);
  key.Close(JobState::kFired);
  EXPECT_EQ(key.Cancel(At(3)), CancelEffect::kRecord);
  EXPECT_EQ(key.Schedule(At(2), kNow + 20), ScheduleEffect::kRecord);
  EXPECT_EQ(key.state(), JobState::kFired);
  EXPECT_EQ(key.Schedule(At(4), kNow + 20), ScheduleEffect::kOpen);
}

TEST(Registers, VersionDecidesBeforePosition) {
  Key key(kReopen);
  key.Schedule(At(1, 10), kNow + 10);
  EXPECT_EQ(key.Schedule(At(2, 9), kNow + 20), ScheduleEffect::kNone);
  EXPECT_EQ(key.Cancel(At(3, 9)), CancelEffect::kNone);
  EXPECT_EQ(key.Cancel(At(4, 10)), CancelEffect::kClose);
  EXPECT_EQ(key.Schedule(At(5, 11), kNow + 20), ScheduleEffect::kOpen);
}

TEST(Registers, AcrossStreamsAndEpochsJetStreamsTimeDecides) {
  const Position older{1, 1, 900, 1'000, {}};
  const Position new_epoch{1, 2, 3, 2'000, {}};
  const Position other_stream{2, 1, 1, 3'000, {}};
  Key key(kReopen);
  key.Schedule(new_epoch, kNow + 10);
  EXPECT_EQ(key.Cancel(older), CancelEffect::kNone);
  EXPECT_EQ(key.Cancel(other_stream), CancelEffect::kClose);
}

TEST(Registers, UnknownKeyDueBeforeHistoryIsStale) {
  Key key(kReopen);
  EXPECT_EQ(key.Schedule(At(1), kNow - kReopen.history_ms - 1), ScheduleEffect::kStale);
  EXPECT_FALSE(key.known);
  EXPECT_EQ(key.Schedule(At(1), kNow - kReopen.history_ms), ScheduleEffect::kOpen);
}

TEST(Registers, HistoryLastsFromTheLaterOfClosingAndDue) {
  EXPECT_EQ(ExpiryMs(kNow, kNow + 50, kReopen), kNow + 50 + kReopen.history_ms);
  EXPECT_EQ(ExpiryMs(kNow, kNow - 50, kReopen), kNow + kReopen.history_ms);
  EXPECT_EQ(ExpiryMs(0, 0, {.reopen = true, .history_ms = 0}), 1);  // never "for ever"
  EXPECT_EQ(ExpiryMs(kNow, 0, {.reopen = true, .history_ms = INT64_MAX}), INT64_MAX);
}

TEST(Registers, ScheduleFromBeforeACancelStretchesItsMemory) {
  Key key(kReopen);
  key.Cancel(At(2));
  key.Schedule(At(1), kNow + 5'000'000);
  EXPECT_EQ(key.known->expires_ms, kNow + 5'000'000 + kReopen.history_ms);
}

TEST(Registers, EveryCancelIsRememberedForTheWholeHistory) {
  // The second one was acked a moment before the first one's time was up.
  const int64_t later = kNow + kReopen.history_ms - 1;
  Key key(kReopen);
  key.Cancel(At(1), kNow);
  EXPECT_EQ(key.Cancel(At(5), later), CancelEffect::kRecord);
  EXPECT_EQ(key.known->expires_ms, later + kReopen.history_ms);

  Key fired(kReopen);
  fired.Schedule(At(1), kNow);
  fired.Close(JobState::kFired, kNow);
  EXPECT_EQ(fired.Cancel(At(5), later), CancelEffect::kRecord);
  EXPECT_EQ(fired.known->expires_ms, later + kReopen.history_ms);
}

// ---- Any order, with redelivery, is as good as the stream's.

struct Event {
  bool cancel = false;
  Position position;
  int64_t due_ms = 0;
};
std::ostream& operator<<(std::ostream& out, const Event& e) {
  return out << (e.cancel ? "cancel" : "schedule") << " stream " << e.position.stream
             << " epoch " << e.position.epoch << " seq " << e.position.seq << " time "
             << e.position.time_ns << " version " << e.position.version.value_or(-1)
             << " due +" << e.due_ms - kNow;
}

// Events of one key over two streams and several epochs. Time rises from
// message to message, as JetStream's does within one life of a stream.
std::vector<Event> DrawEvents(Draws* draws, bool versions) {
  std::vector<Event> events;
  uint64_t seq[3] = {0, draws->Below(100), draws->Below(100)};
  uint64_t epoch[3] = {0, 1, 1};
  int64_t time_ns = kNow * 1'000'000;
  for (uint64_t n = 1 + draws->Below(7); n > 0; --n) {
    const auto stream = static_cast<uint16_t>(1 + draws->Below(2));
    if (draws->Chance(15)) {
      ++epoch[stream];
      seq[stream] = 0;
    }
    seq[stream] += 1 + draws->Below(3);
    time_ns += 1 + draws->Between(0, 1'000'000);
    Event event;
    event.cancel = draws->Chance(40);
    event.position = {stream, epoch[stream], seq[stream], time_ns, {}};
    if (versions) event.position.version = draws->Between(-3, 3);
    event.due_ms = kNow + draws->Between(1, 3);  // equal ones are common
    events.push_back(event);
  }
  return events;
}

// Contract section 4 by the letter: the newest schedule against the newest
// cancel; under `reopen: false` any cancel closes for good.
struct Model {
  std::optional<Event> schedule;
  std::optional<Event> cancel;
  explicit Model(const std::vector<Event>& events) {
    for (const Event& event : events) {
      std::optional<Event>& newest = event.cancel ? cancel : schedule;
      if (!newest || Compare(event.position, newest->position) > 0) newest = event;
    }
  }
  [[nodiscard]] JobState State(const RegisterPolicy& policy) const {
    if (!cancel) return JobState::kPending;
    if (!schedule || !policy.reopen) return JobState::kCancelled;
    return Compare(cancel->position, schedule->position) > 0 ? JobState::kCancelled
                                                             : JobState::kPending;
  }
};

void ExpectAsModel(const Key& key, const Model& model, const RegisterPolicy& policy) {
  ASSERT_TRUE(key.known);
  EXPECT_EQ(key.state(), model.State(policy));
  ASSERT_EQ(key.known->schedule.has_value(), model.schedule.has_value());
  if (model.schedule) {
    EXPECT_EQ(key.known->schedule->position, model.schedule->position);
    EXPECT_EQ(key.known->schedule->due_ms, model.schedule->due_ms);
  }
  if (key.state() == JobState::kPending) {
    EXPECT_FALSE(key.known->cancel);
    EXPECT_EQ(key.known->expires_ms, 0);
    return;
  }
  ASSERT_TRUE(key.known->cancel);
  // An older cancel than the schedule only tells that there was one.
  if (!model.schedule || Compare(model.cancel->position, model.schedule->position) > 0) {
    EXPECT_EQ(*key.known->cancel, model.cancel->position);
  }
}

void Apply(const std::vector<Event>& events, Key* key) {
  for (const Event& event : events) {
    if (event.cancel)
      key->Cancel(event.position);
    else
      key->Schedule(event.position, event.due_ms);
  }
}

// `events` in any order, some of them more than once.
std::vector<Event> Delivered(Draws* draws, const std::vector<Event>& events) {
  std::vector<Event> delivered = events;
  for (uint64_t n = draws->Below(events.size() + 1); n > 0; --n)
    delivered.push_back(events[draws->Below(events.size())]);
  std::shuffle(delivered.begin(), delivered.end(), draws->engine());
  return delivered;
}

TEST(Registers, AreTheSameForEveryOrderOfDeliveryAndEqualTheModel) {
  Draws draws;
  for (int round = 0; round < 20'000; ++round) {
    const std::vector<Event> events = DrawEvents(&draws, draws.Chance(30));
    const Model model(events);
    const RegisterPolicy& policy = draws.Chance(50) ? kReopen : kOnce;
    Key in_order(policy);
    Apply(events, &in_order);
    ExpectAsModel(in_order, model, policy);
    const std::vector<Event> delivered = Delivered(&draws, events);
    Key shuffled(policy);
    Apply(delivered, &shuffled);
    ExpectAsModel(shuffled, model, policy);
    if (::testing::Test::HasFailure()) {
      for (const Event& event : delivered) ADD_FAILURE() << event;
      FAIL() << "reopen " << policy.reopen << ", round " << round;
    }
  }
}

TEST(Registers, NothingSeenBeforeTheFireOpensTheKeyAgain) {
  Draws draws;
  for (int round = 0; round < 20'000; ++round) {
    const std::vector<Event> events = DrawEvents(&draws, draws.Chance(30));
    const RegisterPolicy& policy = draws.Chance(50) ? kReopen : kOnce;
    Key key(policy);
    Apply(Delivered(&draws, events), &key);
    if (key.state() != JobState::kPending) continue;
    const int opened = key.opened;
    const Register fired = [&] {
      key.Close(draws.Chance(50) ? JobState::kFired : JobState::kSkipped);
      return *key.known;
    }();
    const std::vector<Event> again = Delivered(&draws, events);
    Apply(again, &key);
    ASSERT_EQ(key.opened, opened) << "round " << round;
    ASSERT_EQ(*key.known, fired) << "round " << round;
  }
}

}  // namespace
}  // namespace expirer
