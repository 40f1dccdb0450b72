"""addresses: addresses and ports on loopback for servers of tests that run at the same time.

    address = claim_address("127.0.10", 389)    # for a server whose ports are fixed
    port = claim_port()

What is claimed is held until this process ends, by a socket in the abstract namespace (unix(7)). To look whether it is
free is not enough: between the look and the server's bind another test would find the same.
"""

import itertools
import random
import socket

# Below what the kernel takes for outgoing connections.
PORTS = range(10000, 32768)

_held = []


def claim_address(network, port, kind=socket.SOCK_STREAM):
    """An address of `network` (its first three numbers) that is ours from now on, and on which nobody has `port`."""
    for last in range(1, 255):
        address = f"{network}.{last}"
        if _is_free(address, port, kind) and _claim(address):
            return address
    raise RuntimeError(f"no free address in {network}.0/24")


def claim_port(host="127.0.0.1"):
    """A TCP port that is ours from now on, and on which nobody listens."""
    for port in itertools.islice(iter(lambda: random.choice(PORTS), None), 1000):
        if _is_free(host, port, socket.SOCK_STREAM) and _claim(f"port {port}"):
            return port
    raise RuntimeError(f"no free port on {host}")


def _claim(name):
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0rcptsync-lab {name}")
    except OSError:
        holder.close()
        return False
    _held.append(holder)
    return True


def _is_free(host, port, kind):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        try:
            probe.bind((host, port))
            return True
        except OSError:
            return False
