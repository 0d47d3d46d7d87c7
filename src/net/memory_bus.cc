#include "net/memory_bus.h"

#include <utility>

namespace expirer {

std::string MemoryBus::Published::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

MemoryBus::MemoryBus(Inbox* inbox, Answers answers) : inbox_(inbox), answers_(answers) {}

Egress::Target MemoryBus::Resolve(Transport via, std::string_view target,
                                  std::string* why) {
  if (via == Transport::kCore) return Target::kReady;
  const auto route = routes_.find(target);
  if (route == routes_.end()) return Target::kReady;
  if (route->second.state == Target::kRefused) *why = route->second.why;
  return route->second.state;
}

bool MemoryBus::Publish(uint64_t attempt, Transport via, std::string_view target,
                        const HeaderViews& headers, std::string_view body) {
  if (!connected_) return false;
  if (refuse_next_ > 0) {
    --refuse_next_;
    return false;
  }
  ++publishes_;
  Published message{attempt, std::string(target), {}, std::string(body), via};
  for (const auto& [name, value] : headers) message.headers.emplace_back(name, value);
  if (recording_) published_.push_back(message);
  in_flight_[attempt] = std::move(message);
  unflushed_.push_back(attempt);
  return true;
}

std::string MemoryBus::Warning(Transport, std::string_view target) {
  const auto found = warnings_.find(target);
  return found == warnings_.end() ? "" : found->second;
}

void MemoryBus::Flush() {
  ++flushes_;
  for (const uint64_t attempt : std::exchange(unflushed_, {})) {
    const auto found = in_flight_.find(attempt);
    if (found == in_flight_.end()) continue;
    if (hook_) hook_(found->second);
    if (answers_ == Answers::kAtOnce) Confirm(attempt);
  }
}

void MemoryBus::Forget(uint64_t attempt, std::string_view, bool) {
  in_flight_.erase(attempt);
  if (recording_) forgotten_.push_back(attempt);
}

void MemoryBus::Ack(const std::string& reply) {
  if (recording_) acked_.push_back(reply);
}

void MemoryBus::Term(const std::string& reply, std::string_view reason) {
  if (recording_) termed_.push_back({reply, std::string(reason)});
}

void MemoryBus::Announce(const std::string& subject, const std::string& payload) {
  if (recording_) announced_.push_back({subject, payload});
}

void MemoryBus::Reply(const Caller& caller, int code, const std::string& body) {
  if (recording_) replied_.push_back({caller.reply, code, body});
  inbox_->Answered();
}

uint64_t MemoryBus::Store(const Published& message) {
  if (!recording_) return ++stream_seq_;
  const std::string id = message.MsgId();
  if (!id.empty()) {
    const auto [known, fresh] = ids_.try_emplace(id, stream_seq_ + 1);
    if (!fresh) return known->second;
  }
  stored_.push_back(message);
  return ++stream_seq_;
}

void MemoryBus::Confirm(uint64_t attempt) {
  const auto found = in_flight_.find(attempt);
  const uint64_t before = stream_seq_;
  const uint64_t seq = found == in_flight_.end() ? stream_seq_ : Store(found->second);
  in_flight_.erase(attempt);
  inbox_->Complete(PubAnswer{attempt, PubAnswer::Kind::kAck, seq, "", seq <= before});
}

void MemoryBus::ConfirmAll() {
  while (!in_flight_.empty()) Confirm(in_flight_.begin()->first);
}

void MemoryBus::StoreWithoutAnswer(uint64_t attempt) {
  const auto found = in_flight_.find(attempt);
  if (found != in_flight_.end()) Store(found->second);
}

void MemoryBus::Answer(uint64_t attempt, PubAnswer::Kind kind, std::string text) {
  in_flight_.erase(attempt);
  inbox_->Complete(PubAnswer{attempt, kind, 0, std::move(text)});
}

void MemoryBus::SetConnected(bool connected) {
  if (connected == connected_) return;
  connected_ = connected;
  if (!connected) {
    for (const auto& [attempt, message] : std::exchange(in_flight_, {})) {
      inbox_->Complete(PubAnswer{attempt, PubAnswer::Kind::kLost, 0, "connection lost"});
    }
    unflushed_.clear();
  }
  inbox_->Complete(EgressChanged{connected});
}

void MemoryBus::SetResolving(std::string_view target) {
  routes_[std::string(target)] = {Target::kResolving, ""};
}

void MemoryBus::SetStream(std::string_view target, bool covered, std::string why) {
  Route& route = routes_[std::string(target)];
  const bool resolving = route.state == Target::kResolving;
  route = {covered ? Target::kReady : Target::kRefused, std::move(why)};
  if (resolving) inbox_->Complete(TargetKnown{std::string(target)});
}

void MemoryBus::ClearRecords() {
  published_.clear();
  stored_.clear();
  acked_.clear();
  termed_.clear();
  announced_.clear();
  replied_.clear();
  forgotten_.clear();
}

}  // namespace expirer
