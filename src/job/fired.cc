#include "job/fired.h"

#include "base/rfc3339.h"
#include "job/template.h"

namespace expirer {
namespace {

void AppendJobName(std::string_view rule, std::string_view key, std::string* out) {
  AppendPercentEncoded(rule, out);
  out->push_back('/');
  AppendPercentEncoded(key, out);
}

}  // namespace

std::string MsgId(std::string_view rule, std::string_view key, int64_t due_ms) {
  std::string id;
  AppendJobName(rule, key, &id);
  id.push_back('/');
  return id.append(std::to_string(due_ms));
}

const std::vector<std::pair<std::string_view, std::string_view>>& FiredHeaders::Build(
    std::string_view rule, const JobView& job, uint64_t attempt) {
  job_name_.clear();
  AppendJobName(rule, job.key, &job_name_);
  msg_id_ = job_name_;
  msg_id_.push_back('/');
  msg_id_.append(std::to_string(job.due_ms));
  due_ = FormatRfc3339Ms(job.due_ms);
  attempt_ = std::to_string(attempt);
  headers_.clear();
  headers_.insert(headers_.end(), job.headers.begin(), job.headers.end());
  headers_.emplace_back("Nats-Msg-Id", msg_id_);
  headers_.emplace_back("Expirer-Job", job_name_);
  headers_.emplace_back("Expirer-Due", due_);
  headers_.emplace_back("Expirer-Attempt", attempt_);
  return headers_;
}

}  // namespace expirer
