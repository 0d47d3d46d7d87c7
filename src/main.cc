// Subcommands and the allocator's options, nothing else.
#include "app/command_line.h"
#include "app/output.h"

// Read by jemalloc, where it is linked. Without a thread of its own it gives freed
// memory back only while other threads allocate: after a long backlog was read, the
// memory that this took stayed for as long as little happened.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,max_background_threads:1";
}

int main(int argc, char** argv) {
  expirer::OpenStandardStreams();
  return expirer::CheckedOutput(expirer::RunCommandLine(argc, argv));
}
