#include "net/pub_ack.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace expirer {
namespace {

constexpr uint64_t kDuplicateInProcess = 10158;

// The errors by which a stream says that it can never store this very message:
// sent again it is refused again, until somebody changes the stream. All others
// are of the stream and not of the message (full, sealed, without resources), so
// the message may well be stored later.
constexpr uint64_t kMessageTooLarge = 10054;  // over max_msg_size
constexpr uint64_t kHeaderTooLarge = 10097;   // over 65,535 bytes
// The store's own words; among others of a record over 32 MiB in a file.
constexpr uint64_t kStoreFailed = 10077;

bool IsForEver(uint64_t err_code, std::string_view description) {
  // 2.9 spells it "to large".
  const bool of_size =
      description == "message too large" || description == "message to large";
  return err_code == kMessageTooLarge || err_code == kHeaderTooLarge ||
         (err_code == kStoreFailed && of_size);
}

constexpr size_t kTextBytesMax = 300;

}  // namespace

PubAckReader::PubAckReader()
    : stream_(pointers_.Add("/stream")),
      seq_(pointers_.Add("/seq")),
      duplicate_(pointers_.Add("/duplicate")),
      error_(pointers_.Add("/error")),
      code_(pointers_.Add("/error/code")),
      err_code_(pointers_.Add("/error/err_code")),
      description_(pointers_.Add("/error/description")) {}

PubAnswer PubAckReader::Read(uint64_t attempt, const Delivery::Status& status,
                             std::string_view payload) {
  PubAnswer answer;
  answer.attempt = attempt;
  if (status.code == 503) {
    answer.kind = PubAnswer::Kind::kNoStream;
    answer.text = "no stream has the target";
    return answer;
  }
  answer.kind = PubAnswer::Kind::kRetry;
  answer.text = "unexpected answer";
  if (status.code != 0) {
    answer.text += fmt::format(": status {} {}", status.code, status.description);
    return answer;
  }
  if (!reader_.Read(payload, pointers_).ok()) return answer;
  if (reader_.value(error_).kind != JsonValue::Kind::kMissing) {
    const uint64_t err_code = JsonInteger<uint64_t>(reader_.value(err_code_)).value_or(0);
    const std::string words = JsonTextOr(reader_.value(description_), "error");
    answer.text = fmt::format(
        "{} ({})", words,
        err_code != 0 ? err_code
                      : JsonInteger<uint64_t>(reader_.value(code_)).value_or(0));
    answer.text.resize(std::min(answer.text.size(), kTextBytesMax));
    answer.kind = err_code == kDuplicateInProcess ? PubAnswer::Kind::kRetry
                  : IsForEver(err_code, words)    ? PubAnswer::Kind::kNever
                                                  : PubAnswer::Kind::kRefused;
    return answer;
  }
  const JsonValue& stream = reader_.value(stream_);
  const uint64_t seq = JsonInteger<uint64_t>(reader_.value(seq_)).value_or(0);
  if (stream.kind != JsonValue::Kind::kString || stream.raw.size() <= 2 || seq == 0) {
    return answer;
  }
  answer.kind = PubAnswer::Kind::kAck;
  answer.stream_seq = seq;
  answer.duplicate = reader_.value(duplicate_).raw == "true";
  answer.text.clear();
  return answer;
}

}  // namespace expirer
