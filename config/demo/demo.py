"""demo: shows the main job on real servers, step by step, and checks each step. Started by config/demo/run.

    demo.py PROGRAMS [--keep]      PROGRAMS: the folder with rcptsyncd and rcptsyncctl
"""

import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from daemon import Daemon, ldap_source, scp_target
from postfix import Postfix
from slapd import Slapd
from sshd import Account, Sshd

DOMAINS = ("example.com", "corp.example.net", "mail.example.org")


class Demo:
    def __init__(self, folder, programs, stack):
        self.failures = 0
        self.shown = 0
        self.folder = folder
        title("an LDAP directory with 500 entries in the shape of Active Directory, reached by LDAPS")
        self.directory = stack.enter_context(Slapd(folder / "directory").start(objects=500))
        print(f"   {self.directory.ldaps_uri}")

        title("two gateways: each has an sshd, an account that may only write one folder, and a Postfix")
        self.gateways, self.servers, targets = {}, {}, []
        for name, kind in (("mx1", "lmdb"), ("mx2", "cdb")):
            account = stack.enter_context(Account())
            tables = folder / name / "tables"
            tables.mkdir(parents=True)
            account.own(tables)
            server = stack.enter_context(Sshd(folder / name / "ssh", user=account.name).start())
            path = tables / "relay_recipients"
            gateway = Postfix(folder / name / "postfix", maps=f"{kind}:{path}", domains=DOMAINS,
                              settings="maillog_file_permissions = 0644")
            stack.callback(gateway.stop)
            self.gateways[name], self.servers[name] = gateway, server
            targets.append(scp_target(server, name, path, postfix_config=gateway.config))
            print(f"   {name}: ssh {account.name}@127.0.0.1:{server.port}, smtp 127.0.0.1:{gateway.port}, {kind}:{path}")

        self.daemon = Daemon(folder / "rcptsync", programs, [ldap_source(self.directory)], targets,
                             recipients={"always": ["postmaster"], "domains": list(DOMAINS)},
                             schedule={"poll": "2s", "jitter": "0%"})
        stack.callback(lambda: self.daemon.process and self.daemon.stop())

    # ---- steps --------------------------------------------------------------------------------------------------

    def run(self):
        title("rcptsyncd --check, then the daemon; nobody helps it from here on")
        self.expect("the configuration has no faults", self.daemon.run("--check").returncode == 0)
        self.daemon.start(verbose=False)
        self.daemon.wait_current()
        for gateway in self.gateways.values():
            gateway.start()
        self.journal()
        first = next(line.split("\t")[0] for line in self.daemon.table().splitlines() if line.endswith("@example.com\tOK"))
        self.ask(first, 250)
        self.ask("postmaster@example.com", 250)
        self.ask("nobody@example.com", 550)

        title("somebody is hired: one entry is added to the directory")
        generation = self.daemon.status()["generation"]
        self.ask("new.colleague@example.com", 550)
        self.add("new.colleague")
        self.next_generation(generation)
        self.ask("new.colleague@example.com", 250)
        self.ask("New.Colleague@EXAMPLE.com", 250)

        title("nothing changes for three polls: nothing is written, nothing is sent")
        data = self.daemon.state / "data.mdb"
        before, sessions = data.stat().st_mtime_ns, self.ssh_sessions()
        time.sleep(6.5)
        self.expect("data.mdb was not written", data.stat().st_mtime_ns == before)
        self.expect("no gateway was contacted", self.ssh_sessions() == sessions)

        title("somebody leaves: the entry is deleted")
        generation = self.daemon.status()["generation"]
        self.directory.delete(self.dn("new.colleague"))
        self.next_generation(generation)
        self.ask("new.colleague@example.com", 550)

        title("mx2 is away while somebody is hired: mx1 does not wait for it, and it catches up by itself")
        generation = self.daemon.status()["generation"]
        self.servers["mx2"].stop()
        self.add("second.colleague")
        self.daemon.wait(lambda status: status["generation"] > generation and
                         {t["name"]: t["state"] for t in status["targets"]} == {"mx1": "current", "mx2": "failing"})
        self.journal()
        self.ask("second.colleague@example.com", 250, "mx1")
        self.ask("second.colleague@example.com", 550, "mx2")
        self.servers["mx2"].start()
        self.daemon.wait_current(60)
        self.journal()
        self.ask("second.colleague@example.com", 250)

        title("a whole site loses its addresses: that is too much at once, and the guard holds it")
        victims = self.site_entries()
        address = self.break_site(victims)
        held = self.daemon.wait(lambda status: status["held"], what="the hold")
        self.journal()
        self.expect(f"{held['removed']} removals are held", held["removed"] >= 25)
        self.ask(address, 250)
        generation = self.daemon.status()["generation"]
        self.add("third.colleague")
        self.next_generation(generation)
        print("   … and who is hired meanwhile still gets in:")
        self.ask("third.colleague@example.com", 250)
        self.ask(address, 250)

        title("what rcptsyncctl says")
        print(indent(self.daemon.ctl("status").stdout))

    def finish(self):
        title("the end")
        seconds = self.daemon.stop()
        self.expect(f"rcptsyncd stopped by SIGTERM in {seconds:.1f} s with exit code {self.daemon.code}",
                    self.daemon.code == 0 and seconds < 10)

    # ---- the directory ------------------------------------------------------------------------------------------

    def dn(self, name):
        return f"cn={name},ou=Users,{self.directory.suffix}"

    def add(self, name):
        self.directory.add(f"dn: {self.dn(name)}\nobjectClass: user\ncn: {name}\nmail: {name}@example.com\n"
                           f"proxyAddresses: SMTP:{name}@example.com\nproxyAddresses: X400:c=DE;a= ;p=Example;s={name};\n")

    def site_entries(self):
        """Distinguished names of the entries of the first sites."""
        import subprocess
        found = []
        for site in range(4):
            listed = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.directory.uri,
                                     "-D", self.directory.admin_dn, "-w", self.directory.admin_password,
                                     "-b", f"ou=Site{site:02},ou=Users,{self.directory.suffix}", "(proxyAddresses=*)", "dn",
                                     "mail"], capture_output=True, text=True, check=True).stdout
            for record in listed.strip().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line)
                if "dn" in fields and fields.get("mail", "").isascii():
                    found.append((fields["dn"], fields.get("mail", "")))
        return found

    def break_site(self, victims):
        self.directory.modify("\n".join(
            f"dn: {dn}\nchangetype: modify\nreplace: proxyAddresses\n-\nreplace: mail\n" for dn, _ in victims))
        return next(mail for _, mail in victims if mail.split("@")[1] in DOMAINS).lower()

    # ---- what is seen -------------------------------------------------------------------------------------------

    def next_generation(self, generation):
        self.daemon.wait(lambda status: status["generation"] > generation, what="a new generation")
        self.daemon.wait_current()
        self.journal()

    def ssh_sessions(self):
        return sum(server.log().count("Connection from") for server in self.servers.values())

    def journal(self):
        """The new lines of the daemon's journal."""
        lines = self.daemon.text().splitlines()
        for line in lines[self.shown:]:
            print("   | " + (line if len(line) < 150 else line[:147] + "…"))
        self.shown = len(lines)

    def ask(self, address, expected, *names):
        for name in names or self.gateways:
            code = self.gateways[name].ask(address)
            self.expect(f"{name} answers {code} to RCPT TO:<{address}>", code == expected)

    def expect(self, what, holds):
        print(f"   {'ok  ' if holds else 'FAIL'} {what}")
        self.failures += not holds


