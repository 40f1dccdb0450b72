"""The rebuild recipe by itself, under every kind of shell, and killed at every step.

It runs here as it runs on a target but for the SSH between: the script with its arguments, real
postmap, a Postfix configuration of its own.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[2] / "config" / "target" / "rebuild.sh"
SUFFIX = {"lmdb": ".lmdb", "cdb": ".cdb", "hash": ".db"}

OLD = "".join(f"u{n:04}@example.org\tOK\n" for n in range(300)).encode()
NEW = "".join(f"u{n:04}@example.org\tOK\n" for n in range(100, 420)).encode()
COMES_BACK, LEAVES = b"u0400@example.org\t", b"u0001@example.org\t"  # in NEW and OLD alone
OLD_ACCESS = b"gone@example.org\t550 5.1.1 Has left\n" + COMES_BACK + b"450 4.1.1 Later\n"
NEW_ACCESS = b"gone@example.org\t550 5.1.1 Has gone\n" + LEAVES + b"450 4.1.1 Later\n"
BETWEEN = NEW_ACCESS + COMES_BACK + b"450 4.1.1 Later\n"


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Recipe(unittest.TestCase):
    shell = ["dash"]
    script = None

    def setUp(self):
        if shutil.which(self.shell[0]) is None:
            self.fail(f"{self.shell[0]} is not installed; run: sh config/install-packages test")
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-recipe-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = self.folder / "etc"
        self.config.mkdir()
        self.table = self.folder / "tables" / "relay_recipients"
        self.table.parent.mkdir()
        self.configure()
        self.uploads = 0

    def configure(self, maps="", more=""):
        (self.config / "main.cf").write_text(
            f"compatibility_level = 3.6\nconfig_directory = {self.config}\n"
            f"queue_directory = {self.folder}\n"
            f"relay_recipient_maps = {maps}\n{more}\n")
        (self.config / "master.cf").write_text("")
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d"):
            source = Path("/etc/postfix") / name
            if source.is_dir():
                shutil.copytree(source, self.config / name, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy(source, self.config)

    def start(self, *arguments, environment=None):
        words = [str(argument) for argument in arguments]
        return subprocess.Popen(
            [*self.shell, self.script or RECIPE, "MARK", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, **(environment or {})})

    def run_verb(self, *arguments, environment=None):
        """({key: last value}, warnings) of the answer."""
        process = self.start(*arguments, environment=environment)
        out, err = process.communicate(timeout=120)
        self.assertEqual(err, "", out)
        answers, warnings = {}, []
        for line in out.splitlines():
            self.assertTrue(line.startswith("MARK "), line)
            key, _, value = line[5:].partition("=")
            answers[key] = value
            if key == "warning":
                warnings.append(value)
        return answers, warnings

    def look(self, map_type="auto", format="postfix", access="no", size=100, wait=2, rebuild=""):
        return self.run_verb("look", self.table, self.config, format, map_type, wait, access, size,
                             60, rebuild)

    def upload(self, data, suffix=""):
        if data is None:
            return ""
        self.uploads += 1
        file = Path(f"{self.table}{suffix}.new.{self.uploads:016x}")
        file.write_bytes(data)
        return str(file)

    def install_arguments(self, data=None, access=None, map_type="auto", format="postfix", held="",
                          rebuild="", limit=20, wait=2, promised=None):
        return ["install", self.table, self.config, format, map_type, wait, held,
                self.upload(data), promised or (digest(data) if data is not None else ""),
                "", self.upload(access, "_access"), digest(access) if access is not None else "",
                limit, rebuild, ""]

    def install(self, data=None, environment=None, **options):
        return self.run_verb(*self.install_arguments(data, **options), environment=environment)

    def assertInstalled(self, answer):
        self.assertEqual(answer[0].get("end"), "ok", answer)

    def served(self, map_type="lmdb", suffix=""):
        """What Postfix reads from the index, as text."""
        table = f"{map_type}:{self.table}{suffix}"
        if map_type == "cdb":
            keys = b"".join(line.split(b"\t")[0] + b"\n" for line in (OLD + NEW).splitlines())
            found = subprocess.run(["postmap", "-q", "-", table], input=keys, capture_output=True)
            return b"".join(sorted(set(found.stdout.splitlines(keepends=True))))
        found = subprocess.run(["postmap", "-s", table], capture_output=True)
        return b"".join(sorted(found.stdout.splitlines(keepends=True)))

    def names(self):
        return sorted(file.name for file in self.table.parent.iterdir())


class Style(unittest.TestCase):
    def test_shellcheck(self):
        found = subprocess.run(["shellcheck", "--shell=sh", RECIPE], capture_output=True, text=True)
        self.assertEqual(found.stdout, "")


class EveryShell(Recipe):
    """What must hold under each shell."""

    def test_each_map_type(self):
        for map_type, suffix in SUFFIX.items():
            with self.subTest(map_type=map_type):
                for data in (OLD, NEW):
                    self.assertInstalled(self.install(data, map_type=map_type))
                    self.assertEqual(self.table.read_bytes(), data)
                    self.assertEqual(self.served(map_type), data)
                answer, _ = self.look(map_type)
                self.assertEqual((answer["digest"], answer["whole"], answer["map_type"]),
                                 (digest(NEW), "yes", map_type))
                previous = Path(f"{self.table}.previous")
                self.assertEqual(previous.read_bytes(), OLD)
                self.assertTrue(Path(f"{previous}{suffix}").exists())
                self.assertEqual([name for name in self.names()
                                  if ".new." in name or "work" in name or "installing" in name], [])
                for file in self.table.parent.iterdir():
                    file.unlink()

    def test_both_tables_and_a_list(self):
        self.assertInstalled(self.install(OLD, access=OLD_ACCESS, map_type="lmdb"))
        self.assertEqual(self.served(suffix="_access"), OLD_ACCESS)
        self.assertInstalled(self.install(NEW, access=b"", map_type="lmdb"))
        self.assertEqual(self.served(suffix="_access"), b"")
        self.assertInstalled(self.install(OLD, format="list"))
        self.assertEqual(self.table.read_bytes(), OLD)

    def test_show(self):
        self.table.write_bytes(OLD + b"\0\xff no end")
        process = self.start("show", self.table)
        out = process.stdout.buffer.read()
        process.communicate()
        self.assertEqual(out, b"MARK bytes=follow\n" + OLD + b"\0\xff no end")

    def test_lock_is_held_against_a_second_push(self):
        slow = self.start(*self.install_arguments(OLD, format="list", rebuild="sleep 4; exit 1"))
        time.sleep(1.5)
        answer, _ = self.look(format="list", wait=1)
        self.assertTrue(answer.get("fail", "").startswith("busy "), answer)
        slow.communicate()
        self.assertInstalled(self.install(NEW, format="list"))

    def test_a_killed_owner_locks_nobody_out(self):
        slow = self.start(*self.install_arguments(OLD, format="list", rebuild="sleep 3; exit 1"))
        time.sleep(1.5)
        os.killpg(slow.pid, 9)
        slow.communicate()
        # A rebuild command of the administrator may outlive its shell; it does not own the lock.
        self.assertInstalled(self.install(NEW, format="list", wait=1))
        self.assertEqual(self.table.read_bytes(), NEW)

    # ---- looking without a change -----------------------------------------------------------------

    def everything(self):
        return {file: (file.lstat().st_ino, file.lstat().st_mtime_ns)
                for file in [self.table.parent, *self.table.parent.iterdir()]}

    def probe(self, access="no", size=100, map_type="auto"):
        return self.run_verb("probe", self.table, self.config, "postfix", map_type, access, size, "")

    def verify(self, access="no", map_type="auto"):
        return self.run_verb("verify", self.table, self.config, "postfix", map_type, access, "")

    def test_probe_goes_through_every_step_and_changes_nothing(self):
        before = self.everything()
        answers, warnings = self.probe(access="yes")
        self.assertEqual((answers.get("end"), answers["trying"]), ("ok", "table"), answers)
        self.assertIn("is not there yet", answers["passed"])
        self.assertEqual(len(warnings), 2, warnings)  # main.cf names neither table
        self.assertEqual(self.everything(), before)
        self.assertInstalled(self.install(OLD, map_type="lmdb"))
        self.configure(f"lmdb:{self.table}")
        before = self.everything()
        answers, warnings = self.probe()
        self.assertEqual((answers.get("end"), answers["passed"]), ("ok", f"{self.table} has 300 entries"))
        self.assertEqual(warnings, [])
        self.assertEqual(self.everything(), before)
        answers, _ = self.probe(size=1 << 60)
        self.assertEqual((answers["trying"], answers["fail"].split()[0]), ("space", "no_space"))

    @contextlib.contextmanager
    def lock(self):
        with open(f"{self.table}.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def test_verify_reads_every_index_and_changes_nothing(self):
        answers, _ = self.verify()
        self.assertEqual((answers["digest"], answers["whole"]), ("absent", "no"))
        for map_type in ("lmdb", "cdb"):
            self.assertInstalled(self.install(OLD, access=OLD_ACCESS, map_type=map_type))
            before = self.everything()
            answers, _ = self.verify(access="yes", map_type=map_type)
            self.assertEqual((answers["digest"], answers["entries"], answers["whole"], answers.get("wrong")),
                             (digest(OLD), "300", "yes", None))
            self.assertEqual((answers["access_digest"], answers["access_entries"]), (digest(OLD_ACCESS), "2"))
            self.assertEqual(self.everything(), before)
        # An index that lags behind its text, which no digest shows.
        self.table.write_bytes(NEW)
        answers, _ = self.verify(map_type="lmdb")
        self.assertIn("does not say what", answers["wrong"])
        Path(f"{self.table}.installing").touch()
        # Of a push that was cut off, until somebody holds the lock.
        answers, warnings = self.verify(map_type="lmdb")
        self.assertEqual((answers.get("end"), answers["whole"]), ("ok", "no"), answers)
        self.assertIn("was cut off", " ".join(warnings))
        with self.lock():
            answers, _ = self.verify(map_type="lmdb")
        self.assertTrue(answers["fail"].startswith("busy "), answers)


class BusyBox(EveryShell):
    shell = ["busybox", "sh"]


class Ksh(EveryShell):
    shell = ["ksh"]


class Bash(EveryShell):
    shell = ["bash", "--posix"]


class WithoutFlock(EveryShell):
    """As on a BSD."""

    def setUp(self):
        super().setUp()
        self.script = self.folder / "rebuild.sh"
        text = RECIPE.read_text()
        self.assertIn("if command -v flock", text)
        self.script.write_text(text.replace("if command -v flock", "if command -v no-such-program"))

    @contextlib.contextmanager
    def lock(self):
        since = subprocess.run(["ps", "-o", "lstart=", "-p", str(os.getpid())], capture_output=True, text=True).stdout
        owner = self.table.with_name("relay_recipients.owner")
        owner.write_text(f"{os.getpid()} {'_'.join(since.split())}\n")
        yield
        owner.unlink()

    def test_many_at_once_after_a_kill(self):
        self.table.with_name("relay_recipients.owner").write_text("999999999 long_ago\n")
        running = [self.start(*self.install_arguments(data, format="list", wait=60))
                   for data in (OLD, NEW) * 4]
        for process in running:
            out, err = process.communicate(timeout=120)
            self.assertEqual((out, err), ("MARK end=ok\n", ""))
        self.assertIn(self.table.read_bytes(), (OLD, NEW))
        self.assertEqual(self.names(), ["relay_recipients", "relay_recipients.previous"])


class Refusals(Recipe):
    """Anything that is not right leaves the old table as it was, and no rubbish."""

    def setUp(self):
        super().setUp()
        self.assertInstalled(self.install(OLD, map_type="lmdb"))

    def assertRefused(self, answer, code, words, whole="yes"):
        failure = answer[0].get("fail", "")
        self.assertTrue(failure.startswith(code + " "), answer)
        self.assertIn(words, failure)
        self.assertEqual(self.table.read_bytes(), OLD)
        self.assertEqual(self.served(), OLD)
        self.assertEqual([name for name in self.names() if ".new." in name or ".work" in name], [])
        look, _ = self.look("lmdb")
        self.assertEqual((look["digest"], look["whole"]), (digest(OLD), whole))

    def test_bytes_that_did_not_arrive(self):
        self.assertRefused(self.install(NEW[:-1], promised=digest(NEW), map_type="lmdb"), "damaged",
                           "did not arrive")

    def test_lines_that_postmap_does_not_like(self):
        self.assertRefused(self.install(NEW + b"u0100@example.org\tOK\n", map_type="lmdb"), "remote",
                           "duplicate")
        self.assertRefused(self.install(NEW + b"novalue@example.org\n", map_type="lmdb"), "remote",
                           "key whitespace value")

    def test_lines_that_postmap_silently_loses_or_changes(self):
        for line in (b"#x@example.org\tOK\n", b"UPPER@example.org\tOK\n"):
            for map_type in SUFFIX:
                with self.subTest(line=line, map_type=map_type):
                    self.assertRefused(self.install(line + NEW, map_type=map_type), "damaged",
                                       "does not read back")

    def test_another_push_came_between(self):
        self.assertRefused(self.install(NEW, map_type="lmdb", held=digest(NEW)), "busy",
                           "in the meantime")

    def test_map_types_that_cannot_be(self):
        self.configure(f"hash:{self.table}")
        answer, _ = self.look("lmdb")
        self.assertTrue(answer["fail"].startswith("invalid "), answer)
        self.assertIn(f"names hash:{self.table}", answer["fail"])
        self.configure(f"btree:{self.table}")
        self.assertIn("cannot be built here", self.look()[0]["fail"])

    def test_places_that_cannot_be(self):
        self.table.unlink()
        self.table.symlink_to("/etc/passwd")
        self.assertIn("symbolic link", self.look()[0]["fail"])
        self.table.unlink()
        self.table.mkdir()
        self.assertIn("not a regular file", self.look()[0]["fail"])
        self.table = self.folder / "missing" / "t"
        self.assertTrue(self.look()[0]["fail"].startswith("not_found "))

    def test_a_disk_that_cannot_hold_it(self):
        self.assertTrue(self.look(size=10 ** 15)[0]["fail"].startswith("no_space "))

    def test_a_rebuild_command_that_fails_hangs_or_lies(self):
        # Nobody knows what it has done, so whoever looks next is to install again.
        self.assertRefused(self.install(NEW, rebuild="echo it broke >&2; exit 3"), "remote",
                           "exit status 3: it broke", whole="no")
        self.assertRefused(self.install(NEW, rebuild="sleep 60", limit=1), "timeout", "1 s",
                           whole="no")
        self.assertRefused(self.install(NEW, rebuild="true"), "damaged", "is not what was installed",
                           whole="no")


class MapTypes(Recipe):
    def test_main_cf_decides(self):
        for map_type in SUFFIX:
            for words in (f"{map_type}:{self.table}", f"proxy:{map_type}:{self.table}",
                          "static:x, {" + f" {map_type}:{self.table} " + "}",
                          f"{map_type}:${{table_folder}}/relay_recipients"):
                with self.subTest(words=words):
                    self.configure(words, f"table_folder = {self.table.parent}")
                    answer, warnings = self.look()
                    self.assertEqual(answer["map_type"], map_type)
                    self.assertEqual(warnings, [])

    def test_a_table_that_main_cf_does_not_name(self):
        self.configure(f"lmdb:{self.table}2", "default_database_type = cdb")
        answer, warnings = self.look()
        self.assertEqual(answer["map_type"], "cdb")
        self.assertIn("does not name cdb:", warnings[0])

    def test_master_cf_counts(self):
        (self.config / "master.cf").write_text(
            "smtp inet n - n - - smtpd\n"
            f"  -o relay_recipient_maps=cdb:{self.table}\n")
        self.assertEqual(self.look()[0]["map_type"], "cdb")

    def test_a_change_of_type_keeps_no_stale_index(self):
        self.configure(f"hash:{self.table}")
        self.assertInstalled(self.install(OLD))
        self.configure(f"lmdb:{self.table}")
        answer, _ = self.look()
        self.assertEqual((answer["map_type"], answer["whole"]), ("lmdb", "no"))
        self.assertInstalled(self.install(NEW))
        self.assertEqual((self.served("lmdb"), self.served("hash")), (NEW, NEW))

    def test_words_about_main_cf_are_not_about_the_table(self):
        self.configure(f"lmdb:{self.table}", "mynetworks = 127.0.0.0/8\nmynetworks = 10.0.0.0/8")
        self.assertInstalled(self.install(OLD))

    def test_a_rebuild_command_needs_no_postfix(self):
        answer, _ = self.look(rebuild="x")
        self.assertEqual(answer["end"], "ok")
        self.assertNotIn("map_type", answer)
        new = self.install_arguments(OLD, rebuild="mv '%s' '%s'")
        new[13] = f"mv '{new[7]}' '{self.table}'"
        self.assertInstalled(self.run_verb(*new))
        self.assertEqual(self.table.read_bytes(), OLD)


class Leftovers(Recipe):
    def test_only_dead_uploads_of_ours_go(self):
        keep = ["relay_recipients.new.notes", "relay_recipients.new.0123456789abcde",
                "relay_recipients.newer", "other.new.0123456789abcdef"]
        dead = ["relay_recipients.new.0123456789abcdef",
                "relay_recipients_access.new.0123456789abcdef"]
        fresh = "relay_recipients.new.fedcba9876543210"
        for name in [*keep, *dead, fresh]:
            (self.table.parent / name).write_text("x")
        for name in [*keep, *dead]:
            os.utime(self.table.parent / name, (1, 1))
        self.look()
        self.assertEqual(self.names(), sorted([*keep, fresh, "relay_recipients.lock"]))


class Killed(Recipe):
    """SIGKILL to the shell and all it runs, before each single command, round by round."""

    commands = ("chmod cmp cp cut find flock mkdir mv postconf postfix postmap rm sha256sum sort sync"
                .split())

    def setUp(self):
        super().setUp()
        self.configure(f"lmdb:{self.table}",
                       f"smtpd_recipient_restrictions = check_recipient_access lmdb:{self.table}_access")
        shims = self.folder / "shims"
        shims.mkdir()
        self.count = self.folder / "count"
        for name in self.commands:
            real = shutil.which(name)
            shim = shims / name
            # Two commands of one pipeline draw their numbers at the same time: an appended line is
            # one step for the kernel, where reading a count and writing it back would be two.
            shim.write_text(f"""#!/bin/dash
