"""systemd itself can read the message catalog, finds every entry and shows it whole."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

CATALOG = Path("systemd/rcptsync.catalog")


def main():
    ids = re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(encoding="utf-8"), re.MULTILINE)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "usr/lib/systemd/catalog")
        folder.mkdir(parents=True)
        (folder / CATALOG.name).write_bytes(CATALOG.read_bytes())
        Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
        update = subprocess.run(["journalctl", f"--root={root}", "--update-catalog"],
                                capture_output=True, text=True, check=False)
        listed = subprocess.run(["journalctl", f"--root={root}", "--list-catalog"],
                                capture_output=True, text=True, check=False)
    print(update.stderr, listed.stderr, file=sys.stderr, end="")
    found = [line.split()[0] for line in listed.stdout.splitlines()]
    ok = (update.returncode == 0 and not update.stderr and ids and sorted(found) == sorted(ids)
          and all("rcptsync: " in line for line in listed.stdout.splitlines()))
    if not ok:
        print(f"{CATALOG} has {len(ids)} entries, systemd lists:\n{listed.stdout}", file=sys.stderr)
    sys.exit(0 if ok else 1)


main()
