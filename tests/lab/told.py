"""told: a plain client of a directory that is told of changes, to see when the directory tells.

    with Told(slapd) as client:                 # content synchronization (RFC 4533) that persists
        server.add(…)
        client.wait("cn=new,")                  # time.monotonic() of the entry whose DN begins so
    with Told(domain) as client:                # change notification of Active Directory
        client.wait_ready(lambda: domain.add(…), "CN=new,")     # it stands when it is told of something

It is ldapsearch, so nothing of rcptsync has a part in it.
"""

import os
import queue
import subprocess
import threading
import time

NOTIFICATION = "1.2.840.113556.1.4.528"


class Told:
    def __init__(self, directory):
        """`directory`: a Slapd or an ActiveDirectory that runs."""
        if hasattr(directory, "realm"):
            account = ["-D", directory.administrator, "-w", directory.password]
            what = ["-b", directory.base, "-E", f"!{NOTIFICATION}", "(objectClass=*)", "cn"]
        else:
            account = ["-D", directory.reader_dn, "-w", directory.reader_password]
            since = f"rid=000,csn={';'.join(directory.context_csns())}"  # else it begins with everything
            what = ["-b", directory.suffix, "-E", f"sync=rp/{since}", "(proxyAddresses=*)", "cn"]
        command = ["stdbuf", "-oL", "ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H",
                   directory.ldaps_uri, *account, *what]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, "LDAPTLS_CACERT": directory.ca_file})
        self._told = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, change, dn):
        """Changes something, again if need be, until the client is told of it."""
        for _ in range(10):
            change()
            try:
                return self.wait(dn, 10)
            except TimeoutError:
                continue
        raise TimeoutError("ldapsearch is told of nothing")

    def drain(self):
        """Forgets what was told so far."""
        while not self._told.empty():
            self._told.get_nowait()

    def wait(self, dn, seconds=60):
        """Until an entry is told whose DN begins with `dn`; when that was, as time.monotonic()."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                when, line = self._told.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                raise TimeoutError(f"ldapsearch was not told of {dn}") from None
            if line is None:
                raise RuntimeError(f"ldapsearch ended with {self._process.wait()}")
            if line.lower().startswith(f"dn: {dn.lower()}"):
                return when

    def close(self):
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        for line in self._process.stdout:
            self._told.put((time.monotonic(), line.rstrip("\n")))
        self._told.put((time.monotonic(), None))
