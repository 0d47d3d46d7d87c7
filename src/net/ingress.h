// Brings the messages of every rule's streams to the core, and the core's acks
// back. Rules with `source: stan` are net/stan's.
//
// Nothing is read before admission (net/admission.h). Then a control thread
// keeps each rule supplied: it finds the streams that carry
// the rule's subjects (making configured ones where there are none), makes the
// rule's durable consumer in each fit, opens a PullSource on it and says when
// the rule has been read up to where its streams stood. Whatever breaks (NATS
// away or wiped, a stream or consumer deleted) ends in the same place: the
// source is closed and the rule set up again, with back-off, for ever.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "job/rules.h"
#include "net/admission.h"
#include "net/connection.h"
#include "net/consumer_setup.h"
#include "net/jetstream.h"
#include "net/pull_replies.h"
#include "net/pull_source.h"
#include "net/requests.h"
#include "net/rule_streams.h"
#include "net/target_streams.h"
#include "sched/egress.h"
#include "sched/gap_watch.h"
#include "sched/inbox.h"

namespace expirer {

struct IngressOptions {
  ConnectionOptions connection;
  std::string name = "expirer";  // durables are <name>-<rule>
  std::string store_id;
  Adopt adopt = Adopt::kRefuse;
  bool rebuilding = false;                     // the store's rebuild is open
  std::map<std::string, uint64_t> read_marks;  // Streams::ReadUpTo
  std::vector<StreamSpec> streams;
  JobLimits job_limits;
  size_t batch = 1'000;  // largest; less when many sources share the inbox
  int outstanding = 3;
  int64_t max_ack_pending = 20'000;  // of a consumer that is made
};

// Inbound: core thread. Everything else: any one thread. Destroyed only when
// nobody drains the inbox any more.
class Ingress final : public Inbound {
 public:
  // `rules`, `inbox` and `clock` outlive it. `floors` are all ConsumerFloors
  // ever posted, the last value by its key (meta "consumer/" without the
  // prefix): which streams there are is known only once connected.
  Ingress(IngressOptions options, const std::vector<Rule>* rules, Inbox* inbox,
          const Clock* clock, std::map<std::string, std::string> floors);
  ~Ingress() override;

  // Begins to connect and read.
  void Start();
  // Asks for no more messages and returns; what was delivered may still be
  // acked. RuleRead is posted no more.
  void Stop();
  // Waits at most `flush_ms` until the server has the acks, then closes.
  // Implies Stop.
  void Close(int64_t flush_ms);

  void Ack(const std::string& reply) override;
  void Term(const std::string& reply, std::string_view reason) override;
  void Reply(const Caller& caller, int code, const std::string& body) override;
  void Announce(const std::string& subject, const std::string& payload) override;
  void Flush() override;
  void SetIntake(bool open) override;
  void LookAgain(LookHow how) override;
  void RebuildBegun() override;

  [[nodiscard]] bool up() const { return connection_.up(); }
  // As Connection's, the latter of the core connection, too. Any thread.
  [[nodiscard]] uint64_t connects() const { return connection_.generation(); }
  [[nodiscard]] uint64_t slow_consumers() const;
  // Announcements that could not be sent. Any thread.
  [[nodiscard]] uint64_t announcements_lost() const { return announcements_lost_; }
  // Consumers made anew because they had read further than their streams go.
  [[nodiscard]] uint64_t consumers_ahead() const { return consumers_ahead_; }
  // Of the threads that read its sockets. Any thread.
  [[nodiscard]] std::array<Pulse, GapWatch::kPulsesMax> Pulses() const {
    return {connection_.pulse(), core_ ? core_->pulse() : Pulse()};
  }
  // For the service API, which shares it. Subscribe before Start.
  [[nodiscard]] Connection& connection() { return connection_; }
  // Where Reply goes. Before Start.
  using Replier = std::function<void(const Caller&, int code, const std::string& body)>;
  void OnReply(Replier replier) { replier_ = std::move(replier); }
  // What came of admission; each is called at most once, on the control thread,
  // the latter also when a consumer is found to be another store's by then: the
  // process is to end, and nothing more is read. Before Start.
  struct Outcome {
    std::function<void()> admitted;
    std::function<void(const std::string& why)> refused;
  };
  void OnAdmission(Outcome outcome) { outcome_ = std::move(outcome); }
  // Why one of its connections is not there; "" while they are. Any thread.
  [[nodiscard]] std::string Disconnected() const;
  // What keeps a rule from being read, in one sentence; "" when nothing does. There
  // is no connection, it cannot be set up, or its consumer is paused, refuses what is
  // asked of it, or has messages and brings none.
  [[nodiscard]] std::string Trouble(RuleIndex rule) const;

