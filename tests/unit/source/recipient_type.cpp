#include "source/recipient_type.hpp"

#include "catch.hpp"

using namespace rcptsync::source;

TEST_CASE("the system's own mailboxes are known by their type") {
  for (const auto* value : {"8192", "16384", "8388608", "536870912", "549755813888",
                            "4398046511104", "70368744177664"}) {
    INFO(value);
    CHECK(is_system_recipient_type(value));
  }
}

TEST_CASE("every other type is a recipient, known or not") {
  for (const auto* value : {
           "0",
           "1",               // UserMailbox
           "2",               // LinkedMailbox
           "4",               // SharedMailbox
           "8",               // LegacyMailbox
           "16",              // RoomMailbox
           "32",              // EquipmentMailbox
           "64",              // MailContact
           "128",             // MailUser
           "256",             // MailUniversalDistributionGroup
           "512",             // MailNonUniversalGroup
           "1024",            // MailUniversalSecurityGroup
           "2048",            // DynamicDistributionGroup
           "4096",            // PublicFolder
           "32768",           // MailForestContact
           "4194304",         // MicrosoftExchange
           "268435456",       // RoomList
           "2147483648",      // RemoteUserMailbox
           "8589934592",      // RemoteRoomMailbox
           "17179869184",     // RemoteEquipmentMailbox
           "34359738368",     // RemoteSharedMailbox
           "68719476736",     // PublicFolderMailbox
           "137438953472",    // TeamMailbox
           "274877906944",    // RemoteTeamMailbox
           "1099511627776",   // GroupMailbox
           "2199023255552",   // LinkedRoomMailbox
           "8796093022208",   // RemoteGroupMailbox
           "17592186044416",  // SchedulingMailbox
           "35184372088832",  // GuestMailUser
           "1152921504606846976",
           "-9223372036854775808",
           // Two bits are no value of Microsoft's.
           "8388609",
           // The low half of 549755813888 and its like must not be mistaken for a type.
           "549755813889",
       }) {
    INFO(value);
    CHECK_FALSE(is_system_recipient_type(value));
  }
}

TEST_CASE("a type that is no number keeps the object") {
  for (const auto* value : {"", " 8192", "8192 ", "0x2000", "+8192", "8192.0",
                            "18446744073709559808", "99999999999999999999", "TRUE", "8192\n"}) {
    INFO(value);
    CHECK_FALSE(is_system_recipient_type(value));
  }
  CHECK_FALSE(is_system_recipient_type(std::string_view("8192\0", 5)));
}

TEST_CASE("the system's own mailboxes are known by the names that setup gives") {
  for (const auto* dn :
       {"CN=SystemMailbox{1f05a927-3be2-4fb9-aa03-b59fe3b56f4c},CN=Users,DC=example,DC=com",
        "CN=SystemMailbox{D0E409A0-AF9B-4720-92FE-AAC869B0D201},CN=Microsoft Exchange System "
        "Objects,DC=example,DC=com",
        "CN=DiscoverySearchMailbox {D919BA05-46A6-415f-80AD-7E09334BB852},CN=Users,DC=example",
        "CN=DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852},CN=Users,DC=example",
        "CN=HealthMailbox0659e34c8acd4b0bb4d1f6bd9f2d3a51,CN=Monitoring Mailboxes,DC=example",
        "cn=healthmailbox0659E34C8ACD4B0BB4D1F6BD9F2D3A51,dc=example",
        "CN=FederatedEmail.4c1f4d8b-8179-4148-93bf-00a95fa1e042,CN=Users,DC=example,DC=com",
        "CN=Migration.8f3e7716-2011-43e4-96b1-aba62d229136,CN=Users,DC=example,DC=com",
        "CN=Migration.8f3e7716-2011-43e4-96b1-aba62d229136"}) {
    INFO(dn);
    CHECK(is_system_mailbox_name(dn));
  }
}

TEST_CASE("people, teams and rooms with such names stay") {
  for (const auto* dn :
       {"CN=Healthmailbox Smith,OU=Users,DC=example,DC=com",
        "CN=HealthMailbox,OU=Users,DC=example",
        "CN=HealthMailbox0659e34c8acd4b0bb4d1f6bd9f2d3a5,DC=example",
        "CN=HealthMailbox0659e34c8acd4b0bb4d1f6bd9f2d3a511,DC=example",
        "CN=HealthMailbox0659e34c8acd4b0bb4d1f6bd9f2d3a5g,DC=example",
        "CN=HealthMailbox-MBX01-001,DC=example",
        "CN=The HealthMailbox0659e34c8acd4b0bb4d1f6bd9f2d3a51,DC=example",
        "CN=HealthMailbox0659e34c8acd4b0bb4d1f6bd9f2d3a51\\, Ltd,DC=example",
        "CN=SystemMailbox,DC=example",
        "CN=SystemMailbox{},DC=example",
        "CN=SystemMailbox{1},DC=example",
        "CN=SystemMailbox 1f05a927-3be2-4fb9-aa03-b59fe3b56f4c,DC=example",
        "CN=SystemMailbox{1f05a927-3be2-4fb9-aa03-b59fe3b56f4c,DC=example",
        "CN=Migration,OU=Teams,DC=example",
        "CN=Migration.Team,OU=Teams,DC=example",
        "CN=FederatedEmail,DC=example",
        "CN=Discovery Search Mailbox,DC=example",
        "CN=Somebody,OU=SystemMailbox{1f05a927-3be2-4fb9-aa03-b59fe3b56f4c},DC=example",
        "CN=,DC=example",
        "CN=",
        "CN",
        "",
        ",",
        "=",
        "\\"}) {
    INFO(dn);
    CHECK_FALSE(is_system_mailbox_name(dn));
  }
}
