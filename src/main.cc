// Subcommands, nothing else.
#include "app/command_line.h"

int main(int argc, char** argv) { return expirer::RunCommandLine(argc, argv); }