 private:
  // Where a stream ended when it was asked, at `at`.
  struct Goal {
    uint64_t seq = 0;
    Instant at;
  };
  // One rule's consumer in one stream. Control thread, but for what is atomic.
  struct Source {
    RuleIndex rule = 0;
    std::string stream;
    std::string durable;
    std::unique_ptr<RuleEvaluator> evaluator;
    std::unique_ptr<PullSource> pull;
    bool ready = false;  // its consumer is fit and pulls may go
    bool caught_up = false;
    bool near = false;  // the last goal was reached soon
    bool asking_back = false;
    std::string created;  // of the stream
    std::atomic<int64_t> created_ns = 0;
    std::atomic<bool> only_named = false;  // EventView's
    std::optional<Goal> goal;              // to be reached
    Instant read_to;                       // what was published by then is applied
    uint64_t asked_to = 0;                 // asking back what was delivered up to here
    uint64_t acked_to = 0;                 // when it was last looked at
    int64_t stuck_since_ms = 0;  // that it should move and does not; 0 = it does
    uint64_t floor = 0;          // as last posted
    int64_t next_floor_ms = 0;
    uint64_t end = 0;  // of the stream, as last seen
    int64_t next_look_ms = 0;
    int64_t ahead_since_ms = 0;  // of its stream; 0 = it is not
    bool read_anew = false;      // by a new consumer
    int64_t next_poll_ms = 0;
    int64_t poll_every_ms = 0;
    std::atomic<bool> unheard = false;
    std::atomic<bool> broken = false;
    std::vector<std::string> subjects;  // of the stream
    uint64_t received = 0;              // messages, when it was last looked at
    int64_t moved_ms = 0;               // when last some had come, or none had to
    std::string hindrance;              // why messages wait and none come; "" = they do
  };
  // A rule with `source: core`.
  struct CoreSource {
    RuleIndex rule = 0;
    RuleEvaluator evaluator;
    Headers headers;  // scratch
    CoreSource(RuleIndex index, const Rule& of, const JobLimits& limits)
        : rule(index), evaluator(of, limits) {}
  };
  struct RuleState {
    const Rule* rule = nullptr;
    RuleFilters filters;
    std::vector<Source*> sources;
    bool blocked = true;  // not every stream of it could be set up
    RuleRead said;        // last, of this rule
    int64_t next_setup_ms = 0;
    int64_t back_off_ms = 0;
    int64_t warned_ms = 0;
  };

  // Loop thread.
  void OnUp();
  void OnDown();
  void OnTick();
  void FindWaitingMessages();
  // Of all pulls together: after a break for a slow consumer, and back in time.
  void AskForLess();
  void AskForMore();
  // Any thread.
  void Wake();
  void TickSources();
  [[nodiscard]] std::vector<PullSource*> Pulls() const;
  void PostRead(const RuleRead& read);
  // Closes the rule's gate until the silent consumer answers that no message waits.
  void Unheard(Source* source);
  // All rules that are read here are away.
  void PostAway() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] Instant Now() const { return {clock_->NowMs(), clock_->MonotonicMs()}; }

  void ListenToCore(RuleIndex index, const std::vector<std::string>& filters);
  // The core connection's delivery thread.
  void OnCoreMessage(CoreSource* source, const Delivery& delivery);

