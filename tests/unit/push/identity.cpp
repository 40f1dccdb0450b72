#include "push/identity.hpp"

#include "catch.hpp"

using namespace rcptsync;
using namespace rcptsync::push;
using Catch::Matchers::Contains;

namespace {

// Throw-away keys, made for these tests by ssh-keygen and openssl; they open nothing.
const char* const ed25519 = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAhEjOH7u74JfFO3amrl+iUp3A3iK/Kgr00oTvTj/M2CwAAAIjiKY9u4imP
bgAAAAtzc2gtZWQyNTUxOQAAACAhEjOH7u74JfFO3amrl+iUp3A3iK/Kgr00oTvTj/M2Cw
AAAEB7OcvKKy7y1XtPgcI+bA8gWVCvYqik/e0M2jbdJPdZUCESM4fu7vgl8U7dqauX6JSn
cDeIr8qCvTShO9OP8zYLAAAAAWMBAgME
-----END OPENSSH PRIVATE KEY-----
)";
const char* const ecdsa = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQRQDZ/5U5rPgM9PFtdzP7PNu9RNlwo8
cXzYNMtxIUI9LCTdXikX1i2KP2D4uvy8ZrDMZuCYcYFf7vuH0GOdLs9kAAAAoFFmFtVRZh
bVAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFANn/lTms+Az08W
13M/s8271E2XCjxxfNg0y3EhQj0sJN1eKRfWLYo/YPi6/LxmsMxm4JhxgV/u+4fQY50uz2
QAAAAgLwEVTuYc0qEop59C3GpBauHIly+wznxial9oF3vDOzYAAAABYwECAwQFBgc=
-----END OPENSSH PRIVATE KEY-----
)";
const char* const encrypted = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDybqaC0Y
fv1RL55hkmx2MjAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIOGh/z7vQSy5kgfm
DCt+yolgTtdkZNHML4w1TrHD3F98AAAAkBpLDocC+qt8pKKAvzX8OM06Au5+83cowswhdh
jVsr30/Lsllnb2tU/Kvpkp0TaBKWF/Hgw3P9BcOcVYD3wUjo0P6VoL8tg6TkhHNhQCng3A
skjRwEbDdH2QcZi/Oe1pgfPuQ1y98Sih9GjgWAOVfSHM5x9B2EJEDnRkw8dZ/Z/65QKQn1
+gLzdb23++S1lNKQ==
-----END OPENSSH PRIVATE KEY-----
)";
const char* const ed25519_pkcs8 = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIGN9smngXixf8E76F5hjcmntxu7tnnXsi9wINggjxnjy
-----END PRIVATE KEY-----
)";
const char* const ec_sec1 = R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHk+A5iF2qcmpyderrjUjIzKefY/pTkCVSII17P7pKUqoAoGCCqGSM49
AwEHoUQDQgAEpdUPXud+EDl0KcgcLJjnKpJ3DHTCO0nloTCYI6tZIyeqETD8rDFc
LDOg6B5W3XvekcKBAw8BWysrUwauJI+eWw==
-----END EC PRIVATE KEY-----
)";
const char* const ec_pkcs8 = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgeT4DmIXapyanJ16u
uNSMjMp59j+lOQJVIgjXs/ukpSqhRANCAASl1Q9e534QOXQpyBwsmOcqkncMdMI7
SeWhMJgjq1kjJ6oRMPysMVwsM6DoHlbde96RwoEDDwFbKytTBq4kj55b
-----END PRIVATE KEY-----
)";
const char* const ec_encrypted_pkcs8 = R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgDW2YyJ1UOVwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEHxugP+h9AWsCe0Fz/lj6V4EgZDo
iZRdv0U1AJUgeyeAsslPHdHsBQN31YwNvQWkpMFOHRKCSBllsWWoaWBI8PCsmRMS
gZOMXsiFJfmVB/OSGpNW/vvdcBK9WhHFJ5NZXbrHi7ty+E66APx7F4c9KC8JmMPQ
tmhNKqRttN2MtQqtQGmFrz96tafoYjZ6kCZFhqOjKYONGg46h1cBZ3OE78NtZKA=
-----END ENCRYPTED PRIVATE KEY-----
)";
const char* const ec_encrypted_sec1 = R"(-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,1978E74C7B7E4785E997356DD9D0BB18

