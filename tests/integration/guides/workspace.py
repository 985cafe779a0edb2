"""A folder in which the pages' commands are run as a reader types them, in order, one shell a page.

What differs from the page is told here and nowhere else: addresses and names of topics are those of the test, the
sample catalogue is a part of itself, and commands that would set up what is there already do nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from tests.pages import Block

#: Done by whoever runs the tests; each is a command of some page.
ALREADY_DONE: Final = (
    "make env && . .venv/bin/activate",
    "pip install 'confluent-kafka[avro,schemaregistry]'",
    "sortline stack up",
    "sortline stack down",
)
_LARGEST_CATEGORIES: Final = 6
_ROWS: Final = 2_400
_TOPIC: Final = re.compile(
    r"(?<![\w.])(?:products\.(?:created|categorized|review|catalog)|models\.announced|model-swaps)\b"
)
_COLOUR: Final = re.compile("\x1b\\[[0-9;]*m")
_SECONDS: Final = 280.0
_MARK: Final = "\x1e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a page's commands came to: the exit code of the shell, and of each block that began what it printed."""

    exit_code: int
    printed: Mapping[str, str]
    skipped: Mapping[str, str]

    def missing(self, block: Block, shown: str) -> str | None:
        """Return the first line of `shown` that the block did not print after those before it; … is any text."""
        lines = iter(_squeezed(self.printed[block.where]))
        for expected in _squeezed(shown):
            pattern = re.compile(" ?.* ?".join(re.escape(part.strip()) for part in expected.split("…")))
            if not any(pattern.fullmatch(line) for line in lines):
                return expected
        return None


class Workspace:
    """A reader's folder; ends with `close` what the pages' commands left running."""

    def __init__(
        self,
        folder: Path,
        *,
        repository: Path,
        addresses: Mapping[str, str],
        prefix: str,
        environment: Mapping[str, str],
    ) -> None:
        """Lay out the parts of a checkout that the pages name.

        `addresses` are those of the pages with those of the test, `prefix` is that of the topics.
        """
        self._folder = folder
        self._addresses = addresses
        self._prefix = prefix
        self._environment = {**os.environ, **environment}
        self._groups: list[int] = []
        (folder / "schemas").symlink_to(repository / "schemas")
        sample = Path("sortline", "sample_data", "pcparts.parquet")
        (folder / sample).parent.mkdir(parents=True)
        _write_part(repository / sample, folder / sample)
        shutil.copytree(repository / "docs", folder / "docs")
        for file in (folder / "docs" / "examples").rglob("*.*"):
            if file.suffix in {".py", ".java"}:
                file.write_text(self.as_here(file.read_text(encoding="utf-8")), encoding="utf-8")

    def run(self, blocks: Sequence[Block], *, stays: bool = False) -> Ran:
        """Run a page's blocks of sh in order, until one fails.

        What they left running in the background is ended, unless it `stays` for other pages.
        """
        skipped = {
            block.where: program
            for block in blocks
            if (program := block.marks.get("needs")) is not None and shutil.which(program) is None
        }
        script = "set -euo pipefail\n"
        for block in blocks:
            if block.is_run and block.where not in skipped:
                script += (
                    f"printf '{_MARK}%s\\n' '{block.where}'\n{self.as_here(_without_what_is_done(block.text))}"
                )
        log = self._folder / "printed"
        with log.open("wb") as output:
            shell = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.append(shell.pid)
            try:
                exit_code = shell.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                exit_code = -1
        if not stays:
            self._groups.remove(shell.pid)
            self._end([shell.pid])
        parts = log.read_text(encoding="utf-8", errors="replace").split(_MARK)[1:]
        printed = {where: text for where, _, text in (part.partition("\n") for part in parts)}
        return Ran(exit_code=exit_code, printed=printed, skipped=skipped)

    def close(self) -> None:
        """End what runs on in the background."""
        self._end(self._groups)

    def _end(self, groups: Sequence[int]) -> None:
        """Ask, and after ten seconds insist."""
        for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            running = [group for group in groups if _signal(group, number)]
            deadline = time.monotonic() + seconds
            while any(_signal(group, 0) for group in running) and time.monotonic() < deadline:
                time.sleep(0.05)

    def as_here(self, text: str) -> str:
        """Return text of a page with the addresses and topics of the test."""
        for ours, theirs in self._addresses.items():
            text = text.replace(ours, theirs)
        return _TOPIC.sub(lambda name: self._prefix + name[0], text)


def path_with_this_environment() -> str:
    """Return PATH with the folder of this Python first, as an activated environment has it."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def _write_part(catalogue: Path, part: Path) -> None:
    """Write products of the largest categories, so few that a model is fitted in seconds."""
    table = pq.read_table(catalogue)
    categories = [tuple(path or ()) for path in table["category_path"].to_pylist()]
    largest = {category for category, _ in Counter(categories).most_common(_LARGEST_CATEGORIES)}
    rows = [row for row, category in enumerate(categories) if category in largest]
    pq.write_table(table.take(rows[:: max(1, len(rows) // _ROWS)]), part)


def _without_what_is_done(commands: str) -> str:
    for command in ALREADY_DONE:
        commands = re.sub(rf"^{re.escape(command)}(?= *(?:#.*)?$)", ":", commands, flags=re.M)
    return commands


def _squeezed(text: str) -> list[str]:
    """Return the lines that have anything to read, without colours and with one blank between words."""
    lines = (" ".join(line.split()) for line in _COLOUR.sub("", text).splitlines())
    return [line for line in lines if line]


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group of ours; tells whether there was anybody to receive it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
