"""Ports of this machine: which are free, and the sentence for one that is taken."""

from __future__ import annotations

import socket

from compose.services import HOST
from schemas.errors import SetupError


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

    All are held open together, so that none is given twice; another program may still take one before it is used.
    """
    held = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for holder in held:
            holder.bind((HOST, 0))
        return tuple(int(holder.getsockname()[1]) for holder in held)
    finally:
        for holder in held:
            holder.close()
