#include "net/instant_bus.h"

namespace expirer {

std::string InstantBus::Published::Header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return "";
}

bool InstantBus::Publish(uint64_t attempt, Transport via, std::string_view target,
                         const HeaderViews& headers, std::string_view body) {
  if (!connected_) return false;
  Published& message = in_flight_[attempt];
  message = {.attempt = attempt,
             .target = std::string(target),
             .headers = {},
             .body = std::string(body),
             .via = via};
  for (const auto& [name, value] : headers) message.headers.emplace_back(name, value);
  unflushed_.push_back(attempt);
  return true;
}

void InstantBus::Flush() {
  for (const uint64_t attempt : std::exchange(unflushed_, {})) {
    const auto found = in_flight_.find(attempt);
    if (found == in_flight_.end()) continue;
    if (hook_) hook_(found->second);
    Flushed(attempt);
  }
}

void InstantBus::Confirm(uint64_t attempt) {
  const auto found = in_flight_.find(attempt);
  const uint64_t before = stream_seq_;
  const uint64_t seq = found == in_flight_.end() ? stream_seq_ : Store(found->second);
  in_flight_.erase(attempt);
  inbox_->Complete(PubAnswer{.attempt = attempt,
                             .kind = PubAnswer::Kind::kAck,
                             .stream_seq = seq,
                             .text = "",
                             .duplicate = seq <= before});
}

void InstantBus::SetConnected(bool connected) {
  if (connected == connected_) return;
  connected_ = connected;
  if (!connected) {
    for (const auto& [attempt, message] : std::exchange(in_flight_, {}))
      inbox_->Complete(PubAnswer{
          .attempt = attempt, .kind = PubAnswer::Kind::kLost, .text = "connection lost"});
    unflushed_.clear();
  }
  inbox_->Complete(EgressChanged{connected});
}

}  // namespace expirer
