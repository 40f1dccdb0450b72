"""postfix: an isolated Postfix instance on loopback that relays to nowhere.

    with Postfix(folder, maps="lmdb:/path/relay_recipients").start() as gateway:
        gateway.ask("a@example.org") -> 250 or 550, on a connection of its own
        gateway.session()            -> smtp_ask.Session, stays with one smtpd
        gateway.config               -> its configuration folder, for postfix_config:

It shares nothing with an instance that the machine may run, delivers to the discard transport, and
needs root, as Postfix does.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import smtp_ask
from addresses import claim_port
from processes import accepts, end, spawn, wait_ready

SERVICES = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, folder, maps, access=None, domains=("example.org", "example.net"),
                 settings=""):
        """`maps`: relay_recipient_maps. `access`: a table for check_recipient_access. `settings`:
        more lines of main.cf, which win."""
        self.folder = Path(folder).resolve()
        self.port = claim_port()
        self.config = str(self.folder / "etc")
        self._process = None
        self._configure(maps, access, domains, settings)

    def _configure(self, maps, access, domains, settings):
        etc = Path(self.config)
        for name in ("etc", "queue", "data"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for folder in (self.folder, etc, self.folder / "queue"):
            folder.chmod(0o755)
        shutil.chown(self.folder / "data", "postfix")
        restrictions = f"check_recipient_access {access}" if access else ""
        (etc / "main.cf").write_text(f"""compatibility_level = 3.6
config_directory = {etc}
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
multi_instance_enable = yes
multi_instance_name = postfix-lab-{self.port}
syslog_name = lab-{self.port}
maillog_file_prefixes = {self.folder}
maillog_file = {self.folder}/mail.log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = gw.example.test
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
local_transport = error:there is no local delivery
mynetworks = 127.0.0.2/32
relay_domains = {", ".join(domains)}
relay_recipient_maps = {maps}
relay_transport = discard:
default_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = {restrictions}
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000000
smtpd_hard_error_limit = 1000000
smtpd_recipient_overshoot_limit = 1000000
smtpd_recipient_limit = 1000000
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
smtputf8_enable = yes
{settings}
""")
        (etc / "master.cf").write_text(f"127.0.0.1:{self.port} inet n - n - - smtpd\n{SERVICES}")
        # `postfix start` wants these two beside main.cf, and map types live in the second.
        for name in ("postfix-files", "dynamicmaps.cf"):
            if os.path.exists(f"/etc/postfix/{name}"):
                shutil.copy(f"/etc/postfix/{name}", etc)
        if os.path.isdir("/etc/postfix/dynamicmaps.cf.d"):
            shutil.copytree("/etc/postfix/dynamicmaps.cf.d", etc / "dynamicmaps.cf.d",
                            dirs_exist_ok=True)

    def start(self):
        """Returns when it answers. The master is a child of the caller: `postfix start-fg` would be a
        shell between the two, which can be killed before or without the master that it starts."""
        log = self.folder / "start.log"
        subprocess.run(["postfix", "-c", self.config, "check"], check=True, stdin=subprocess.DEVNULL)
        master = Path(self._setting("daemon_directory")) / "master"
        self._process = spawn([master, "-c", self.config], log)
        wait_ready(self._process, lambda: accepts("127.0.0.1", self.port), "Postfix",
                   self.folder / "mail.log")
        return self

    def log(self):
        text = ""
        for name in ("start.log", "mail.log"):
            if (self.folder / name).exists():
                text += (self.folder / name).read_text(errors="replace")
        return text

    def reload(self):
        """Returns when no smtpd from before is left, because the master ends them in its own time."""
        before = self._children()
        subprocess.run(["postfix", "-c", self.config, "reload"], check=True, capture_output=True)
        for _ in range(200):
            if not before & self._children():
                return
            time.sleep(0.05)
        raise RuntimeError("Postfix keeps its processes after a reload")

    def _children(self):
        """The smtpd processes, as process ids."""
        master = int((self.folder / "queue" / "pid" / "master.pid").read_text())
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return {child for child in children if self._name(child) == "smtpd"}

    @staticmethod
    def _name(pid):
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""

    def ask(self, address):
        """The code for RCPT TO on a connection of its own."""
        return smtp_ask.ask(self.port, address)

    def session(self):
        return smtp_ask.Session(self.port)

    def stop(self):
        if self._process is not None:
            process, self._process = self._process, None
            end(process)

    def _setting(self, name):
        return subprocess.run(["postconf", "-c", self.config, "-h", name], check=True,
                              capture_output=True, text=True).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
