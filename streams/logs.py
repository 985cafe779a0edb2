"""One log line an event: a constant name, and the data in fields."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

from schemas.errors import SortlineError

#: What a LogRecord always has; everything else on it came as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


#: Whose lines are never dropped: these log when something changes, not again and again while it lasts.
_OURS: Final = ("streams", "gateway", "models", "features", "schemas", "sortline")

_QUIET_SECONDS: Final = 10.0


def configure_logging(*, level: str, log_format: Literal["text", "json"]) -> None:
    """Send all log lines to stderr: our own from `level` on, libraries' from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(RepeatFilter())
    handler.addFilter(EchoFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for package in _OURS:
        logging.getLogger(package).setLevel(level)


class RepeatFilter(logging.Filter):
    """Lets a library say the same thing once in ten seconds; the next line tells how often it was `repeated`.

    While a broker is away aiokafka complains some thirty times a second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}
        self._dropped: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be written."""
        if record.name.partition(".")[0] in _OURS:
            return True
        what, now = (record.name, str(record.msg)), self._clock()
        if now < self._quiet_until.get(what, 0.0):
            self._dropped[what] += 1
            return False
        self._quiet_until[what] = now + _QUIET_SECONDS
        if repeated := self._dropped.pop(what, 0):
            record.repeated = repeated
        return True


class EchoFilter(logging.Filter):
    """Drops what service after service says of an error of ours that ends them: the worker says it, once."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be written."""
        is_echo = "Crashed reason=" in str(record.msg) and isinstance(record.args, tuple)
        return not (is_echo and any(isinstance(one, SortlineError) for one in record.args or ()))


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, event, logger, the fields, and `traceback` of an unexpected exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(_fields(self, record), default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The time, the level, the event, then key=value; an unexpected exception's traceback on the lines after."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = _fields(self, record)
        trace = fields.pop("traceback", None)
        head = f"{fields.pop('time')} {fields.pop('level'):7} {fields.pop('event')}"
        rest = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
        return f"{head}  {rest}" + (f"\n{trace}" if trace else "")


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "logger": record.name,
    }
    fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error"] = f"{type(error).__name__}: {error}"
        # Our own errors say what to do in a sentence; a traceback would only bury it.
        if not isinstance(error, SortlineError):
            fields["traceback"] = formatter.formatException(record.exc_info)
    return fields


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(sign in text for sign in ' "=\n\t') else text
