// Traces run in the test's own process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config.h"
#include "replay/files.h"
#include "replay/replayer.h"
#include "support/temp_dir.h"

namespace expirer {

struct Ran {
  std::string fires;  // the lines
  ReplaySummary summary;
};

// The rules of a file; the built-in ones for "".
inline Config ConfigOf(const std::string& path) {
  if (path.empty()) return DefaultConfig();
  ConfigResult result = ParseConfig(ReadWhole(path), path);
  EXPECT_THAT(result.errors, testing::IsEmpty());
  EXPECT_THAT(result.warnings, testing::IsEmpty());
  return std::move(result.config);
}

inline ReplayOptions OptionsOf(const Config& config, const std::string& store) {
  ReplayOptions options;
  options.store = store;
  options.scheduler = config.core;
  options.job_limits = config.job_limits();
  return options;
}

// All of it, until nothing is pending.
inline Ran RunTrace(const Config& config, const std::vector<TraceLine>& trace,
                    int64_t until_ms = kNoEnd) {
  const TempDir dir;
  Ran ran;
  ReplayOptions options = OptionsOf(config, dir.path() + "/store");
  options.until_ms = until_ms;
  options.on_fire = [&ran](const Fire& fire) {
    AppendFire(fire, &ran.fires);
    ran.fires += '\n';
  };
  Replayer replayer(std::move(options), config.rules);
  for (const TraceLine& line : trace) {
    const auto taken = replayer.Take(line);
    EXPECT_TRUE(taken.ok()) << taken.status();
    if (!taken.ok() || !*taken) break;
  }
  const absl::Status finished = replayer.Finish();
  EXPECT_TRUE(finished.ok()) << finished;
  ran.summary = replayer.summary();
  return ran;
}

// The lines of a text, numbered as a file's.
inline std::vector<TraceLine> TraceOf(const std::vector<std::string>& texts) {
  std::vector<TraceLine> lines;
  uint64_t seq = 0;
  for (const std::string& text : texts) {
    lines.push_back(ParsedTraceLine(text));
    lines.back().number = lines.size();
    if (lines.back().seq == 0) lines.back().seq = ++seq;
  }
  return lines;
}

}  // namespace expirer
