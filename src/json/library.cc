#include "json/library.h"

#include <simdjson.h>

namespace expirer {

std::string JsonLibrary() {
  return std::string("simdjson ") + SIMDJSON_STRINGIFY(SIMDJSON_VERSION) + " (" +
         simdjson::get_active_implementation()->name() + ")";
}

}  // namespace expirer
