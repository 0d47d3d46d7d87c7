#include "replay/fires.h"

#include "base/check.h"
#include "base/coding.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "replay/trace_writer.h"

namespace expirer {

Fire FireOf(int64_t at_ms, const InstantBus::Published& message) {
  Fire fire;
  fire.at_ms = at_ms;
  fire.job = PercentDecoded(message.Header("Expirer-Job"));
  fire.attempt = message.Header("Expirer-Attempt");
  const auto due_ms = ParseRfc3339(message.Header("Expirer-Due"));
  CHECK(due_ms.ok());
  fire.due_ms = *due_ms;
  fire.message = &message;
  return fire;
}

const Headers& SentHeaders(const InstantBus::Published& message) {
  static const Headers kNone;
  return message.via == Transport::kStan ? kNone : message.headers;
}

void AppendFire(const Fire& fire, std::string* out) {
  JsonWriter json(out);
  json.Object().Add("at", FormatRfc3339Ms(fire.at_ms), "job", fire.job, "due",
                    FormatRfc3339Ms(fire.due_ms), "lateness_ms", fire.at_ms - fire.due_ms,
                    "attempt", Json{fire.attempt}, "subject", fire.message->target);
  AddTraceHeaders(SentHeaders(*fire.message), &json);
  json.Add("payload", JsonBytes{fire.message->body}).End();
}

}  // namespace expirer
