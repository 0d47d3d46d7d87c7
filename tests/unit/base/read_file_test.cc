#include "base/read_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "support/temp_dir.h"

namespace expirer {
namespace {

TEST(ReadFile, GivesEveryByteOfAFileLongerThanItsBuffer) {
  const TempDir dir;
  std::string bytes;
  for (int i = 0; i < 10'000; ++i) bytes += static_cast<char>(i);
  std::ofstream(dir.path() + "/f", std::ios::binary) << bytes;
  const auto text = ReadFile(dir.path() + "/f");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, bytes);
}

TEST(ReadFile, OfADirectoryOrAFileThatIsNotThereSaysWhy) {
  const TempDir dir;
  EXPECT_EQ(Message(ReadFile(dir.path()).status()),
            dir.path() + " cannot be read: Is a directory");
  EXPECT_EQ(Message(ReadFile(dir.path() + "/f").status()),
            dir.path() + "/f cannot be read: No such file or directory");
}

}  // namespace
}  // namespace expirer