87sm5hsCfWKpzYrrCqJFw6tgz1WYIc+VNFciWPX8Oj6fcDf+S0Nf8O2pA7hugDRb
PLBubtCERV3QM/AOkbqjcqUJ7pL+KPAQrq/iyvhgSdtf464fuiGkedKa2alNbWNi
1+sBE7n5i55s1I/CgHU+1sn/3ehvRWexYNvJR18kZXc=
-----END EC PRIVATE KEY-----
)";
const char* const secp256k1 = R"(-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIE8weXdKHi41hoGgHJgxJi09m/aXb95Ks/IfyPysoCYeoAcGBSuBBAAK
oUQDQgAEpD790/450kQmWuNC+g8En9FxzlD44i+hCI8n9D02CaEOrPThfVQdh7Wz
q0AXaQ9l9RlxAGSWz9P2cVQs0du03g==
-----END EC PRIVATE KEY-----
)";
const char* const rsa_pem = R"(-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEA4R7YcAhT4yV5/wlksxGotOIvC8VSez03XdsUB+9RJdZFa20D
GpRarEFIhA152aVPklCxWVbC3+cdorT5DjwFjz3K7YsayBIEMhCPZkMYhcFDfszO
BAEHFE6Mq+gftIHM/uasIm0eZT9KufGXDkpvN/cGB8079Gcup57lMtt1nTzcRQ9U
4fZRle21yczE+5oDAZ8HCU1e0UntLLTJ+u4ZR2RS0E4m8ZgOQS57sXt0MHw85QRh
Z7t82QHSX2hRGywi2dTq1WGdud9YE2VYNC8pEmjZ6yAMg53Rc/eF/SpXkGX/KkLa
YLMQMjyPltGxuHMHzA3TkibdeQwJfB5WiBYGqQIDAQABAoIBAA438wapPmPxElJn
Gi4FnJvtuN5e9HWZNh24JrAIaWrHRk1hlMBOHdrJKTBB/Ty5NRxLx9YzMlrCKUjr
pXSRmofjqL7PhuQ1ExoqADMLlzxqqpcswb3wZkb3kRxe35KSK8u7vD27M5/3p+iB
PeYZ3tcJ9wUK7VFjkcd/gM1xNzpnjW5WMVKivOa2vAs/Tcs/Vg+xLqPQ3CY3XT1D
NLDafrDoXqMZqa1dnpEasuuXSxqx16JepEJGV5AmQdpP5N3F2kTQGa5cVbFuVdcR
AOAr3DaD3uVCbFhB5CDQDVexObVUTfOEzRE8mjO5iYJkLu8Ve9xDhv41/npaVfP/
9mmpCXsCgYEA8JYkR3hM0yIoStiWGqyZdQZlCEyopzb5KD1yE+tVsnqcCBzQF/p4
r5/YKpm5GmW5KghwlAROWMBTu8GNVexu1DpVNPWpvZv5HuG4QgSaORZlwZqTY/zx
3kr3u4v9sbHokEsbB1Ks1a7fBMqsKM6F1btAKiwHUWRZsyWVmnNIdPsCgYEA74sL
wMPWFsa3kq+MaAMyBlz9hqs1gFanqOXoGmpDQuXmi1BQ20ECqjFEjZKlkVyRV2Lw
keEC3LU2Jl1UDw/e8VSGTbowYrnJf2VD+feNl1Ept59XIVGvkZj3fmlrvk6tnmFp
rduu8uTAj+EjPrTfr4SJdEbfhlHvluDm06SsOasCgYBLy5F8brsNXVqCUf/gQXZL
NwuHdNdBbwFKGymgeujRxOz5ZVJt63wwIFSy/yEg3uFaC7Sj/UNNlLIMmerUIhu8
gvArMiYa1VPD1er96YNI7vR57R/4RU1R8h5gGLeBTwJsyyylvvcyjtg2Iz/fz0i8
0DRj1OEtVEcqOHIMabtvFwKBgG2cvdsOghfYBMaNp/0sgSaiRKzsCUZZ4MyLr8Lu
nyqskutq7CT4QaTpeIoj8blrl2JaduT6BtpB3a5+hGmEBKt/1xkYOu3iQA8Yoptu
qQ7159YLhs5LV8CTM6VXziK+U/ombzpMTWj+PhNYnU0jbTwetNtNVxlawvzSmy17
rAeTAoGBAM2WTkZ+EagCkX8pqy7hJN+6HYH0xcGhkaKIn+z+tminXfLQvukg77aY
K+mqLgdJI8MVMgMoxwipKykBO89ORothYyiZQ9884oZeu4iRC8aMvrPjKz4qki4l
g1F8+zeckpSFGrbJIJ8PY3xw3rURrRrUc9ZDLWYGWIbZtx341Uvi
-----END RSA PRIVATE KEY-----
)";
const char* const rsa = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABlwAAAAdzc2gtcn
NhAAAAAwEAAQAAAYEAwBukDrOOdDCee5yl+xPDgU8zH15qFrE3OG68hT268xFlLBuzpoh8
eb47DCmyCPJWsawQC4xz+kuATeB+hcBWIdjUJaxaE9DysCym4bODf7ymkUlV/9Q3gSBhC1
7xIkBXCdLdW28V6aQIFfBLP6/uRIDl+g7XDLgYBzF7qfz0q9jF/UTL9DZNzUx9IfM9Vdae
0GzoIoNmAE9pRxRX5ZWDYUYv8bdq8dMtx3XZ7bhYKmquZJF+2Eh7TY2IvFRnL4IxqBps6G
8t7Ekwf8h108UuDxMjHIWLSQOZf5gWFl6A97R3QwP/X5UxlBFq+7uI0yG5SHfc67h9o8Is
x/PE3ZnwUtpBCQ/2Nnd60xdpdj0Ra9zwQHwpO6VGGwLl+OdGluTvGVeUmovPac79+6LyMT
+6zse+TxAjwYGY3CDulTCZltdwbDy2t9WnleviFeuA2cSuTcKx9NxDdRKzAqXXuO5NDr2H
fWY1+FrCCzZgzj635kAsMWt4XxcXXK6DtOnjuHdbAAAFeHeFrrp3ha66AAAAB3NzaC1yc2
EAAAGBAMAbpA6zjnQwnnucpfsTw4FPMx9eahaxNzhuvIU9uvMRZSwbs6aIfHm+Owwpsgjy
VrGsEAuMc/pLgE3gfoXAViHY1CWsWhPQ8rAspuGzg3+8ppFJVf/UN4EgYQte8SJAVwnS3V
tvFemkCBXwSz+v7kSA5foO1wy4GAcxe6n89KvYxf1Ey/Q2Tc1MfSHzPVXWntBs6CKDZgBP
aUcUV+WVg2FGL/G3avHTLcd12e24WCpqrmSRfthIe02NiLxUZy+CMagabOhvLexJMH/Idd
PFLg8TIxyFi0kDmX+YFhZegPe0d0MD/1+VMZQRavu7iNMhuUh33Ou4faPCLMfzxN2Z8FLa
QQkP9jZ3etMXaXY9EWvc8EB8KTulRhsC5fjnRpbk7xlXlJqLz2nO/fui8jE/us7Hvk8QI8
GBmNwg7pUwmZbXcGw8trfVp5Xr4hXrgNnErk3CsfTcQ3USswKl17juTQ69h31mNfhawgs2
YM4+t+ZALDFreF8XF1yug7Tp47h3WwAAAAMBAAEAAAGANzX6cWszTrtGYPpFTaKBdqFfbO
2CieEGoMZakeSK3R6ruACCIiNpusdsSvOUwjN7rPZpahhEoLOgPUF+u0vqtTGOzwD4pmdP
yEgc8hLYgRajvG+aMrs39HlsyorPvGtHWIBss8F6R7qnxD5aMgSK8s8kyTgIoBQse6zCAL
m9S8IyLLbf8uDEfXM1J1Oz1f6nh/k0we6HmyE3fYEgPdA5gPReBRcUuklaB9AcANERLaeZ
VTfnf5tdLI23tYCAY0wEH8gzZ0wirF5urdSRRy7UfG7DvLj8NcLBPfAUlvX2oYqhkBAlQ/
isamBwe2J4IC/KxbJUFDH6xffAMZSLD3H238ICIorPIjInipQOvIGJXKxSLADEonq22SYY
StlEgTf8ld6U0rdmxp1qkLuwh+J0yNE2JcTA1+OBhfcAwe6qLkdlmKP3SGez4B+60hhqoj
qAnwBw+gUtIpDnrWUMQSKnNFR8Hy/ibif5hEDCyyxUjHJcqBppC8oDNFbCumljKdmhAAAA
wEtub2SH3lLKVRzlwKC90F/dSS/akhgR+iBLZUphEuiQP444YZKd+Y8/alsri/xBbayI+/
DrohCF+pSkbT5RYzgpif9Z0ielOH0F6wg0Xak5n057YJfnCAP7zZ2kSbFB83/LgUeHvB0/
etsfrunvu741OO/z+KDmSL0o67MJKbeZBwKavyWi54WgL+erOWcximajOlrQrSJDglz20j
UIbiSst1/ORV484rotXi+Aicd5cLN+2qYWXMkz7MVqmKG7MQAAAMEA6ei8w5HvhXcrcM88
pO2696FofZIsZOpwbw82j3VO/t29fhrd4iRFarUFDlxfvSWiiL5n+PwXC7LeQdPcDTor/l
JcXXW/xHRuPMi+rGuZvS5Y50hUIMFTguivE/ni982AWYhw3vob0Ra08aZuBScdCGFkhigd
GDCeKOeH10Y6gc1Q0vZP/DciXvo+MDVd3Q6yjBAeQ4jCC++T0/kVYLXbx8QnMgdeGph+Pp
yqvZMNT0pGCh3XtkuugFrCoMSdOtRLAAAAwQDSQET66bG0+KkNdiS0IlSyaeJeu8uIdqFv
4E0vNarx7jzn/q7NLz34LKp8esWc3rs3NTZkWSsFrvdo/NIMSTo9+9h8Eqq48XOTQS4MrB
QXzf18XXSIU4EGC+xtDejJV2zSOUEZsFEmyp462FvWe2tDs7AllvFvnV9sApN8loXHUHLc
cAilXqmkjYm414x9qtAlxcTLFJZb6XLnOhcx+YIaoOpEteBOX9MRAPeCmDvm2peE5Rd2O4
qXLEhvrytKXzEAAAABYwEC
-----END OPENSSH PRIVATE KEY-----
)";

