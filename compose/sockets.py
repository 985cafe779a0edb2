"""Ports of this machine: which are free, and the sentence for one that is taken."""

from __future__ import annotations

import random
import socket
from typing import Final

from compose.services import HOST
from schemas.errors import SetupError

_SERVER_PORTS: Final = range(20_000, 32_000)


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on the port, within a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def require_free(port: int, *, service: str, setting: str) -> None:
    """Raise SetupError if the port cannot be listened on; the sentence names the setting that moves it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the JVM does: a port whose last connection was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise SetupError(
                f"port {port} for {service} is for root only: choose one above 1023 with {setting}"
            ) from error
        except OSError as error:
            raise SetupError(
                f"port {port} for {service} is taken by another program: end it, or choose another with {setting}"
            ) from error


def free_ports(count: int) -> tuple[int, ...]:
    """Return distinct ports that were free a moment ago.

    They lie below the range from which systems give ports to outgoing connections: while a broker is down, a
    client that keeps trying a port of that range can be given the very same one; it is then connected to itself,
    and holds the port.

    Another program may still take one before it is used. Raises SetupError if there are not so many.
    """
    held: list[socket.socket] = []
    try:
        for port in random.sample(_SERVER_PORTS, len(_SERVER_PORTS)):
            if len(held) == count:
                break
            holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(holder)  # all are held open together, so that none is given twice
            try:
                holder.bind((HOST, port))
            except OSError:
                held.pop().close()
        if len(held) < count:
            raise SetupError(f"fewer than {count} ports from {_SERVER_PORTS.start} are free on this machine")
        return tuple(int(holder.getsockname()[1]) for holder in held)
    finally:
        for holder in held:
            holder.close()
