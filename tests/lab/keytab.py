"""keytab: a keytab with the keys that a password makes.

    write_keytab(path, "svc-reader@LAB.EXAMPLE.COM", password)
"""

import os
import subprocess
from pathlib import Path


def write_keytab(path, principal, password):
    """With the salt that is the rule: realm and name. Mode 0600."""
    Path(path).unlink(missing_ok=True)
    commands = "".join(f"addent -password -p {principal} -k 1 -e {kind}\n{password}\n"
                       for kind in ("aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96"))
    done = subprocess.run(["ktutil"], input=f"{commands}wkt {path}\nquit\n", text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "KRB5_CONFIG": "/dev/null"})
    if not Path(path).exists():
        raise RuntimeError(f"ktutil: {done.stdout}{done.stderr}")
    Path(path).chmod(0o600)
    return str(path)
