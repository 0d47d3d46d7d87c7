// Deliberate faults for control tests: a test that guards a promise must fail
// when the promise is broken on purpose. faults.patch puts them into copies of the
// sources, only with -DEXPIRER_MUTANTS=ON; the environment variable EXPIRER_MUTANT
// then chooses one. Without that option every Mutant() is the constant false.
#pragma once

#include <string_view>

#ifdef EXPIRER_MUTANTS
#include <cstdlib>
#endif

namespace expirer {

#ifdef EXPIRER_MUTANTS
inline bool Mutant(std::string_view name) {
  static const char* const chosen = std::getenv("EXPIRER_MUTANT");
  return chosen != nullptr && name == chosen;
}
#else
constexpr bool Mutant(std::string_view) { return false; }
#endif

}  // namespace expirer
