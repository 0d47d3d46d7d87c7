#include "job/fired.h"

#include <charconv>

#include <xxhash.h>

#include "base/coding.h"
#include "base/rfc3339.h"

namespace expirer {
namespace {

void AppendJobName(std::string_view rule, std::string_view key, std::string* out) {
  AppendPercentEncoded(rule, out);
  out->push_back('/');
  AppendPercentEncoded(key, out);
}

void AppendSource(uint64_t source, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) out->push_back(kHex[source >> shift & 15]);
}

void AppendMsgId(const FiredNames& names, std::string_view stream, const JobView& job,
                 std::string* out) {
  const bool plain = job.id_form == IdForm::kPlain;
  if (!plain) {
    AppendPercentEncoded(names.service, out);
    out->push_back('/');
  }
  AppendJobName(names.first, job.key, out);
  out->push_back('/');
  out->append(std::to_string(job.due_ms));
  if (plain) return;
  out->push_back('/');
  AppendSource(
      job.id_form == IdForm::kGiven ? job.id_source : SourceHash(stream, job.source),
      out);
}

}  // namespace

uint64_t SourceHash(std::string_view stream, const Position& position) {
  const uint64_t of_stream = XXH3_64bits(stream.data(), stream.size());
  std::string bytes;  // eight at a time: they need no allocation
  PutBig64(&bytes, position.seq);
  const uint64_t of_seq = XXH3_64bits_withSeed(bytes.data(), bytes.size(), of_stream);
  bytes.clear();
  PutBig64(&bytes, static_cast<uint64_t>(position.time_ns));
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), of_seq);
}

std::string SourceText(uint64_t source) {
  std::string text;
  AppendSource(source, &text);
  return text;
}

std::optional<uint64_t> ParseSourceText(std::string_view text) {
  uint64_t source = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, source, 16);
  if (error != std::errc() || stop != end || SourceText(source) != text) return {};
  return source;
}

std::string MsgId(const FiredNames& names, std::string_view stream, const JobView& job) {
  std::string id;
  AppendMsgId(names, stream, job, &id);
  return id;
}

const std::vector<std::pair<std::string_view, std::string_view>>& FiredHeaders::Build(
    const FiredNames& names, std::string_view stream, const JobView& job,
    uint64_t attempt) {
  job_name_.clear();
  AppendJobName(names.now, job.key, &job_name_);
  msg_id_.clear();
  AppendMsgId(names, stream, job, &msg_id_);
  due_ = FormatRfc3339Ms(job.due_ms);
  attempt_ = std::to_string(attempt);
  headers_.clear();
  headers_.emplace_back("Nats-Msg-Id", msg_id_);
  headers_.emplace_back("Expirer-Job", job_name_);
  headers_.emplace_back("Expirer-Due", due_);
  headers_.emplace_back("Expirer-Attempt", attempt_);
  headers_.insert(headers_.end(), job.headers.begin(), job.headers.end());
  return headers_;
}

}  // namespace expirer
