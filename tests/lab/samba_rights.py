#!/usr/bin/python3
"""samba_rights: accounts of a Samba domain controller, and what they may see of its changes.

    add_account(domain, "svc-changes")
    grant(domain, "svc-changes", "changes")     # Replicating Directory Changes
    grant(domain, "svc-changes", "deleted")     # reads the container of deleted objects
    hide(domain, "svc-reader", dn)              # searches succeed, without what stands below dn
    show(domain, "svc-reader", dn)              # as before hide()

The controller may run meanwhile. For active_directory.py, in a process of its own: the bindings keep
state that two domains in one process would share.
"""

import subprocess
import sys
from pathlib import Path

GET_CHANGES = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2"


def add_account(domain, name):
    """The account's name to bind with; its password is domain.password."""
    _run("account", domain.folder, name, domain.password)
    return f"{name}@{domain.realm.lower()}"


def grant(domain, name, right):
    _run("grant", domain.folder, name, right)


def hide(domain, name, dn):
    _run("hide", domain.folder, name, dn)


def show(domain, name, dn):
    _run("show", domain.folder, name, dn)


def _run(*arguments):
    done = subprocess.run([sys.executable, Path(__file__).resolve(), *map(str, arguments)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]}: {done.stdout[-2000:]}")


def _account(folder, name, password):
    from samba_directory import load, open_directory, replace
    directory = open_directory(folder)
    directory.newuser(name, password)
    normal_account, never_expires = 0x200, 0x10000
    realm = load(folder).get("realm").lower()
    replace(directory, f"CN={name},CN=Users,{directory.domain_dn()}",
            userAccountControl=str(normal_account | never_expires),
            userPrincipalName=f"{name}@{realm}")


def _grant(folder, name, right):
    directory, sid = _open(folder, name)
    base = directory.domain_dn()
    dn, ace = {"changes": (base, f"(OA;;CR;{GET_CHANGES};;{sid})"),
               "deleted": (f"CN=Deleted Objects,{base}", f"(A;CI;LCRPLO;;;{sid})")}[right]
    _change(directory, sid, dn, lambda before: before + ace)


def _hide(folder, name, dn):
    directory, sid = _open(folder, name)
    # A denial counts only in front of what it denies.
    _change(directory, sid, dn, lambda before: before.replace("(", f"{_no_list(sid)}(", 1))


def _show(folder, name, dn):
    directory, sid = _open(folder, name)
    _change(directory, sid, dn, lambda before: before.replace(_no_list(sid), "", 1))


def _no_list(sid):
    return f"(D;;LC;;;{sid})"


def _open(folder, name):
    """The database, and the account's SID."""
    from samba.dcerpc import security
    from samba.ndr import ndr_unpack
    from samba_directory import open_directory
    import ldb
    directory = open_directory(folder)
    found = directory.search(directory.domain_dn(), ldb.SCOPE_SUBTREE, f"(sAMAccountName={name})",
                             ["objectSid"])
    return directory, str(ndr_unpack(security.dom_sid, found[0]["objectSid"][0]))


def _change(directory, sid, dn, change):
    """Replaces the access list of `dn` by change(access list), as SDDL."""
    import ldb
    from samba.dcerpc import security
    from samba.ndr import ndr_pack, ndr_unpack
    dacl_only = ["show_deleted:1", "sd_flags:1:4"]
    entry = directory.search(dn, ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"],
                             controls=dacl_only)[0]
    before = ndr_unpack(security.descriptor, entry["nTSecurityDescriptor"][0]).as_sddl()
    after = security.descriptor.from_sddl(change(before), security.dom_sid(sid.rsplit("-", 1)[0]))
    if after.as_sddl() == before:
        raise RuntimeError(f"the access list of {dn} stays as it is: {before}")
    message = ldb.Message(entry.dn)
    message["acl"] = ldb.MessageElement(ndr_pack(after), ldb.FLAG_MOD_REPLACE,
                                        "nTSecurityDescriptor")
    directory.modify(message, dacl_only)


if __name__ == "__main__":
    {"account": _account, "grant": _grant, "hide": _hide, "show": _show}[sys.argv[1]](*sys.argv[2:])
