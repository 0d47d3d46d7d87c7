// Reads one rule's messages from one stream: its durable consumer, the pulls on it, and
// how far they came. Acked means applied, since the core acks only after the sync.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/configured_streams.h"
#include "net/consumer_setup.h"
#include "net/ingress_options.h"
#include "net/read_link.h"

namespace expirer {

// What the control thread and all readers use. Control thread, but for what is atomic
// or Thread-safe by itself.
struct Reading {
  const IngressOptions& options;
  const std::vector<Rule>& rules;
  Connection* connection;
  PullReplies* replies;
  JetStream* js;
  Inbox* inbox;
  const Clock* clock;
  ReadLink* link;
  ConfiguredStreams streams;
  // All ConsumerFloors ever posted, the last value by its key.
  std::map<std::string, std::string> floors;
  std::atomic<uint64_t> consumers_ahead = 0;

  // Keeps how far a consumer had acked, here and in the store.
  void PostFloor(const std::string& key, const StoredFloor& stored);
  // The consumer that a rule is to have in `stream`; without filters if the stream
  // carries no subject of the rule.
  [[nodiscard]] ConsumerWish WishFor(const Rule& rule, const StreamInfo& stream) const;
};

// The control thread, which outlives no reader, if not said otherwise.
class RuleReader {
 public:
  // `reading` outlives it. It stays until the connection has stopped.
  RuleReader(Reading* reading, RuleIndex rule, std::string stream);

  // Makes the consumer fit, so that Open may be called. Errors: as EnsureConsumer's, and
  // kNotFound, kFailedPrecondition when the stream stores nothing for the rule.
  absl::Status SetUp();
  // Pulls, `batch` messages and `bytes` at a time, if it is set up and not broken.
  void Open(size_t batch, size_t bytes, uint64_t epoch);
  // Gives up its pulls; to be set up again.
  void Close();
  // Finds out anew how far the consumer has been read. All stays open.
  void LookAgain();

  // What came up since the last call.
  struct News {
    bool unheard = false;      // it was silent, and looks again
    bool resubjected = false;  // the stream carries other subjects now
    bool broken = false;       // it was closed, and is to be set up again
  };
  [[nodiscard]] News TakeNews();

  // When its consumer is to be looked at, on the monotonic clock.
  [[nodiscard]] int64_t next_poll_ms() const { return next_poll_ms_; }
  // What the server said about the consumer, asked at `asked`.
  void NotePoll(const absl::StatusOr<ConsumerInfo>& info, Instant asked);
  // Sets the time of the next poll.
  void PollLater();
  // It needs to know where its stream ends, to tell when it has read up to there.
  [[nodiscard]] bool WantsGoal() const;
  void SetGoal(uint64_t end, Instant at);

  [[nodiscard]] const std::string& stream() const { return stream_; }
  [[nodiscard]] const std::string& durable() const { return durable_; }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] bool caught_up() const { return life_.caught_up; }
  // What was published by then is applied.
  [[nodiscard]] Instant read_to() const { return life_.read_to; }
  // Why messages wait and none comes; "" = none waits, or they come.
  [[nodiscard]] const std::string& hindrance() const { return hindrance_; }

 private:
  // Where a stream ended when it was asked, at `at`.
  struct Goal {
    uint64_t seq = 0;
    Instant at;
  };
  // Makes the server deliver messages without an ack again, soon or after ack_wait.
  absl::Status AskBack(const ConsumerInfo& info, bool soon);
  void AskBackWhatIsStuck(const ConsumerInfo& info);
  [[nodiscard]] std::string Hindrance(const ConsumerInfo& info);
  // Whether the stream still is the one the consumer reads, and goes as far.
  [[nodiscard]] bool EndsWell(const ConsumerInfo& consumer);
  void NoteRead(const ConsumerInfo& info, Instant asked);
  void NoteFloor(const ConsumerInfo& info);
  void PostFloor(const StoredFloor& stored);

  Reading* const reading_;
  const RuleIndex rule_;
  const std::string stream_;
  const std::string durable_;
  std::atomic<int64_t> created_ns_ = 0;   // of the stream
  std::atomic<bool> only_named_ = false;  // EventView's
  std::atomic<bool> unheard_ = false;
  std::atomic<bool> broken_ = false;
  RuleEvaluator evaluator_;  // the thread of the replies only
  PullSource pull_;

  bool ready_ = false;  // its consumer is fit and pulls may go
  bool resubjected_ = false;
  bool read_anew_ = false;    // by a new consumer
  bool asking_back_ = false;  // acks that are lost
  uint64_t asked_to_ = 0;     // asking back what was delivered up to here
  uint64_t acked_to_ = 0;     // when it was last looked at
  uint64_t received_ = 0;     // messages, likewise
  std::string hindrance_;
  int64_t next_poll_ms_ = 0;
  int64_t poll_every_ms_ = 0;
  // What is known since it was set up.
  struct Life {
    std::string created;                // the stream
    std::vector<std::string> subjects;  // of the stream
    std::optional<Goal> goal;           // to be reached
    bool near = false;                  // the last goal was reached soon
    bool caught_up = false;
    Instant read_to = {};
    int64_t stuck_since_ms = 0;  // that acks should move and do not; 0 = they do
    uint64_t floor = 0;          // as last posted
    int64_t next_floor_ms = 0;
    uint64_t end = 0;  // of the stream, as last seen
    int64_t next_look_ms = 0;
    int64_t ahead_since_ms = 0;  // of its stream; 0 = it is not
    int64_t moved_ms = 0;        // when last messages had come, or none had to
  };
  Life life_;
};

}  // namespace expirer
