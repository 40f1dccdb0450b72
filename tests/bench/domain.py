"""domain: a made-up domain of Active Directory (Samba), and what the bench does to it."""

from active_directory import ActiveDirectory


def source(domain, port):
    """Read by DirSync through a port of the domain's address."""
    return {"name": "corp", "type": "active-directory", "servers": [f"ldaps://{domain.address}:{port}"],
            "ca_file": domain.ca_file, "read_timeout": "10m", "connect_timeout": "30s",
            "bind": {"method": "simple", "user": domain.reader, "password_file": domain.password_file}}


def hire(domain, *names):
    domain.add("\n".join(
        f"dn: CN={name},OU=Users,{domain.base}\nobjectClass: contact\nmail: {name}@example.com\n"
        f"proxyAddresses: SMTP:{name}@example.com\n" for name in names))


def start(folder, objects):
    """A domain controller with so many objects; a minute for 20,000."""
    return ActiveDirectory(folder).start(objects=objects)