constexpr KeySupport old_library{.rsa_sha2 = false};
constexpr KeySupport new_library{.rsa_sha2 = true};

std::string refusal(std::string_view key, const KeySupport& support = old_library) {
  const auto type = private_key_type(key, support);
  REQUIRE(!type);
  CHECK(type.error().code == Errc::credentials);
  return type.error().message;
}

}  // namespace

TEST_CASE("keys that can be used") {
  CHECK(private_key_type(ed25519, old_library).value() == "ssh-ed25519");
  CHECK(private_key_type(ecdsa, old_library).value() == "ecdsa-sha2-nistp256");
  CHECK(private_key_type(ec_sec1, old_library).value() == "ecdsa-sha2-nistp256");
  CHECK(private_key_type(ec_pkcs8, old_library).value() == "ecdsa-sha2-nistp256");
}

TEST_CASE("an RSA key needs a library that signs with SHA-2") {
  for (const char* key : {rsa, rsa_pem}) {
    CHECK_THAT(refusal(key), Contains("RSA") && Contains("SHA-1") && Contains("ed25519"));
    CHECK(private_key_type(key, new_library).value() == "ssh-rsa");
  }
}

TEST_CASE("an encrypted key is refused with the way out") {
  for (const char* key : {encrypted, ec_encrypted_pkcs8, ec_encrypted_sec1})
    CHECK_THAT(refusal(key), Contains("passphrase") && Contains("ssh-keygen -p"));
}

