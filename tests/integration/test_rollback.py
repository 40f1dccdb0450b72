"""Rollback and resync while mail comes in: clients ask two real Postfix about many addresses without a pause, and no
answer is one that neither the table before nor the table after would give."""

import threading
import time
import unittest

import smtp_ask
from whole_system import WholeSystem

LEAVERS = [f"person{number:03}" for number in range(3)]
JOINERS = ["ada", "bob", "eve"]
PINNED = "person004"                # leaves while the table is pinned
CLIENTS = 2                         # for each gateway


class Client:
    """Asks one gateway about the addresses, each time with a new session, as long as it is open."""

    def __init__(self, gateway, addresses):
        self.gateway, self.addresses = gateway, addresses
        self.sessions = []          # (begin, end, {address: code})
        self.error = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stop.is_set():
                begin = time.monotonic()
                with smtp_ask.Session(self.gateway.postfix.port) as session:
                    codes = {address: session.rcpt(address) for address in self.addresses}
                    end = time.monotonic()
                self.sessions.append((begin, end, codes))
        except OSError as error:
            self.error = error

    def close(self):
        self._stop.set()
        self._thread.join(60)


class Rollback(WholeSystem):
    people = 400

    def mail(self, *names):
        return {f"{name}@example.com" for name in names}

    def test_answers_follow_within_one_push(self):
        everybody = set(self.company.addresses())
        asked = sorted(everybody | self.mail(*JOINERS, "nobody"))
        daemon = self.daemon(guard={"max_removal_percent": 100})
        daemon.wait_current()
        self.company.hire(*JOINERS[:2])
        self.company.leave(*LEAVERS)
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        second = (everybody | self.mail(*JOINERS[:2])) - self.mail(*LEAVERS)

        # What is accepted, when that was ordered, and when every target had it; in the order in which they come.
        self.tables = [(second, 0, 0)]
        clients = [Client(gateway, asked) for gateway in self.gateways.values() for _ in range(CLIENTS)]
        try:
            self.wait_sessions(clients)
            self.order(clients, daemon, everybody, "rollback", "1")
            # While it is pinned the directory moves on, and nobody notices.
            self.company.hire(JOINERS[2])
            self.company.leave(PINNED)
            self.poll(daemon)
            self.assertEqual(daemon.status()["generation"], 3)
            self.wait_sessions(clients)
            truth = (second | self.mail(JOINERS[2])) - self.mail(PINNED)
            # Additions are in force before the directory is read, removals after it.
            self.order(clients, daemon, truth, "resync", before=everybody | truth)
        finally:
            for client in clients:
                client.close()
        self.assertEqual(truth, set(self.company.addresses()))
        self.assert_tables(self.company.table())
        self.assertNotIn("event=target-drifted", daemon.text())
        self.assertIn("(rollback)", daemon.text())
        for client in clients:
            self.check(client)

    def order(self, clients, daemon, table, *command, before=None):
        """Gives the order, waits until the targets have `table`, and asks on for a while. `before`: a table that they
        may have on the way."""
        given = time.monotonic()
        done = daemon.ctl(*command)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        daemon.wait_current()
        current = time.monotonic()
        self.assertLess(current - given, 20)
        if before:
            self.tables.append((before, given, None))
        self.tables.append((table, given, current))
        self.wait_sessions(clients)

    def wait_sessions(self, clients, count=2):
        """Until each client has had so many whole sessions from now on."""
        wanted = [(client, len(client.sessions) + count + 1) for client in clients]
        deadline = time.monotonic() + 60
        for client, sessions in wanted:
            while len(client.sessions) < sessions and not client.error:
                self.assertLess(time.monotonic(), deadline, "a client is not answered")
                time.sleep(0.02)

    def check(self, client):
        name = client.gateway.name
        self.assertIsNone(client.error, name)
        serves = 0
        for begin, end, codes in client.sessions:
            self.assertLessEqual(set(codes.values()), {250, 550}, name)
            accepted = {address for address, code in codes.items() if code == 250}
            # A session is answered from one table, whole, and none from a table before that of the last one.
            later = [number for number, (table, *_) in enumerate(self.tables) if number >= serves and table == accepted]
            self.assertNotEqual(later, [], f"{name}: after table {serves} {accepted ^ self.tables[serves][0]}")
            serves = later[0]
            self.assertLess(self.tables[serves][1], end, f"{name} serves table {serves} before it was ordered")
            for number, (_, _, current) in enumerate(self.tables):
                if current is not None and current <= begin:
                    self.assertGreaterEqual(serves, number, f"{name} serves an old table")
        self.assertEqual(serves, len(self.tables) - 1, name)
        # Whom every table has was never turned away.
        for address in set.intersection(*(table for table, *_ in self.tables)):
            self.assertEqual({codes[address] for _, _, codes in client.sessions}, {250}, address)


if __name__ == "__main__":
    unittest.main()
