#!/usr/bin/python3
"""samba_directory: makes the database of a Samba domain controller while it is stopped.

    samba_directory.py provision FOLDER PASSWORD HOST ADDRESS
    samba_directory.py fill FOLDER PASSWORD OBJECTS SEED VALUES
    samba_directory.py kinds FOLDER
    samba_directory.py mark FOLDER ATTRIBUTE TRUE|FALSE

For active_directory.py, in a process of its own: the bindings keep state that two domains in one
process would share. FOLDER holds etc/smb.conf. `fill` extends the schema by what Exchange adds and
this project reads, makes the account svc-reader and OBJECTS made-up entries (make_ldif.py), names
that are not ASCII, and one entry with VALUES proxyAddresses. `kinds` adds one object of each kind
that Exchange has (KINDS), where Exchange puts it, the mailboxes of Exchange itself (SYSTEM), objects
that only look like those (NAMESAKES), and values nobody should believe (HOSTILE). `mark` puts an
attribute into the global catalogue or takes it out.
"""

import logging
import sys
from typing import NamedTuple

import ldb
import make_ldif
from samba import dsdb, param
from samba.auth import system_session
from samba.provision import provision as samba_provision
from samba.samdb import SamDB

# cn, lDAPDisplayName, OID, attributeSyntax, oMSyntax; all single-valued and in the global catalogue.
ATTRIBUTES = (
    ("ms-Exch-Mail-Nickname", "mailNickname", "1.2.840.113556.1.2.447", "2.5.5.12", 64),
    ("ms-Exch-Target-Address", "targetAddress", "1.2.840.113556.1.2.352", "2.5.5.12", 64),
    ("ms-Exch-RequireAuthToSendTo", "msExchRequireAuthToSendTo", "1.2.840.113556.1.4.5062",
     "2.5.5.8", 1),
    ("ms-Exch-Hide-From-Address-Lists", "msExchHideFromAddressLists",
     "1.2.840.113556.1.4.7000.102.73", "2.5.5.8", 1),
    ("ms-Exch-Recipient-Type-Details", "msExchRecipientTypeDetails",
     "1.2.840.113556.1.4.7000.102.50855", "2.5.5.16", 65),
)
# Names from many scripts, each with an address that is ASCII and one that is not.
PEOPLE = ("Jürgen Müller", "Zoë Ångström", "Łukasz Weiß", "Иван Петров", "太郎 山田", "Sinéad O'Brien")
SYSTEM_OBJECTS = "CN=Microsoft Exchange System Objects"
_GUID, _HEX32 = "1f05a927-3be2-4fb9-aa03-b59fe3b56f4c", "0659e34c8acd4b0bb4d1f6bd9f2d3a51"
_DISABLED = "546"


class Kind(NamedTuple):
    rdn: str            # below the domain
    object_class: str
    type_details: int   # msExchRecipientTypeDetails; 0: the attribute is not there
    more: dict = {}     # other attributes


