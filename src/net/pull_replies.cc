#include "net/pull_replies.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/string_view.h"
#include "base/log.h"

namespace expirer {

PullReplies::PullReplies(Connection* connection) : prefix_(connection->inbox() + ".p.") {
  connection->Subscribe(prefix_ + ">", [this](const Delivery& d) { OnDelivery(d); });
}

size_t PullReplies::Add(Handlers handlers) {
  MutexLock lock(&mutex_);
  sources_.push_back(std::move(handlers));
  return sources_.size() - 1;
}

void PullReplies::Route(size_t source, const std::string& stream,
                        const std::string& consumer) {
  MutexLock lock(&mutex_);
  routes_[stream + "." + consumer] = source;
}

std::string PullReplies::Reply(size_t source, uint64_t pull) const {
  return fmt::format("{}{}.{}", prefix_, source, pull);
}

void PullReplies::OnDelivery(const Delivery& delivery) {
  const Delivery::Status status = delivery.status();
  if (status.code != 0 && delivery.reply().empty()) {
    OnStatus(delivery, status);
    return;
  }
  const auto ack = ParseAckSubject(delivery.reply());
  const Handlers* source = nullptr;
  if (ack.has_value()) {
    const char* const end = ack->consumer.data() + ack->consumer.size();
    MutexLock lock(&mutex_);
    const auto found = routes_.find(absl::string_view(
        ack->stream.data(), static_cast<size_t>(end - ack->stream.data())));
    if (found != routes_.end()) source = &sources_[found->second];
  }
  if (source == nullptr) {
    LogGathered(Level::kWarn,
                "a delivery without the ack subject of a consumer of ours "
                "was dropped",
                "", "", {{"subject", delivery.subject()}, {"reply", delivery.reply()}});
    return;
  }
  source->message(delivery, *ack);
}

void PullReplies::OnStatus(const Delivery& delivery, const Delivery::Status& status) {
  std::string_view tokens = delivery.subject();
  tokens.remove_prefix(std::min(tokens.size(), prefix_.size()));
  const char* const end = tokens.data() + tokens.size();
  size_t source = SIZE_MAX;
  uint64_t pull = 0;
  const char* const dot = std::from_chars(tokens.data(), end, source).ptr;
  if (dot == end || std::from_chars(dot + 1, end, pull).ptr != end) return;
  const Handlers* handlers = nullptr;
  {
    MutexLock lock(&mutex_);
    if (source < sources_.size()) handlers = &sources_[source];
  }
  if (handlers != nullptr) handlers->status(delivery, status, pull);
}

}  // namespace expirer
