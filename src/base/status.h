// Status macros and constructors. absl::Status reports every error that the
// outside world can cause; CHECK (base/check.h) reports broken invariants of ours.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace expirer {

// Debian 12's absl::string_view is not std::string_view, so our interfaces
// speak the std types and convert only here.
[[nodiscard]] inline absl::Status MakeStatus(absl::StatusCode code,
                                             const std::string& message) {
  return absl::Status(code, message);
}
// The caller's input is wrong and stays wrong however often it is tried.
[[nodiscard]] inline absl::Status Invalid(const std::string& message) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, message);
}
// Stored bytes are not what we wrote.
[[nodiscard]] inline absl::Status Corrupt(const std::string& message) {
  return MakeStatus(absl::StatusCode::kDataLoss, message);
}
// The other side is away or does not answer; the same call may work later.
[[nodiscard]] inline absl::Status Unavailable(const std::string& message) {
  return MakeStatus(absl::StatusCode::kUnavailable, message);
}
[[nodiscard]] inline absl::Status NotFound(const std::string& message) {
  return MakeStatus(absl::StatusCode::kNotFound, message);
}
// No space is left. Nothing was written; the same call works once there is space.
[[nodiscard]] inline absl::Status NoSpace(const std::string& message) {
  return MakeStatus(absl::StatusCode::kResourceExhausted, message);
}
// The operation is refused in the present state; a person must decide what to do.
[[nodiscard]] inline absl::Status Refused(const std::string& message) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, message);
}
[[nodiscard]] inline absl::Status Internal(const std::string& message) {
  return MakeStatus(absl::StatusCode::kInternal, message);
}

[[nodiscard]] inline std::string Message(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

// The same code with "context: " before the message.
[[nodiscard]] inline absl::Status Annotate(const absl::Status& status,
                                           std::string_view context) {
  return MakeStatus(status.code(), std::string(context) + ": " + Message(status));
}

}  // namespace expirer

#define EXPIRER_CONCAT_INNER(a, b) a##b
#define EXPIRER_CONCAT(a, b) EXPIRER_CONCAT_INNER(a, b)

// Returns the status of `expr` from the enclosing function when it is not OK.
#define RETURN_IF_ERROR(expr)                                       \
  do {                                                              \
    if (::absl::Status status_macro_ = (expr); !status_macro_.ok()) \
      return status_macro_;                                         \
  } while (false)

// Declares or assigns `lhs` from a StatusOr, returning its status on error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_INNER(EXPIRER_CONCAT(statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = *std::move(tmp)
