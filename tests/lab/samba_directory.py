#!/usr/bin/python3
"""samba_directory: makes the database of a Samba domain controller while it is stopped.

    samba_directory.py provision FOLDER PASSWORD HOST ADDRESS
    samba_directory.py fill FOLDER PASSWORD OBJECTS SEED VALUES

For active_directory.py, in a process of its own: the bindings keep state that two domains in one
process would share. FOLDER holds etc/smb.conf. `fill` extends the schema by what Exchange adds and
this project reads, makes the account svc-reader and OBJECTS made-up entries (make_ldif.py), names
that are not ASCII, and one entry with VALUES proxyAddresses.
"""

import logging
import sys

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
)
# Names from many scripts, each with an address that is ASCII and one that is not.
PEOPLE = ("Jürgen Müller", "Zoë Ångström", "Łukasz Weiß", "Иван Петров", "太郎 山田", "Sinéad O'Brien")
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
    directory.add_ldif(f"""\
dn: CN=ms-Exch-Public-Folder,{schema}
objectClass: classSchema
lDAPDisplayName: publicFolder
governsID: 1.2.840.113556.1.3.15
subClassOf: top
rDNAttID: cn
objectClassCategory: 1
auxiliaryClass: mailRecipient
mayContain: mail
defaultSecurityDescriptor: D:(A;;RPLCLORC;;;AU)
possSuperiors: organizationalUnit
defaultObjectCategory: CN=ms-Exch-Public-Folder,{schema}
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
        message[name] = [one.encode() for one in values]
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


if __name__ == "__main__":
    {"provision": provision, "fill": fill}[sys.argv[1]](*sys.argv[2:])
