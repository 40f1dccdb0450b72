"""What must not happen: removals that nobody may believe, and reads that were cut off. Real slapd, sshd and Postfix."""

import signal
import unittest

import ldap_faults
from certificates import Authority
from company import Company
from daemon import polled_source
from gate import Gate
from whole_system import WholeSystem


class Guarded(WholeSystem):
    """When removals have to wait."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.branch = Company(cls.folder / "branch").open(30, "example.net")
        cls.addClassCleanup(cls.branch.stop)

    def two_sources(self):
        return [polled_source(self.company), polled_source(self.branch, "branch")]

    def tearDown(self):
        if self.branch.process is None:
            self.branch.start()
        self.branch.restore()

    def test_nothing_is_published_until_every_source_was_read_once(self):
        self.branch.stop()
        sessions = [gateway.sessions_served() for gateway in self.gateways.values()]
        tables = [gateway.table() for gateway in self.gateways.values()]
        daemon = self.daemon(sources=self.two_sources())
        held = daemon.wait(lambda status: status["held"])
        self.assertIn("branch", held["reason"])
        self.assertEqual(daemon.status()["generation"], 0)
        line = daemon.wait_line("source branch was not read")
        self.assertTrue(line.startswith("error: "), line)
        self.poll(daemon, "source branch was not read")
        daemon.stop()
        daemon.start()
        daemon.wait_line("source branch was not read", after=len(daemon.text()) - 1)
        status = daemon.wait(lambda status: status["next_poll"] and status)
        self.assertEqual(status["generation"], 0)
        self.assertEqual([target["state"] for target in status["targets"]], ["behind", "behind"])
        self.assertEqual([gateway.sessions_served() for gateway in self.gateways.values()], sessions)
        self.assertEqual([gateway.table() for gateway in self.gateways.values()], tables)
        self.assertEqual(daemon.text().count("the first table is held"), 1)

        self.branch.start()
        self.poll(daemon, "generation 1 is in force")
        daemon.wait_current()
        self.assertIsNone(daemon.status()["held"])
        self.assert_tables(self.company.table(*self.branch.addresses()))
        self.assert_answers("person001@example.net", 250)
        self.assert_answers("person001@example.com", 250)

    def test_removals_wait_for_a_failed_source_and_additions_do_not(self):
        daemon = self.daemon(sources=self.two_sources())
        daemon.wait_current()
        self.branch.stop()
        self.company.leave("person005")
        self.company.hire("ada")
        self.poll(daemon, "generation 2 is in force")
        daemon.wait_current()
        held = daemon.wait(lambda status: status["held"])
        self.assertEqual(held["removed"], 1)
        self.assertIn("branch", held["reason"])
        self.assert_answers("ada@example.com", 250)
        self.assert_answers("person005@example.com", 250)
        self.assert_answers("person005@example.net", 250)

        self.branch.start()
        self.poll(daemon, "generation 3 is in force")
        daemon.wait_current()
        self.assertIsNone(daemon.status()["held"])
        self.assert_answers("person005@example.com", 550)
        self.assert_answers("person005@example.net", 250)
        self.assert_tables(self.company.table(*self.branch.addresses()))

    def test_a_source_that_leaves_the_configuration_is_a_removal_like_any_other(self):
        daemon = self.daemon(sources=self.two_sources())
        daemon.wait_current()
        before = self.company.table(*self.branch.addresses())
        daemon.settings["sources"].pop()
        daemon.write()
        daemon.signal(signal.SIGHUP)
        daemon.wait_line("30 removals are held")
        self.assertEqual([source["name"] for source in daemon.status()["sources"]], ["corp"])
        daemon.wait_line("mx1 serves generation 1 ")
        daemon.wait_line("mx2 serves generation 1 ")
        self.assert_tables(before)
        self.assert_answers("person001@example.net", 250)

    def test_a_mass_removal_is_held_over_a_restart_and_reported_once(self):
        daemon = self.daemon()
        daemon.wait_current()
        before = self.company.table()
        gone = [f"person{number:03}" for number in range(12)]
        self.company.leave(*gone)
        line = self.poll(daemon, "12 removals are held")
        self.assertTrue(line.startswith("warning: "), line)
        held = daemon.status()["held"]
        self.assertEqual(held["removed"], 12)
        for _ in range(2):
            self.poll(daemon)
        daemon.stop()
        at = len(daemon.text())
        daemon.start()
        daemon.wait_line("nothing changed", after=at)
        self.poll(daemon)
        self.assertEqual(daemon.status()["held"], held)
        self.assertEqual(daemon.text().count("removals are held"), 1)
        self.assert_tables(before)
        self.assert_answers("person003@example.com", 250)

        self.company.leave("person020")
        self.poll(daemon, "13 removals are held")
        self.assertNotEqual(daemon.status()["held"]["digest"], held["digest"])
        self.company.restore()
        self.poll(daemon, "nothing is held any more")
        self.assertIsNone(daemon.status()["held"])
        self.assert_tables(before)


class CutReads(WholeSystem):
    """A read that ends early is no read."""

    people = 400
    middle = 30000          # bytes of the directory's answers, of about 100000

    def setUp(self):
        super().setUp()
        self.gate = Gate(self.company.ldaps_port)
        self.addCleanup(self.gate.close)
        source = polled_source(self.company, page_size=25, read_timeout="2s", connect_timeout="2s",
                             servers=[f"ldaps://127.0.0.1:{self.gate.port}"])
        self.cut = self.daemon(sources=[source])
        self.cut.wait_current()
        self.before = self.company.table()
        self.company.hire("ada")
        self.company.leave("person399")

    def failed(self, *words, wait_done=True):
        """A poll that fails for the reason that `words` tell."""
        line = self.poll(self.cut, "source corp was not read")
        self.assertTrue(line.startswith("error: "), line)
        for word in words:
            self.assertIn(word, line)
        if wait_done:
            self.assertTrue(self.gate.done.is_set(), "it was not in the middle")
        status = self.cut.wait(lambda status: status["sources"][0]["last_error"] and status)
        self.assertEqual(status["generation"], 1)
        self.assertFalse(status["sources"][0]["complete"])
        self.assert_tables(self.before)
        self.assert_answers("person398@example.com", 250)
        self.assertEqual(self.cut.ctl("status").returncode, 1)

    def goes_on(self):
        self.poll(self.cut, "generation 2 is in force")
        self.cut.wait_current()
        self.assert_tables(self.company.table())
        self.assertIsNone(self.cut.status()["sources"][0]["last_error"])

    def test_killed(self):
        self.gate.after(self.middle, self.company.kill)
        self.failed(f"127.0.0.1:{self.gate.port}")
        self.company.start()
        self.goes_on()

    def test_stopped(self):
        self.gate.after(self.middle, self.company.pause)
        self.failed(f"127.0.0.1:{self.gate.port}", "2 s")
        self.company.resume()
        self.goes_on()

    def limited(self, limits):
        self.company.stop()
        self.company.settings = f'limits dn.exact="{self.company.reader_dn}" {limits}'
        self.company.start()
        def unlimited():
            self.company.stop()
            self.company.settings = ""
            self.company.start()
        self.addCleanup(unlimited)
        return unlimited

    def test_size_limit(self):
        unlimited = self.limited("size.soft=100 size.hard=100 size.prtotal=100")
        self.failed("size limit", "size.prtotal=unlimited", wait_done=False)
        unlimited()
        self.goes_on()

    def test_refused_page(self):
        unlimited = self.limited("size.soft=unlimited size.prtotal=disabled")
        self.failed("search below", wait_done=False)
        unlimited()
        self.goes_on()


class MisbehavingServer(WholeSystem):
    """A server that reads well once and then ends the second page early in every way there is. If one were believed,
    most people would be gone."""

    gateway_kinds = {"mx1": "lmdb"}

    def test_a_page_that_is_refused_or_cut(self):
        entries = [(f"cn=p{number},dc=example,dc=test",
                    {"objectGUID": [number.to_bytes(16, "big")], "proxyAddresses": [f"SMTP:{address}"]})
                   for number, address in enumerate(self.company.addresses())]
        authority = Authority(self.folder / "misbehaving-tls")
        pair = authority.issue("server", ["127.0.0.1"])
        with ldap_faults.FaultServer(entries, tls=pair, ldaps=True) as server:
            source = polled_source(self.company, servers=[server.uri], ca_file=str(authority.certificate), page_size=20,
                                 read_timeout="2s", bases=["dc=example,dc=test"])
            daemon = self.daemon(sources=[source])
            daemon.wait_current()
            sessions = self.mx1.sessions_served()
            for name, fault in {
                    "unwilling": ldap_faults.result(53, after=10), "busy": ldap_faults.result(51),
                    "size limit": ldap_faults.result(4, after=10), "time limit": ldap_faults.result(3, after=10),
                    "administrative limit": ldap_faults.result(11, after=10), "referral": ldap_faults.result(10),
                    "no cookie control": ldap_faults.without_control, "closed": ldap_faults.cut(),
                    "silent": ldap_faults.silence(), "garbage": ldap_faults.raw(b"\x30\x84\xff\xff\xff\xff"),
                    "the first page for ever": ldap_faults.first_page_again}.items():
                with self.subTest(name):
                    server.on_page(2, fault)
                    line = self.poll(daemon, "source corp was not read, its last good recipients stay: ")
                    self.assertTrue(line.startswith("error: "), line)
                    self.assertIn(f"127.0.0.1:{server.port}", line)
                    status = daemon.status()
                    self.assertEqual((status["generation"], status["recipients"]), (1, self.people))
                    self.assertIsNone(status["held"])
            self.assertEqual(self.mx1.sessions_served(), sessions)
            self.assert_tables(self.company.table())


if __name__ == "__main__":
    unittest.main()
