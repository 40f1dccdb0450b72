#include "push/kexinit.hpp"

#include "catch.hpp"

using namespace rcptsync::push;

namespace {

std::string u32(std::size_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<unsigned char>(value >> shift));
  return out;
}

std::string ssh_string(const std::string& text) {
  return u32(text.size()) + text;
}

// What a server sends first: RFC 4253 §4.2 and §7.1.
std::string hello(const std::string& lines = "SSH-2.0-Test\r\n") {
  std::string payload = "\x14" + std::string(16, 'c');
  for (const char* list : {"kex1,kex2", "ssh-ed25519,rsa-sha2-512", "aes1", "aes-back", "mac1,mac2",
                           "mac-back", "none", "none", "", ""})
    payload += ssh_string(list);
  payload += std::string(5, '\0');
  const std::string packet = "\x04" + payload + std::string(4, 'p');
  return lines + u32(packet.size()) + packet;
}

}  // namespace

TEST_CASE("the lists of a server are read") {
  const auto server = server_algorithms(hello("a banner\r\nSSH-2.0-Test comment\r\n") + "more");
  REQUIRE(server);
  CHECK(server->key_exchange == std::vector<std::string>{"kex1", "kex2"});
  CHECK(server->host_keys == std::vector<std::string>{"ssh-ed25519", "rsa-sha2-512"});
  CHECK(server->ciphers == std::vector<std::string>{"aes1"});
  CHECK(server->macs == std::vector<std::string>{"mac1", "mac2"});
}

TEST_CASE("a hello that is cut off anywhere gives nothing") {
  const auto whole = hello();
  for (std::size_t length = 0; length < whole.size(); ++length)
    CHECK_FALSE(server_algorithms(whole.substr(0, length)));
}

TEST_CASE("lengths that lie are not followed") {
  auto lying = hello();
  const auto first_list = lying.find("kex1") - 4;
  lying[first_list] = '\xff';
  CHECK_FALSE(server_algorithms(lying));
  CHECK_FALSE(server_algorithms("SSH-2.0-x\n" + std::string("\xff\xff\xff\xff", 4)));
  CHECK_FALSE(server_algorithms("HTTP/1.1 400 Bad Request\r\n\r\n"));
}
