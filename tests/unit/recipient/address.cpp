// The grammar by examples: the RFCs' own, those that real directories hold, and those that somebody
// would put there on purpose.
#include "recipient/address.hpp"

#include <string>

#include "base/escape.hpp"
#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::recipient;
using namespace std::string_literals;

namespace {

struct Good {
  std::string text;
  std::string canonical;
};

struct Bad {
  std::string text;
  Drop drop;
};

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("an address has one canonical form") {
  const Good table[] = {
      // plain, as nearly all are
      {"john@example.org", "john@example.org"},
      {"John.Doe@Example.ORG", "john.doe@example.org"},
      {"a@b", "a@b"},
      {"x@localhost", "x@localhost"},
      {"  padded@example.org  ", "padded@example.org"},
      {"o'brien@example.org", "o'brien@example.org"},
      {"user+tag=x@example.org", "user+tag=x@example.org"},
      {"!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~@example.org"},
      {"-lead@example.org", "-lead@example.org"},
      {"#hash@example.org", "#hash@example.org"},
      {"{3D0AE6C1-9B3F}@example.org", "{3d0ae6c1-9b3f}@example.org"},
      {"SystemMailbox{1f05a927-89c0-4725-adca-4527114196a1}@corp.local",
       "systemmailbox{1f05a927-89c0-4725-adca-4527114196a1}@corp.local"},
      {"IMCEAEX-_o=Org_ou=Site@example.org", "imceaex-_o=org_ou=site@example.org"},
      // RFC 3696 §3 with its errata, RFC 5321 §4.1.2
      {R"("Abc\@def"@example.com)", R"("abc@def"@example.com)"},
      {R"("Fred Bloggs"@example.com)", R"("fred bloggs"@example.com)"},
      {R"("Joe.\\Blow"@example.com)", R"("joe.\\blow"@example.com)"},
      {R"("Abc@def"@example.com)", R"("abc@def"@example.com)"},
      {"customer/department=shipping@example.com", "customer/department=shipping@example.com"},
      {"$A12345@example.com", "$a12345@example.com"},
      {"!def!xyz%abc@example.com", "!def!xyz%abc@example.com"},
      // quotes only where they are needed
      {R"("john"@example.org)", "john@example.org"},
      {R"("jo\hn"@example.org)", "john@example.org"},
      {R"("john.doe"@example.org)", "john.doe@example.org"},
      {R"("john..doe"@example.org)", R"("john..doe"@example.org)"},
      {R"(".john"@example.org)", R"(".john"@example.org)"},
      {R"("john."@example.org)", R"("john."@example.org)"},
      {R"(" "@example.org)", R"(" "@example.org)"},
      {R"("a\"b"@example.org)", R"("a\"b"@example.org)"},
      {R"("#x"@example.org)", "#x@example.org"},
      {R"("a:b"@example.org)", R"("a:b"@example.org)"},
      // RFC 6531: UTF-8, folded and composed
      {"Jürgen@example.org", "jürgen@example.org"},
      {"JÜRGEN@example.org", "jürgen@example.org"},
      {"ju\u0308rgen@example.org", "jürgen@example.org"},
      {"Straße@example.org", "strasse@example.org"},
      {"ΌΣΟΣ@example.org", "όσοσ@example.org"},
      {"όσος@example.org", "όσοσ@example.org"},
      {"用户@example.org", "用户@example.org"},
      {"квіточка@example.org", "квіточка@example.org"},
      {"अजय@example.org", "अजय@example.org"},
      {"\u212aelvin@example.org", "kelvin@example.org"},
      {"\"Jür gen\"@example.org", "\"jür gen\"@example.org"},
      {"a\u037eb@example.org", "\"a;b\"@example.org"},
      {"\"a\u037eb\"@example.org", "\"a;b\"@example.org"},    // NFC makes U+037E a ';'
      {"\"a<\u0338b\"@example.org", "a\u226eb@example.org"},  // … and '<' with U+0338 a letter
      {"\U0001f600@example.org", "\U0001f600@example.org"},
      // domains
      {"a@MÜLLER.example", "a@xn--mller-kva.example"},
      {"a@mu\u0308ller.example", "a@xn--mller-kva.example"},
      {"a@XN--MLLER-KVA.Example", "a@xn--mller-kva.example"},
      {"a@straße.example", "a@xn--strae-oqa.example"},  // IDNA2008: not strasse
      {"a@βόλος.com", "a@xn--nxasmm1c.com"},
      {"a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"},
      {"a@ｅｘａｍｐｌｅ.org", "a@example.org"},
      {"a@my_host.corp", "a@my_host.corp"},
      {"a@3com.com", "a@3com.com"},
      {"a@r3---sn-x.example.org", "a@r3---sn-x.example.org"},
      {"jürgen@müller.example", "jürgen@xn--mller-kva.example"},
      // the limits themselves
      {repeated("l", 64) + "@example.org", repeated("l", 64) + "@example.org"},
      {"a@" + repeated("d", 63) + ".org", "a@" + repeated("d", 63) + ".org"},
      {"aa@" + repeated("abcdefghi.", 25) + "b", "aa@" + repeated("abcdefghi.", 25) + "b"},
  };
  for (const auto& [text, canonical] : table) {
    INFO(text);
    const auto parsed = parse_address(text);
    CHECK(parsed.drop == Drop::kept);
    CHECK(parsed.canonical == canonical);
    CHECK(parse_address(canonical).canonical == canonical);
  }
}

TEST_CASE("what is no address is dropped, with the reason") {
  const Bad table[] = {
      {"", Drop::empty},
      {"    ", Drop::empty},
      // lines, wildcards, comments, columns
      {"a@example.org\nroot@example.org OK", Drop::control},
      {"a@example.org\r", Drop::control},
      {"\ta@example.org", Drop::control},
      {"a@example.org\tOK", Drop::control},
      {"a\0@example.org"s, Drop::control},
      {"a@example.org\0"s, Drop::control},
      {"a\x7f@example.org", Drop::control},
      {"\"a\nb\"@example.org", Drop::control},
      {"\"a\\\nb\"@example.org", Drop::control},
      {"a\u0085b@example.org", Drop::control},
      {"a\u2028b@example.org", Drop::control},
      {"a\u202eb@example.org", Drop::control},
      {"a\u2066b@example.org", Drop::control},
      {"a\ufeff@example.org", Drop::control},
      {"a\ufffe@example.org", Drop::control},
      {"a\U0010ffff@example.org", Drop::control},
      {"@example.org", Drop::no_at},
      {"\"\"@example.org", Drop::no_at},
      {"a@", Drop::no_at},
      {"@", Drop::no_at},
      {"postmaster", Drop::no_at},
      {"# a comment", Drop::no_at},
      {"a@example.org OK", Drop::bad_domain},
      {"a b@example.org", Drop::bad_local_part},
      {"# a@example.org", Drop::bad_local_part},
      // encodings
      {"j\xfcrgen@example.org", Drop::not_utf8},
      {"\xc0\x80@example.org", Drop::not_utf8},
      {"\xed\xa0\x80@example.org", Drop::not_utf8},
      {"a@ex\xffmple.org", Drop::not_utf8},
      // local parts
      {".a@example.org", Drop::bad_local_part},
      {"a.@example.org", Drop::bad_local_part},
      {"a..b@example.org", Drop::bad_local_part},
      {"a,b@example.org", Drop::bad_local_part},
      {"a(comment)@example.org", Drop::bad_local_part},
      {"<a@example.org>", Drop::bad_local_part},
      {"John <a@example.org>", Drop::bad_local_part},
      {"mailto:a@example.org", Drop::bad_local_part},
      {"a\\@b@example.org", Drop::bad_local_part},
      {"\"a\"b@example.org", Drop::bad_local_part},
      {"a.\"b\"@example.org", Drop::bad_local_part},
      {"\"a@example.org", Drop::bad_local_part},
      {"\"a\\\"@example.org", Drop::bad_local_part},
      {"\"a\"b\"@example.org", Drop::bad_local_part},
      {"\"\\ü\"@example.org", Drop::bad_local_part},
      {"a\u00a0b@example.org", Drop::bad_local_part},
      {"\"a\u3000b\"@example.org", Drop::bad_local_part},
      // domains
      {"a@b@example.org", Drop::bad_domain},
      {"a@[192.0.2.1]", Drop::bad_domain},
      {"a@[IPv6:2001:db8::1]", Drop::bad_domain},
      {"a@192.0.2.1", Drop::bad_domain},
      {"a@example.org.", Drop::bad_domain},
      {"a@.example.org", Drop::bad_domain},
      {"a@example..org", Drop::bad_domain},
      {"a@-example.org", Drop::bad_domain},
      {"a@example-.org", Drop::bad_domain},
      {"a@exa mple.org", Drop::bad_domain},
      {"a@exa/mple.org", Drop::bad_domain},
      {"a@*.example.org", Drop::bad_domain},
      {"a@example.org\u00a0", Drop::bad_domain},
      {"a@b\uff20example.org", Drop::bad_domain},  // full-width '@'
      {"a@ü b.example", Drop::bad_domain},
      {"a@ü#b.example", Drop::bad_domain},
      {"a@☃.example", Drop::bad_domain},         // a symbol: IDNA2008 says no
      {"a@xn--a.example", Drop::bad_domain},     // does not decode
      {"a@xn--example-.org", Drop::bad_domain},  // decodes to plain ASCII
      {"a@xn--mller-kvb9.example", Drop::bad_domain},
      {"a@xn--strasse-", Drop::bad_domain},
      {"a@" + repeated("d", 64) + ".org", Drop::bad_domain},
      // lengths
      {repeated("l", 65) + "@example.org", Drop::too_long},
      {"\"" + repeated(" ", 63) + "\"@example.org", Drop::too_long},
      {"aaa@" + repeated("abcdefghi.", 25) + "b", Drop::too_long},
      {"a@" + repeated("abcdefghi.", 26) + "b", Drop::too_long},
      {repeated("x", 1 << 20), Drop::too_long},
  };
  for (const auto& [text, drop] : table) {
    INFO(escape(text));
    const auto parsed = parse_address(text);
    CHECK(to_string(parsed.drop) == to_string(drop));
    CHECK(parsed.canonical.empty() == (drop != Drop::kept));
  }
}

TEST_CASE("the parts of a canonical address") {
  CHECK(domain_of("a@example.org") == "example.org");
  CHECK(local_of("a@example.org") == "a");
  CHECK(domain_of("\"a@b\"@example.org") == "example.org");
  CHECK(local_of("\"a@b\"@example.org") == "\"a@b\"");
  CHECK(domain_of("@example.org") == "example.org");
  CHECK(local_of("@example.org").empty());
}

TEST_CASE("a domain has one canonical form") {
  CHECK(canonical_domain("Example.ORG") == "example.org");
  CHECK(canonical_domain("example.org.") == "example.org");
  CHECK(canonical_domain("corp") == "corp");
  CHECK(canonical_domain("MÜLLER.example") == "xn--mller-kva.example");
  CHECK(canonical_domain("").empty());
  CHECK(canonical_domain(".").empty());
  CHECK(canonical_domain("example..org").empty());
  CHECK(canonical_domain("example.org..").empty());
  CHECK(canonical_domain("@example.org").empty());
  CHECK(canonical_domain("a b").empty());
  CHECK(canonical_domain("10.0.0.1").empty());
  CHECK(canonical_domain("a\0b"s).empty());
  CHECK(canonical_domain("ü\0b"s).empty());
  CHECK(canonical_domain("j\xfcrgen.example").empty());
  CHECK(canonical_domain(std::string(1 << 20, 'a')).empty());
}

TEST_CASE("a domain in Unicode") {
  CHECK(unicode_domain("xn--mller-kva.example") == "müller.example");
  CHECK(unicode_domain("a.xn--strae-oqa.xn--mller-kva") == "a.straße.müller");
  CHECK(unicode_domain("example.org") == "example.org");
  CHECK(unicode_domain("xn--a.example") == "xn--a.example");
}
