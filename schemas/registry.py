"""Schema registries: what the program asks of one, a real one over HTTP, and one in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

import httpx

from schemas.avro_types import Record, parse_record
from schemas.errors import DependencyUnavailableError, InvalidRecordError, SetupError
from schemas.resolution import resolve
from schemas.wire import SchemaId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.topics import Compatibility

# Error codes of the registry's API. A bare 404 is no answer about a schema: a wrong path gives it too.
_SUBJECT_NOT_FOUND: Final = 40401
_VERSION_NOT_FOUND: Final = 40402
_SCHEMA_NOT_FOUND: Final = 40403
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422
#: Answers that a second attempt may better.
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS: Final = 2

_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"


class SchemaRegistry(Protocol):
    """Schemas by id, and the versions of each subject.

    Every method may block, and raises DependencyUnavailableError if there is no answer.
    """

    def schema_by_id(self, schema_id: SchemaId) -> str:
        """Return the text of a schema. Raises InvalidRecordError if there is none with this id."""

    def register(self, subject: str, schema: str) -> SchemaId:
        """Make a schema the latest version of a subject; return its id, the same for the same schema again.

        Raises SetupError if it is no Avro schema, or not compatible with the versions before.
        """

    def set_compatibility(self, subject: str, level: Compatibility) -> None:
        """Fix what later versions of a subject must be compatible with. The subject need not exist yet."""

    def latest(self, subject: str) -> SchemaId | None:
        """Return the id of a subject's latest version, or None if it has no version."""

    def subjects(self) -> list[str]:
        """Return the subjects' names, sorted."""


class ConfluentRegistry:
    """A registry with Confluent's API, such as Confluent's own, Apicurio (under /apis/ccompat/v7) or Karapace.

    Every call ends within about `timeout_seconds`, in which a failed attempt is repeated once. May be used by
    several threads. Name and password may stand in the URL; no message shows them.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        try:
            address = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise SetupError(f"the schema registry's address is not a URL: {error}") from error
        self.url = str(address.copy_with(username=None, password=None))
        if address.scheme not in ("http", "https") or not address.host:
            raise SetupError(
                f"the schema registry's address must look like http://host:port/path, not {self.url!r}"
            )
        # httpx bounds connecting, sending and each read by themselves: a quarter each leaves room for two
        # attempts.
        self._client = httpx.Client(base_url=address, timeout=timeout_seconds / 4, headers={"Accept": _ACCEPT})

    def schema_by_id(self, schema_id: SchemaId) -> str:
        """Return the text of a schema; see SchemaRegistry."""
        try:
            found = self._call("GET", f"schemas/ids/{schema_id}")
        except _RefusedError as error:
            if error.code == _SCHEMA_NOT_FOUND:
                raise InvalidRecordError(f"schema id {schema_id} is not known to the registry") from error
            raise self._unavailable(error) from error
        return str(self._entry(found, "schema"))

    def register(self, subject: str, schema: str) -> SchemaId:
        """Register a schema; see SchemaRegistry."""
        try:
            found = self._call("POST", f"subjects/{quote(subject, safe='')}/versions", {"schema": schema})
        except _RefusedError as error:
            if error.status in (_CONFLICT, _UNPROCESSABLE):
                raise _refusal(subject, str(error)) from error
            raise self._unavailable(error) from error
        return SchemaId(int(self._entry(found, "id")))

    def set_compatibility(self, subject: str, level: Compatibility) -> None:
        """Fix a subject's compatibility; see SchemaRegistry."""
        try:
            self._call("PUT", f"config/{quote(subject, safe='')}", {"compatibility": level})
        except _RefusedError as error:
            raise self._unavailable(error) from error

    def latest(self, subject: str) -> SchemaId | None:
        """Return the id of the latest version; see SchemaRegistry."""
        try:
            found = self._call("GET", f"subjects/{quote(subject, safe='')}/versions/latest")
        except _RefusedError as error:
            if error.code in (_SUBJECT_NOT_FOUND, _VERSION_NOT_FOUND):
                return None
            raise self._unavailable(error) from error
        return SchemaId(int(self._entry(found, "id")))

    def subjects(self) -> list[str]:
        """Return the subjects' names; see SchemaRegistry."""
        try:
            return sorted(self._call("GET", "subjects"))
        except _RefusedError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connections; the registry cannot be used afterwards."""
        self._client.close()

    def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        for attempt in range(_ATTEMPTS):
            is_last = attempt == _ATTEMPTS - 1
            try:
                response = self._client.request(method, path, json=body)
            except httpx.HTTPError as error:
                if is_last:
                    raise self._unavailable(error) from error
                continue
            if response.status_code not in _PASSING or is_last:
                break
        try:
            answer = response.json()
        except ValueError as error:
            raise self._unavailable(f"HTTP {response.status_code}, and no JSON") from error
        if response.is_success:
            return answer
        code = answer.get("error_code") if isinstance(answer, dict) else None
        if response.status_code in _PASSING or not isinstance(code, int):
            raise self._unavailable(f"HTTP {response.status_code}: {answer}")
        raise _RefusedError(response.status_code, code, str(answer.get("message")))

    def _entry(self, answer: Any, key: str) -> Any:
        if not isinstance(answer, dict) or key not in answer:
            raise self._unavailable(f"no {key} in {str(answer)[:200]}")
        return answer[key]

    def _unavailable(self, found: object) -> DependencyUnavailableError:
        detail = f"{type(found).__name__}: {found}" if isinstance(found, httpx.HTTPError) else found
        return DependencyUnavailableError(f"the schema registry at {self.url} gives no usable answer ({detail})")


class _RefusedError(Exception):
    """The registry understood, and says no."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _refusal(subject: str, problem: str) -> SetupError:
    return SetupError(
        f"subject {subject} refuses the schema ({problem}): "
        "change the schema so that it is compatible, or use another topic"
    )


