"""--once, --dry-run, --check and rcptsyncctl: what they print, what they change and how they end. Real slapd, sshd and
Postfix."""

import hashlib
import json
import re
import subprocess
import unittest

from company import postfix_table
from whole_system import PEOPLE, WholeSystem

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def folder_content(folder):
    """Everything about every file: name, inode, size, time, mode and bytes.

    Not lock.mdb: there every reader of LMDB marks its place.
    """
    return {str(path.relative_to(folder)): (path.lstat().st_ino, path.lstat().st_size, path.lstat().st_mtime_ns,
                                           path.lstat().st_mode, path.is_file() and path.read_bytes())
            for path in [folder, *sorted(folder.rglob("*"))] if path.name != "lock.mdb"}


class Once(WholeSystem):
    def test_all_well_ends_with_0_and_a_second_time_contacts_nobody(self):
        daemon = self.daemon(start=False)
        self.company.hire("ada")
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_tables(self.company.table())
        self.assert_answers("ada@example.com", 250)
        sessions = [gateway.sessions_served() for gateway in self.gateways.values()]
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([gateway.sessions_served() for gateway in self.gateways.values()], sessions)
        self.assertEqual(daemon.ctl("status").returncode, 0)

    def test_it_pushes_only_to_targets_that_are_not_current(self):
        daemon = self.daemon(start=False)
        self.mx2.sshd.stop()
        self.company.hire("ada")
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("push to mx2 failed", done.stderr)
        self.assert_answers("ada@example.com", 250, "mx1")
        sessions = self.mx1.sessions_served()
        self.mx2.sshd.start()
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.mx1.sessions_served(), sessions)
        self.assert_tables(self.company.table())

    def test_a_source_that_is_down_ends_with_1(self):
        daemon = self.daemon(start=False)
        self.assertEqual(daemon.run("--once").returncode, 0)
        self.company.stop()
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 1)
        self.assertIn("source corp was not read", done.stderr)
        self.assert_tables(self.company.table())

    def test_what_the_guard_holds_ends_with_3(self):
        daemon = self.daemon(start=False)
        self.assertEqual(daemon.run("--once").returncode, 0)
        before = self.company.table()
        self.company.leave(*(f"person{number:03}" for number in range(15)))
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("15 removals are held", done.stderr)
        self.assertEqual(daemon.ctl("status").returncode, 3)
        self.assert_tables(before)

    def test_wrong_usage_ends_with_2(self):
        daemon = self.daemon(start=False)
        for arguments in (["--no-such-option"], ["--dry-run"], ["--once", "--check"], ["surplus"]):
            done = daemon.run(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr.strip())
        for arguments in ([], ["no-such-command"], ["diff", "one"], ["diff", "1", "2", "3"], ["status", "--wrong"]):
            self.assertEqual(daemon.ctl(*arguments).returncode, 2, arguments)
        self.assertFalse(daemon.state.exists())

    def test_a_second_daemon_ends_with_75_and_disturbs_nobody(self):
        daemon = self.daemon()
        daemon.wait_current()
        for arguments in ([], ["--once"]):
            done = daemon.run(*arguments, timeout=20)
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertRegex(done.stderr, r"^error: another rcptsyncd has the state [^\n]*\n$")
        self.company.hire("ada")
        self.poll(daemon, "mx1 serves generation 2 ")
        daemon.wait_current()

    def test_a_faulty_configuration_ends_with_78(self):
        daemon = self.daemon(start=False)
        daemon.settings["targets"][0]["timeout"] = "2h"
        daemon.write()
        for arguments in ([], ["--once"], ["--once", "--dry-run"], ["--check"]):
            done = daemon.run(*arguments, timeout=20)
            self.assertEqual(done.returncode, 78, arguments)
            self.assertRegex(done.stdout + done.stderr, rf"{re.escape(str(daemon.file))}:\d+: [^\n]*timeout")
        self.assertEqual(daemon.ctl("status").returncode, 78)
        daemon.file.unlink()
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 78)
        self.assertIn(str(daemon.file), done.stderr)
        self.assertFalse(daemon.state.exists())


