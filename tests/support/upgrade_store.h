// The store of tests/upgrade: what a binary of commit 73155ef left, with the
// JetStream of the server beside it; tests/upgrade/make tells how.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace expirer::test {

// Makes `dir`/store and `dir`/jetstream. From the root of the source tree.
inline void UnpackOldStore(const std::string& dir) {
  const std::string command = "tar -xzf tests/upgrade/store.tar.gz -C " + dir;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

inline std::string OldStoreFile(const std::string& name) {
  std::ifstream file("tests/upgrade/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}
// What that binary's `store dump` said, and its rules.
inline std::string OldDump() { return OldStoreFile("dump.jsonl"); }
inline std::string OldRules() { return OldStoreFile("store.yaml"); }

}  // namespace expirer::test
