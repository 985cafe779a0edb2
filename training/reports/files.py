"""The files of a report: rendered from templates that escape everything, and put where they belong."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from schemas.errors import SetupError
from training.reports.card import render_card
from training.reports.contents import Report
from training.reports.page import render_page

PAGE: Final = "report.html"
DOCUMENT: Final = "report.json"
CARD: Final = "model-card.md"
FILES: Final = (PAGE, DOCUMENT, CARD)


def render(report: Report) -> Mapping[str, str]:
    """Return the text of each file, by name."""
    document = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    return {PAGE: render_page(report), DOCUMENT: document + "\n", CARD: render_card(report)}


def check_folder(folder: Path, *, bundle: Path) -> None:
    """Raise SetupError if the report cannot go there: better before a training than after it.

    Not into the bundle either, which is refused when it is loaded if it holds a file more than it should.
    """
    if folder.exists() and not folder.is_dir():
        raise SetupError(f"{folder} is a file, not a folder for a report: give another folder.")
    if folder.resolve().is_relative_to(bundle.resolve()):
        raise SetupError(f"{folder} is in the bundle, which holds no reports: give the report another folder.")


def write_report(contents: Mapping[str, str], folder: Path) -> None:
    """Write the files into the folder, each whole or not at all; what else is in it is left alone.

    Raises SetupError if that is impossible.
    """
    for name, text in contents.items():
        write_file(text, folder / name)


def write_file(text: str, to: Path) -> None:
    """Write one file, whole or not at all, and the folders above it. Raises SetupError if that is impossible."""
    draft = to.with_name(f".{to.name}.{secrets.token_hex(4)}.draft")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(to)
    except OSError as error:
        raise SetupError(f"The report cannot be written to {to} ({error}): give another place.") from error
    finally:
        with contextlib.suppress(OSError):  # where nothing can be written, nothing is there to remove
            draft.unlink()
