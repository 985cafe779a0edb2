"""Who may ask, and how much: looked at before a request's body is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api_keys import ApiKeys
from gateway.problems import ProblemError, problem
from gateway.rate_limits import Allowance, RateLimits, caller_of_address
from gateway.refusals import refuse, request_header

#: What anybody may ask, as often as they like: probes and scrapers have no key.
OPEN_PATHS: Final = frozenset({"/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready"})

_STATE: Final = "caller"
_BEARER: Final = b"bearer "


class Caller:
    """Who asks: a key, or an address where there are none.

    Attributes:
        name: of the key; None without keys.
    """

    def __init__(self, identity: str, limits: RateLimits, *, name: str | None, rate: float | None) -> None:
        self.name = name
        self._identity = identity
        self._limits = limits
        self._rate = rate
        self._allowance: Allowance | None = None

    def take(self) -> None:
        """Count a request as one product. Raises ProblemError, 429, if the caller has nothing left."""
        self._allowance = allowance = self._limits.take(self._identity, rate=self._rate)
        if allowance is not None and allowance.is_exceeded:
            wait = allowance.retry_seconds
            detail = f"there were more than {allowance.rate:g} products a second: try again in {wait} s"
            raise ProblemError(
                problem("rate-exceeded", "Too many products", 429, detail), {"Retry-After": str(wait)}
            )

    def charge(self, products: int) -> None:
        """Count further products of a request that has passed."""
        self._allowance = self._limits.charge(self._identity, products, rate=self._rate)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that tell what is left."""
        found = {} if self._allowance is None else self._allowance.headers()
        return [(name.lower().encode(), value.encode()) for name, value in found.items() if name != "Retry-After"]


def charge(scope: Scope, products: int) -> None:
    """Count the products of a request against its caller's rate; as a request it has been counted as one."""
    caller = scope.get("state", {}).get(_STATE)
    if isinstance(caller, Caller) and products > 1:
        caller.charge(products - 1)


class AccessMiddleware:
    """Refuses requests without a key of the file, where there is one, and those beyond the caller's rate."""

    def __init__(self, app: ASGIApp, *, keys: ApiKeys | None, limits: RateLimits) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as ASGI wants it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        caller: Caller | None = None

        async def send_with_allowance(message: Message) -> None:
            if message["type"] == "http.response.start" and caller is not None:
                message = {**message, "headers": [*message.get("headers", ()), *caller.headers()]}
            await send(message)

        try:
            caller = self._caller(scope)
            caller.take()
        except ProblemError as error:
            await refuse(scope, receive, send_with_allowance, error)
            return
        scope.setdefault("state", {})[_STATE] = caller
        await self._app(scope, receive, send_with_allowance)

    def _caller(self, scope: Scope) -> Caller:
        if self._keys is None:
            client: Sequence[str] | None = scope.get("client")
            address = caller_of_address(client[0] if client else None)
            return Caller(address, self._limits, name=None, rate=None)
        presented = _presented_key(scope)
        if presented is None:
            raise _unauthorized("this needs an API key: send it as X-API-Key, or as Authorization: Bearer", "")
        key = self._keys.find(presented)
        if key is None:
            raise _unauthorized("the API key is not known, or was revoked", ', error="invalid_token"')
        return Caller(key.id, self._limits, name=key.name, rate=key.rate)


def _presented_key(scope: Scope) -> str | None:
    key = request_header(scope, b"x-api-key")
    if key is None:
        authorization = request_header(scope, b"authorization") or b""
        if not authorization.lower().startswith(_BEARER):
            return None
        key = authorization[len(_BEARER) :].strip()
    return key.decode("latin-1")  # any byte decodes, and no wrong one matches


def _unauthorized(detail: str, error: str) -> ProblemError:
    challenge = f'Bearer realm="sortline"{error}'
    refusal = problem("unauthorized", "An API key is needed", 401, detail)
    return ProblemError(refusal, {"WWW-Authenticate": challenge})
