#include "app/watcher.h"

#include <chrono>
#include <utility>

#include "app/service_status.h"
#include "base/log.h"
#include "base/thread.h"

namespace expirer {
namespace {

constexpr int64_t kStatusMs = 1'000;

}  // namespace

Watcher::Watcher(Service* service)
    : service_(service), thread_(StartThread("watch", [this] { Run(); })) {}

void Watcher::Stop() {
  watching_ = false;
  if (thread_.joinable()) thread_.join();
}

void Watcher::Run() {
  int64_t next = 0;
  while (watching_) {
    // As soon as the store is ours: what a process that ended a moment ago said
    // would pass for a sign of life of this one.
    if (service_->locked && service_->clock.MonotonicMs() >= next) {
      next = service_->clock.MonotonicMs() + kStatusMs;
      if (service_->open) CheckVolume();
      WriteStatus(/*stopped=*/false);
      TickLog();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void Watcher::CheckVolume() {
  const absl::StatusOr<VolumeRoom> room = service_->store->Room();
  if (!room.ok()) return;
  service_->inbox.Complete(DiskSpace{room->bytes, room->inodes});
  MutexLock lock(&service_->mutex);
  service_->room = *room;
}

void Watcher::WriteStatus(bool stopped) {
  Status status = TakeStatus(*service_, stopped);
  const absl::Status written = WriteStatusFile(service_->config.StatusFile(), status);
  if (!written.ok() && !std::exchange(failed_, true))
    Log(Level::kError, "the status file cannot be written",
        {{"error", Message(written)}});
#ifdef EXPIRER_HTTP
  // At the end some of the counts are gone already.
  if (service_->http && !stopped)
    service_->exposition.Publish(std::move(status), service_->http->counts());
#endif
}

}  // namespace expirer