# What people write to. The address of each is kind<number>@example.com.
KINDS = (
    Kind("CN=User Mailbox,OU=Users", "user", 1),
    Kind("CN=Linked Mailbox,OU=Users", "user", 2, {"userAccountControl": _DISABLED}),
    Kind("CN=Shared Mailbox,OU=Users", "user", 4, {"userAccountControl": _DISABLED}),
    Kind("CN=Room Mailbox,OU=Users", "user", 16, {"userAccountControl": _DISABLED}),
    Kind("CN=Equipment Mailbox,OU=Users", "user", 32, {"userAccountControl": _DISABLED}),
    Kind("CN=Mail Contact,OU=Contacts", "contact", 64,
         {"targetAddress": "SMTP:somebody@elsewhere.example"}),
    Kind("CN=Mail User,OU=Users", "user", 128, {"targetAddress": "SMTP:else@elsewhere.example"}),
    Kind("CN=Distribution Group,OU=Groups", "group", 256, {"groupType": "8"}),
    Kind("CN=Security Group,OU=Groups", "group", 1024, {"groupType": "-2147483640"}),
    Kind(f"CN=Dynamic Group,{SYSTEM_OBJECTS}", "msExchDynamicDistributionList", 2048),
    Kind(f"CN=Public Folder,{SYSTEM_OBJECTS}", "publicFolder", 4096),
    Kind("CN=Remote Mailbox,OU=Users", "user", 2147483648),
    Kind("CN=Remote Shared Mailbox,OU=Users", "user", 34359738368),
    Kind("CN=Public Folder Mailbox,OU=Users", "user", 68719476736),
    Kind("CN=Group Mailbox,OU=Groups", "group", 1099511627776, {"groupType": "8"}),
    Kind("CN=Microsoft Exchange,OU=Users", "user", 4194304),
    Kind("CN=Of Tomorrow,OU=Users", "user", 1 << 60),
    Kind("CN=Hidden Mailbox,OU=Users", "user", 1, {"msExchHideFromAddressLists": "TRUE"}),
    Kind("CN=Open Group,OU=Groups", "group", 256,
         {"groupType": "8", "msExchRequireAuthToSendTo": "FALSE"}),
    Kind("CN=Old Mailbox,OU=Users", "user", 0),
    Kind("CN=Internet Person,OU=Users", "inetOrgPerson", 1),
    Kind(r'CN=Every\, escape\+ \"in\" \<one\>\; name\\ #\= Zoë,OU=Users', "user", 1),
)
# Which of the names of SYSTEM people have. The addresses: namesake<number>@example.com.
NAMESAKES = (
    Kind("CN=Healthmailbox Smith,OU=Users", "user", 0),
    Kind("CN=Migration.Team,OU=Groups", "group", 0, {"groupType": "8"}),
    Kind("CN=SystemMailbox,OU=Users", "user", 0),
    Kind(f"CN=HealthMailbox{_HEX32},OU=Users", "user", 1),
)
# Exchange's own. The addresses: system<number>@example.com.
SYSTEM = (
    Kind(f"CN=SystemMailbox{{{_GUID}}},CN=Users", "user", 8388608, {"userAccountControl": _DISABLED}),
    Kind("CN=HealthMailbox One,CN=Users", "user", 549755813888),
    Kind("CN=Discovery,CN=Users", "user", 536870912, {"userAccountControl": _DISABLED}),
    Kind("CN=Audit Log,CN=Users", "user", 4398046511104),
    Kind("CN=Aux Audit Log,CN=Users", "user", 70368744177664),
    Kind("CN=System Attendant,CN=Users", "user", 8192),
    Kind(f"CN=SystemMailbox{{{_GUID}}},{SYSTEM_OBJECTS}", "user", 0),
    Kind(f"CN=HealthMailbox{_HEX32},CN=Users", "user", 0),
    Kind(f"CN=DiscoverySearchMailbox {{{_GUID}}},CN=Users", "user", 0),
    Kind(f"CN=FederatedEmail.{_GUID},CN=Users", "user", 0),
    Kind(f"CN=Migration.{_GUID},CN=Users", "user", 0),
)
# Values that must not become recipients, and the object that has them all. Samba itself refuses NUL,
# what is not UTF-8, and more than 1123 characters.
HOSTILE = (b"smtp:two@example.com\nextra@example.com",
           b"smtp:*@example.com", b"smtp:@example.com", b"smtp:no-at.example.com",
           b"smtp:" + b"x" * 1000 + b"@example.com",
           b"smtp:a b@example.com", b"smtp:tab\t@example.com", b"smtp:dot.@example.com",
           b"smtp:x@exa mple.com", b"smtp:x@example.com OK")
HOSTILE_DN = "CN=Hostile,OU=Users"
# Attributes whose index lists make adding quadratic; they are indexed again at the end.
UNSELECTIVE = ("objectClass", "objectCategory", "sAMAccountType", "primaryGroupID",
               "userAccountControl", "givenName", "sn", "displayName", "groupType")


def load(folder):
    parameters = param.LoadParm()
    parameters.load(f"{folder}/etc/smb.conf")
    parameters.set("dsdb:schema update allowed", "true")
    return parameters


def open_directory(folder):
    parameters = load(folder)
    return SamDB(url=f"{folder}/private/sam.ldb", session_info=system_session(), lp=parameters)


