// Whether this store may read its rules' streams, decided once at each start
// before anything is read or fired (contract section 4, "Installation"): nobody
// else lives under its name, and the consumers it finds were this store's and
// acked no more than it remembers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/consumer_setup.h"
#include "net/jetstream.h"
#include "net/requests.h"

namespace expirer {

// What to do about consumers that are not this store's, not fit, or further
// than it remembers.
enum class Adopt {
  kRefuse,
  kNew,      // go on where they stand; what they acked before is not here
  kRebuild,  // replace them and read the streams anew before anything fires
};

// A rule's durable in one stream, as it is wished for.
struct WishedSource {
  std::string rule;
  StreamInfo stream;
  ConsumerWish wish;
};

// The control thread only.
class Admission {
 public:
  struct Options {
    std::string name;
    std::string store_id;
    Adopt adopt = Adopt::kRefuse;
    bool rebuilding = false;  // a rebuild of an earlier process is open
    // How far the store has read, by SourceKey.
    std::map<std::string, uint64_t> read_marks;
    // Of these the streams were gone, and --adopt=new went on without them.
    std::set<std::string> given_up;
  };
  Admission(Options options, Requests* requests, JetStream* js);

  enum class Verdict {
    kAdmitted,
    kRefused,  // why() says what stands against it and which flag decides
    kRebuild,  // Replace is to be called once the store noted the rebuild
  };
  // Asks who else lives under the name, unless that was answered, whether every
  // stream that `rules` have read is there, and looks at the sources' consumers.
  // `sources` also with those there are none of yet.
  // Errors: kUnavailable etc.; ask again.
  [[nodiscard]] absl::StatusOr<Verdict> Judge(const std::vector<Rule>& rules,
                                              const std::vector<WishedSource>& sources);
  // Puts fresh consumers in the place of the old. Errors: call again.
  [[nodiscard]] absl::Status Replace(const std::vector<WishedSource>& sources);

  [[nodiscard]] const std::string& why() const { return why_; }
  // Admitted: those of the marks whose streams are gone, as Options::given_up.
  [[nodiscard]] const std::set<std::string>& given_up() const { return given_up_; }

 private:
  // An answer to PING within this comes from a living service.
  static constexpr int64_t kPingMs = 1'000;
  [[nodiscard]] absl::Status FindOthers();
  // What stands against a mark: its stream is gone; "" = nothing.
  [[nodiscard]] absl::StatusOr<std::string> ExamineMark(
      const std::string& rule, const std::vector<WishedSource>& sources);
  // What stands against a source; "" = nothing.
  [[nodiscard]] absl::StatusOr<std::string> Examine(const WishedSource& source);

  const Options options_;
  Requests* const requests_;
  JetStream* const js_;
  bool alone_ = false;
  bool replace_all_ = true;  // else only those missing or objected to
  std::set<std::string> given_up_;
  std::string why_;
};

}  // namespace expirer
