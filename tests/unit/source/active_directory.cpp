#include "source/active_directory.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::source;

namespace {

std::string little_endian(std::uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

std::string vector_bytes(std::uint64_t version, std::uint64_t count, int cursors) {
  std::string bytes = little_endian(version, 4) + little_endian(0, 4) + little_endian(count, 4) +
                      little_endian(0, 4);
  for (int i = 1; i <= cursors; ++i) {
    bytes += std::string(16, static_cast<char>(i)) + little_endian(1000U * i, 8);
    if (version == 2) bytes += little_endian(12345, 8);
  }
  return bytes;
}

}  // namespace

TEST_CASE("an up-to-dateness vector of either version is read") {
  for (const auto version : {1U, 2U}) {
    const auto vector = parse_up_to_date_vector(vector_bytes(version, 2, 2));
    REQUIRE(vector);
    CHECK(vector->size() == 2);
    CHECK(vector->at("01010101010101010101010101010101") == "00000000000000001000");
    CHECK(vector->at("02020202020202020202020202020202") == "00000000000000002000");
  }
  CHECK(parse_up_to_date_vector(vector_bytes(2, 0, 0))->empty());
}

TEST_CASE("an up-to-dateness vector that is none is refused") {
  CHECK_FALSE(parse_up_to_date_vector(""));
  CHECK_FALSE(parse_up_to_date_vector(vector_bytes(3, 1, 1)));
  CHECK_FALSE(parse_up_to_date_vector(vector_bytes(2, 3, 2)));
  CHECK_FALSE(parse_up_to_date_vector(vector_bytes(2, 0xffffffff, 2)));
  const auto whole = vector_bytes(2, 2, 2);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(parse_up_to_date_vector(whole.substr(0, size)));
}

TEST_CASE("USNs compare bytewise") {
  CHECK(*parse_usn("9") < *parse_usn("10"));
  CHECK(*parse_usn("18446744073709551615") == "18446744073709551615");
  for (const auto* text : {"", "-1", "1x", " 1", "18446744073709551616"})
    CHECK_FALSE(parse_usn(text));
}

TEST_CASE("a base stands in the longest naming context that ends it") {
  const std::vector<std::string> contexts{"DC=corp,DC=example,DC=com",
                                          "CN=Configuration,DC=corp,DC=example,DC=com",
                                          "DC=sub,DC=corp,DC=example,DC=com", "no name"};
  CHECK(context_of("ou=Users, dc=CORP,dc=example,dc=com", contexts) == contexts[0]);
  CHECK(context_of("DC=corp,DC=example,DC=com", contexts) == contexts[0]);
  CHECK(context_of("CN=x\\,y,CN=Configuration,DC=corp,DC=example,DC=com", contexts) == contexts[1]);
  CHECK(context_of("OU=a,DC=sub,DC=corp,DC=example,DC=com", contexts) == contexts[2]);
  CHECK_FALSE(context_of("OU=a,DC=othercorp,DC=example,DC=com", contexts));
  CHECK_FALSE(context_of("DC=com", contexts));
  CHECK_FALSE(context_of("", contexts));
  CHECK_FALSE(context_of("<GUID=00112233445566778899aabbccddeeff>", contexts));
}

TEST_CASE("a filter names what it looks at") {
  const auto names = [](const char* filter) { return filter_needs(filter).attributes; };
  CHECK(names("(|(proxyAddresses=*)(mail=*)(MAIL=a))") ==
        std::vector<std::string>{"proxyaddresses", "mail"});
  CHECK(names("(&(mail;lang-de=*)( ! (userAccountControl:1.2.840.113556.1.4.803:=2)))") ==
        std::vector<std::string>{"mail", "useraccountcontrol"});
  CHECK(names("(&(a>=1)(b<=2)(c~=x)(2.5.4.3=\\28d=e\\29))") ==
        std::vector<std::string>{"a", "b", "c", "2.5.4.3"});
  CHECK(names("(&)").empty());
  CHECK(names("").empty());
}

TEST_CASE("a filter that looks beyond the object is known") {
  for (const auto* filter :
       {"(memberOf:1.2.840.113556.1.4.1941:=cn=g)", "(&(mail=*)(anr=x))", "(:caseExactMatch:=x)"})
    CHECK(filter_needs(filter).beyond_object);
  for (const auto* filter : {"(mail=*)", "(memberOf=cn=g)", "(ou:dn:=x)"})
    CHECK_FALSE(filter_needs(filter).beyond_object);
}

TEST_CASE("what DirSync says of an object decides about its children") {
  const auto hint = [](std::initializer_list<std::pair<const char*, const char*>> attributes) {
    Hint result;
    for (const auto& [name, value] : attributes) result.see(name, value);
    return result;
  };
  CHECK_FALSE(hint({{"mail", "x"}}).children_in_doubt());
  CHECK(hint({{"name", "x"}}).children_in_doubt());
  CHECK(hint({{"PARENTGUID", "x"}}).children_in_doubt());
  CHECK_FALSE(hint({{"objectClass", "top"}, {"name", "x"}}).children_in_doubt());
  CHECK_FALSE(hint({{"isDeleted", "TRUE"}, {"name", "x"}}).children_in_doubt());
  CHECK(hint({{"isDeleted", "FALSE"}, {"name", "x"}}).children_in_doubt());
}

TEST_CASE("a filter by GUID escapes every byte") {
  const std::vector<std::string> guids{std::string("\x00)*(\\", 5) + std::string(11, 'a')};
  CHECK(guid_filter(guids) ==
        "(|(objectGUID=\\00\\29\\2a\\28\\5c\\61\\61\\61\\61\\61\\61\\61\\61\\61\\61\\61))");
}

TEST_CASE("a DirSync cookie comes back as it was") {
  const DirSyncCookie cookie{.object_security = true,
                             .contexts = {{"DC=x,DC=\xff", std::string("\x00\xfe\"\\", 4)}}};
  const auto bytes = to_bytes(cookie);
  const auto back = parse_dirsync_cookie(bytes);
  REQUIRE(back);
  CHECK(back->object_security);
  REQUIRE(back->contexts.size() == 1);
  CHECK(back->contexts[0].dn == cookie.contexts[0].dn);
  CHECK(back->contexts[0].cookie == cookie.contexts[0].cookie);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(parse_dirsync_cookie(bytes.substr(0, size)));
}
