#include "net/core_reader.h"

#include <chrono>
#include <thread>
#include <utility>

#include "net/rule_streams.h"

namespace expirer {
namespace {

ConnectionOptions Ordered(ConnectionOptions options) {
  options.ordered = true;
  return options;
}

}  // namespace

CoreReader::CoreReader(ConnectionOptions connection, Inbox* inbox, ReadLink* link)
    : inbox_(inbox),
      link_(link),
      connection_(Ordered(std::move(connection)), "core",
                  {[link] { link->Wake(); },
                   [link](const std::string&) { link->Wake(); },
                   LogErrorsOf("core"),
                   {}}) {}

void CoreReader::Add(RuleIndex index, const Rule& rule, const std::string& queue,
                     const JobLimits& limits) {
  Reading* const reading = &readings_.emplace_back(index, rule, limits);
  for (const std::string& filter : FiltersOf(rule).anywhere)
    connection_.Subscribe(
        filter, queue, Connection::kPendingMax,
        [this, reading](const Delivery& delivery) { OnMessage(reading, delivery); });
}

void CoreReader::Start() {
  connection_.EnablePulse();
  connection_.Start();
}

// Waits while the inbox is full or the intake closed; what comes meanwhile
// waits in nats.c, up to its own limit.
void CoreReader::OnMessage(Reading* reading, const Delivery& delivery) {
  while (!link_->intake() || !inbox_->Reserve(1)) {
    if (link_->stopping() || !connection_.up()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  MessageRequest request;
  request.rule = reading->rule;
  request.received_ms = link_->Now().wall_ms;
  request.time_ns = request.received_ms * kNsInMs;
  delivery.CopyHeaders(&reading->headers);
  const EventView event{.subject = delivery.subject(),
                        .payload = delivery.payload(),
                        .headers = &reading->headers,
                        .time_ns = request.time_ns};
  SetIntent(reading->evaluator.Evaluate(event, request.received_ms), event, &request);
  inbox_->Push(std::move(request));
}

}  // namespace expirer