def title(text):
    print(f"\n== {text}", flush=True)


def indent(text):
    return "\n".join("   " + line for line in text.splitlines())


def main():
    programs, keep = sys.argv[1], "--keep" in sys.argv[2:]
    folder = Path(tempfile.mkdtemp(prefix="rcptsync-demo-"))
    folder.chmod(0o755)  # Postfix and the accounts on the gateways are other users
    # Ctrl-C and kill end everything in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failures = 1
    try:
        with ExitStack() as stack:
            demo = Demo(folder, programs, stack)
            try:
                demo.run()
                if keep:
                    print(f"\n== everything keeps running; its files are in {folder}; end it with Ctrl-C\n"
                          f"   {' '.join(demo.daemon.command('rcptsyncctl', 'status'))}\n"
                          f"   tail -f {demo.daemon.log}\n"
                          f"   ldapmodify -x -H {demo.directory.uri} -D {demo.directory.admin_dn} -w {demo.directory.admin_password}\n"
                          f"   tests/lab/smtp_ask.py {demo.gateways['mx1'].port} somebody@example.com", flush=True)
                    signal.pause()
                demo.finish()
                failures = demo.failures
            except (RuntimeError, TimeoutError) as error:
                print(f"   FAIL {error}")
    except KeyboardInterrupt:
        failures = 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n== {'every step was as it should be' if failures == 0 else f'{failures} steps were not as they should be'}")
    return 0 if failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
