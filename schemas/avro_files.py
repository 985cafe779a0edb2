"""The Avro schemas and the example records that ship with the program."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def load_schema(stem: str) -> str:
    """Return the text of `schemas/avro/<stem>.avsc`.

    Raises FileNotFoundError if there is no such schema: the stems are ours, so that is a fault of the program.
    """
    return files("schemas").joinpath("avro", f"{stem}.avsc").read_text(encoding="utf-8")


def load_examples(stem: str) -> list[dict[str, Any]]:
    """Return the example records of a schema, in the order of its file, one dict a record.

    Timestamps are milliseconds since 1970 UTC, as Avro carries them. An absent optional field is absent from
    the dict.
    """
    text = files("schemas").joinpath("examples", f"{stem}.jsonl").read_text(encoding="utf-8")
    # Not splitlines(): a title may hold U+2028 or U+0085, which that takes for the end of a line.
    return [json.loads(line) for line in text.split("\n") if line]
