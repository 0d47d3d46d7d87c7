#include "app/store_dump.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "app/out_file.h"
#include "json/writer.h"
#include "sched/audit.h"
#include "store/meta.h"

namespace expirer {
namespace {

using Kind = DumpLine::Kind;

constexpr size_t kPieceBytes = 1 << 20;
// An ext4 volume has it from the beginning.
constexpr std::string_view kLostAndFound = "lost+found";

// What the head of a dump says.
bool IsHead(std::string_view meta) { return meta == kMetaFormat || meta == kMetaStoreId; }

uint64_t* CountOf(DumpCounts* counts, Kind kind) {
  switch (kind) {
    case Kind::kMeta: return &counts->meta;
    case Kind::kRegister: return &counts->registers;
    case Kind::kJob: return &counts->jobs;
    default: return &counts->dead;
  }
}

class Dumper {
 public:
  Dumper(const Store& store, const std::function<void(std::string_view)>& write)
      : store_(store), write_(write) {}

  absl::StatusOr<DumpCounts> Run() {
    AppendDumpHead(kFormatVersion, store_.id(), &piece_);
    piece_ += '\n';
    const auto entries = [this](Kind kind) {
      return [this, kind](std::string_view key, std::string_view value) {
        return Entry(kind, key, value);
      };
    };
    RETURN_IF_ERROR(store_.VisitMeta("", entries(Kind::kMeta)));
    RETURN_IF_ERROR(store_.VisitRegisters("", entries(Kind::kRegister)));
    RETURN_IF_ERROR(store_.VisitJobs(entries(Kind::kJob)));
    RETURN_IF_ERROR(store_.VisitDead("", entries(Kind::kDead)));
    AppendDumpEnd(counts_, &piece_);
    piece_ += '\n';
    write_(piece_);
    return counts_;
  }

 private:
  absl::Status Entry(Kind kind, std::string_view key, std::string_view value) {
    if (kind == Kind::kMeta && IsHead(key)) return absl::OkStatus();
    const absl::Status status = AppendDumpEntry(kind, key, value, &piece_);
    if (!status.ok())
      return Annotate(status,
                      "the entry with the key " + JsonQuoted(key) + " cannot be dumped");
    ++*CountOf(&counts_, kind);
    piece_ += '\n';
    if (piece_.size() >= kPieceBytes) {
      write_(piece_);
      piece_.clear();
    }
    return absl::OkStatus();
  }

