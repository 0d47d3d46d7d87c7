#include "app/version.h"

#include <absl/base/config.h>
#include <fmt/format.h>
#include <spdlog/version.h>

#include "expirer_version.h"
#include "json/library.h"
#include "net/library.h"
#include "store/library.h"

namespace expirer {

std::string Version() { return kVersion; }
std::string Commit() { return kCommit; }

std::string VersionText() {
#ifdef ABSL_LTS_RELEASE_VERSION
  const int absl_release = ABSL_LTS_RELEASE_VERSION;
#else
  const int absl_release = 0;
#endif
#ifdef EXPIRER_MUTANTS
  const char* const mutants = "with the deliberate faults of control tests\n";
#else
  const char* const mutants = "";
#endif
#ifdef EXPIRER_HTTP
  const char* const http = "";
#else
  const char* const http = "without HTTP (metrics.listen)\n";
#endif
  return fmt::format(
      "expirer {}\ncommit {}\n{}\n{}\n{}\nAbseil {}\nfmt {}, spdlog {}.{}.{}\n{}{}",
      kVersion, kCommit, StoreLibrary(), NatsLibrary(), JsonLibrary(), absl_release,
      FMT_VERSION, SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH, http, mutants);
}

}  // namespace expirer