class DryRun(WholeSystem):
    def dry(self, daemon, *arguments, **variables):
        done = daemon.run("--once", "--dry-run", *arguments, **variables)
        return done.returncode, done.stdout, done.stderr

    def test_without_any_state_it_shows_the_first_table_and_leaves_nothing(self):
        daemon = self.daemon(start=False)
        sessions = [gateway.sessions_served() for gateway in self.gateways.values()]
        temporary = daemon.folder / "tmp"
        temporary.mkdir()
        code, out, err = self.dry(daemon, TMPDIR=str(temporary))
        self.assertEqual(code, 0, err)
        self.assertIn(f"{PEOPLE} added, 0 removed, 0 changed; {PEOPLE} recipients afterwards\n", out)
        self.assertRegex(out, rf"\nexample\.com +0 +0 +{PEOPLE}\n")
        self.assertNotIn("person001", out)
        self.assertFalse(daemon.state.exists())
        self.assertEqual(list(temporary.iterdir()), [])
        self.assertEqual([gateway.sessions_served() for gateway in self.gateways.values()], sessions)

        code, out, err = self.dry(daemon, "--verbose")
        self.assertEqual(code, 0, err)
        for address in self.company.addresses():
            self.assertIn(f"+ {address}\n", out)

    def test_it_shows_the_difference_and_changes_nothing(self):
        daemon = self.daemon(start=False, recipients={"domains": ["example.com", "example.net"]})
        self.assertEqual(daemon.run("--once").returncode, 0)
        self.company.hire("ada", "bob")
        self.company.hire("cyd", domain="example.net")
        self.company.leave("person004")
        before, tables = folder_content(daemon.state), [gateway.table() for gateway in self.gateways.values()]
        sessions = [gateway.sessions_served() for gateway in self.gateways.values()]
        for _ in range(2):
            code, out, err = self.dry(daemon, "--verbose")
            self.assertEqual(code, 0, err)
            self.assertIn(f"3 added, 1 removed, 0 changed; {PEOPLE + 2} recipients afterwards\n", out)
            self.assertRegex(out, r"\nexample\.com +1 +0 +2\n")
            self.assertRegex(out, r"\nexample\.net +0 +0 +1\n")
            for line in ("+ ada@example.com", "+ bob@example.com", "+ cyd@example.net", "- person004@example.com"):
                self.assertIn(line + "\n", out)
            self.assertIn("guard: nothing is held\n", out)
        self.assertEqual(folder_content(daemon.state), before)
        self.assertEqual([gateway.table() for gateway in self.gateways.values()], tables)
        self.assertEqual([gateway.sessions_served() for gateway in self.gateways.values()], sessions)

    def test_it_works_while_the_daemon_runs_and_says_what_the_guard_would_hold(self):
        daemon = self.daemon()
        daemon.wait_current()
        self.poll(daemon)
        self.company.leave(*(f"person{number:03}" for number in range(11)))
        before = folder_content(daemon.state)
        code, out, err = self.dry(daemon)
        self.assertEqual(code, 3, err)
        self.assertIn("guard: 11 removals would be held", out)
        self.assertIn("guard.max_removal_percent", out)
        self.assertEqual(folder_content(daemon.state), before)
        self.poll(daemon, "11 removals are held")

    def test_a_source_that_is_down(self):
        daemon = self.daemon(start=False)
        self.company.stop()
        code, out, _ = self.dry(daemon)
        self.assertEqual(code, 1)
        self.assertIn("source corp: not read: ", out)
        self.assertIn("guard: the first table would be held", out)
        self.assertFalse(daemon.state.exists())


