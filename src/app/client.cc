#include "app/client.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "json/places.h"

namespace expirer {
namespace {

constexpr size_t kErrorsMax = 16;
constexpr int64_t kStopPollMs = 100;

// What an error reply says; OK for any other reply.
absl::Status ErrorOf(const std::string& reply) {
  std::string number;
  std::string why;
  if (const absl::Status read =
          ReadPlaces(reply, {{"/error/code", &number}, {"/error/message", &why}});
      !read.ok())
    return Internal("the reply is no JSON: " + Message(read));
  if (number.empty()) return absl::OkStatus();
  if (why.empty()) why = "error " + number;
  if (number == "400") return Invalid(why);
  if (number == "404") return NotFound(why);
  return Refused(why);
}

}  // namespace

Client::Client(ConnectionOptions options, std::string service, int64_t timeout_ms)
    : service_(std::move(service)), timeout_ms_(timeout_ms) {
  options.name = "expirer-cli";
  Connection::Handlers handlers;
  handlers.up = [this] {
    MutexLock lock(&mutex_);
    up_ = true;
  };
  handlers.down = [this](const std::string&) { requests_->ConnectionLost(); };
  handlers.error = [this](const std::string& text) {
    MutexLock lock(&mutex_);
    if (errors_.size() < kErrorsMax) errors_.push_back(text);
  };
  handlers.tick = [this] { requests_->Tick(); };
  handlers.failed = [this](const std::string& why) {
    MutexLock lock(&mutex_);
    failure_ = why;
  };
  connection_ = std::make_unique<Connection>(std::move(options), "cli", handlers);
  requests_ = std::make_unique<Requests>(connection_.get());
  connection_->Start();
}

Client::~Client() { connection_->Stop(0); }

std::string Client::servers() const {
  std::string out;
  for (const std::string& server : connection_->options().servers) {
    if (!out.empty()) out += ",";
    out += server.substr(server.rfind('@') + 1);  // no password
  }
  return out;
}

std::vector<std::string> Client::errors() {
  MutexLock lock(&mutex_);
  return errors_;
}

absl::Status Client::Connect(bool (*stopped)()) {
  RETURN_IF_ERROR(CheckSecretFiles(connection_->options()));
  MutexLock lock(&mutex_);
  const auto up = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return up_; };
  for (int64_t left_ms = timeout_ms_; left_ms > 0; left_ms -= kStopPollMs) {
    if (mutex_.AwaitFor(std::min(left_ms, kStopPollMs), up)) return absl::OkStatus();
    if (stopped != nullptr && stopped())
      return MakeStatus(absl::StatusCode::kCancelled, "stopped");
  }
  return Unavailable(fmt::format("no connection to NATS at {} within {}{}", servers(),
                                 FormatDuration(timeout_ms_),
                                 failure_.empty() ? "" : ": " + failure_));
}

absl::StatusOr<std::string> Client::Call(const std::string& subject,
                                         const std::string& body) {
  return requests_->Call(subject, body, timeout_ms_);
}

void Client::Listen(const std::string& subject) {
  connection_->Subscribe(subject, [this](const Delivery& delivery) {
    MutexLock lock(&mutex_);
    if (!heard_) heard_ = std::string(delivery.payload());
  });
}

std::optional<std::string> Client::Heard(int64_t timeout_ms) {
  MutexLock lock(&mutex_);
  mutex_.AwaitFor(timeout_ms, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return heard_.has_value();
  });
  return heard_;
}

absl::StatusOr<std::string> Client::Ask(const std::string& endpoint,
                                        const std::string& body) {
  auto reply = Call(service_ + ".v1." + endpoint, body);
  if (!reply.ok()) {
    // Else it would look as if the service were away.
    for (const std::string& error : errors())
      if (error.starts_with("Permissions Violation"))
        return Refused("NATS does not let this user ask: " + error);
    return Unavailable(fmt::format(
        "no service called {} answers at {}: is it running, and is --name right? ({})",
        service_, servers(), Message(reply.status())));
  }
  RETURN_IF_ERROR(ErrorOf(*reply));
  return reply;
}

}  // namespace expirer
