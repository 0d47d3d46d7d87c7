// Makes the streams of the configuration that are not there: one that a rule reads when
// the rule looks for it, one for targets only by KeepTargets.
#pragma once

#include <map>
#include <vector>

#include "job/rules.h"
#include "net/jetstream.h"

namespace expirer {

// One thread only. Times are monotonic, in ms.
class ConfiguredStreams {
 public:
  // `js` outlives it. `rules` are read here only, and say which streams are read.
  ConfiguredStreams(JetStream* js, std::vector<StreamSpec> specs,
                    const std::vector<Rule>& rules);

  // Makes each stream that no rule reads, unless another one carries one of its
  // subjects. What cannot be made is logged and tried again. Returns the time of the
  // next call.
  int64_t KeepTargets(int64_t mono_ms);
  // The connection is another one: the next KeepTargets looks at all of them.
  void LookAgain() { next_ms_ = 0; }

  // The name of the configured stream that was made to carry `filter`, or that is
  // called `name` unless that is ""; "" when no such stream is configured. Errors:
  // kFailedPrecondition when another stream carries one of its subjects, kUnavailable
  // if it disappeared too recently to be made again, and those of JetStream.
  absl::StatusOr<std::string> MakeFor(const std::string& filter, const std::string& name,
                                      int64_t mono_ms);
  // The stream is there: should it go, it is not made again at once.
  void NoteThere(const std::string& stream) { gone_since_ms_[stream] = 0; }

 private:
  // What Make came to: `carrier` carries `subject` already, or the stream may be made
  // in `wait_ms`, or (neither) it was made.
  struct Made {
    std::string carrier = {};
    std::string subject = {};
    int64_t wait_ms = 0;
  };
  absl::StatusOr<Made> Make(const StreamSpec& spec, int64_t mono_ms);

  JetStream* const js_;
  const std::vector<StreamSpec> specs_;
  std::vector<const StreamSpec*> targets_;  // of specs_: those no rule reads
  int64_t next_ms_ = 0;
  // Since when a stream is gone that was there; 0 = it is there.
  std::map<std::string, int64_t> gone_since_ms_;
};

}  // namespace expirer
