// A world around the production scheduler and store, run by one seed: streams and
// producers, a disk that loses what was not synced, a network that delays, drops,
// doubles, reorders and refuses, clocks that step. It goes on in turns: some of
// what may happen happens, time passes, the core takes one Step, the oracle looks.
// After `events` of them faults stop, and all must come to rest.
//
// Everything is drawn from the seed and done on one thread; RocksDB's own are
// waited for wherever they could tell two runs apart.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sched/gap_watch.h"
#include "sched/scheduler.h"
#include "sim/oracle.h"
#include "sim/streams.h"
#include "store/committer.h"
#include "support/memory_bus.h"
#include "support/page_fs.h"
#include "support/seed.h"

namespace expirer::sim {

// Less than what makes the store look seldom.
inline constexpr uint64_t kPlentyBytes = 900 << 20;

struct Plan {
  uint64_t seed = 1;
  uint64_t events = 1'000;  // passed to Step before faults stop
  bool often = false;       // crashes, in every seed
  bool tell = false;        // a line on stdout for whatever happens
};

struct Report {
  std::string failure;  // "" = every promise was kept
  uint64_t turns = 0;
  uint64_t events = 0;
  uint64_t sent = 0;     // attempts
  uint64_t acked = 0;    // messages of producers, also what was terminated
  uint64_t fired = 0;    // jobs the targets' streams have
  uint64_t doubled = 0;  // stored again there, under the same Nats-Msg-Id
  uint64_t crashes = 0;
  uint64_t io_faults = 0;
  // Of all that was sent and answered, when and in what order: the same for the
  // same seed.
  uint64_t digest = 14695981039346656037U;
};

class World {
 public:
  explicit World(const Plan& plan);
  ~World();
  [[nodiscard]] Report Run();

 private:
  struct Process;
  class Plug;
  // An attempt on its way.
  struct Wire {
    MemoryBus::Published message;
    bool stored = false;
  };
  // An ack on its way.
  struct Ack {
    RuleIndex rule = 0;
    uint64_t life = 0;
    uint64_t seq = 0;
  };
  // What is known of how far a rule is read, and what was said of it.
  struct Reading {
    RuleRead::State said = RuleRead::State::kAway;
    int64_t said_at_ms = 0;   // monotonic time of the last reading that was posted
    int64_t heard_at_ms = 0;  // likewise, of the last kCaughtUp that the core took out
    std::optional<std::pair<uint64_t, Instant>> mark;  // of its stream's end
    int near = 0;           // marks in a row that were reached soon
    int64_t waited_ms = 0;  // connected and read, since it was caught up
    bool waits = false;     // after the last Step
    bool gave_up = false;
    // The core was told that it is caught up, after all that it may have missed. In
    // that very Step it may ask to look again, for what it hears of only then.
    bool told = false;  // by the last Step
    bool in_step = false;
    [[nodiscard]] bool caught_up() const {
      return said == RuleRead::State::kCaughtUp && heard_at_ms >= said_at_ms;
    }
  };
  // Each in per mille a turn; 0 in most seeds, so that each seed has faults of
  // its own.
  struct Odds {
    uint64_t crash = 0;
    uint64_t power = 0;  // of a crash: loses what was not synced
    uint64_t link = 0;
    uint64_t look = 0;
    uint64_t ack_lost = 0;
    uint64_t doubled = 0;
    uint64_t again = 0;
    uint64_t refused = 0;
    uint64_t vanished = 0;
    uint64_t slow_sync = 0;
    uint64_t push_back = 0;
    uint64_t stand_still = 0;
    uint64_t freeze = 0;
    uint64_t clock_step = 0;
    uint64_t put_back = 0;
    uint64_t io = 0;
    uint64_t full = 0;
    uint64_t ask = 0;
    uint64_t ask_dead = 0;
    uint64_t outage = 0;
    uint64_t configure = 0;
    uint64_t payload = 0;
    uint64_t replace = 0;  // of a crash: another store takes the place of this one
  };

  void DrawRules();
  void DrawOdds();
  [[nodiscard]] bool Happens(uint64_t per_mille);
  [[nodiscard]] Instant Now() const;
  [[nodiscard]] int64_t ServerNs();
  void Tell(const std::string& what);
  // As Tell, and counts for the digest.
  void Note(const std::string& what);
  [[nodiscard]] Stream& StreamOf(RuleIndex rule) {
    return streams_[rule % streams_.size()];
  }