def provision(folder, password, host, address):
    parameters = load(folder)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    # Not `samba-tool domain provision`: that insists on ACLs of a file share nobody needs here.
    samba_provision(logging.getLogger("provision"), system_session(),
                    smbconf=f"{folder}/etc/smb.conf", realm=parameters.get("realm"),
                    domain=parameters.get("workgroup"), hostname=host, hostip=address,
                    adminpass=password, serverrole="active directory domain controller",
                    dns_backend="NONE", dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
                    lp=parameters, backend_store="tdb", skip_sysvolacl=True, batch_mode=True)


def extend_schema(folder):
    directory = open_directory(folder)
    schema = directory.get_schema_basedn()
    directory.transaction_start()
    for name, display, oid, syntax, om_syntax in ATTRIBUTES:
        directory.add_ldif(f"""\
dn: CN={name},{schema}
objectClass: attributeSchema
lDAPDisplayName: {display}
attributeID: {oid}
attributeSyntax: {syntax}
oMSyntax: {om_syntax}
isSingleValued: TRUE
searchFlags: 0
isMemberOfPartialAttributeSet: TRUE
""")
    directory.transaction_commit()
    directory.set_schema_update_now()
    directory = open_directory(folder)
    may_contain = "".join(f"mayContain: {display}\n" for _, display, *_ in ATTRIBUTES)
    directory.modify_ldif(f"dn: CN=Mail-Recipient,{schema}\nchangetype: modify\n"
                          f"add: mayContain\n{may_contain}")
    for name, display_name, number in (
            ("ms-Exch-Public-Folder", "publicFolder", "1.2.840.113556.1.3.15"),
            ("ms-Exch-Dynamic-Distribution-List", "msExchDynamicDistributionList",
             "1.2.840.113556.1.5.7000.62.12006")):
        directory.add_ldif(f"""\
dn: CN={name},{schema}
objectClass: classSchema
lDAPDisplayName: {display_name}
governsID: {number}
subClassOf: top
rDNAttID: cn
objectClassCategory: 1
auxiliaryClass: mailRecipient
mayContain: mail
defaultSecurityDescriptor: D:(A;;RPLCLORC;;;AU)
possSuperiors: organizationalUnit
possSuperiors: container
defaultObjectCategory: CN={name},{schema}
""")
    directory.set_schema_update_now()


def add_reader(directory, password, realm):
    base = directory.domain_dn()
    directory.newuser("svc-reader", password)
    normal_account, never_expires = 0x200, 0x10000
    replace(directory, f"CN=svc-reader,CN=Users,{base}",
            userAccountControl=str(normal_account | never_expires),
            userPrincipalName=f"svc-reader@{realm.lower()}")


def replace(directory, dn, controls=(), **attributes):
    message = ldb.Message(ldb.Dn(directory, str(dn)))
    for name, value in attributes.items():
        message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
    directory.modify(message, list(controls))


def set_indexed(folder, indexed):
    directory = open_directory(folder)
    wanted = "".join(f"(lDAPDisplayName={name})" for name in UNSELECTIVE)
    directory.transaction_start()
    for found in directory.search(directory.get_schema_basedn(), ldb.SCOPE_ONELEVEL,
                                  f"(|{wanted})", ["searchFlags"]):
        flags = int(str(found.get("searchFlags", ["0"])[0]))
        replace(directory, found.dn, ["relax:0"],
                searchFlags=str(flags | 1 if indexed else flags & ~1))
    directory.transaction_commit()
    directory.set_schema_update_now()


def add(directory, dn, kind, **attributes):
    message = {"dn": ldb.Dn(directory, dn), "objectClass": kind}
    for name, value in attributes.items():
        values = value if isinstance(value, list) else [value]
        message[name] = [one if isinstance(one, bytes) else one.encode() for one in values]
    directory.add(message)


