#include "job/render.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/coding.h"
#include "job/fired.h"

namespace expirer {
namespace {

bool HasZero(std::string_view text) { return text.find('\0') != text.npos; }

}  // namespace

int64_t EventMs(const EventView& event) {
  const int64_t ns = event.time_ns;
  return ns <= 0 ? 0 : ns / 1'000'000 + (ns % 1'000'000 != 0 ? 1 : 0);
}

JobRenderer::JobRenderer(const Publish& publish, std::string_view queue,
                         const JobLimits& limits, std::string place)
    : limits_(limits),
      queue_bytes_(queue.size()),
      reserved_(limits.service.empty() ? "" : limits.service + "."),
      place_(std::move(place)),
      publish_(publish) {}

bool JobRenderer::uses_json() const {
  return publish_.target.uses_json() || (publish_.body && publish_.body->uses_json()) ||
         std::any_of(publish_.headers.begin(), publish_.headers.end(),
                     [](const auto& header) { return header.second.uses_json(); });
}

void JobRenderer::Bind(JsonPointers* pointers) {
  publish_.target.Bind(pointers);
  if (publish_.body) publish_.body->Bind(pointers);
  for (auto& [name, value] : publish_.headers) value.Bind(pointers);
}

absl::Status JobRenderer::Render(const EventView& event, const JsonReader& json,
                                 Job* job) const {
  RenderContext context;
  context.subject = event.subject;
  context.headers = event.headers;
  context.json = &json;
  context.key = job->key;
  context.time_ms = EventMs(event);
  context.due_ms = job->due_ms;
  RETURN_IF_ERROR(RenderTarget(context, &job->target));
  if (publish_.body) {
    if (absl::Status status = publish_.body->Render(context, &job->body); !status.ok())
      return Annotate(status, place_ + ".body");
  } else {
    job->body = event.payload;
  }
  RETURN_IF_ERROR(RenderHeaders(context, event.headers, &job->headers));
  return CheckSize(*job);
}

absl::Status JobRenderer::RenderTarget(const RenderContext& context,
                                       std::string* out) const {
  absl::Status status = publish_.target.Render(context, out);
  if (!status.ok()) return Annotate(status, place_ + ".subject");
  if (publish_.target.is_literal()) return status;
  status = CheckTarget(*out);
  if (status.ok() && !reserved_.empty() && out->starts_with(reserved_))
    status = Invalid(fmt::format("expected a subject outside {}...", reserved_));
  if (status.ok()) return status;
  return Annotate(status, fmt::format("{}.subject {}", place_, Quote(*out)));
}

absl::Status JobRenderer::RenderHeaders(const RenderContext& context,
                                        const Headers* passing, Headers* out) const {
  const auto overridden = [this](std::string_view name) {
    return std::any_of(
        publish_.headers.begin(), publish_.headers.end(),
        [name](const auto& header) { return EqualsIgnoringCase(header.first, name); });
  };
  if (passing != nullptr) {
    for (const auto& header : *passing) {
      if (IsReservedHeader(header.first) || overridden(header.first)) continue;
      // nats.c takes texts that end at the first of them.
      if (HasZero(header.first) || HasZero(header.second))
        return Invalid(fmt::format(
            "the event's header {} holds a zero byte, which cannot be passed on",
            Quote(header.first)));
      out->push_back(header);
    }
  }
  for (const auto& [name, value] : publish_.headers) {
    std::string text;
    if (absl::Status status = value.Render(context, &text); !status.ok())
      return Annotate(status, fmt::format("{}.headers.{}", place_, name));
    out->emplace_back(name, std::move(text));
  }
  return absl::OkStatus();
}

// Counts what the server will count: "NATS/1.0", each "Name: value" with its
// line end, the empty line, and the four headers that firing adds. Their parts of
// any length are the service's name and, twice, the job's percent-encoded one.
absl::Status JobRenderer::CheckSize(const Job& job) const {
  constexpr size_t kLine = 4;  // ": " and "\r\n"
  constexpr size_t kOwn = 4 * kLine +
                          sizeof("Nats-Msg-IdExpirer-JobExpirer-DueExpirer-Attempt") +
                          sizeof("/9999-12-31T23:59:59.999Z") + 15 + 17 + 20;
  // A fired name is at most three times as long as the key: only count it
  // exactly where that could matter.
  const size_t bytes = job.body.size() + kOwn + reserved_.size() +
                       2 * (queue_bytes_ + 1) +
                       std::max<size_t>(HeaderBytes(job.headers), 12);
  if (Fits(job, bytes + 6 * job.key.size()).ok()) return absl::OkStatus();
  std::string encoded;
  AppendPercentEncoded(job.key, &encoded);
  return Fits(job, bytes + 2 * encoded.size());
}

// `bytes`: of the whole message.
absl::Status JobRenderer::Fits(const Job& job, size_t bytes) const {
  if (bytes > limits_.payload_bytes)
    return MakeStatus(
        absl::StatusCode::kOutOfRange,
        fmt::format("the job's body and headers have {} bytes, limits.payload is {}",
                    bytes, limits_.payload_bytes));
  const size_t header_bytes = bytes - job.body.size();
  if (publish_.via == Transport::kJetStream && header_bytes > kStreamHeaderBytesMax)
    return MakeStatus(absl::StatusCode::kOutOfRange,
                      fmt::format("the job's headers have {} bytes with expirer's own, a "
                                  "stream stores {} at most",
                                  header_bytes, kStreamHeaderBytesMax));
  if (limits_.targets == nullptr) return absl::OkStatus();
  return limits_.targets->Fits(publish_.via, job.target, bytes);
}

}  // namespace expirer
