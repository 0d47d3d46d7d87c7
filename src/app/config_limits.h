// What a config's values must keep towards its limits, and those towards the
// machine: each alone is fine, and together they can never work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/section.h"

namespace expirer {

// Reports rules whose every job would be beyond limits.horizon or over
// limits.payload, `late` that is never judged, and what else no event can satisfy.
// `rules` are the rules' sections, in their order. Returns warnings.
[[nodiscard]] std::vector<YamlIssue> CheckReach(const Config& config,
                                                const std::vector<Section>& rules);

// Reports limits whose entries would take more than `memory_bytes` when used up.
void CheckMemory(const Config& config, const Section& section, int64_t memory_bytes);

// What this process may use: the machine's memory or, where it is less, the
// container's. INT64_MAX where neither can be read.
[[nodiscard]] int64_t MemoryBytes();

// A warning where a volume of `volume_bytes` is smaller than four times
// limits.dead_bytes: bad messages alone could fill so much of it that limits.disk_free
// stops all input. Else empty.
[[nodiscard]] std::string WarnOfVolume(const Config& config, uint64_t volume_bytes);

// Of the volume that `path` is on, or will be on once its directories are made.
// UINT64_MAX where that cannot be read.
[[nodiscard]] uint64_t VolumeBytes(const std::string& path);

}  // namespace expirer
