"""What an incremental read of Active Directory costs on the wire in a directory of twenty thousand people.

The server keeps Microsoft's rules and is quick to fill; tests/bench/run does the same with a real one (Samba).
"""

import shutil
import tempfile
import unittest
from pathlib import Path

import source_read
from gate import Gate
from microsoft_directory import Account, MicrosoftServer
from microsoft_forest import BASE, Forest, populate, recipients
from source_state import SourceState, differences

PEOPLE, CHANGES = 20_000, 5
READER = "reader@corp.example.com"


class Wire(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rcptsync-wire-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.password = self.folder / "password"
        self.password.touch(0o600)
        self.password.write_text("secret\n")
        self.controller = Forest().controllers[0]
        populate(self.controller, PEOPLE)

    def read(self, gate, state, kind, **options):
        """The bytes that a read took; afterwards the state is that of the directory."""
        before = gate.received
        answer = source_read.read(f"ldap://127.0.0.1:{gate.port}", user=READER, password_file=self.password,
                                  plaintext=True, read_timeout=60, base=[f"OU=Staff,{BASE}"], **options)
        self.assertTrue(answer.complete, answer.output[-2000:])
        self.assertEqual(answer.fields["kind"], kind, answer.output[-2000:])
        state.take(answer)
        self.assertEqual(differences(state.objects, recipients(self.controller, "OU=Staff")), "")
        return gate.received - before

    def test_bytes_follow_the_changes_and_not_the_directory(self):
        # With the right to replicate, and with those of the account alone.
        for rights in (True, False):
            server = MicrosoftServer(self.controller, {READER: Account(get_changes=rights, sees_deleted=True)})
            self.addCleanup(server.stop)
            with self.subTest(rights=rights), Gate(server.port) as gate:
                state, options = SourceState(), {"cookie": self.folder / f"cookie-{rights}"}
                whole = self.read(gate, state, "full", **options)
                options["incremental"] = True
                nothing = self.read(gate, state, "incremental", **options)
                for number in range(CHANGES):
                    self.controller.modify(f"CN=Person {number},OU=Staff",
                                           proxyAddresses=[f"smtp:changed{number}.{rights}@example.com"])
                changes = self.read(gate, state, "incremental", **options)
                print(f"bytes: full {whole}, nothing changed {nothing}, {CHANGES} changes {changes}")
                self.assertLess(nothing, 10_000)
                self.assertLess(changes, nothing + CHANGES * 2_000)
                self.assertGreater(whole, 100 * PEOPLE)


if __name__ == "__main__":
    unittest.main()
