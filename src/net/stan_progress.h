// How far one channel of NATS Streaming has been read by one durable.
//
// There is nothing to ask: the server tells nobody where a channel ends or
// where a durable stands. So a second, plain subscription is opened that begins
// with the channel's last message: it tells where the channel ends (a *look*).
// The server starts subscriptions one after the other, and sends a durable what
// waits for it when it starts it: first what was delivered and not acked, then
// what is new, until `max_inflight` wait for acks. All messages of a connection
// are handled by one thread in their order of arrival. So when a look that began
// after the durable answers, all that waited for the durable has arrived, unless
// so much arrived that the server may have stopped: then what is missing comes
// with rising sequences, up to the end that the look told and beyond.
//
// No thread of its own, no time: the caller guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

namespace expirer {

class StanProgress {
 public:
  // The durable was subscribed anew: what was delivered before and is not acked
  // comes again.
  void Begin(size_t max_inflight);
  // A look begins: not caught up before it ends.
  void Look() { end_.reset(); }
  // It ended: the channel's last message has this sequence; 0 = there is none.
  void LookEnded(uint64_t last_seq);

  // A message came, and will be acked once it is applied. Do not call it for a message
  // that comes again while it is being applied.
  void Delivered(uint64_t seq);
  void Acked(uint64_t seq);

  // All that the channel held when the last look began is applied and acked.
  [[nodiscard]] bool caught_up() const;
  // The last look found nothing, and nothing came since.
  [[nodiscard]] bool empty() const { return end_ == 0 && read_to_ == 0; }
  [[nodiscard]] bool looking() const { return !end_.has_value(); }

 private:
  size_t max_inflight_ = 0;
  size_t delivered_ = 0;  // since Begin
  uint64_t read_to_ = 0;  // everything up to here has been delivered
  bool first_look_ = true;
  std::optional<uint64_t> end_;
  std::set<uint64_t> unacked_;
};

}  // namespace expirer