class Check(WholeSystem):
    """--check: every fault with its place, and no network."""

    gateway_kinds = {"mx1": "lmdb"}

    def setUp(self):
        super().setUp()
        self.checked = self.daemon(start=False)

    def faults(self, *words):
        """The one fault that --check finds."""
        sessions = self.mx1.sessions_served()
        done = self.checked.run("--check", timeout=20)
        self.assertEqual(done.returncode, 78, done.stdout)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        for word in words:
            self.assertIn(word, done.stdout)
        self.assertEqual(self.mx1.sessions_served(), sessions)
        self.assertFalse(self.checked.state.exists())
        return done.stdout

    def target(self, **more):
        self.checked.settings["targets"][0] |= more
        self.checked.write()

    def source(self, **more):
        self.checked.settings["sources"][0] |= more
        self.checked.write()

    def line_of(self, text):
        lines = self.checked.file.read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def key(self, name, *options):
        file = self.checked.folder / name
        subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-f", file], check=True, stdin=subprocess.DEVNULL)
        return file

    def test_no_fault(self):
        self.mx1.sshd.stop()
        self.company.stop()
        done = self.checked.run("--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(len(done.stdout.splitlines()), 1)

    def test_yaml_that_is_none(self):
        self.checked.file.write_text("sources:\n  - name: corp\n   type: ldap\n")
        self.faults(f"{self.checked.file}:3: ")

    def test_unknown_key(self):
        self.target(tiemout="30s")
        self.faults(f"{self.checked.file}:{self.line_of('tiemout')}: ", "tiemout", "timeout")

    def test_missing_key(self):
        self.target(key_file="missing_key")
        self.faults(f"{self.checked.file}:", "key_file", str(self.checked.folder / "missing_key"))

    def test_key_that_others_can_read(self):
        key = self.key("loose", "-t", "ed25519")
        key.chmod(0o644)
        self.target(key_file=str(key))
        self.faults("key_file", str(key), "0644", "chmod")

    def test_rsa_key(self):
        key = self.key("rsa", "-t", "rsa", "-b", "2048")
        self.target(key_file=str(key))
        self.faults("key_file", str(key), "RSA", "ssh-keygen -t ed25519")

    def test_host_that_known_hosts_does_not_have(self):
        file = self.checked.folder / "known_hosts"
        file.write_text("elsewhere.example " + self.mx1.sshd.host_key() + "\n")
        self.target(known_hosts=str(file))
        self.faults(f"{self.checked.file}:", str(file), f"[127.0.0.1]:{self.mx1.sshd.port}", "ssh-keyscan")

    def test_missing_ca_file(self):
        self.source(ca_file="missing-ca.pem")
        self.faults("ca_file", str(self.checked.folder / "missing-ca.pem"))

    def test_missing_credential(self):
        self.source(bind={"method": "simple", "user": self.company.reader_dn,
                          "password_file": "credential:lab-no-such"})
        self.faults("/etc/rcptsync/credentials/lab-no-such", "0600")

    def test_all_faults_at_once(self):
        self.target(key_file="missing_key")
        self.source(ca_file="missing-ca.pem")
        done = self.checked.run("--check")
        self.assertEqual(done.returncode, 78)
        self.assertIn("missing_key", done.stdout)
        self.assertIn("missing-ca.pem", done.stdout)
        for line in done.stdout.splitlines():
            self.assertRegex(line, rf"^{re.escape(str(self.checked.file))}:\d+: ")


class Operator(WholeSystem):
    """rcptsyncctl."""

    def test_without_a_state(self):
        daemon = self.daemon(start=False)
        done = daemon.ctl("status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not running", done.stdout)
        self.assertIn("no table yet", done.stdout)
        status = daemon.status()
        self.assertEqual((status["generation"], status["recipients"], status["digest"]), (0, 0, None))
        self.assertEqual([target["state"] for target in status["targets"]], ["behind", "behind"])
        for arguments in (["table"], ["table", "--target", "mx1"], ["diff"]):
            done = daemon.ctl(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, r"^error: [^\n]*no[^\n]*yet[^\n]*\n$")
        self.assertFalse(daemon.state.exists())

    def test_status(self):
        daemon = self.daemon()
        daemon.wait_current()
        daemon.wait(lambda status: status["next_poll"])
        status = daemon.status()
        self.assertLessEqual({"version", "generation", "recipients", "digest", "next_poll", "pinned", "held", "sources",
                              "targets"}, set(status))
        self.assertEqual((status["generation"], status["recipients"], status["pinned"], status["held"]),
                         (1, PEOPLE, None, None))
        self.assertEqual(status["digest"], hashlib.sha256(self.company.table()).hexdigest())
        self.assertRegex(status["next_poll"], RFC3339)
        (source,) = status["sources"]
        for key in ("last_success", "last_full"):
            self.assertRegex(source.pop(key), RFC3339)
        source.pop("watch")  # connected or not yet
        self.assertEqual(source, {"name": "corp", "type": "ldap", "mode": "full", "objects": PEOPLE,
                                  "recipients": PEOPLE, "last_error": None, "complete": True, "behind": None,
                                  "server": self.company.ldaps_uri, "waiting": False})
        for target, name in zip(status["targets"], self.gateways):
            self.assertRegex(target.pop("last_success"), RFC3339)
            self.assertEqual(target, {"name": name, "state": "current", "generation": 1, "digest": status["digest"],
                                      "last_error": None, "attempts": 0, "next_attempt": None})
        self.assert_narrow(daemon.ctl("status").stdout)
        self.assertIn("daemon running", daemon.ctl("status").stdout)
        daemon.stop()
        self.assertIn("daemon not running", daemon.ctl("status").stdout)
        self.assertIsNone(daemon.status()["next_poll"])

    def test_why(self):
        daemon = self.daemon()
        daemon.wait_current()
        done = daemon.ctl("why", "smtp:PERSON001@example.com")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("person001@example.com is listed", done.stdout)
        self.assertIn("corp: ", done.stdout)
        self.assertIn("mx1: accepts it (generation 1)", done.stdout)
        done = daemon.ctl("--json", "why", "nobody@example.com")
        self.assertEqual(done.returncode, 3, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["verdict"], answer["owners"]), ("not-listed", []))
        self.assertEqual({target["holds"] for target in answer["targets"]}, {"no"})

    def assert_narrow(self, text):
        """A terminal of 80 columns shows it. What tells of a trouble may be longer; it is indented."""
        for line in text.splitlines():
            if not line.startswith("  "):
                self.assertLessEqual(len(line), 80, line)

    def test_status_of_troubles(self):
        daemon = self.daemon(targets=[gateway.target(timeout="3s") for gateway in self.gateways.values()])
        daemon.wait_current()
        self.company.leave(*(f"person{number:03}" for number in range(15)))
        self.company.hire("ada")
        self.mx2.sshd.stop()
        self.poll(daemon, "15 removals are held")
        daemon.wait_line("push to mx2 failed")
        status = daemon.wait(lambda status: status["targets"][1]["state"] == "failing" and status)
        self.assertEqual(set(status["held"]), {"digest", "added", "removed", "reason", "since"})
        self.assertEqual(status["held"]["removed"], 15)
        self.assertRegex(status["held"]["since"], RFC3339)
        self.assertRegex(status["held"]["digest"], r"^[0-9a-f]{64}$")
        self.assertRegex(status["targets"][1]["next_attempt"], RFC3339)
        done = daemon.ctl("status")
        self.assertEqual(done.returncode, 1)        # a failing target comes before a held change
        self.assert_narrow(done.stdout)
        self.assertIn("HELD since ", done.stdout)
        self.assertRegex(done.stdout, r"mx2 +failing +1 ")
        self.mx2.sshd.start()
        daemon.wait_current()
        self.assertEqual(daemon.ctl("status").returncode, 3)

    def test_diff(self):
        daemon = self.daemon(start=False)
        daemon.run("--once")
        for step, name in ((self.company.hire, "ada"), (self.company.hire, "bob"), (self.company.leave, "ada"),
                           (self.company.leave, "person001")):
            step(name)
            self.assertEqual(daemon.run("--once").returncode, 0)

        def diff(*numbers):
            done = daemon.ctl("--json", "diff", *map(str, numbers))
            self.assertEqual(done.returncode, 0, done.stderr)
            found = json.loads(done.stdout)
            return tuple([entry["address"] for entry in found[key]] for key in ("added", "removed", "changed"))

        self.assertEqual(diff(), ([], ["person001@example.com"], []))
        self.assertEqual(diff(2), (["ada@example.com"], [], []))
        self.assertEqual(diff(3), (["bob@example.com"], [], []))
        self.assertEqual(diff(1, 5), (["bob@example.com"], ["person001@example.com"], []))
        self.assertEqual(diff(2, 4), (["bob@example.com"], ["ada@example.com"], []))
        self.assertEqual(diff(3, 3), ([], [], []))
        text = daemon.ctl("diff", "1", "5").stdout
        self.assertIn("+ bob@example.com\n", text)
        self.assertIn("- person001@example.com\n", text)
        self.assertEqual(diff(5, 1), (["person001@example.com"], ["bob@example.com"], []))
        for wrong in (["9"], ["1", "9"]):
            done = daemon.ctl("diff", *wrong)
            self.assertEqual((done.returncode, done.stdout), (1, ""), wrong)
            self.assertTrue(done.stderr.startswith("error: "))

        gone = [f"person{number:03}" for number in range(10, 25)]
        self.company.leave(*gone)
        self.assertEqual(daemon.run("--once").returncode, 3)
        self.assertEqual(diff(), ([], [f"{name}@example.com" for name in gone], []))
        self.assertIn("15 removals", daemon.ctl("diff").stdout)
        self.assertEqual(diff(2), (["ada@example.com"], [], []))

    def test_table_is_what_the_gateway_holds(self):
        static = ["@partner.example", "person001@example.com 550 5.1.1 Gone"]
        targets = [self.mx1.target(), self.mx2.target(domains=["example.net"])]
        self.mx2.install(b"", access=b"")
        self.company.hire("ada", domain="example.net")
        daemon = self.daemon(targets=targets, start=False,
                             recipients={"domains": ["example.com", "example.net"], "static": static})
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, gateway in self.gateways.items():
            self.assertEqual(daemon.table(name).encode(), gateway.table())
            self.assertEqual(daemon.ctl("table", "--target", name, "--access").stdout.encode(), gateway.access_table())
        self.assertEqual(self.mx2.table(), postfix_table("ada@example.net"))
        self.assertEqual(self.mx2.access_table(), b"")
        self.assertEqual(self.mx1.access_table(), b"person001@example.com\t550 5.1.1 Gone\n")
        done = daemon.ctl("table", "--target", "mx9")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("mx9", done.stderr)

    def test_a_list_for_another_program(self):
        path = self.mx1.tables / "recipients.list"
        self.addCleanup(lambda: [file.unlink() for file in self.mx1.tables.glob("recipients.list*")])
        target = self.mx1.target(format="list") | {"path": str(path)}
        daemon = self.daemon(targets=[target], start=False)
        done = daemon.run("--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(path.read_text().splitlines(), self.company.addresses())
        self.assertEqual(daemon.table("mx1"), path.read_text())

    def test_every_map_type(self):
        for kind in ("lmdb", "cdb", "hash"):
            path = self.mx1.tables / f"as_{kind}"
            self.addCleanup(lambda name=path.name: [file.unlink() for file in self.mx1.tables.glob(f"{name}*")])
            target = self.mx1.target(map_type=kind) | {"path": str(path)}
            daemon = self.daemon(targets=[target], start=False)
            done = daemon.run("--once")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(path.read_bytes(), self.company.table())
            asked = subprocess.run(["postmap", "-c", self.mx1.postfix.config, "-q", "-", f"{kind}:{path}"],
                                   input="\n".join(self.company.addresses()), capture_output=True, text=True)
            self.assertEqual(asked.stdout.encode(), self.company.table())


if __name__ == "__main__":
    unittest.main()
