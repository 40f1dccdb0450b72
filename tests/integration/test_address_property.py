"""Every address that the grammar lets through is carried by Postfix and found again.

Tens of thousands of hostile but valid addresses become tables, are indexed by the real postmap as
each map type, and are asked back, all of them; some dozens are asked for by SMTP from a real smtpd.

RCPTSYNC_BUILD names the build folder, where tests/integration/tools/print-tables stands.
"""

import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unicodedata
import unittest

import smtp_ask
from postfix import Postfix

SEED = 20240501
COUNT = 40000
MAP_TYPES = ("hash", "lmdb", "cdb", "texthash")
DOMAINS = ("example.org", "müller.example", "straße.example", "strasse.example", "βόλος.example",
           "βόλοσ.example", "my_host.corp", "例え.テスト", "corp")
# What relay_domains must name: Postfix compares the domain in the form in which the client gave it.
A_LABELS = ("xn--mller-kva.example", "xn--strae-oqa.example", "xn--nxasmm1c.example",
            "xn--nxasmq6b.example", "xn--r8jz45g.xn--zckzah")
ATEXT = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-/=?^_`{|}~"
QTEXT = ATEXT + " ().,:;<>@[]\"\\"
WIDE = "äÖßẞéñçøÅıİǰŉﬀﬃΐΰΣςάΏЖщאبअ用户한ぁ\u0301\u0308\u0345\u200d\U0001f600\u2044\uff0f\u00ad"


def find_helper():
    build = os.environ.get("RCPTSYNC_BUILD")
    if build is None:
        raise unittest.SkipTest("RCPTSYNC_BUILD does not name a build folder")
    return str(pathlib.Path(build, "tests", "integration", "tools", "print-tables"))


def hostile_value(rng):
    """A mailbox as RFC 5321 and RFC 6531 allow it, in one of its odder spellings."""
    domain = rng.choice(DOMAINS)
    kind = rng.random()
    length = rng.choice((1, 2, 3, 5, 8, 13, 40, 60))
    if kind < 0.35:
        local = "".join(rng.choice(ATEXT) for _ in range(length))
        if length > 4 and rng.random() < 0.3:
            local = local[:2] + "." + local[3:]
    elif kind < 0.75:
        chars = [rng.choice(QTEXT) for _ in range(length)]
        local = '"' + "".join("\\" + c if c in '"\\' or rng.random() < 0.1 else c for c in chars) + '"'
    else:
        chars = [rng.choice(ATEXT + WIDE * 2) for _ in range(max(1, length // 3))]
        local = "".join(chars)
        if rng.random() < 0.3:
            local = '"' + local + ' "'
    return f"{local}@{domain}"


def local_part(address):
    return address[:address.rindex(b"@")]


# With the defaults smtpd refuses `-x@…` (an option for some command) and strangers' `x%y@…`, `x!y@…`
# and `"x@y"@…` (routes) before it asks a table. That is its word, not the table's, so it is turned
# off here.
SETTINGS = """allow_min_user = yes
allow_untrusted_routing = yes
allow_percent_hack = no
swap_bangpath = no
smtpd_junk_command_limit = 100000
"""


class AddressProperty(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for tool in ("postmap", "postfix"):
            if shutil.which(tool) is None:
                raise unittest.SkipTest(f"{tool} is not installed")
        helper = find_helper()
        cls.temporary = tempfile.TemporaryDirectory(prefix="rcptsync-property-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.folder.chmod(0o755)
        cls.maps = cls.folder / "maps"
        cls.maps.mkdir()
        cls.postfix = Postfix(cls.folder / "postfix", f"lmdb:{cls.maps / 'recipients'}",
                              f"lmdb:{cls.maps / 'access'}", DOMAINS + A_LABELS, SETTINGS)
        cls.addClassCleanup(cls.postfix.stop)

        rng = random.Random(SEED)
        values = [hostile_value(rng) for _ in range(COUNT)]
        cls.values = values
        lines = [value.encode().hex() for value in values]
        # The access table takes a tenth of them.
        lines = [line + (" 550 5.1.1 Gone" if i % 10 == 0 else "") for i, line in enumerate(lines)]
        output = subprocess.run([helper, "postfix", str(cls.maps)], input="\n".join(lines) + "\n",
                                capture_output=True, text=True, check=True, timeout=300).stdout
        cls.judged = [None if line.startswith("-") else bytes.fromhex(line)
                      for line in output.splitlines()]
        cls.rows = dict(line.split(b"\t", 1)
                        for line in (cls.maps / "recipients").read_bytes().splitlines())
        cls.access = dict(line.split(b"\t", 1)
                          for line in (cls.maps / "access").read_bytes().splitlines())
        count, *sample = (cls.maps / "not_carried").read_bytes().splitlines()
        cls.not_carried_count, cls.not_carried = int(count), set(sample)

    def postmap(self, *arguments, **options):
        return subprocess.run(["postmap", "-c", self.postfix.config, *arguments],
                              capture_output=True, timeout=300, check=False, **options)

    def test_the_generator_is_let_through(self):
        kept = [form for form in self.judged if form]
        self.assertEqual(len(self.judged), COUNT)
        self.assertGreater(len(kept), COUNT * 0.8)
        self.assertGreater(len(self.rows), COUNT * 0.5)
        self.assertGreater(len(self.access), COUNT * 0.05)

    def test_nothing_is_left_out_without_a_reason(self):
        keys = {row.decode().casefold() for row in self.rows}
        left_out = {form for form in self.judged if form} - set(self.rows) - set(self.access)
        for form in left_out:
            # A comment, or a rejected address under the key of an accepted one (ß and ss).
            self.assertTrue(form.startswith(b"#") or form.decode().casefold() in keys, form)
        self.assertEqual(self.not_carried_count, len(left_out))
        self.assertEqual(len(self.not_carried), min(100, len(left_out)))
        self.assertLessEqual(self.not_carried, left_out)

    def test_no_reject_text_stands_under_the_key_of_an_accepted_address(self):
        keys = {row.decode().casefold() for row in self.rows}
        for address in self.access:
            self.assertNotIn(address.decode().casefold(), keys)

    def test_postmap_finds_every_row_in_every_map_type(self):
        for name, rows in (("recipients", self.rows), ("access", self.access)):
            for map_type in MAP_TYPES:
                with self.subTest(table=name, map_type=map_type):
                    spec = f"{map_type}:{self.maps / name}"
                    if map_type != "texthash":
                        built = self.postmap(spec)
                        self.assertEqual(built.stderr, b"")
                        self.assertEqual(built.returncode, 0)
                    asked = self.postmap("-q", "-", spec, input=b"\n".join(rows) + b"\n")
                    self.assertEqual(asked.stderr, b"")
                    found = dict(line.split(b"\t", 1) for line in asked.stdout.splitlines())
                    self.assertEqual(found, rows)
                    if map_type in ("hash", "lmdb"):
                        listed = self.postmap("-s", spec).stdout.splitlines()
                        self.assertEqual(len(listed), len(rows))

    def test_smtpd_finds_what_the_table_lists(self):
        for name in ("recipients", "access"):
            self.assertEqual(self.postmap(f"lmdb:{self.maps / name}").stderr, b"")
        self.postfix.start()
        rng = random.Random(SEED + 1)

        pairs = [(unicodedata.normalize("NFC", value), form)
                 for value, form in zip(self.values, self.judged) if form in self.rows]
        # Clients send NFC (RFC 6531 §3.3 by RFC 6532 §3.1); Postfix folds, but does not normalise.
        # Where a mark has no composed letter to go into, folding can make one that NFC then joins
        # (İ with another mark, say): such an address is found in its canonical form only.
        pairs = [(value if not any(map(unicodedata.combining, value)) else form.decode(), form)
                 for value, form in pairs]
        by_kind = {
            "dot-string": [p for p in pairs if not p[1].startswith(b'"')],
            "quoted": [p for p in pairs if p[1].startswith(b'"')],
            "UTF-8": [p for p in pairs if not local_part(p[1]).isascii()],
            "internationalised domain": [p for p in pairs if b"xn--" in p[1]],
            "hyphen first": [p for p in pairs if p[1].startswith(b"-")],
            "space first": [p for p in pairs if p[1].startswith(b'" ')],
        }
        client = smtp_ask.Session(self.postfix.port, smtputf8=True)
        self.addCleanup(client.close)
        for kind, candidates in by_kind.items():
            self.assertGreaterEqual(len(candidates), 12, kind)
            for value, form in rng.sample(candidates, 12):
                with self.subTest(kind=kind, value=value):
                    # The address as the directory spells it (a client may copy it from there), and
                    # its canonical form.
                    self.assertEqual(client.rcpt(value), 250)
                    self.assertEqual(client.rcpt(form.decode()), 250)
                    near = form.replace(b"@", b"-nobody@") if not form.startswith(b'"') \
                        else form.replace(b'"@', b' nobody"@')
                    self.assertNotIn(near, self.rows)
                    self.assertNotIn(near, self.access)
                    code, text = client.answer(near.decode())
                    self.assertEqual(code, 550)
                    self.assertIn("User unknown", text)
        for form in rng.sample([form for form in self.judged if form in self.access], 40):
            with self.subTest(kind="reject text", form=form):
                code, text = client.answer(form.decode())
                self.assertEqual(code, 550)
                self.assertRegex(text, "^5.1.1 .*Gone")


if __name__ == "__main__":
    unittest.main()
