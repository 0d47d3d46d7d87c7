// Reads rules with `source: core`: what is published on their subjects while we
// listen, without a stream.
#pragma once

#include <deque>
#include <string>

#include "net/read_link.h"

namespace expirer {

// Over a connection of its own, so that one thread handles all messages in order of
// arrival: a cancel must not overtake the schedule it came after.
class CoreReader {
 public:
  // `inbox` and `link` outlive it. `link` is woken when the connection comes or goes.
  CoreReader(ConnectionOptions connection, Inbox* inbox, ReadLink* link);

  // Reads `rule` as a member of the queue group `queue`. Before Start.
  void Add(RuleIndex index, const Rule& rule, const std::string& queue,
           const JobLimits& limits);
  void Start();
  // Stopped before this is destroyed. Any thread.
  [[nodiscard]] Connection& connection() { return connection_; }

 private:
  struct Reading {
    RuleIndex rule = 0;
    RuleEvaluator evaluator;
    Headers headers;  // scratch
    Reading(RuleIndex index, const Rule& of, const JobLimits& limits)
        : rule(index), evaluator(of, limits) {}
  };
  // The connection's delivery thread.
  void OnMessage(Reading* reading, const Delivery& delivery);

  Inbox* const inbox_;
  ReadLink* const link_;
  std::deque<Reading> readings_;
  Connection connection_;
};

}  // namespace expirer
