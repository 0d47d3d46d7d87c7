#include "net/micro.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/stopwatch.h"
#include "job/rules.h"
#include "json/places.h"
#include "json/writer.h"
#include "net/random_id.h"
#include "net/requests.h"

namespace expirer {
namespace {

// What STATS tells of an endpoint's last error.
constexpr size_t kLastErrorMax = 200;

// A header's value is one line of printable ASCII.
std::string HeaderText(std::string_view text) {
  std::string out;
  for (const char c : text) out.push_back(c >= 0x20 && c < 0x7F ? c : '?');
  return out;
}

}  // namespace

// A server of another cluster puts a prefix of three tokens before the reply subject.
bool MayReplyTo(std::string_view subject, const std::string& service,
                const std::vector<std::string>& filters) {
  if (subject.starts_with("_GR_."))
    for (int token = 0; token < 3; ++token)
      subject.remove_prefix(std::min(subject.find('.'), subject.size() - 1) + 1);
  if (subject.starts_with("_INBOX.") || subject.starts_with("_R_.")) return true;
  return !subject.empty() && !subject.starts_with('$') &&
         !SubjectsOverlap(service + ".>", subject) &&
         std::none_of(filters.begin(), filters.end(), [subject](const std::string& f) {
           return SubjectsOverlap(f, subject);
         });
}

std::string ErrorJson(int code, std::string_view message) {
  return JsonObject("error", JsonObject("code", code, "message", message));
}

ServiceIdentity ReadPing(std::string_view json) {
  ServiceIdentity of;
  (void)ReadPlaces(json, {{"/id", &of.id}, {"/metadata/store", &of.store_id}});
  return of;
}

Micro::Micro(Options options, Connection* connection)
    : options_(std::move(options)),
      connection_(connection),
      id_(RandomId()),
      started_(FormatRfc3339Ms(SystemClock().NowMs())) {}

void Micro::AddEndpoint(const std::string& name, const std::string& subject,
                        Handler handler) {
  endpoints_.push_back({name, subject, std::move(handler)});
}

void Micro::Listen() {
  {
    MutexLock lock(&mutex_);
    counts_.resize(endpoints_.size());
  }
  for (size_t i = 0; i < endpoints_.size(); ++i)
    connection_->Subscribe(endpoints_[i].subject, kQueueGroup, kPendingMax,
                           [this, i](const Delivery& d) { OnRequest(i, d); });
  const auto serve = [this](const std::string& verb,
                            std::string (Micro::*answer)() const) {
    const std::string all = "$SRV." + verb;
    const std::string named = all + "." + options_.name;
    for (const std::string& subject : {all, named, named + "." + id_}) {
      connection_->Subscribe(subject, "", kPendingMax, [this, answer](const Delivery& d) {
        if (d.reply().empty()) return;
        (void)Send(std::string(d.reply()), "$SRV", 0, (this->*answer)());
        connection_->Flush();
      });
    }
  };
  serve("PING", &Micro::PingJson);
  serve("INFO", &Micro::InfoJson);
  serve("STATS", &Micro::StatsJson);
}

void Micro::OnRequest(size_t endpoint, const Delivery& delivery) {
  Caller caller{std::string(delivery.reply()), endpoint, MonotonicNs()};
  const int64_t max_payload = connection_->max_payload();
  if (max_payload > 0) caller.bytes_max = static_cast<size_t>(max_payload);
  endpoints_[endpoint].handler(std::move(caller), delivery.payload());
}

Connection::Sent Micro::SendError(const std::string& reply, int code,
                                  const std::string& text) {
  const std::string number = std::to_string(code);
  const std::string header = HeaderText(text);
  const std::string body = ErrorJson(code, text);
  const Connection::Sent sent = connection_->Publish(
      reply, "", {{"Nats-Service-Error-Code", number}, {"Nats-Service-Error", header}},
      body);
  // The body says all.
  if (sent == Connection::Sent::kNoHeaders) return connection_->Publish(reply, "", body);
  return sent;
}

int Micro::Send(const std::string& reply, std::string_view endpoint, int code,
                const std::string& body) {
  constexpr int kAtLimit = 429;
  constexpr size_t kTextShort = 100;
  if (!MayReplyTo(reply, options_.name, options_.no_replies_to)) {
    ++replies_refused_;
    LogGathered(Level::kWarn,
                "a request asked for its reply on a subject that is not for replies: it "
                "is not answered",
                "", "", {{"endpoint", endpoint}, {"reply", reply}});
    return code;
  }
  const Connection::Sent sent =
      code == 0 ? connection_->Publish(reply, "", body) : SendError(reply, code, body);
  if (sent == Connection::Sent::kOk) return code;
  ++replies_failed_;
  LogGathered(Level::kWarn, "a reply could not be sent", "",
              WhyNotSent(sent, "it exceeds the server's max_payload"),
              {{"endpoint", endpoint},
               {"bytes", body.size()},
               {"max_payload", connection_->max_payload()}});
  if (sent != Connection::Sent::kTooLarge) return code;
  std::string text = body.substr(0, kTextShort) + "...";
  if (code == 0) {
    code = kAtLimit;
    text = fmt::format(
        "the reply of {} bytes exceeds the server's max_payload of {}; what was asked "
        "for was done",
        body.size(), connection_->max_payload());
  }
  (void)SendError(reply, code, text);
  return code;
}

void Micro::Reply(const Caller& caller, int code, const std::string& body) {
  const int asked = code;
  if (!caller.reply.empty())
    code = Send(caller.reply, endpoints_[caller.endpoint].name, code, body);
  MutexLock lock(&mutex_);
  Count& count = counts_[caller.endpoint];
  ++count.requests;
  count.processing_ns += MonotonicNs() - caller.began_ns;
  if (code == 0) return;
  ++count.errors;
  count.last_error = fmt::format(
      "{}:{}", code, code == asked ? body.substr(0, kLastErrorMax) : "reply too large");
}

std::string Micro::Head(std::string_view type) const {
  return JsonWriter()
      .Add("type", fmt::format("io.nats.micro.v1.{}_response", type), "name",
           options_.name, "id", id_, "version", options_.version, "metadata",
           JsonObject("store", options_.store_id))
      .Take();
}

std::string Micro::PingJson() const {
  return JsonWriter().Object().Members(Head("ping")).Take();
}

std::string Micro::InfoJson() const {
  JsonWriter out;
  out.Object()
      .Members(Head("info"))
      .Add("description", options_.description)
      .Array("endpoints");
  for (const Endpoint& endpoint : endpoints_)
    out.Item(JsonObject("name", endpoint.name, "subject", endpoint.subject, "queue_group",
                        kQueueGroup, "metadata", JsonObject()));
  return out.Take();
}

std::string Micro::StatsJson() const {
  JsonWriter out;
  out.Object().Members(Head("stats")).Add("started", started_).Array("endpoints");
  const Json data{options_.data ? options_.data() : ""};
  MutexLock lock(&mutex_);
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const Count count = i < counts_.size() ? counts_[i] : Count();
    const auto requests = static_cast<int64_t>(count.requests);
    out.Object().Add("name", endpoints_[i].name, "subject", endpoints_[i].subject,
                     "queue_group", kQueueGroup, "num_requests", count.requests,
                     "num_errors", count.errors, "last_error", count.last_error,
                     "processing_time", count.processing_ns, "average_processing_time",
                     requests == 0 ? 0 : count.processing_ns / requests);
    if (endpoints_[i].name == "stats" && !data.text.empty()) out.Add("data", data);
    out.End();
  }
  return out.Take();
}

}  // namespace expirer
