// Files that are there whole or not at all, and their part where that is wanted.
#include "app/out_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_dir.h"

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class OutFileTest : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] std::string Text(const std::string& name) const {
    std::ifstream file(dir_.path() + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const TempDir dir_;
  const std::string path_ = dir_.path() + "/out";
};

TEST_F(OutFileTest, IsThereOnceCommitted) {
  {
    OutFile file(path_);
    ASSERT_TRUE(file.Open().ok());
    file.Write("text");
    EXPECT_EQ(Files().size(), 1u);
    EXPECT_EQ(Text("out"), "");
    ASSERT_TRUE(file.Commit().ok());
  }
  EXPECT_THAT(Files(), ElementsAre("out"));
  EXPECT_EQ(Text("out"), "text");
}

TEST_F(OutFileTest, LeavesNothingWithoutCommit) {
  {
    OutFile file(path_);
    ASSERT_TRUE(file.Open().ok());
    file.Write("text");
  }
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(OutFileTest, ALinkIsFollowedAlsoWhereItLeadsToNothingYet) {
  std::filesystem::create_symlink("middle", path_);
  std::filesystem::create_symlink(dir_.path() + "/real", dir_.path() + "/middle");
  for (const char* text : {"one", "two"}) {
    OutFile file(path_);
    ASSERT_TRUE(file.Open().ok());
    file.Write(text);
    ASSERT_TRUE(file.Commit().ok());
    EXPECT_THAT(Files(), ElementsAre("middle", "out", "real"));
    EXPECT_TRUE(std::filesystem::is_symlink(path_));
    EXPECT_EQ(Text("real"), text);
  }
}

// As a device is, which a test must not put at risk.
TEST_F(OutFileTest, AFifoIsWrittenThrough) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  std::filesystem::create_symlink(path_, dir_.path() + "/link");
  const int reader = open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  for (const char* name : {"out", "link"}) {
    OutFile file(dir_.path() + "/" + name);
    ASSERT_TRUE(file.Open().ok());
    file.Write("text");
    ASSERT_TRUE(file.Commit().ok());
    char got[10] = {};
    EXPECT_EQ(read(reader, got, sizeof got), 4);
    EXPECT_STREQ(got, "text");
    EXPECT_TRUE(std::filesystem::is_fifo(path_));
    EXPECT_THAT(Files(), ElementsAre("link", "out"));
  }
  close(reader);
}

TEST_F(OutFileTest, APrivateFileIsItsOwnersAloneWhateverTheUmask) {
  const mode_t before = umask(0);
  OutFile file(path_, FileAccess::kPrivate);
  ASSERT_TRUE(file.Open().ok());
  ASSERT_TRUE(file.Commit().ok());
  umask(before);
  EXPECT_EQ(std::filesystem::status(path_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(OutFileTest, KeepsAPartUnderANameOfItsOwn) {
  {
    OutFile file(path_);
    ASSERT_TRUE(file.Open().ok());
    file.Write("half");
    const auto name = file.CommitPart();
    ASSERT_TRUE(name.ok());
    EXPECT_EQ(*name, path_ + ".part");
  }
  EXPECT_THAT(Files(), ElementsAre("out.part"));
  EXPECT_EQ(Text("out.part"), "half");
}

TEST_F(OutFileTest, APartTakesNoOthersPlace) {
  std::string names;
  for (const char* text : {"one", "two", "three"}) {
    OutFile file(path_);
    ASSERT_TRUE(file.Open().ok());
    file.Write(text);
    names += file.CommitPart().value().substr(path_.size()) + " ";
  }
  EXPECT_EQ(names, ".part .part.2 .part.3 ");
  EXPECT_EQ(Text("out.part") + Text("out.part.2") + Text("out.part.3"), "onetwothree");
}

TEST_F(OutFileTest, KeepsNothingThatCouldNotBeWritten) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto was = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4'096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    OutFile file(path_);
    ASSERT_TRUE(file.Open().ok());
    for (int i = 0; i < 100; ++i) file.Write(std::string(1'000, 'x'));
    EXPECT_FALSE(file.good());
    EXPECT_EQ(Message(file.CommitPart().status()),
              path_ + ": writing failed: File too large");
    EXPECT_EQ(Message(file.Commit()), path_ + ": writing failed: File too large");
  }
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, was);
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(OutFileTest, StdoutThatCannotBeWrittenIsNamed) {
  std::fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(dup2(full, STDOUT_FILENO), 0);
  OutFile file("");
  ASSERT_TRUE(file.Open().ok());
  file.Write("\n");
  const absl::Status written = file.Commit();
  ASSERT_GE(dup2(kept, STDOUT_FILENO), 0);
  std::clearerr(stdout);
  close(full);
  close(kept);
  EXPECT_EQ(Message(written), "stdout: writing failed: No space left on device");
}

}  // namespace
}  // namespace expirer
