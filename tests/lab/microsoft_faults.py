"""microsoft_faults: what goes wrong with a MicrosoftServer, for its on() and chance.

Each is a function of the request, the answer that a good server would send, and the connection.
"""

import ldap_ber as ber


def result(code, after=0, text="", referral=None):
    """So many entries, then this code."""
    def fault(request, answer, connection):
        answer.code, answer.text, answer.referral = code, text, referral
        connection.send(answer.encoded(after) + answer.done())
    return fault


def cut(after=3):
    """So many entries and a half one, then the connection is closed."""
    def fault(request, answer, connection):
        whole = answer.encoded(after + 1) if len(answer.entries) > after else answer.encoded() + answer.done()
        connection.send(whole[:-5])
        connection.close()
    return fault


def silence(after=3):
    """So many entries, then nothing more."""
    def fault(request, answer, connection):
        connection.send(answer.encoded(after))
        connection.wait()
    return fault


def drip(every, after=3):
    """So many entries, then one byte at a time."""
    def fault(request, answer, connection):
        begun = answer.encoded(after)
        connection.send(begun)
        for byte in (answer.encoded() + answer.done())[len(begun):]:
            connection.send(bytes((byte,)))
            if connection.wait(every):
                return
    return fault


def garbage(data, after=3):
    """So many entries, then bytes of the test's choice, then nothing more."""
    def fault(request, answer, connection):
        connection.send(answer.encoded(after) + data)
        connection.wait()
    return fault


def short(after):
    """So many entries, then success, as if that was all. Nobody can tell."""
    def fault(request, answer, connection):
        if request.kind == "page":
            answer.controls = ber.paged_control(b"")
        connection.send(answer.encoded(after) + answer.done())
    return fault


def without_control(request, answer, connection):
    """Everything, and success without a word about what follows."""
    answer.controls = b""
    connection.send(answer.encoded() + answer.done())


def forget(request, answer, connection):
    """Everything; then the server has forgotten where it was: its cookies are worth nothing."""
    connection.cookies.clear()
    connection.send(answer.encoded() + answer.done())


def begin_again(request, answer, connection):
    """Everything; then the server has forgotten where it was and begins again with the first page."""
    connection.begin_again = True
    connection.send(answer.encoded() + answer.done())


def empty_page(request, answer, connection):
    """A page without entries, which goes on where this one would have begun; never an end."""
    answer.controls = ber.paged_control(b"more")
    connection.cookies[b"more"] = []
    answer.entries = []
    connection.send(answer.done())


def before(action):
    """Does something while the server works; then the answer as it was before."""
    def fault(request, answer, connection):
        action()
        connection.send(answer.encoded() + answer.done())
    return fault


def after(action):
    """The whole answer, but something happens before its last message goes out."""
    def fault(request, answer, connection):
        connection.send(answer.encoded())
        action()
        connection.send(answer.done())
    return fault