class InMemoryRegistry:
    """A registry in this process, for tests and for runs without one; not shared between processes."""

    def __init__(self) -> None:
        self._schemas: list[str] = []
        self._versions: dict[str, list[SchemaId]] = {}
        self._levels: dict[str, Compatibility] = {}

    def schema_by_id(self, schema_id: SchemaId) -> str:
        """Return the text of a schema; see SchemaRegistry."""
        if not 1 <= schema_id <= len(self._schemas):
            raise InvalidRecordError(f"schema id {schema_id} is not known to the registry")
        return self._schemas[schema_id - 1]

    def register(self, subject: str, schema: str) -> SchemaId:
        """Register a schema; see SchemaRegistry."""
        versions = self._versions.get(subject, [])
        for schema_id in versions:
            if self._schemas[schema_id - 1] == schema:
                return schema_id
        level = self._levels.get(subject, "NONE")
        try:
            new = parse_record(schema)
            problem = _incompatibility(new, [parse_record(self._schemas[one - 1]) for one in versions], level)
        except InvalidRecordError as error:
            problem = f"it is {error.reason}"
        if problem:
            raise _refusal(subject, problem)
        if schema not in self._schemas:
            self._schemas.append(schema)
        schema_id = SchemaId(self._schemas.index(schema) + 1)
        self._versions.setdefault(subject, []).append(schema_id)
        return schema_id

    def set_compatibility(self, subject: str, level: Compatibility) -> None:
        """Fix a subject's compatibility; see SchemaRegistry."""
        self._levels[subject] = level

    def latest(self, subject: str) -> SchemaId | None:
        """Return the id of the latest version; see SchemaRegistry."""
        versions = self._versions.get(subject)
        return versions[-1] if versions else None

    def subjects(self) -> list[str]:
        """Return the subjects' names; see SchemaRegistry."""
        return sorted(self._versions)


def _incompatibility(new: Record, versions: list[Record], level: Compatibility) -> str:
    if level == "NONE" or not versions:
        return ""
    for old in versions if level == "FULL_TRANSITIVE" else versions[-1:]:
        directions = [(old, new, "new code cannot read old records")]
        if level != "BACKWARD":
            directions.append((new, old, "old code cannot read new records"))
        for writer, reader, consequence in directions:
            found = resolve(writer, reader)
            if not found.always:
                return f"{consequence}: {'; '.join(found.problems) or 'some values have no counterpart'}"
    return ""
