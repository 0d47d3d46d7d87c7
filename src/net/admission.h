// Decides at each start, before anything is read or fired, whether this store may read
// its rules' streams: no other process uses its name, and the existing consumers belong
// to this store and have acked nothing that the store does not know.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "net/consumer_setup.h"
#include "net/ingress_options.h"
#include "net/requests.h"

namespace expirer {

// The durable that a rule needs in one stream.
struct WishedSource {
  std::string rule;
  StreamInfo stream;
  ConsumerWish wish;
};

// Marks a read mark whose stream was gone when --adopt=new went on.
inline const StoredFloor kGivenUp{"", 0};

// The control thread only.
class Admission {
 public:
  // `options` outlive it. `floors` are all ConsumerFloors ever posted; they say which
  // streams were gone when --adopt=new went on without them.
  Admission(const IngressOptions* options,
            const std::map<std::string, std::string>& floors, Requests* requests,
            JetStream* js);

  enum class Verdict {
    kAdmitted,
    kRefused,  // why() says the reason and names the flag that decides
    kRebuild,  // call Replace once the store has noted the rebuild
  };
  // Asks who else uses the name, unless that was answered; asks whether every stream that
  // `rules` have read exists; and checks the consumers of `sources`, which include those
  // that have no consumer yet. Errors, such as kUnavailable: call again.
  absl::StatusOr<Verdict> Judge(const std::vector<Rule>& rules,
                                const std::vector<WishedSource>& sources);
  // Replaces the old consumers by new ones. Errors: call again.
  absl::Status Replace(const std::vector<WishedSource>& sources);

  [[nodiscard]] const std::string& why() const { return why_; }
  // Admitted: those of the read marks whose streams are gone. Each gets kGivenUp for its
  // floor.
  [[nodiscard]] const std::set<std::string>& given_up() const { return given_up_; }

 private:
  // If an answer to PING comes within this time, another service is running.
  static constexpr int64_t kPingMs = 1'000;
  absl::Status FindOthers();
  // The objection if a read mark's stream is gone; "" = none.
  absl::StatusOr<std::string> ExamineMark(const std::string& rule,
                                          const std::vector<WishedSource>& sources);
  // The objection to a source's consumer; "" = none.
  absl::StatusOr<std::string> Examine(const WishedSource& source);

  const IngressOptions& options_;
  Requests* const requests_;
  JetStream* const js_;
  bool alone_ = false;
  bool replace_all_ = true;  // false: only missing ones and those with an objection
  std::set<std::string> given_up_;
  std::string why_;
};

}  // namespace expirer