  // Producers, and the streams between them and us.
  void Produce();
  [[nodiscard]] int64_t DrawDue();
  void Deliver();
  bool Push(Event* event);
  [[nodiscard]] ScheduleIntent IntentOf(const Event& event) const;
  [[nodiscard]] CancelIntent CancelOf(const Event& event) const;
  void DeliverCore();
  void LoseCore();
  void CarryAcks();
  void PutStreamsBack();
  void AskToCancel();
  void Ask(JobRef job);
  void AskAboutDead();

  // The link, the rules' consumers, the targets.
  void ChangeLink();
  void SetLink(bool up);
  void SetIngress(bool up);
  void SetEgress(bool up);
  void LoseWires();
  void Away();
  void LookAgain();
  void OutOfStep();
  void Admit();
  [[nodiscard]] bool Rebuilding() const;
  void Read();
  void ReadRule(RuleIndex rule);
  [[nodiscard]] bool MayGiveUp(const Reading& reading) const;
  void CheckGaveUp();
  void BeginNewWaits();
  void SufferOutage();
  void ChangeTargets();
  void AnswerAttempts();
  void AnswerOne(size_t index);

  // Disk and clocks.
  void WatchDisk();
  void ChangeDisk();
  void SetFree(uint64_t bytes);
  void Sync();
  void PassTime();
  void Pass(int64_t ms);
  void Live(int64_t ms);
  void Freeze();
  void StandStill(int64_t ms, bool intake);
  void GoDeaf(int64_t ms);
  void NoticeGap();

  // The process.
  void Start();
  [[nodiscard]] bool TryStart();
  void Crash(bool power);
  void Restart();
  void Configure();
  void TellOracleWhatIsAbsent();
  [[nodiscard]] QueueIndex LastEntryOf(RuleIndex rule) const;
  [[nodiscard]] std::vector<Rule> Configured() const;
  void ReplaceStore();
  void BeAway();
  template <typename Work>
  auto Armed(Work work);
  void Arm(bool armed);
  void AwaitTurn();
  void AwaitBackground();
  void Turn();
  void Step();
  void TakeIn();
  void TakeOut();
  void CheckUnsynced();
  void CheckAtRest();
  [[nodiscard]] bool AllRead() const;
  void RunQuietly();

  const Plan plan_;
  Draws draws_;
  Odds odds_;
  std::vector<Rule> rules_;
  SchedulerOptions options_;
  std::unique_ptr<Oracle> oracle_;
  Report report_;

  VirtualClock clock_;
  int64_t server_ns_ = 0;
  std::shared_ptr<PageFs> disk_;
  std::shared_ptr<PageFs> copy_;          // of the disk as it was some time ago, or null
  std::unique_ptr<Plug> no_compactions_;  // outlives the process
  std::unique_ptr<Process> process_;
  size_t present_ = 0;  // rules of the configuration, the first of all
  // The one that has lost its last publish entry for now.
  std::optional<RuleIndex> shortened_;
  bool entries_stored_ = false;  // the store knows all publish entries
  bool died_ = false;
  bool ingress_up_ = false;
  bool egress_up_ = false;
  bool deaf_ = false;  // the thread that reads the socket does not run
  Pulse pulse_;        // its pulse
  bool quiet_ = false;
  uint64_t free_bytes_;
  int64_t full_until_mono_ms_ = 0;  // and a little longer
  uint64_t names_changed_ = 0;      // of the disk, when it was last at rest
  // Accesses of this thread only: RocksDB's others have no order to count in, and
  // wait while the core works.
  const std::thread::id thread_ = std::this_thread::get_id();
  int64_t io_countdown_ = 0;  // this many accesses from now fails one; 0 = none
  uint64_t io_faults_ = 0;
  std::mutex armed_mutex_;
  std::condition_variable others_may_;
  bool others_wait_ = false;
  std::atomic<uint64_t> others_accesses_ = 0;
  bool armed_ = false;  // while the core works
  bool log_written_ = false;

  std::vector<Stream> streams_;
  std::vector<Consumer> consumers_;  // as rules_
  std::vector<bool> foreign_;        // likewise: not of this store
  std::vector<bool> read_anew_;      // likewise: to the end, since the store is this one
  std::vector<bool> versioned_;
  std::vector<Reading> readings_;   // as rules_
  uint64_t gave_up_ = 0;            // by this process's count
  std::vector<bool> target_ready_;  // as queues
  size_t max_payload_ = SIZE_MAX;
  std::deque<Event*> core_;  // of core NATS, on their way
  std::vector<Ack> acks_;
  std::vector<Wire> wires_;
  uint64_t asked_ = 0;
};

}  // namespace expirer::sim