def add_company(directory, objects, seed):
    base = directory.domain_dn()
    units = ["Users", "Groups", "Contacts", "Public Folders"]
    for unit in units + [f"Site{site:02},OU=Users" for site in range(20)]:
        add(directory, f"OU={unit},{base}", "organizationalUnit")
    kept = ("displayName", "mailNickname", "sAMAccountName", "givenName", "sn", "groupType",
            "targetAddress", "msExchRequireAuthToSendTo")
    password_not_required = 0x20
    for entry in make_ldif.entries(objects, seed):
        attributes = {name: entry.attributes[name] for name in kept if name in entry.attributes}
        if entry.kind == "user":
            control = int(entry.attributes["userAccountControl"]) | password_not_required
            attributes["userAccountControl"] = str(control)
        add(directory, entry.dn.replace(make_ldif.SUFFIX, base), entry.kind, mail=entry.mail,
            proxyAddresses=entry.proxies, **attributes)


def add_special(directory, values):
    base = directory.domain_dn()
    for number, name in enumerate(PEOPLE):
        given, family = name.split(" ")
        add(directory, f"CN={name},OU=Users,{base}", "user", sAMAccountName=f"special{number}",
            userAccountControl="544", givenName=given, sn=family, displayName=name,
            mail=f"special{number}@example.com",
            proxyAddresses=[f"SMTP:special{number}@example.com", f"smtp:{given}@münchen.example"])
    add(directory, f"CN=Many Addresses,OU=Users,{base}", "user", sAMAccountName="many",
        userAccountControl="544", mail="many@example.com",
        proxyAddresses=["SMTP:many@example.com"] +
        [f"smtp:many.{number:05}@example.com" for number in range(1, values)])


def fill(folder, password, objects, seed, values):
    extend_schema(folder)
    set_indexed(folder, False)
    directory = open_directory(folder)
    directory.transaction_start()
    add_reader(directory, password, load(folder).get("realm"))
    add_company(directory, int(objects), int(seed))
    add_special(directory, int(values))
    directory.transaction_commit()
    set_indexed(folder, True)
    open_directory(folder)


def add_kind(directory, kind, name):
    attributes = {"mail": f"{name}@example.com", "proxyAddresses": f"SMTP:{name}@example.com"}
    if kind.object_class in ("user", "inetOrgPerson", "group"):
        attributes["sAMAccountName"] = name
    if kind.object_class in ("user", "inetOrgPerson"):
        attributes["userAccountControl"] = "544"
    if kind.type_details:
        attributes["msExchRecipientTypeDetails"] = str(kind.type_details)
    add(directory, f"{kind.rdn},{directory.domain_dn()}", kind.object_class,
        **(attributes | kind.more))


def kinds(folder):
    directory = open_directory(folder)
    directory.transaction_start()
    base = directory.domain_dn()
    add(directory, f"{SYSTEM_OBJECTS},{base}", "container")
    for group, name in ((KINDS, "kind"), (NAMESAKES, "namesake"), (SYSTEM, "system")):
        for number, kind in enumerate(group):
            add_kind(directory, kind, f"{name}{number}")
    # Plain Active Directory without Exchange, and a group for authenticated senders only.
    add(directory, f"CN=Plain,OU=Users,{base}", "user", sAMAccountName="plain",
        userAccountControl="544", mail="plain@example.com")
    add(directory, f"CN=Internal,OU=Groups,{base}", "group", sAMAccountName="internal",
        groupType="8", mail="internal@example.com", proxyAddresses="SMTP:internal@example.com",
        msExchRequireAuthToSendTo="TRUE")
    add(directory, f"{HOSTILE_DN},{base}", "user", sAMAccountName="hostile",
        userAccountControl="544", proxyAddresses=["SMTP:hostile@example.com", *HOSTILE])
    directory.transaction_commit()


def mark(folder, attribute, value):
    directory = open_directory(folder)
    found = directory.search(directory.get_schema_basedn(), ldb.SCOPE_ONELEVEL,
                             f"(lDAPDisplayName={attribute})", ["cn"])
    replace(directory, found[0].dn, ["relax:0"], isMemberOfPartialAttributeSet=value)
    directory.set_schema_update_now()


if __name__ == "__main__":
    {"provision": provision, "fill": fill, "kinds": kinds, "mark": mark}[sys.argv[1]](*sys.argv[2:])
