// What an ingress is given.
#pragma once

#include <map>
#include <vector>

#include "job/rules.h"
#include "net/connection_options.h"
#include "net/jetstream.h"

namespace expirer {

// What to do with consumers that belong to another store, cannot serve as they are, or
// have acked more than this store knows.
enum class Adopt {
  kRefuse,
  kNew,      // go on from their ack floor; what they acked before is missing here
  kRebuild,  // replace them and read the streams again before anything fires
};

struct IngressOptions {
  ConnectionOptions connection;
  std::string name = "expirer";  // durables are <name>-<rule>
  std::string store_id;
  Adopt adopt = Adopt::kRefuse;
  bool rebuilding = false;  // a rebuild of an earlier process is open
  // How far the store has read, by SourceKey: Streams::ReadUpTo.
  std::map<std::string, uint64_t> read_marks;
  std::vector<StreamSpec> streams;
  JobLimits job_limits;
  int64_t max_ack_pending = 20'000;  // of a consumer that is made

  // The durable of a rule named `rule`, and the queue group of one over core NATS.
  [[nodiscard]] std::string Durable(const std::string& rule) const {
    return name + "-" + rule;
  }
};

}  // namespace expirer
