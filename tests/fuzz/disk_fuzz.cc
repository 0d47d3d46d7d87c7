// Stored bytes of any kind: decoding never crashes, and what decodes is
// written and read back the same. The first byte says what the rest is read
// as: 0 job key, 1 job, 2 register, 3 dead entry, 4 write-ahead log (after it
// a byte: how many bytes of it are trusted).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "job/job.h"
#include "store/wal_scan.h"

namespace expirer {
namespace {

template <typename Decode, typename Encode>
void RoundTrip(std::string_view bytes, Decode decode, Encode encode) {
  const auto value = decode(bytes);
  if (!value.ok()) {
    CHECK(absl::IsDataLoss(value.status()));
    return;
  }
  const std::string written = encode(*value);
  const auto again = decode(written);
  CHECK(again.ok());
  CHECK(*again == *value);
  CHECK(encode(*again) == written);
}

void ScanLog(std::string_view bytes) {
  const uint64_t trusted = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(bytes.empty() ? 0 : 1);
  for (const auto of : {WalScan::Of::kLog, WalScan::Of::kManifest}) {
    WalScan scan(of, trusted);
    for (size_t at = 0;; at += WalScan::kBlockBytes)
      if (!scan.Block(bytes.substr(at, WalScan::kBlockBytes))) break;
    CHECK(scan.found().whole_bytes <= bytes.size());
  }
}

void Run(std::string_view input) {
  if (input.empty()) return;
  const std::string_view bytes = input.substr(1);
  switch (input[0]) {
    case 0:
      RoundTrip(
          bytes, [](std::string_view b) { return DecodeJobKey(b); },
          [](const JobKey& key) { return EncodeJobKey(key); });
      break;
    case 1:
      RoundTrip(
          bytes, [](std::string_view b) { return DecodeJob(b); },
          [](const Job& job) { return EncodeJob(job); });
      break;
    case 2:
      (void)ExpiresMs(bytes);
      RoundTrip(
          bytes, [](std::string_view b) { return DecodeRegister(b); },
          [](const Register& reg) { return EncodeRegister(reg); });
      break;
    case 3:
      RoundTrip(
          bytes, [](std::string_view b) { return DecodeDead(b); },
          [](const Dead& dead) { return EncodeDead(dead); });
      break;
    case 4: ScanLog(bytes); break;
    default: break;
  }
}

}  // namespace
}  // namespace expirer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expirer::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
