// The scenarios, and what each of them needs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "load/events.h"
#include "load/expirer_process.h"
#include "load/link.h"
#include "load/report.h"

namespace expirer::load {

struct Options {
  std::string url;               // of the server
  std::string expirer;           // path of the binary
  std::string fill_tool;         // likewise
  std::string dir;               // for stores
  int64_t timeout_ms = 180'000;  // of each wait
};

// Streams and a store of one run, gone with this object.
class Stage {
 public:
  // `label` tells this run's names from others'; all `rules` read the same events.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Stage>> Set(
      const Options& options, const std::string& label, uint64_t rules = 1);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  [[nodiscard]] Link& link() { return *link_; }
  [[nodiscard]] const ServeSetup& setup() const { return setup_; }
  [[nodiscard]] const std::string& in() const { return in_; }    // stream of the events
  [[nodiscard]] const std::string& out() const { return out_; }  // stream of the targets
  // A further stream with this subject, gone with the stage, too; `more` as of Link.
  [[nodiscard]] absl::StatusOr<std::string> AddStream(const std::string& suffix,
                                                      const std::string& subject,
                                                      std::string_view more = "");
  // Before StartExpirer: how long closed keys are kept, and further rules.
  [[nodiscard]] absl::Status Configure(const std::string& history,
                                       const std::string& more_rules);

  // Begins a life of the service; the one before must have ended.
  [[nodiscard]] absl::Status StartExpirer();
  // REQUIRES: StartExpirer.
  [[nodiscard]] ExpirerProcess& expirer() { return *expirer_; }

  [[nodiscard]] absl::Status PublishEvents(const Jobs& jobs);
  // Each waits as long as the options allow, and while the service lives.
  [[nodiscard]] absl::Status AwaitReady();
  // Until the service has acked every event; `started_ns`, if not null, gets
  // the moment (steady clock) before which nothing had been delivered.
  [[nodiscard]] absl::Status AwaitAcked(int64_t* started_ns);
  // Until the target stream holds `count` messages and the status file tells
  // of as many confirmed; returns that status.
  [[nodiscard]] absl::StatusOr<std::string> AwaitFired(uint64_t count);
  [[nodiscard]] absl::Status Check(FireCheck* check);

 private:
  explicit Stage(const Options& options) : options_(options) {}
  using Done = std::function<absl::StatusOr<bool>()>;
  [[nodiscard]] absl::Status Poll(const std::string& what, int64_t every_ms,
                                  const Done& done);
  // One for each rule.
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> ServiceConsumers();

  const Options options_;
  ServeSetup setup_;
  std::string in_;
  std::string out_;
  std::vector<std::string> streams_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<ExpirerProcess> expirer_;
};

// Makes the stage's store with so many pending jobs; `ids` as of fill_tool.
[[nodiscard]] absl::Status Fill(const Options& options, const ServeSetup& setup,
                                uint64_t pending, const std::string& ids);

[[nodiscard]] int64_t SteadyNs();
[[nodiscard]] int64_t WallMs();
// Sleeps until the host's clock shows it.
void SleepUntilWall(int64_t wall_ms);

// Each fills `report`; an error means that it could not be carried out.
[[nodiscard]] absl::Status Ingest(const Options& options, uint64_t jobs, Ids ids,
                                  Report* report);
[[nodiscard]] absl::Status Storm(const Options& options, uint64_t jobs, Report* report);
[[nodiscard]] absl::Status Steady(const Options& options, uint64_t rate, uint64_t seconds,
                                  bool feed, Report* report);
[[nodiscard]] absl::Status CatchUp(const Options& options, uint64_t rules,
                                   uint64_t events, Report* report);
[[nodiscard]] absl::Status Asking(const Options& options, uint64_t pending,
                                  Report* report);
[[nodiscard]] absl::Status Restart(const Options& options, uint64_t pending,
                                   Report* report);

struct SoakSetup {
  uint64_t rules = 6;                      // that have a backlog,
  uint64_t events = 500'000;               // of so many events
  uint64_t minutes = 10;                   // after it was read
  uint64_t seed = std::random_device()();  // of keys, and of when it is killed
  std::string series;  // a file for a line of JSON a second; "" = none
};
[[nodiscard]] absl::Status RunSoak(const Options& options, const SoakSetup& setup,
                                   Report* report);

}  // namespace expirer::load
