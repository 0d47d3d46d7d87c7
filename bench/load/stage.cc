#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {

using std::chrono::milliseconds;

int64_t SteadyNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t WallMs() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void SleepUntilWall(int64_t wall_ms) {
  std::this_thread::sleep_until(
      std::chrono::system_clock::time_point(milliseconds(wall_ms)));
}

absl::Status Fill(const Options& options, const ServeSetup& setup, uint64_t pending,
                  const std::string& ids) {
  // 30,000 a second and more are usual; 5,000 are waited for.
  return RunProgram(
      {options.fill_tool, "--store", setup.StorePath(), "--jobs", std::to_string(pending),
       "--rule", std::string(kRule), "--target", setup.target, "--ids", ids},
      options.timeout_ms + static_cast<int64_t>(pending / 5));
}

absl::StatusOr<std::unique_ptr<Stage>> Stage::Set(const Options& options,
                                                  const std::string& label,
                                                  uint64_t rules) {
  static int count = 0;
  const std::string id = fmt::format("load{}-{}", getpid(), ++count);
  auto stage = std::unique_ptr<Stage>(new Stage(options));
  ServeSetup& setup = stage->setup_;
  setup.binary = options.expirer;
  setup.dir = options.dir + "/" + label + "-" + id;
  setup.url = options.url;
  setup.name = id;
  setup.subject = id + "-in.created";
  setup.target = id + "-out.due";
  setup.rules = rules;
  RETURN_IF_ERROR(WriteConfig(setup));
  ASSIGN_OR_RETURN(stage->link_, Link::Connect(options.url));
  ASSIGN_OR_RETURN(stage->in_, stage->AddStream("IN", id + "-in.>"));
  ASSIGN_OR_RETURN(stage->out_, stage->AddStream("OUT", id + "-out.>"));
  return stage;
}

Stage::~Stage() {
  expirer_.reset();
  for (const std::string& stream : streams_) link_->DeleteStream(stream);
  std::error_code ignored;
  std::filesystem::remove_all(setup_.dir, ignored);
}

absl::StatusOr<std::string> Stage::AddStream(const std::string& suffix,
                                             const std::string& subject,
                                             std::string_view more) {
  const std::string name = setup_.name + "-" + suffix;
  RETURN_IF_ERROR(link_->CreateStream(name, subject, more));
  streams_.push_back(name);
  return name;
}

absl::Status Stage::Configure(const std::string& history, const std::string& more_rules) {
  setup_.history = history;
  setup_.more_rules = more_rules;
  return WriteConfig(setup_);
}

absl::Status Stage::PublishEvents(const Jobs& jobs) {
  return link_->PublishAll(jobs.count(), 4'096, [&](uint64_t n, OutMessage* message) {
    message->subject = setup_.subject;
    message->payload = jobs.Payload(n);
  });
}

absl::Status Stage::StartExpirer() {
  ASSIGN_OR_RETURN(expirer_, ExpirerProcess::Start(setup_));
  return absl::OkStatus();
}

absl::Status Stage::Poll(const std::string& what, int64_t every_ms, const Done& done) {
  const int64_t until_ns = SteadyNs() + options_.timeout_ms * 1'000'000;
  while (SteadyNs() < until_ns) {
    ASSIGN_OR_RETURN(const bool came, done());
    if (came) return absl::OkStatus();
    if (expirer_ != nullptr) RETURN_IF_ERROR(expirer_->Alive());
    std::this_thread::sleep_for(milliseconds(every_ms));
  }
  const std::string log = expirer_ != nullptr ? expirer_->LogTail() : "";
  return Unavailable(fmt::format("no {} in {} ms; {}", what, options_.timeout_ms, log));
}

absl::Status Stage::AwaitReady() {
  return Poll("ready service", 1, [&]() -> absl::StatusOr<bool> {
    return JsonRaw(expirer_->StatusText(), "/ready") == "true";
  });
}

absl::StatusOr<std::vector<std::string>> Stage::ServiceConsumers() {
  std::vector<std::string> names;
  RETURN_IF_ERROR(Poll("consumers of the service", 1, [&]() -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(names, link_->Consumers(in_));
    return names.size() >= setup_.rules;
  }));
  if (names.size() > setup_.rules)
    return Internal("the events' stream has further consumers");
  return names;
}

absl::Status Stage::AwaitAcked(int64_t* started_ns) {
  ASSIGN_OR_RETURN(const std::vector<std::string> consumers, ServiceConsumers());
  int64_t before_ns = SteadyNs();
  const auto delivered = [&]() -> absl::StatusOr<bool> {
    const int64_t now_ns = SteadyNs();
    ASSIGN_OR_RETURN(const ConsumerState state, link_->Consumer(in_, consumers[0]));
    if (state.delivered > 0) return true;
    before_ns = now_ns;
    return false;
  };
  RETURN_IF_ERROR(Poll("first delivery", 1, delivered));
  if (started_ns != nullptr) *started_ns = before_ns;
  return Poll("ack of every event", 5, [&]() -> absl::StatusOr<bool> {
    for (const std::string& consumer : consumers) {
      ASSIGN_OR_RETURN(const ConsumerState state, link_->Consumer(in_, consumer));
      if (!state.Done()) return false;
    }
    return true;
  });
}

absl::StatusOr<std::string> Stage::AwaitFired(uint64_t count) {
  RETURN_IF_ERROR(Poll(fmt::format("{} fires", count), 50, [&]() -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const uint64_t messages, link_->Messages(out_));
    return messages >= count;
  }));
  std::string status;
  RETURN_IF_ERROR(Poll("status of all fires", 50, [&]() -> absl::StatusOr<bool> {
    status = expirer_->StatusText();
    return JsonWhole(status, "/counters/fired") >= count;
  }));
  return status;
}

absl::Status Stage::Check(FireCheck* check) {
  return link_->ReadAll(out_, [check](const InMessage& message) {
    check->Add(message.msg_id, message.payload, message.time_ns);
  });
}

}  // namespace expirer::load
