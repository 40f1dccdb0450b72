"""The completions for bash, zsh and fish, installed as a package would, in the real shells, with the real programs and
a real state."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from daemon import Daemon
from whole_system import PROGRAMS

BUILD = Path(os.environ["RCPTSYNC_BUILD"])

# Asks bash what it would offer for the line, after bash-completion has found the file by itself.
BASH = r"""
. /usr/share/bash-completion/bash_completion
read -ra COMP_WORDS <<<"$LINE"
[[ $LINE != *" " ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$LINE COMP_POINT=${#LINE}
__load_completion "${COMP_WORDS[0]}" || exit 9
function=$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\) .*/\1/')
$function "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""

# An interactive zsh on a terminal of its own types the line and the tab key; whatever its completion system matches
# is also written to a file.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
shell() { zpty -w shell "$1" }
shell "PROMPT= ; fpath=($FUNCTIONS \$fpath); autoload -Uz compinit; compinit -u -D"
shell "zstyle ':completion:*' insert-tab false; bindkey '^I' complete-word"
shell 'compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  typeset -a hits; builtin compadd -A hits "$@"; (( $#hits )) && print -rl -- "${hits[@]}" >>$OUT
  builtin compadd "$@"
}'
shell 'done-with-it() { print >$OUT.done }; comppostfuncs=(done-with-it)'
zpty -w -n shell "$LINE"$'\t'
for i in {1..600}; do
  [[ -e $OUT.done ]] && exit 0
  zpty -r -t shell rest; sleep 0.05
done
exit 9
"""


class Completions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="rcptsync-completions-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.share = cls.folder / "usr" / "share"
        subprocess.run(["cmake", "--install", BUILD / "config", "--prefix", cls.folder / "usr"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        people = cls.folder / "people.txt"
        targets = [{"name": name, "host": "127.0.0.1", "enabled": False, "path": "/x", "key_file": "/x",
                    "host_key": "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"} for name in ("mx1", "mx2", "other")]
        cls.daemon = Daemon(cls.folder / "daemon", PROGRAMS, [{"name": "list", "type": "table", "path": str(people)}],
                            targets, recipients={"domains": ["example.com"]})
        for count in (40, 41, 20):  # two generations, and a hold
            people.write_text("".join(f"person{number}@example.com\n" for number in range(count)))
            os.utime(people, (time.time() - 60, time.time() - 60))
            cls.daemon.run("--once")
        cls.held = cls.daemon.status()["held"]["digest"]

    def ask(self, shell, line, config=True):
        """What the shell offers for the line with the cursor at its end. `rcptsyncctl ` stands before it."""
        if config:
            line = f"--config {self.daemon.file} {line}"
        return getattr(self, shell)(f"rcptsyncctl {line}")

    def environment(self, **more):
        return {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8", "TERM": "dumb", **more}

    def bash(self, line):
        done = subprocess.run(["bash", "--norc", "-c", BASH], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, env=self.environment(LINE=line, XDG_DATA_DIRS=str(self.share)))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def zsh(self, line):
        out = self.folder / "zsh.out"
        for file in (out, out.with_name("zsh.out.done")):
            file.unlink(missing_ok=True)
        functions = self.share / "zsh" / "vendor-completions"
        done = subprocess.run(["zsh", "-f", "-c", ZSH], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, env=self.environment(LINE=line, FUNCTIONS=str(functions), OUT=str(out)))
        self.assertEqual(done.returncode, 0, done.stderr)
        return out.read_text().split() if out.exists() else []

    def fish(self, line):
        done = subprocess.run(["fish", "--no-config", "-c",
                               "set -p fish_complete_path $FOLDER; complete -C $LINE"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60,
                              env=self.environment(LINE=line, FOLDER=str(self.share / "fish/vendor_completions.d")))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [offer.split("\t")[0] for offer in done.stdout.splitlines()]

    def each_shell(self, line, *offers, **how):
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell=shell, line=line):
                self.assertEqual(sorted(self.ask(shell, line, **how)), sorted(offers))

    def test_every_command_and_no_other(self):
        commands = ["status", "why", "diff", "history", "table", "approve", "reject", "rollback", "resync", "poll", "push",
                    "verify", "target", "keygen", "prune-directory"]
        self.each_shell("", *commands, config=False)
        self.each_shell("re", "reject", "resync")
        self.assertLessEqual(self.subcommands(), set(commands))

    @staticmethod
    def help(*words):
        return subprocess.run([PROGRAMS / words[0], *words[1:], "--help"], capture_output=True, text=True).stdout

    def subcommands(self):
        return set(re.findall(r"^  ([a-z-]+) ", self.help("rcptsyncctl").split("Subcommands:")[1], re.M))

    def test_every_option_of_every_command(self):
        """Whatever the programs say in their --help is offered."""
        for command in sorted(self.subcommands()):
            wanted = set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", self.help("rcptsyncctl", command), re.M))
            wanted |= {"--config", "--json", "--help"}
            for shell in ("bash", "zsh", "fish"):
                with self.subTest(shell=shell, command=command):
                    line = f"{command} --"
                    offered = set(getattr(self, shell)(f"rcptsyncctl {line}"))
                    self.assertLessEqual(wanted, offered)

    def test_targets_are_those_of_the_configuration(self):
        for line in ("push ", "verify ", "table --target ", "target setup ", "target test "):
            self.each_shell(line, "mx1", "mx2", "other")
        self.each_shell("push mx1 m", "mx1", "mx2")
        self.each_shell("target ", "setup", "test")
        self.each_shell("prune-directory --source ", "list")

    def test_the_digest_is_what_is_held(self):
        self.each_shell("approve ", self.held)
        self.each_shell("reject " + self.held[:6], self.held)

    def test_what_was_rejected_and_held_first_tables_can_be_approved_too(self):
        held, rejected, first = (letter * 64 for letter in "abc")
        status = {"held": {"digest": held}, "refused": [{"by": "mel", "digest": rejected}], "orders": [],
                  "first_tables_held": [{"digest": first, "target": "mx1"}],
                  "targets": [{"digest": "d" * 64, "name": "mx1"}], "digest": "e" * 64}
        tools = self.folder / "tools"
        tools.mkdir()
        ordinary = self.environment
        self.environment = lambda **more: {**ordinary(**more), "PATH": f"{tools}:/usr/bin:/bin"}

        def says(document):
            text = json.dumps(document, indent=2, sort_keys=True)
            (tools / "rcptsyncctl").write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
            (tools / "rcptsyncctl").chmod(0o755)

        says(status)
        self.each_shell("approve ", held, rejected, first)
        self.each_shell("reject ", held)
        says({**status, "refused": [], "first_tables_held": []})
        self.each_shell("approve ", held)

    def test_generations_are_those_that_are_kept(self):
        kept = [str(entry["generation"]) for entry in
                json.loads(self.daemon.ctl("--json", "history").stdout)["generations"]]
        self.assertEqual(sorted(kept), ["1", "2"])
        for line in ("rollback ", "diff ", "diff 1 "):
            self.each_shell(line, *kept)

    def test_without_a_state_there_is_nothing_and_no_message(self):
        for line in ("push ", "approve ", "rollback "):
            self.each_shell(f"--config /nonexistent {line}", config=False)

    def test_the_daemon(self):
        wanted = set(re.findall(r"(--[a-z-]+)", self.help("rcptsyncd").split("Options:")[1].replace("with --once", "")))
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell):
                self.assertLessEqual(wanted, set(getattr(self, shell)("rcptsyncd --")))


if __name__ == "__main__":
    unittest.main()
