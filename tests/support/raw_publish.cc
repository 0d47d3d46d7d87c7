#include "support/raw_publish.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace expirer::test {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "raw_publish: %s\n", what.c_str());
  std::abort();
}

}  // namespace

void PublishRaw(int port, const std::string& subject, const std::string& block,
                const std::string& payload) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(port));
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) Die("no server");
  const std::string total = std::to_string(block.size() + payload.size());
  std::string text = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";
  text += block.empty() ? "PUB " + subject
                        : "HPUB " + subject + " " + std::to_string(block.size());
  text += " " + total + "\r\n" + block + payload + "\r\nPING\r\n";
  if (send(fd, text.data(), text.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(text.size()))
    Die("the server does not read");
  std::string answer;
  while (answer.find("PONG") == std::string::npos) {
    char bytes[4'096];
    const ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0) Die("refused: " + answer);
    answer.append(bytes, static_cast<size_t>(count));
  }
  if (answer.find("-ERR") != std::string::npos) Die("refused: " + answer);
  close(fd);
}

}  // namespace expirer::test
