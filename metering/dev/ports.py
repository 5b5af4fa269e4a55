"""Ports for servers that must be able to come back on the port they had."""

import random
import socket
from collections.abc import Iterator
from typing import Final

# Below the range from which outgoing connections take theirs: while a server is down, a client that retries
# could otherwise be given the server's own port as its source, connect to itself and keep the port.
LOWEST: Final = 20_000
HIGHEST: Final = 32_000


def free_ports(count: int) -> tuple[int, ...]:
    """Give `count` different TCP ports on which nothing listens at 127.0.0.1."""
    found: set[int] = set()
    for port in _candidates():
        if port not in found and _is_free(port):
            found.add(port)
        if len(found) == count:
            break
    return tuple(found)


def _candidates() -> Iterator[int]:
    chance = random.SystemRandom()
    while True:
        yield chance.randrange(LOWEST, HIGHEST)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port with connections in TIME_WAIT may be listened on again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
