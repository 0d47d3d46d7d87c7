// A World that is asked through the API.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "support/commands.h"
#include "unit/sched/world.h"

namespace expirer {

class ApiWorld : public World {
 public:
  using World::World;

  // Each takes a place; false when there is none.
  template <typename AnyRequest>
  bool Send(AnyRequest request) {
    std::unique_ptr<Command> command = std::make_unique<AnyRequest>(std::move(request));
    return Send(std::move(command));
  }
  bool Send(std::unique_ptr<Command> command) {
    if (!inbox_->TakePlace()) return false;
    command->caller = {"reply." + std::to_string(++asked_), 0, 0,
                       command->caller.bytes_max};
    inbox_->Ask(std::move(command));
    return true;
  }
  bool SendGet(const std::string& key, const std::string& rule = "r") {
    return Send(MakeJobCommand("get", rule, key));
  }
  bool SendCancel(const std::string& key, const std::string& rule = "r") {
    return Send(MakeJobCommand("cancel", rule, key));
  }
  // The body of the last reply; "" when none came since the last call.
  std::string LastBody() { return Last().body; }
  MemoryBus::Replied Last() {
    const auto& all = bus_->replied();
    if (all.size() == seen_) return {};
    seen_ = all.size();
    return all.back();
  }
  // Each runs the world until it is answered.
  std::string Get(const std::string& key) {
    EXPECT_TRUE(SendGet(key));
    Run();
    return LastBody();
  }
  // cancelled, too_late or unknown.
  std::string Outcome(const std::string& key, const std::string& rule = "r") {
    EXPECT_TRUE(SendCancel(key, rule));
    Run();
    const std::string body = LastBody();
    const std::string before = "\"outcome\":\"";
    const size_t at = body.find(before);
    if (at == body.npos) return body;
    const size_t from = at + before.size();
    return body.substr(from, body.find('"', from) - from);
  }
  std::string Stored(const std::string& key) {
    const auto state = State(key);
    return state ? std::string(Name(*state)) : "none";
  }
  // A process dies and another begins.
  void Restart(int64_t down_ms = 100, bool catch_up = true) {
    Stop();
    clock_.Advance(down_ms);
    seen_ = 0;
    Start(catch_up);
  }

 private:
  int asked_ = 0;
  size_t seen_ = 0;
};

}  // namespace expirer
