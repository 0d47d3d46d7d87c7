#include "faults/workload.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/store_dump.h"
#include "base/check.h"
#include "base/coding.h"
#include "sched/counts.h"
#include "store/meta.h"

namespace expirer {
namespace {

constexpr char kRule[] = "r";
constexpr Lane kFirst = 1;
constexpr Lane kRetry = 2;
constexpr int64_t kNowMs = 1'800'000'000'000;

std::string Varint(uint64_t value) {
  std::string out;
  PutVarint(&out, value);
  return out;
}

std::string KeyOf(uint64_t n) { return fmt::format("{:08x}", n * 0x9e3779b9U); }

Job JobOf(uint64_t n) {
  Job job;
  job.due_ms = kNowMs + static_cast<int64_t>(n * 7919 % 100'000);
  job.source = {1, 1, n, kNowMs * 1'000'000, {}};
  job.received_ms = job.stored_ms = kNowMs;
  job.key = KeyOf(n);
  job.target = "out";
  job.body = fmt::format("{:x}", n);
  job.body.resize(n * 131 % 1700, static_cast<char>('a' + n % 26));
  return job;
}

Register LiveOf(const Job& job, const JobKey& key) {
  Register reg;
  reg.state = key.lane == kFirst ? JobState::kPending : JobState::kRetrying;
  reg.schedule = Register::Schedule{job.source, job.due_ms};
  reg.job = key;
  reg.brief = BriefOf(job);
  return reg;
}

JobKey RowOf(uint64_t n) { return {kFirst, JobOf(n).due_ms, 2 * n}; }

void Schedule(uint64_t n, Counts* counts, WriteSet* set) {
  const Job job = JobOf(n);
  const Register reg = LiveOf(job, RowOf(n));
  set->PutJob(RowOf(n), EncodeJob(job));
  set->PutRegister(MakeId(kRule, job.key), EncodeRegister(reg));
  counts->Move(kRule, nullptr, &reg);
}

void Fire(uint64_t n, Counts* counts, WriteSet* set) {
  const Register from = LiveOf(JobOf(n), RowOf(n));
  Register to = from;
  to.state = JobState::kFired;
  to.brief.reset();
  to.times = Times{1, 2, 3, 4};
  to.expires_ms = kNowMs + 1'000'000;
  set->DeleteJob(RowOf(n));
  set->PutRegister(MakeId(kRule, KeyOf(n)), EncodeRegister(to));
  counts->Move(kRule, &from, &to);
}

void Retry(uint64_t n, Counts* counts, WriteSet* set) {
  Job job = JobOf(n);
  const Register from = LiveOf(job, RowOf(n));
  job.sends = 1;
  job.last_error = "no stream";
  const JobKey key{kRetry, job.due_ms + 1'000, 2 * n + 1};
  const Register to = LiveOf(job, key);
  set->DeleteJob(RowOf(n));
  set->PutJob(key, EncodeJob(job));
  set->PutRegister(MakeId(kRule, job.key), EncodeRegister(to));
  counts->Move(kRule, &from, &to);
}

void Reject(uint64_t n, Counts* counts, WriteSet* set) {
  Dead dead;
  dead.reason = "no key";
  dead.at_ms = kNowMs;
  dead.source = {1, 1, n, kNowMs, {}};
  dead.payload = std::string(n % 300, 'x');
  const std::string entry = EncodeDead(dead);
  set->PutDead(DeadRejectKey(kRule, dead.source), entry);
  counts->Add(kRule, &RuleCounts::rejected, +1);
  counts->AddDeadBytes(static_cast<int64_t>(entry.size()));
}

}  // namespace

StoreOptions OptionsOn(std::shared_ptr<rocksdb::FileSystem> files) {
  StoreOptions options;
  options.path = kStoreDir;
  options.file_system = std::move(files);
  options.memtable_bytes = 96 << 10;
  options.cache_bytes = 1 << 20;
  options.wal_bytes_max = 64 << 10;
  options.id_if_new = std::string(32, 'f');
  return options;
}

absl::Status WriteNumber(uint64_t n, Store* store) {
  Counts counts(UINT64_MAX);
  RETURN_IF_ERROR(counts.Load(*store));
  WriteSet set;
  if (n == 1) {
    set.PutMeta(std::string(kMetaLane) + kRule, Varint(kFirst));
    set.PutMeta(kMetaNextLane, Varint(3));
  }
  Schedule(n, &counts, &set);
  // Each older one has one turn at most: 3 of 10 fire, 1 is retried.
  if (n > 5 && n % 10 >= 5 && n % 10 <= 7) Fire(n - 5, &counts, &set);
  if (n % 10 == 8) Retry(n - 5, &counts, &set);
  if (n % 10 == 9) Reject(n, &counts, &set);
  set.PutMeta(kMetaNextSeq, Varint(2 * n + 2));
  counts.Stage(&set);
  return store->Write(&set);
}

absl::StatusOr<uint64_t> WritesIn(const Store& store) {
  std::string value;
  ASSIGN_OR_RETURN(const bool known, store.GetMeta(kMetaNextSeq, &value));
  return known ? Reader(value).Varint() / 2 - 1 : 0;
}

absl::StatusOr<std::string> DumpOf(const Store& store) {
  std::string text;
  RETURN_IF_ERROR(
      DumpStore(store, [&text](std::string_view piece) { text += piece; }).status());
  return text;
}

Model::Model(uint64_t writes) {
  const auto store = Store::Open(OptionsOn(std::make_shared<PageFs>()));
  CHECK(store.ok());
  for (uint64_t n = 0; n <= writes; ++n) {
    if (n > 0) CHECK(WriteNumber(n, store->get()).ok());
    const auto dump = DumpOf(**store);
    CHECK(dump.ok());
    dumps_.push_back(*dump);
  }
}

void NameRunning(const std::string& what) {
  static char running[256] = "";
  std::signal(SIGABRT, [](int) {
    std::fputs(running, stderr);
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  });
  const auto end = fmt::format_to_n(running, sizeof running - 2, "aborted at {}", what);
  *end.out = '\n';
  *(end.out + 1) = '\0';
}

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace expirer
