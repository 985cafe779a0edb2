"""What stands around the pages: keys and rates first, then the limits of bodies; connections have their own."""

from __future__ import annotations

from starlette.middleware import Middleware

from gateway.access import AccessMiddleware
from gateway.api_keys import ApiKeys
from gateway.body_limits import BodyLimits, BodyLimitsMiddleware
from gateway.rate_limits import RateLimits
from gateway.settings import GatewaySettings
from gateway.slow_clients import ClientLimits

#: So many bodies of the largest size may be on their way at a time.
_LARGEST_BODIES: int = 64


def guards(settings: GatewaySettings) -> list[Middleware]:
    """Return the middlewares, outermost first. Raises SetupError if the file of keys cannot be used."""
    keys = None if settings.api_keys is None else ApiKeys(settings.api_keys)
    bodies = BodyLimits(
        max_bytes=settings.max_body_bytes,
        max_held_bytes=_LARGEST_BODIES * settings.max_body_bytes,
        grace_seconds=settings.body_seconds,
    )
    return [
        Middleware(AccessMiddleware, keys=keys, limits=RateLimits(settings.rate_limit)),
        Middleware(BodyLimitsMiddleware, limits=bodies),
    ]


def client_limits(settings: GatewaySettings) -> ClientLimits:
    """Return the limits of connections."""
    return ClientLimits(
        header_seconds=settings.header_seconds,
        write_seconds=settings.write_seconds,
        max_connections=settings.max_connections,
    )