TEST_CASE("what is no usable private key is named for what it is") {
  CHECK_THAT(refusal("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me"), Contains("public key"));
  CHECK_THAT(refusal("PuTTY-User-Key-File-3: ssh-ed25519\n"), Contains("puttygen"));
  CHECK_THAT(refusal(""), Contains("it is empty"));
  CHECK_THAT(refusal("\n"), Contains("it is empty"));
  CHECK_THAT(refusal("hello"), Contains("no private key"));
  CHECK_THAT(refusal(ed25519_pkcs8), Contains("OpenSSH's format"));
  CHECK_THAT(refusal(secp256k1), Contains("secp256k1"));
}

TEST_CASE("a damaged key is said to be so, wherever it is cut off") {
  const std::string whole(ed25519);
  for (std::size_t length = 36; length < whole.size() - 35; ++length)
    CHECK_THAT(refusal(whole.substr(0, length)), Contains("damaged"));
  CHECK_THAT(
      refusal("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
      Contains("damaged"));
  CHECK_THAT(refusal("-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n"),
             Contains("damaged"));
}

TEST_CASE("no message holds a part of the key") {
  const std::string whole(ed25519);
  auto cut = whole;
  cut[200] = '*';
  CHECK_THAT(refusal(cut), !Contains("b3BlbnNzaC1r") && !Contains("QyNTUx"));
}
