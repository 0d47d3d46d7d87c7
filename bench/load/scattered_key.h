// Keys that stand all over a store and can be named again by their number.
#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

namespace expirer::load {

// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
// Number Generators, 2014): a bijection, so no two numbers share a key.
inline std::string ScatteredKey(uint64_t n) {
  uint64_t z = n + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return fmt::format("{:016x}-{:04x}-order-{:08x}", z, z & 0xffff, z >> 32);
}

}  // namespace expirer::load
