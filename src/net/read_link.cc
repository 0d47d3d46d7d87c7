#include "net/read_link.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace expirer {
namespace {

// A message came so shortly before the connection went: it was busy with them.
constexpr int64_t kReadingMs = 2'000;
constexpr int64_t kLessForMs = 600'000;
constexpr size_t kBytesMaxLeast = 1 << 20;

}  // namespace

void ReadLink::LinkUp(const std::string& server_id) {
  if (std::exchange(server_id_, server_id) == server_id && was_reading_) AskForLess();
  was_reading_ = false;
  MutexLock lock(&mutex_);
  ++epoch_;
  up_ = true;
  awake_ = true;
}

void ReadLink::LinkDown() {
  FindWaitingMessages();
  was_reading_ = MonotonicMs() - message_ms_ < kReadingMs;
  {
    MutexLock lock(&mutex_);
    ++epoch_;
    up_ = false;
    awake_ = true;
    PostAway();
  }
  ClosePulls(/*abandon=*/true);
}

void ReadLink::LinkTick() {
  TickPulls();
  FindWaitingMessages();
  if (less_since_ms_ == 0 || MonotonicMs() - less_since_ms_ < kLessForMs) return;
  const size_t bytes = std::min(inbox_->bytes_max() * 2, Inbox::kBytesMax);
  inbox_->SetBytesMax(bytes);
  less_since_ms_ = bytes < Inbox::kBytesMax ? MonotonicMs() : 0;
}

void ReadLink::LookAgain(Inbound::LookHow how) {
  MutexLock lock(&mutex_);
  if (how == Inbound::LookHow::kAnew) {
    ++epoch_;  // all begins anew, as after a reconnect
    PostAway();
  }
  look_wanted_ = true;
  awake_ = true;
}

void ReadLink::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    awake_ = true;
  }
  ClosePulls(/*abandon=*/false);
}

void ReadLink::SetIntake(bool open) {
  if (intake_.exchange(open) == open) return;
  // The control thread knows which readers may open.
  if (open)
    Wake();
  else
    ClosePulls(/*abandon=*/false);
}

void ReadLink::Wake() {
  MutexLock lock(&mutex_);
  awake_ = true;
}

void ReadLink::Unheard(RuleIndex rule, std::atomic<bool>* unheard) {
  MutexLock lock(&mutex_);
  if (stopping_) return;
  *unheard = true;
  inbox_->Complete(RuleRead{rule, RuleRead::State::kAway, Now()});
  awake_ = true;
}

ReadLink::State ReadLink::Await(int64_t wait_ms) {
  MutexLock lock(&mutex_);
  mutex_.AwaitFor(wait_ms,
                  [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return awake_; });
  awake_ = false;
  return {up_, std::exchange(look_wanted_, false), epoch_};
}

bool ReadLink::Holds(uint64_t epoch) const {
  MutexLock lock(&mutex_);
  return epoch == epoch_ && !stopping_;
}

void ReadLink::Post(const RuleRead& read, uint64_t epoch) {
  MutexLock lock(&mutex_);
  if (epoch == epoch_ && !stopping_) inbox_->Complete(read);
}

void ReadLink::Open(PullSource* pull, size_t batch, size_t bytes, uint64_t epoch) {
  MutexLock lock(&mutex_);
  // Under the lock: no loss, Stop or closed intake comes between.
  if (epoch == epoch_ && intake_ && !stopping_) pull->Open(batch, bytes);
}

void ReadLink::PostAway() {
  for (size_t i = 0; i < rules_->size() && !stopping_; ++i) {
    if (!ReadElsewhere((*rules_)[i]))
      inbox_->Complete(
          RuleRead{static_cast<RuleIndex>(i), RuleRead::State::kAway, Now()});
  }
}

void ReadLink::Add(PullSource* pull) {
  MutexLock lock(&mutex_);
  pulls_.push_back(pull);
}

std::vector<PullSource*> ReadLink::Pulls() const {
  MutexLock lock(&mutex_);
  return pulls_;
}

void ReadLink::TickPulls() {
  // Each time another one is the first that may ask: in a full inbox there is room for
  // the first ones only.
  const std::vector<PullSource*> pulls = Pulls();
  const size_t first = first_pull_++;
  for (size_t i = 0; i < pulls.size(); ++i) pulls[(first + i) % pulls.size()]->Tick();
}

void ReadLink::ClosePulls(bool abandon) {
  for (PullSource* pull : Pulls()) pull->Close(abandon);
}

void ReadLink::FindWaitingMessages() {
  uint64_t received = 0;
  for (const PullSource* pull : Pulls()) received += pull->received();
  if (std::exchange(received_, received) != received) message_ms_ = MonotonicMs();
}

// A server ends a connection for which too much waits (max_pending) without a word.
void ReadLink::AskForLess() {
  const size_t bytes = std::max(inbox_->bytes_max() / 2, kBytesMaxLeast);
  if (bytes >= inbox_->bytes_max()) return;
  Log(Level::kWarn,
      "the server ended the connection while messages came, and is the same as before: "
      "it does so with a slow consumer, for which more waits than its max_pending; "
      "at most half as many bytes are asked for at a time from now on",
      {{"bytes", bytes}});
  inbox_->SetBytesMax(bytes);
  less_since_ms_ = MonotonicMs();
}

}  // namespace expirer
