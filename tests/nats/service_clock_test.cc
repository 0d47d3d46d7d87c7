// The real service on a host whose clock is set forward for four seconds and back.
#ifdef EXPIRER_CLOCK_PRELOAD

#include <fcntl.h>
#include <unistd.h>

#include <functional>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;
constexpr size_t kOverdue = 40;
constexpr size_t kTriedAgain = 3;

constexpr const char* kConfig = R"(name: expirer
streams:
  - { name: EVENTS, subjects: ["paced", "again"] }
  - { name: FIRED, subjects: ["fired.>"] }
rules:
  - name: paced
    rate: 5
    schedule: { subject: paced, key: /id, due: /due }
    publish: { subject: fired.paced }
  - name: again
    schedule: { subject: again, key: /id, due: /due }
    retry: { initial: 1s, max: 2s }
    publish: { subject: absent.again }
)";

// The wall clock of the service, by tests/support/preload/clock.cc.
class HostClock {
 public:
  HostClock() : path_(dir_.path() + "/ahead_ns") { SetAhead(0); }
  void SetAhead(int64_t ns) const {
    const int fd = open(path_.c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(pwrite(fd, &ns, sizeof ns, 0), static_cast<ssize_t>(sizeof ns));
    close(fd);
  }
  [[nodiscard]] Environment Preload() const {
    return {{"LD_PRELOAD", EXPIRER_CLOCK_PRELOAD}, {"EXPIRER_TEST_CLOCK", path_}};
  }

 private:
  const TempDir dir_;
  const std::string path_;
};

// Overdue jobs that `rate` holds back, and jobs whose target is not there, come while
// the clock is an hour ahead, until `set_back`.
void WaitsForNoHour(const std::function<void(World*, const HostClock&)>& set_back) {
  const HostClock clock;
  World w({.config = kConfig, .environment = clock.Preload()});
  w.service().StartReady();
  const int64_t due_ms = NowMs() - 1'000;
  const auto event = [&](const std::string& subject, size_t i) {
    w.Publish(subject, R"({"id":")" + std::to_string(i) + R"(","due":)" +
                           std::to_string(due_ms) + "}");
  };
  clock.SetAhead(kHourNs);
  for (size_t i = 0; i < kOverdue; ++i) event("paced", i);
  for (size_t i = 0; i < kTriedAgain; ++i) event("again", i);
  ASSERT_TRUE(w.service().WaitCounter("retries", static_cast<int64_t>(kTriedAgain)));
  ASSERT_TRUE(w.WaitStored("fired.paced", 1, "FIRED"));
  set_back(&w, clock);
  EXPECT_TRUE(w.WaitStored("fired.paced", kOverdue, "FIRED"));
  w.client().CreateStream("ABSENT", {"absent.>"});
  EXPECT_TRUE(w.WaitStored("absent.again", kTriedAgain, "ABSENT"));
}

TEST(ServiceClock, OverdueAndRetryingJobsDoNotWaitOutAStepBack) {
  WaitsForNoHour([](World*, const HostClock& clock) { clock.SetAhead(0); });
}

TEST(ServiceClock, OverdueAndRetryingJobsDoNotWaitOutAStepBackWhileItWasDown) {
  WaitsForNoHour([](World* w, const HostClock& clock) {
    w->service().Kill9();
    clock.SetAhead(0);
    w->service().StartReady();
  });
}

}  // namespace
}  // namespace expirer::test

#endif
