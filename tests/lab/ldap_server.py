"""ldap_server: what all LDAP servers of the lab have in common: how they end, pause, and are changed.

A server sets `process` and `folder`, and says in _administrator() how it is written to. stop() and start() keep its
content and its place.
"""

import os
import signal
import subprocess

from processes import end, signal_group


class LdapServer:
    process = None

    def stop(self):
        """SIGTERM, and waits."""
        self._end(signal.SIGTERM)

    def kill(self):
        """SIGKILL: connections are cut, nothing is said."""
        self._end(signal.SIGKILL)

    def pause(self):
        """SIGSTOP: connections stay, nobody answers."""
        signal_group(self.process, signal.SIGSTOP)

    def resume(self):
        signal_group(self.process, signal.SIGCONT)

    def add(self, ldif):
        """LDIF records without changetype."""
        self._ldapmodify(ldif, "-a")

    def modify(self, ldif):
        """LDIF change records."""
        self._ldapmodify(ldif)

    def delete(self, dn):
        self._ldapmodify(f"dn: {dn}\nchangetype: delete\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _administrator(self):
        """(URI, DN or name, password, CA file or None) of somebody who may change everything."""
        raise NotImplementedError

    def _tool(self, name, *arguments, **options):
        """One of OpenLDAP's programs, as that administrator."""
        uri, user, password, ca_file = self._administrator()
        environment = {**os.environ, "LDAPTLS_CACERT": ca_file} if ca_file else None
        return subprocess.run([name, "-x", "-H", uri, "-D", user, "-w", password, *arguments], env=environment,
                              capture_output=True, text=True, check=False, **options)

    def _ldapmodify(self, ldif, *options):
        done = self._tool("ldapmodify", *options, input=ldif)
        if done.returncode != 0:
            raise RuntimeError(f"ldapmodify: {done.stderr}")

    def _end(self, number):
        if self.process is not None:
            process, self.process = self.process, None
            end(process, number)