  // Control thread.
  void Run();
  void BeginEpoch();
  void BeginLook();
  // Finds out anew how far the consumer has been read.
  void LookAt(Source* source);
  // One step of admission; true when it is over.
  [[nodiscard]] bool ContinueAdmission();
  [[nodiscard]] absl::Status Admit();
  void EndAdmission();
  void Refuse(const std::string& why);
  [[nodiscard]] absl::StatusOr<std::vector<WishedSource>> WishedSources();
  // Without filters where the stream carries no subject of the rule.
  [[nodiscard]] ConsumerWish WishFor(RuleIndex index, const StreamInfo& stream) const;
  // Each returns the monotonic time at which it wants to be called again.
  int64_t MaintainRule(RuleIndex index);
  int64_t MaintainCoreRule(RuleIndex index);
  int64_t MaintainSources();
  // Says what is new of how far the rule has been read.
  void SayRead(RuleIndex index);
  // What a rule is to read and no stream has, nor may one be made for it.
  struct Missing {
    std::vector<std::string> filters;
    std::vector<std::string> streams;  // that its entries name
    [[nodiscard]] absl::Status Sentence() const;
  };
  [[nodiscard]] absl::Status SetUpRule(RuleState* state, RuleIndex index,
                                       Missing* missing);
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> FindStreams(
      const RuleState& state, Missing* missing);
  // The name of the configured stream that was made to carry `filter`, or that is
  // called `name` where that is not ""; "" when none may be.
  [[nodiscard]] absl::StatusOr<std::string> MakeStream(const std::string& filter,
                                                       const std::string& name);
  // How long a stream that is gone must stay so before it is made again; not
  // above 0: make it now.
  [[nodiscard]] int64_t RemakeWaitMs(const std::string& stream);
  [[nodiscard]] absl::Status SetUpSource(Source* source);
  void CloseSource(Source* source);
  void OpenSources();
  // Whether the stream still is the one the consumer reads, and goes as far.
  [[nodiscard]] bool EndsWell(Source* source, const ConsumerInfo& consumer);
  void PostFloor(const Source& source, const StoredFloor& stored);
  void PostFloor(const std::string& key, const std::string& value);
  void TakeMarks();
  void NotePoll(Source* source, const absl::StatusOr<ConsumerInfo>& info, Instant asked);
  void NoteRead(Source* source, const ConsumerInfo& info, Instant asked);
  void NoteFloor(Source* source, const ConsumerInfo& info);
  // What was applied and is not acked comes again, and is acked again.
  void AskBackWhatIsStuck(Source* source, const ConsumerInfo& info);
  [[nodiscard]] std::string Hindrance(Source* source, const ConsumerInfo& info);
  // Says which rules messages wait for and do not come to.
  void TellHindrances();
  [[nodiscard]] Source* SourceOf(RuleIndex index, const std::string& stream);
  void Complain(RuleState* state, const std::string& why);

  const IngressOptions options_;
  const std::vector<Rule>* const rules_;
  Inbox* const inbox_;
  const Clock* const clock_;
  Replier replier_;
  Connection connection_;
  // Of rules with `source: core`; null when there are none. A connection of its
  // own, so that one thread handles all their messages in order of arrival: a
  // cancel must not overtake the schedule it came after.
  std::vector<std::unique_ptr<CoreSource>> core_sources_;
  std::unique_ptr<Connection> core_;
  Requests requests_;
  PullReplies pull_replies_;
  JetStream js_;
  Outcome outcome_;

  // Loop thread only.
  std::string server_id_;               // of the last connection
  uint64_t received_ = 0;               // messages, of all sources, at the last tick
  int64_t message_ms_ = INT64_MIN / 2;  // when a tick last saw some
  bool was_reading_ = false;            // when the connection went
  int64_t less_since_ms_ = 0;           // 0 = as much as may be is asked for

  // Control thread only.
  TargetStreams target_streams_;
  Admission admission_;
  enum class Phase { kJudging, kAwaitingRebuild, kReplacing, kAdmitted, kRefused };
  Phase phase_ = Phase::kJudging;
  int64_t admission_since_ms_ = 0;  // of the first attempt; 0 = none yet
  std::map<std::string, std::string> floors_;
  std::vector<RuleState> states_;
  std::map<std::pair<RuleIndex, std::string>, std::unique_ptr<Source>> sources_;
  std::map<std::string, int64_t> gone_since_ms_;  // streams that were read once
  uint64_t epoch_ = 0;  // of the connection, as this thread last saw it

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> intake_ = true;
  std::atomic<uint64_t> announcements_lost_ = 0;
  std::atomic<bool> rebuild_begun_ = false;
  std::atomic<uint64_t> consumers_ahead_ = 0;
  mutable Mutex mutex_;
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  bool look_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  // Raised by each connect and each loss: what was learned before is old.
  uint64_t link_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  bool link_up_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<PullSource*> pulls_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> first_pull_ = 0;
  std::vector<std::string> troubles_ ABSL_GUARDED_BY(mutex_);    // of setting up
  std::vector<std::string> hindrances_ ABSL_GUARDED_BY(mutex_);  // of reading
  std::thread control_;
};

}  // namespace expirer