  const Store& store_;
  const std::function<void(std::string_view)>& write_;
  std::string piece_;
  DumpCounts counts_;
};

// The lines of a file, one after the other.
class Lines {
 public:
  explicit Lines(const std::string& path)
      : name_(path == "-" ? "stdin" : path),
        file_(path == "-" ? stdin : std::fopen(path.c_str(), "rbe")) {}
  ~Lines() {
    if (file_ != nullptr && file_ != stdin) std::fclose(file_);
    std::free(buffer_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  // False at the end.
  absl::StatusOr<bool> Next(std::string_view* line) {
    if (file_ == nullptr)
      return NotFound(name_ + ": cannot be read: " + std::strerror(errno));
    ++number_;
    const ssize_t count = getline(&buffer_, &buffer_bytes_, file_);
    if (count < 0 && std::ferror(file_) != 0)
      return Internal(name_ + ": reading failed: " + std::strerror(errno));
    if (count < 0) return false;
    *line = std::string_view(buffer_, static_cast<size_t>(count));
    return true;
  }
  absl::Status Wrong(const std::string& what) const {
    return Invalid(fmt::format("{}:{}: {}", name_, number_, what));
  }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint64_t number() const { return number_; }

 private:
  const std::string name_;
  std::FILE* const file_;
  uint64_t number_ = 0;
  char* buffer_ = nullptr;  // of getline
  size_t buffer_bytes_ = 0;
};

// The directory a store is loaded into, and the one below it where it is built.
class Workplace {
 public:
  explicit Workplace(std::string dir) : dir_(std::move(dir)) {}
  ~Workplace() {
    std::error_code ignored;
    if (!built_.empty()) std::filesystem::remove_all(built_, ignored);
    if (made_ && !kept_) std::filesystem::remove(dir_, ignored);
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  absl::Status Prepare() {
    std::error_code failed;
    made_ = std::filesystem::create_directories(dir_, failed);
    if (failed)
      return Refused(fmt::format("{} cannot be made: {}", dir_, failed.message()));
    for (const auto& entry : std::filesystem::directory_iterator(dir_, failed))
      if (entry.path().filename() != kLostAndFound)
        return Refused(
            fmt::format("{} is not empty, it holds {}: a store is loaded into "
                        "an empty directory only",
                        dir_, entry.path().filename().string()));
    std::string name = dir_ + "/.loading-XXXXXX";
    if (failed || mkdtemp(name.data()) == nullptr)
      return Refused(fmt::format("{} is not writable: {}", dir_,
                                 failed ? failed.message() : std::strerror(errno)));
    built_ = std::move(name);
    return absl::OkStatus();
  }
  [[nodiscard]] const std::string& built() const { return built_; }

  // Moves the finished store to its place.
  absl::Status Commit() {
    constexpr std::string_view kCurrent = "CURRENT";
    RETURN_IF_ERROR(SyncDirectory(built_));
    for (const auto& entry : std::filesystem::directory_iterator(built_)) {
      const std::string name = entry.path().filename();
      // Of the process that built it.
      if (name == kCurrent || name == "LOCK" || name.starts_with("LOG")) continue;
      RETURN_IF_ERROR(MoveUp(name));
    }
    RETURN_IF_ERROR(SyncDirectory(dir_));
    RETURN_IF_ERROR(MoveUp(std::string(kCurrent)));
    kept_ = true;
    return SyncDirectory(dir_);
  }

 private:
  absl::Status MoveUp(const std::string& name) const {
    std::error_code failed;
    std::filesystem::rename(built_ + "/" + name, dir_ + "/" + name, failed);
    if (!failed) return absl::OkStatus();
    return Internal(
        fmt::format("{}/{}: cannot be moved: {}; empty the directory and load "
                    "again",
                    built_, name, failed.message()));
  }

  const std::string dir_;
  std::string built_;
  bool made_ = false;
  bool kept_ = false;
};

class Loader {
 public:
  explicit Loader(const LoadOptions& options)
      : options_(options), lines_(options.file), place_(options.dir) {}

  absl::StatusOr<DumpCounts> Run() {
    ASSIGN_OR_RETURN(const std::string id, ReadHead());
    RETURN_IF_ERROR(place_.Prepare());
    StoreOptions store;
    store.path = place_.built();
    store.id_if_new = id;
    ASSIGN_OR_RETURN(store_, Store::Open(store));
    RETURN_IF_ERROR(ReadEntries());
    RETURN_IF_ERROR(Flush());
    RETURN_IF_ERROR(store_->Sync());
    store_.reset();
    RETURN_IF_ERROR(CheckLoaded(std::move(store)));
    RETURN_IF_ERROR(place_.Commit());
    return counts_;
  }

 private:
  absl::StatusOr<std::string> ReadHead() {
    std::string_view text;
    ASSIGN_OR_RETURN(const bool more, lines_.Next(&text));
    if (!more) return lines_.Wrong("it is empty");
    const absl::StatusOr<DumpLine> head = ParseDumpLine(text);
    if (!head.ok()) return lines_.Wrong(Message(head.status()));
    if (head->kind != Kind::kHead)
      return lines_.Wrong("expected the first line of a dump");
    if (head->version > kDumpVersion || head->format > kFormatVersion)
      return lines_.Wrong(
          fmt::format("dump {} of format {} is from a newer version of expirer, this one "
                      "reads up to dump {} of format {}: load it with the newer one",
                      head->version, head->format, kDumpVersion, kFormatVersion));
    return head->store_id;
  }

  absl::Status ReadEntries() {
    std::string_view text;
    while (true) {
      ASSIGN_OR_RETURN(const bool more, lines_.Next(&text));
      if (!more) return lines_.Wrong("the dump is cut off: it has no last line");
      if (lines_.number() % 1024 == 0 && options_.stopped && options_.stopped())
        return Internal("interrupted: nothing was loaded");
      absl::StatusOr<DumpLine> line = ParseDumpLine(text);
      if (!line.ok()) return lines_.Wrong(Message(line.status()));
      if (line->kind == Kind::kHead) return lines_.Wrong("this is a second first line");
      if (line->kind == Kind::kEnd) return ReadEnd(*line);
      RETURN_IF_ERROR(Take(*std::move(line)));
    }
  }

  absl::Status Take(DumpLine line) {
    if (std::pair(line.kind, std::string_view(line.key)) <=
        std::pair(last_kind_, std::string_view(last_key_)))
      return lines_.Wrong("expected it before the line above, which has a higher key");
    if (line.kind == Kind::kMeta && IsHead(line.key))
      return lines_.Wrong("`" + line.key + "` is in the first line already");
    if (line.kind == Kind::kMeta) set_.PutMeta(line.key, line.value);
    if (line.kind == Kind::kRegister) set_.PutRegister(line.key, line.value);
    if (line.kind == Kind::kDead) set_.PutDead(line.key, line.value);
    if (line.kind == Kind::kJob) {
      ASSIGN_OR_RETURN(const JobKey key, DecodeJobKey(line.key));
      set_.PutJob(key, line.value);
    }
    ++*CountOf(&counts_, line.kind);
    last_kind_ = line.kind;
    last_key_ = std::move(line.key);
    return set_.bytes() < kPieceBytes ? absl::OkStatus() : Flush();
  }

  absl::Status ReadEnd(const DumpLine& line) {
    if (line.counts != counts_)
      return lines_.Wrong("the number of lines above differs from the one that it gives");
    std::string_view text;
    ASSIGN_OR_RETURN(const bool more, lines_.Next(&text));
    return more ? lines_.Wrong("expected nothing after the last line") : absl::OkStatus();
  }

  absl::Status Flush() {
    if (set_.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(store_->Write(&set_));
    set_.Clear();
    return absl::OkStatus();
  }

  // As it will be found by the next who opens it.
  absl::Status CheckLoaded(StoreOptions options) {
    options.read_only = true;
    ASSIGN_OR_RETURN(const auto store, Store::Open(options));
    std::string first;
    const AuditTotals totals = Audit(*store, [&first](const std::string& what) {
      if (first.empty()) first = what;
    });
    if (!first.empty())
      return Invalid(lines_.name() + ": its lines do not fit together: " + first);
    if (totals.jobs != counts_.jobs || totals.registers != counts_.registers ||
        totals.dead != counts_.dead)
      return Internal("the loaded store differs from the dump");
    return absl::OkStatus();
  }

  const LoadOptions& options_;
  Lines lines_;
  Workplace place_;
  std::unique_ptr<Store> store_;
  WriteSet set_;
  DumpCounts counts_;
  Kind last_kind_ = Kind::kHead;
  std::string last_key_;
};

}  // namespace

absl::StatusOr<DumpCounts> DumpStore(const Store& store,
                                     const std::function<void(std::string_view)>& write) {
  return Dumper(store, write).Run();
}

absl::StatusOr<DumpCounts> LoadStore(const LoadOptions& options) {
  return Loader(options).Run();
}

}  // namespace expirer
