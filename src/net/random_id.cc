#include "net/random_id.h"

#include <sys/random.h>

#include "base/check.h"

namespace expirer {

std::string RandomId(size_t letters) {
  constexpr char kLetters[] =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string id;
  while (id.size() < letters) {
    unsigned char bytes[64];
    CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    for (const unsigned char byte : bytes) {
      // 248 = 4 x 62: bytes from there on would favour the first letters.
      if (byte < 248 && id.size() < letters) id += kLetters[byte % 62];
    }
  }
  return id;
}

}  // namespace expirer
