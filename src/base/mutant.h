// Deliberate faults for control tests: a test that guards a promise must fail
// when the promise is broken on purpose. Compiled in only with
// -DEXPIRER_MUTANTS=ON and then chosen by the environment variable
// EXPIRER_MUTANT; otherwise every Mutant() is the constant false.
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
