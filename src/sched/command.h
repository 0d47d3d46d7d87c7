// A request of the API as a value. The API makes one of what a caller sent; the core
// runs it without knowing what it asks for.
//
//   Read    before the core gets it, on a thread of the API: slow reads of the store
//   Apply   core thread, in its turn: changes
//   Answer  core thread, after the write of that turn: makes the reply, which leaves
//           once everything that it may be based on is durable (I1)
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "base/status.h"

namespace expirer {

struct Core;  // sched/core.h
class Store;

// Who asked through the API, and how the answer finds the way back.
struct Caller {
  std::string reply;
  size_t endpoint = 0;   // of the service, for its own counts
  int64_t began_ns = 0;  // monotonic
  // What a reply may hold: the server's max_payload when it was asked.
  size_t bytes_max = std::numeric_limits<size_t>::max();
};

// `code` 0: `body` is the reply. Else `code` is one of the API's error codes and `body`
// says in one sentence what is wrong.
struct Reply {
  int code = 0;
  std::string body;
};

// What commands of Kind::kChangesInPieces did in the present turn.
struct Piece {
  static constexpr size_t kEntriesMax = 128;
  static constexpr size_t kBytesMax = 2 << 20;
  size_t entries = 0;
  size_t bytes = 0;  // read
  [[nodiscard]] bool full() const { return entries >= kEntriesMax || bytes >= kBytesMax; }
};

// Errors of Read, Apply and Answer are the disk's. Answer reports what is wrong with
// the request.
class Command {
 public:
  enum class Kind : uint8_t {
    kReads,            // nothing is changed: no Apply
    kChanges,          // applied at once, in order of arrival
    kChangesInPieces,  // may take several turns; one after the other
  };

  Command() = default;
  explicit Command(Caller from) : caller(std::move(from)) {}
  Command(Command&&) = default;
  Command& operator=(Command&&) = default;
  virtual ~Command() = default;

  [[nodiscard]] virtual Kind kind() const { return Kind::kReads; }
  // The register that Apply (of kChanges) or Answer (of kReads) reads first, so that
  // those of several commands are read together; "" = none.
  [[nodiscard]] virtual std::string id() const { return ""; }

  virtual absl::Status Read(const Store&) { return absl::OkStatus(); }
  // False: there is more to do, in the next turn. Of kChangesInPieces only; it adds to
  // `*piece` what it did, and begins nothing more once that is full.
  virtual absl::StatusOr<bool> Apply(Core&, Piece*) { return true; }
  virtual absl::StatusOr<Reply> Answer(Core& core) = 0;

  Caller caller;
};

}  // namespace expirer
