#include "app/signals.h"

#include <csignal>
#include <initializer_list>
#include <utility>

#include "base/thread.h"

namespace expirer {
namespace {

std::atomic<bool> interrupted{false};

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
    sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

void CatchInterrupts() {
  for (const int signal : {SIGINT, SIGTERM})
    std::signal(signal, [](int) { interrupted = true; });
}

bool Interrupted() { return interrupted; }

void BlockStopSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SignalThread::SignalThread(std::function<void()> stop)
    : stop_(std::move(stop)), thread_(StartThread("signals", [this] { Run(); })) {}

SignalThread::~SignalThread() {
  done_ = true;
  thread_.join();
}

void SignalThread::Run() {
  const sigset_t set = StopSignals();
  const timespec poll{0, 200'000'000};
  while (!done_)
    if (sigtimedwait(&set, nullptr, &poll) > 0) stop_();
}

}  // namespace expirer
