// Subcommands, nothing else.
#include "app/command_line.h"
#include "app/output.h"

int main(int argc, char** argv) {
  expirer::OpenStandardStreams();
  return expirer::CheckedOutput(expirer::RunCommandLine(argc, argv));
}
