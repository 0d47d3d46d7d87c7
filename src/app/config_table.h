// The table of all keys of the config. Each has one row with its type, range,
// sentence, the variable that overrides it and the field that it fills; the field's
// initial value is the default. Reading a file, error messages, `config show`,
// overrides, the table in docs/rules.md and the schema of the chart's `config` are
// made from it. To add a key, add the field and a row in config_table.cc.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "app/config_key.h"

namespace expirer {

// All keys, in the recommended order of a file.
[[nodiscard]] std::span<const Key> ConfigKeys();
// The key at `path`, or null.
[[nodiscard]] const Key* FindKey(std::string_view path);
// The names of the keys directly under `parent` ("" = the top level), without
// those refused in this release.
[[nodiscard]] std::vector<std::string_view> KeysUnder(std::string_view parent);

}  // namespace expirer
