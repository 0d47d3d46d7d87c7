#include "support/ledger.h"

#include <algorithm>
#include <chrono>
#include <set>

namespace expirer::test {
namespace {

constexpr size_t kExamplesMax = 20;

}  // namespace

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Ledger::Begin(const std::string& id, int64_t due_ms) {
  const std::lock_guard lock(mutex_);
  orders_[id].due_ms = due_ms;
  last_due_ms_ = std::max(last_due_ms_, due_ms);
}

void Ledger::WillCancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  orders_[id].cancelled = true;
}

void Ledger::Cancelled(const std::string& id) {
  const int64_t now_ms = NowMs();
  const std::lock_guard lock(mutex_);
  orders_[id].cancel_stored_ms = now_ms;
}

void Ledger::Repeated(const std::string& id) {
  const std::lock_guard lock(mutex_);
  ++orders_[id].copies;
}

std::map<std::string, Order> Ledger::orders() const {
  const std::lock_guard lock(mutex_);
  return orders_;
}

int64_t Ledger::last_due_ms() const {
  const std::lock_guard lock(mutex_);
  return last_due_ms_;
}

size_t Ledger::Missing(const std::vector<StoredMessage>& fired) const {
  std::set<std::string> ids;
  for (const StoredMessage& one : fired) ids.insert(FiredId(one.payload));
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(
      std::count_if(orders_.begin(), orders_.end(), [&](const auto& entry) {
        return !entry.second.cancelled && !ids.contains(entry.first);
      }));
}

std::string FiredId(const std::string& payload) {
  constexpr std::string_view kBefore = R"({"orderId":")";
  constexpr std::string_view kAfter = "\"}";
  if (payload.size() < kBefore.size() + kAfter.size() || payload.rfind(kBefore, 0) != 0 ||
      payload.substr(payload.size() - kAfter.size()) != kAfter)
    return "";
  return payload.substr(kBefore.size(), payload.size() - kBefore.size() - kAfter.size());
}

size_t Verdict::Count(std::string_view kind) const {
  if (kind == "lost") return lost;
  if (kind == "early") return early;
  if (kind == "doubled") return doubled;
  if (kind == "cancelled") return cancelled;
  return wrong;
}

Verdict Judge(const std::map<std::string, Order>& orders,
              const std::vector<StoredMessage>& fired, int64_t in_time_ms) {
  Verdict verdict;
  const auto blame = [&verdict](size_t* count, const std::string& id, std::string what) {
    ++*count;
    if (verdict.examples.size() < kExamplesMax)
      verdict.examples.push_back(id + ": " + std::move(what));
  };
  std::map<std::string, size_t> copies;
  for (const StoredMessage& one : fired) {
    const std::string id = FiredId(one.payload);
    const auto found = orders.find(id);
    if (found == orders.end()) {
      blame(&verdict.wrong, "sequence " + std::to_string(one.seq),
            "no order has the body " + one.payload);
      continue;
    }
    const int64_t due_ms = found->second.due_ms;
    const std::string job = std::string(kRule) + "/" + id + "/" + std::to_string(due_ms);
    if (one.JobAndDue() != job)
      blame(&verdict.wrong, id, "Nats-Msg-Id is " + one.Header("Nats-Msg-Id"));
    if (one.time_ns < due_ms * 1'000'000)
      blame(&verdict.early, id,
            "fired " + std::to_string(due_ms * 1'000'000 - one.time_ns) + " ns early");
    if (++copies[id] == 2) blame(&verdict.doubled, id, "is in the stream more than once");
  }
  verdict.orders = orders.size();
  verdict.fired = copies.size();
  for (const auto& [id, order] : orders) {
    const bool did_fire = copies.contains(id);
    const bool in_time =
        order.cancel_stored_ms > 0 && order.due_ms - order.cancel_stored_ms >= in_time_ms;
    verdict.in_time += in_time ? 1 : 0;
    if (!order.cancelled && !did_fire) blame(&verdict.lost, id, "never fired");
    if (in_time && did_fire)
      blame(&verdict.cancelled, id,
            "fired although it was cancelled " +
                std::to_string(order.due_ms - order.cancel_stored_ms) +
                " ms before its due time");
  }
  return verdict;
}

}  // namespace expirer::test
