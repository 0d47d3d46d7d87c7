// Checks values of a config against its limits, and the limits against the machine: each
// value alone is valid, but together they cannot work.
#pragma once

#include <cstdint>
#include <string>

#include "app/config.h"
#include "app/section.h"

namespace expirer {

// Reports a publish entry whose jobs could never fire, because each event of a schedule
// entry would be beyond limits.horizon, or each job too late. Warns if each job would
// fire at once. The sections are those of the entries.
void CheckReach(const Config& config, const Entry& entry, const Section& schedule,
                const Publish& publish, const Section& section);
// Reports a body over limits.payload, and a `late` that has no effect.
void CheckPublish(const Config& config, const Publish& publish, const Section& section);

// Reports limits whose entries would take more than `memory_bytes` if all were used.
void CheckMemory(const Config& config, const Section& section, int64_t memory_bytes);

// The memory that this process may use: the machine's, or the container's if that is
// less. INT64_MAX if neither can be read.
[[nodiscard]] int64_t MemoryBytes();

// A warning if a volume of `volume_bytes` is smaller than four times limits.dead_bytes:
// then bad messages alone could fill it until limits.disk_free stops all input. Otherwise
// empty.
[[nodiscard]] std::string WarnOfVolume(const Config& config, uint64_t volume_bytes);

// The size of the volume that `path` is on, or will be on once its directories are made.
// UINT64_MAX if that cannot be read.
[[nodiscard]] uint64_t VolumeBytes(const std::string& path);

}  // namespace expirer
