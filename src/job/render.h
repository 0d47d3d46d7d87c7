// Makes the target, headers and body of a job from an event, as a publish entry
// says, and checks them.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "job/rules.h"
#include "json/reader.h"

namespace expirer {

// Not thread-safe.
class JobRenderer {
 public:
  // `queue` begins the names of its jobs (QueueName); `place` names the
  // entry in error messages: "publish".
  JobRenderer(const Publish& publish, std::string_view queue, const JobLimits& limits,
              std::string place);

  [[nodiscard]] bool uses_json() const;
  // Like Template::Bind. REQUIRED before Render when uses_json().
  void Bind(JsonPointers* pointers);
  // Fills target, headers and body of `job`. REQUIRED: its key and due time are set.
  // An error's message names the part; kOutOfRange: the job is over limits.payload or
  // too large for its target. After an error the content of `job` is undefined.
  absl::Status Render(const EventView& event, const JsonReader& json, Job* job) const;

 private:
  absl::Status RenderTarget(const RenderContext& context, std::string* out) const;
  absl::Status RenderHeaders(const RenderContext& context, const Headers* passing,
                             Headers* out) const;
  absl::Status CheckSize(const Job& job) const;
  absl::Status Fits(const Job& job, size_t bytes) const;

  const JobLimits limits_;
  const size_t queue_bytes_;
  const std::string reserved_;  // "<service>.", or empty
  const std::string place_;
  Publish publish_;  // a copy, bound to the evaluator's slots
};

// The message's time in ms, rounded up like every due time, so as not to be early.
[[nodiscard]] int64_t EventMs(const EventView& event);

}  // namespace expirer