echo "$$" >>{self.count}
n=0
while read -r drawn && n=$((n + 1)) && [ "$drawn" != "$$" ]; do :; done <{self.count}
[ "$n" != "$KILL_AT" ] || kill -9 0
exec {real} "$@"
""")
            shim.chmod(0o755)
        self.environment = {"PATH": f"{shims}:{os.environ['PATH']}", "KILL_AT": "0"}

    def assertWhole(self):
        """Both indexes serve one whole table, and whoever looks is not deceived."""
        served, served_access = self.served(), self.served(suffix="_access")
        self.assertIn(served, (OLD, NEW))
        self.assertIn(served_access, (OLD_ACCESS, BETWEEN, NEW_ACCESS))
        self.assertIn(self.table.read_bytes(), (OLD, NEW))
        self.assertIn(Path(f"{self.table}_access").read_bytes(), (OLD_ACCESS, NEW_ACCESS))
        # Who goes between the tables is never in none of them.
        for key in (COMES_BACK, LEAVES):
            self.assertIn(key, served + served_access)
        answer, _ = self.look(access="yes")
        self.assertEqual(answer["end"], "ok")
        for prefix, suffix in (("", ""), ("access_", "_access")):
            if answer[prefix + "whole"] == "yes":
                self.assertEqual(digest(self.served(suffix=suffix)), answer[prefix + "digest"])
        return answer

    def test_at_each_step(self):
        steps = self.count_steps()
        self.assertGreater(steps, 25)
        unclean = 0
        for step in range(1, steps + 1):
            with self.subTest(step=step):
                self.assertInstalled(self.install(OLD, access=OLD_ACCESS))
                self.count.write_text("")
                process = self.start(*self.install_arguments(NEW, access=NEW_ACCESS),
                                     environment={**self.environment, "KILL_AT": str(step)})
                out, _ = process.communicate(timeout=60)
                self.assertEqual(process.returncode, -9, out)
                answer = self.assertWhole()
                # Or each round would begin with more leftovers to look at than the one before.
                for file in self.table.parent.glob("*.new.*"):
                    file.unlink()
                unclean += answer["whole"] == "no"
        # Otherwise the kills missed the moment between index and text.
        self.assertGreater(unclean, 2)
        self.assertInstalled(self.install(NEW, access=NEW_ACCESS))
        self.assertEqual((self.served(), self.served(suffix="_access")), (NEW, NEW_ACCESS))
        self.assertEqual([name for name in self.names()
                          if "work" in name or "installing" in name], [])

    def count_steps(self):
        self.assertInstalled(self.install(OLD, access=OLD_ACCESS))
        self.count.write_text("")
        self.assertInstalled(self.install(NEW, access=NEW_ACCESS, environment=self.environment))
        return len(self.count.read_text().split())


if __name__ == "__main__":
    unittest.main()
