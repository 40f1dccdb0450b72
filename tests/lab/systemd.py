"""systemd: a Debian of one's own with a real systemd as pid 1, in namespaces of its own.

    with Machine(folder) as machine:           # a fresh copy of the cached root file system
        machine.install(build)                 # cmake --install
        machine.boot()
        machine.run("systemctl", "start", "rcptsyncd")
        machine.journal("rcptsyncd.service")   # a list of dicts, one for each entry
        with machine.network():                # what is started in here is on its loopback
            directory.start()

Needs root. The machine has no network but loopback, sees none of the host's processes, and is gone
with everything in it when the block ends, or when the process that started it ends.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

SUITE = "bookworm"
# What the programs are linked with, what a boot needs, and tools for looking at the result.
PACKAGES = ("systemd,systemd-sysv,dbus,procps,libnss-systemd,man-db,"
            "libc-ares2,libfmt9,libgssapi-krb5-2,libidn2-0,libkrb5-3,libldap-2.5-0,liblmdb0,libre2-9,libssh2-1,libssl3,libstdc++6,"
            "libsystemd0,libunistring2,libxxhash0,libyaml-cpp0.7")

# Runs as pid 1 of the new namespaces: mounts what a machine has, changes the root, becomes systemd.
# The mounts are shared in the end, because systemd hands out credentials through a mount that it
# makes itself, and with container= set it leaves that to whoever started it.
INIT = r"""
set -eu
cd "$1"
mount --make-rprivate /
mount --bind . . && cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . mnt
umount -l /mnt
cd /
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=lab \
  /lib/systemd/systemd --system --unit=multi-user.target
"""

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def _setns(path):
    with open(path, "rb") as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")


def _die_with_parent():
    pr_set_pdeathsig = 1
    _libc.prctl(pr_set_pdeathsig, signal.SIGKILL)


def _cgroup_root():
    """Where the unified hierarchy is mounted: alone, or beside the old ones."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise RuntimeError("no cgroup2 is mounted: systemd cannot run here")


def cached_root(more=()):
    """The root file system that machines are copied from, with `more` packages; made at the first
    call, in about half a minute. Several callers may come at once."""
    packages = ",".join((PACKAGES, *more))
    cache = Path(os.environ.get("RCPTSYNC_LAB_CACHE", "/var/cache/rcptsync-lab"))
    cache.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{SUITE} {packages} 1".encode()).hexdigest()[:12]
    root = cache / f"{SUITE}-{name}"
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            unfinished = cache / f"{root.name}.unfinished"
            if unfinished.exists():
                shutil.rmtree(unfinished)
            made = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}",
                 "--dpkgopt=path-exclude=/usr/share/doc/*",
                 "--dpkgopt=path-exclude=/usr/share/locale/*", SUITE, unfinished],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise RuntimeError(f"mmdebstrap: {made.stderr}")
            unfinished.rename(root)
    return root


class Machine:
    def __init__(self, folder, packages=()):
        """`packages`: more of Debian's than every machine has."""
        self.root = Path(folder).resolve() / "root"
        self.pid = None     # of the machine's pid 1, as the host sees it
        self.status = None  # exit status of the last run()
        self._unshare = None
        self._cgroup = None
        subprocess.run(["cp", "-a", "--reflink=auto", cached_root(packages), self.root], check=True)
        units = self.root / "etc/systemd/system"
        for unneeded in ("console-getty.service", "getty.target", "systemd-logind.service",
                         "systemd-timesyncd.service", "systemd-resolved.service"):
            (units / unneeded).unlink(missing_ok=True)
            (units / unneeded).symlink_to("/dev/null")

    def install(self, build):
        """`cmake --install` as for a package: below /usr, without debugging symbols. Account,
        folders and catalog follow at the boot."""
        subprocess.run(["cmake", "--install", build, "--prefix", "/usr", "--strip"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       env=os.environ | {"DESTDIR": str(self.root)})

    def write(self, path, text, mode=0o644):
        """A file of the machine. `path` as it is called in there."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def boot(self, timeout=60):
        """Returns when every unit of multi-user.target has started or failed."""
        self._cgroup = _cgroup_root() / f"rcptsync-lab-{os.getpid()}-{id(self)}"
        self._cgroup.mkdir()
        log = self.root.parent / "boot.log"
        with open(log, "wb") as output:
            self._unshare = subprocess.Popen(
                ["sh", "-c", 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"', "sh", self._cgroup,
                 "unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--net",
                 "--cgroup", "sh", "-c", INIT, "sh", self.root],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=_die_with_parent)
        deadline = time.monotonic() + timeout
        state = ""
        while time.monotonic() < deadline and self._unshare.poll() is None:
            self.pid = self.pid or self._child()
            if self.pid and Path(f"/proc/{self.pid}/comm").read_text() == "systemd\n":
                state = self.run("systemctl", "is-system-running", check=False).strip()
                if state in ("running", "degraded"):
                    return self
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"no boot in {timeout} s ({state}): {log.read_text()}")

    def _child(self):
        path = f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children"
        children = Path(path).read_text().split()
        return int(children[0]) if children else None

    def run(self, *command, check=True, timeout=60, stdin=None):
        """Runs a command in there as root; what it said on both outputs. Failing raises, with
        that."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--cgroup",
                 "--uts", "--ipc", "--wdns=/", "--"]
        ended = subprocess.run(
            enter + ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                     *map(str, command)],
            input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
            check=False)
        self.status = ended.returncode
        if check and ended.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {ended.returncode}\n"
                               f"{ended.stdout}")
        return ended.stdout

    def journal(self, unit, **fields):
        """The unit's entries so far, oldest first; with `fields` only those that have these
        values."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--quiet", "--no-pager", "--output=json", "--all",
                         f"--unit={unit}").splitlines()
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries
                if all(entry.get(name) == value for name, value in fields.items())]

    def show(self, unit, *properties):
        """What the manager knows about a unit, as a dict."""
        text = self.run("systemctl", "show", f"--property={','.join(properties)}", unit)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    @contextlib.contextmanager
    def network(self):
        """In this block the calling thread, and what it starts, is on the machine's loopback."""
        own = f"/proc/self/task/{ctypes.CDLL(None).gettid()}/ns/net"
        with open(own, "rb") as home:
            _setns(f"/proc/{self.pid}/ns/net")
            try:
                yield
            finally:
                if _libc.setns(home.fileno(), CLONE_NEWNET) != 0:
                    os._exit(70)  # a test in a foreign network would be worse than none

    def stop(self):
        """Pid 1 goes, and the kernel takes everything else in the namespaces with it."""
        if self._unshare is None:
            return
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._unshare.kill()
        self._unshare.wait()
        self._remove_cgroups()
        self.pid = self._unshare = None

    def _remove_cgroups(self):
        folders = [Path(path) for path, _, _ in os.walk(self._cgroup, topdown=False)]
        for folder in folders:
            for _ in range(50):  # processes that were killed leave their group a moment later
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)
