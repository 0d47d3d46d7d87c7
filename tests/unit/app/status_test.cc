#include "app/status.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/view.h"
#include "support/temp_dir.h"
#include "support/volume.h"

namespace expirer {
namespace {

using ::testing::HasSubstr;

// The value at a path of members, as JSON.
std::string At(const std::string& json, std::initializer_list<std::string_view> path) {
  std::string text = json;
  for (const std::string_view name : path) {
    const auto members = JsonMembers(text);
    EXPECT_TRUE(members.ok()) << members.status() << " in " << text;
    std::string found = "(none)";
    if (members.ok())
      for (const auto& [member, value] : *members)
        if (member == name) found = std::string(value.raw);
    text = found;
  }
  return text;
}

Status Example() {
  Status status;
  status.pid = 42;
  status.version = "1.2.3";
  status.name = "shop";
  status.store = "/data \"x\"";
  status.now_ms = 1'800'000'060'000;
  status.mono_ms = 500'000;
  status.beat_mono_ms = 499'900;
  status.ready = true;
  status.sizes.disk_bytes = 1'234;
  status.disk_free_bytes = 99;
  Stats& stats = status.stats;
  stats.rules["a"] = {3, 1, 2, 4};
  stats.rules["b"] = {4, 0, 0, 0};
  stats.oldest_due_ms = 1'800'000'000'000;
  stats.overdue.jobs = {1, 0, 2, 3, 0};
  for (int64_t ms = 1; ms <= 100; ++ms) stats.sent_late_ms.Add(ms);
  return status;
}

TEST(StatusFile, HasTheNumbersAPersonAsksForFirst) {
  const std::string text = FormatStatus(Example());
  EXPECT_EQ(At(text, {"pending"}), "7");
  EXPECT_EQ(At(text, {"retrying"}), "1");
  EXPECT_EQ(At(text, {"oldest_overdue_ms"}), "60000");
  EXPECT_EQ(At(text, {"overdue"}),
            R"({"0s":1,"1s":0,"10s":2,"1m":3,"10m":0,"more":false})");
  EXPECT_EQ(At(text, {"lateness_ms", "sent", "count"}), "100");
  EXPECT_EQ(At(text, {"lateness_ms", "sent", "max"}), "100");
  EXPECT_EQ(At(text, {"disk_bytes"}), "1234");
  EXPECT_EQ(At(text, {"dead"}), "2");
  EXPECT_EQ(At(text, {"rejected"}), "4");
  EXPECT_EQ(At(text, {"store"}), R"("/data \"x\"")");
  EXPECT_EQ(At(text, {"rules", "b", "pending"}), "4");
  EXPECT_EQ(At(text, {"metrics"}), R"("")");
}

TEST(StatusFile, OfAnEmptyStoreIsAllZeroes) {
  const std::string text = FormatStatus(Status{});
  EXPECT_EQ(At(text, {"pending"}), "0");
  EXPECT_EQ(At(text, {"oldest_overdue_ms"}), "0");
  EXPECT_EQ(At(text, {"lateness_ms", "acked", "p99"}), "0");
}

TEST(StatusFile, IsItsOwnersAloneAndFollowsALink) {
  const TempDir dir;
  const std::string path = dir.path() + "/status.json";
  const std::string real = dir.path() + "/real";
  std::filesystem::create_symlink("real", path);
  const mode_t before = umask(0);
  EXPECT_TRUE(WriteStatusFile(path, Example()).ok());
  umask(before);
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_EQ(std::filesystem::status(real).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  RemoveStatusFile(path);
  EXPECT_FALSE(std::filesystem::exists(real));
}

TEST(StatusFile, OfAStartIsTheShortForm) {
  Status status = Example();
  status.starting = true;
  const std::string text = FormatStatus(status);
  EXPECT_EQ(text, FormatShortStatus(status));
  EXPECT_EQ(At(text, {"pid"}), "42");
  EXPECT_EQ(At(text, {"pending"}), "(none)") << "nothing is known of the jobs";
}

TEST(StatusFile, OnAFullVolumeIsWrittenIntoTheOldOnesPlace) {
  const TempDir dir;
  const Volume volume(dir.path(), "size=1m,nr_inodes=20");
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  const std::string path = dir.path() + "/status.json";
  Status status = Example();
  ASSERT_TRUE(WriteStatusFile(path, status).ok());
  volume.TakeBytes(2);
  volume.TakeInodes();
  status.beat_mono_ms = status.mono_ms = 900'000;
  status.ready = false;
  status.not_ready_why = "no room";
  const auto expect_told = [&] {
    EXPECT_TRUE(ReadHealth(path, 900'000).live);
    EXPECT_EQ(ReadHealth(path, 900'000).why, "no room");
  };
  ASSERT_TRUE(WriteStatusFile(path, status).ok());
  expect_told();
  const auto size = std::filesystem::file_size(path);
  for (int rule = 0; rule < 100; ++rule) status.stats.rules[std::to_string(rule)];
  ASSERT_TRUE(WriteStatusFile(path, status).ok());
  expect_told();
  EXPECT_EQ(std::filesystem::file_size(path), size) << "the whole one has no room";
  EXPECT_FALSE(std::filesystem::exists(path + ".next"));
  EXPECT_FALSE(WriteStatusFile(dir.path() + "/other", status).ok());
  volume.Release();
  ASSERT_TRUE(WriteStatusFile(path, status).ok());
  expect_told();
  EXPECT_GT(std::filesystem::file_size(path), size);
}

// As a device is, which a test must not put at risk.
TEST(StatusFile, AFifoIsWrittenThroughAndNotWaitedFor) {
  const TempDir dir;
  const std::string path = dir.path() + "/status.json";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(WriteStatusFile(path, Example()).ok()) << "nobody reads";
  const int reader = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  EXPECT_TRUE(WriteStatusFile(path, Example()).ok());
  RemoveStatusFile(path);
  EXPECT_TRUE(std::filesystem::is_fifo(path));
  close(reader);
}

TEST(Health, IsLiveByTheCoresLastTurnAndReadyByItsWord) {
  Status status = Example();
  EXPECT_TRUE(HealthOf(status, 501'000).live);
  EXPECT_TRUE(HealthOf(status, 501'000).ready);
  status.ready = false;
  status.not_ready_why = "draining";
  EXPECT_TRUE(HealthOf(status, 501'000).live);
  EXPECT_FALSE(HealthOf(status, 501'000).ready);
  EXPECT_EQ(HealthOf(status, 501'000).why, "draining");
  EXPECT_TRUE(HealthOf(status, 499'900 + kBeatMaxMs).live);
  const Health silent = HealthOf(status, 499'901 + kBeatMaxMs);
  EXPECT_FALSE(silent.live || silent.ready);
  EXPECT_THAT(silent.why, HasSubstr("process 42 has given no sign of life for 15001 ms"));
  EXPECT_FALSE(HealthOf(status, 499'000).live) << "the host started anew";
}

TEST(Health, OfTheFileIsThatOfTheStatusInIt) {
  const TempDir dir;
  const std::string path = dir.path() + "/status.json";
  EXPECT_THAT(ReadHealth(path, 0).why, HasSubstr("no status file"));
  Status status = Example();
  ASSERT_TRUE(WriteStatusFile(path, status).ok());
  EXPECT_TRUE(ReadHealth(path, 501'000).ready);
  EXPECT_FALSE(ReadHealth(path, 600'000).live);
  status.ready = false;
  status.not_ready_why = "not connected to NATS";
  ASSERT_TRUE(WriteStatusFile(path, status).ok());
  EXPECT_TRUE(ReadHealth(path, 501'000).live);
  EXPECT_EQ(ReadHealth(path, 501'000).why, "not connected to NATS");
  std::ofstream(path) << "{\"half\":";
  EXPECT_THAT(ReadHealth(path, 501'000).why, HasSubstr("is not a status file"));
}

}  // namespace
}  // namespace expirer
