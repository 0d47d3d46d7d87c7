// The test server and its client, compiled into this executable.
#include "support/nats_server.cc"  // NOLINT
