#include "base/digest.hpp"

#include "catch.hpp"

using namespace rcptsync;

TEST_CASE("sha256 gives the values of FIPS 180-4") {
  CHECK(sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a digest in pieces is the digest of the whole, and the object can be used again") {
  Sha256 hash;
  hash.update("a");
  hash.update("bc");
  CHECK(hash.finish() == sha256("abc"));
  CHECK(hash.finish() == sha256(""));
}

TEST_CASE("a digest is read back from its text, and from nothing else") {
  const auto digest = sha256("x");
  CHECK(Digest::from_hex(digest.hex()) == digest);
  auto upper = digest.hex();
  for (auto& c : upper) c = static_cast<char>(std::toupper(c));
  CHECK(Digest::from_hex(upper) == digest);
  CHECK_FALSE(Digest::from_hex(""));
  CHECK_FALSE(Digest::from_hex(digest.hex().substr(1)));
  CHECK_FALSE(Digest::from_hex(digest.hex() + "0"));
  CHECK_FALSE(Digest::from_hex("g" + digest.hex().substr(1)));
}
