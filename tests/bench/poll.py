"""poll: the daemon's polls of a directory with made-up entries, beside other readers of the same."""

import os
import re
import signal
import time
from pathlib import Path

from daemon import Daemon, ldap_source
from make_ldif import DOMAINS
from measure import Cost, cpu_clock, memory, run

HERE = Path(__file__).resolve().parent
FILTER = "(|(proxyAddresses=*)(mail=*))"
# What a source of type ldap asks for with the settings below, so that every reader gets the same.
ATTRIBUTES = ("objectClass", "objectGUID", "entryUUID", "msExchRequireAuthToSendTo", "proxyAddresses", "mail")


def source(directory, plaintext=False):
    """The source for a slapd whose every poll is a full read."""
    more = {"servers": [directory.uri], "start_tls": False, "allow_plaintext": True} if plaintext else {}
    # What is compared is a read of everything; the directory could say what changed.
    return ldap_source(directory, filter=FILTER, read_timeout="10m", incremental="off", **more)


class PollingDaemon:
    """A daemon with one source and no target that reads it when it is told to and at no other time.

    A target would have its share in the figures, and an unchanged poll opens no push anyway.
    """

    def __init__(self, folder, programs, a_source):
        self._daemon = Daemon(folder, programs, [a_source], [], schedule={"poll": "7d", "jitter": "0%"})
        self._read = self._daemon.log.stat().st_size if self._daemon.log.exists() else 0

    def __enter__(self):
        """Starts it; its first cycle begins at once. With a folder used before it knows the objects."""
        self._daemon.start()
        return self

    def __exit__(self, *_):
        self._daemon.stop()

    def first_load(self):
        """The cycle after a start without a state."""
        return self._cost_until("is in force", 0)

    def first_poll(self):
        """The cycle after a start that found the state as the directory is."""
        return self._cost_until("nothing changed", 0)

    def unchanged_poll(self):
        return self._poll("nothing changed")

    def changed_poll(self):
        return self._poll("is in force")

    def memory(self):
        """(peak resident size, private memory now), bytes."""
        return memory(self._daemon.process.pid)

    def _poll(self, end):
        before = cpu_clock(self._daemon.process.pid)
        self._daemon.signal(signal.SIGUSR1)
        return self._cost_until(end, before)

    def _cost_until(self, end, cpu_before):
        """Wall clock is what the daemon says of the cycle; the CPU time is of all that it does from
        the signal on, so a little later, when status.json is written too."""
        line = self._next_cycle(end)
        wall = int(re.search(r"duration_usec=(\d+)", line)[1]) / 1e6
        time.sleep(0.2)
        return Cost(wall, cpu_clock(self._daemon.process.pid) - cpu_before)

    def _next_cycle(self, end):
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            with open(self._daemon.log, encoding="utf-8", errors="replace") as log:
                log.seek(self._read)
                text = log.read()
            for line in text.splitlines(keepends=True):
                if "duration_usec=" not in line or not line.endswith("\n"):
                    continue
                if end in line:
                    self._read += len(text.encode())
                    return line
                if "nothing changed" in line:
                    raise RuntimeError(f"wanted a line with {end!r}, the daemon says: {line}")
            if self._daemon.process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"no poll ended with {end!r}:\n{self._daemon.tail()}")


def ldapsearch(directory, plaintext=False):
    """(command, environment) of a whole read with the tool of OpenLDAP. Its output goes to nowhere."""
    password = Path(directory.folder) / "reader-password.bare"  # -y takes the newline for a part of it
    password.write_text(directory.reader_password)
    password.chmod(0o600)
    command = ["ldapsearch", "-x", "-H", directory.uri if plaintext else directory.ldaps_uri,
               "-D", directory.reader_dn, "-y", str(password), "-b", directory.suffix,
               "-E", "pr=1000/noprompt", "-LLL", FILTER, *ATTRIBUTES]
    return command, {**os.environ, "LDAPTLS_CACERT": directory.ca_file, "LDAPTLS_REQCERT": "demand"}


def perl_script(directory):
    """The command that prints a table with Net::LDAP. It asks for proxyAddresses alone."""
    return ["perl", str(HERE / "getadsmtp.pl"), directory.ldaps_uri, directory.ca_file, directory.reader_dn,
            directory.password_file, directory.suffix, FILTER]


def check_readers_agree(directory, objects, folder):
    """A peer that reads less than all of it would win unfairly."""
    command, environment = ldapsearch(directory)
    output = Path(folder) / "ldapsearch.ldif"
    run(command, environment, output)
    with open(output, "rb") as lines:
        found = sum(line.startswith(b"objectGUID:") for line in lines)
    output.unlink()
    if found != objects:
        raise RuntimeError(f"ldapsearch found {found} of {objects} objects")


def change(directory, entries, number):
    """Gives each of the entries a new address, another one for each `number`."""
    directory.modify("\n".join(
        f"dn: {entry.dn}\nchangetype: modify\nadd: proxyAddresses\n"
        f"proxyAddresses: smtp:bench-{number}-{at}@{DOMAINS[0]}\n" for at, entry in enumerate(entries)))
