"""The fenced blocks of the documentation, and what a comment above a block says of it.

A block of `sh` is run by `tests/integration/guides`, unless a comment says why not. Comments stand on the lines
right above the fence and are not to be seen where the page is rendered:

    <!-- not run: why, and which test runs these commands -->
    <!-- needs: mvn -->                     run only where this program is on the PATH
    <!-- output -->                         what the block of sh before it prints, among other lines; … is any text
    <!-- file: docs/examples/publish.py --> the block is this file, word by word
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(r"^```(\w*)\s*$")
_COMMENT: Final = re.compile(r"^<!-- (not run|needs|output|file)(?:: (.+?))? -->$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: page, number of its first line, language (may be empty), lines with their ends, marks."""

    page: str
    line: int
    language: str
    text: str
    marks: Mapping[str, str]

    @property
    def where(self) -> str:
        """The place of the first line, as editors open it."""
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether a test runs it."""
        return self.language == "sh" and "not run" not in self.marks


def page_names(repository: Path) -> list[str]:
    """Return every page that people read: README, then as docs/index.md lists them, then what that leaves out.

    Decisions have no commands to follow.
    """
    index = (repository / "docs" / "index.md").read_text(encoding="utf-8")
    listed = [f"docs/{name}" for name in re.findall(r"\]\(([\w-]+\.md)\)", index)]
    there = [f"docs/{file.name}" for file in sorted((repository / "docs").glob("*.md"))]
    return list(dict.fromkeys(["README.md", *listed, *there]))


def read_blocks(repository: Path, page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return parse_blocks((repository / page).read_text(encoding="utf-8"), page=page)


def parse_blocks(text: str, *, page: str) -> list[Block]:
    """Return the fenced blocks of a text.

    >>> [block] = parse_blocks("<!-- not run: takes an hour -->\\n```sh\\nmake bench\\n```\\n", page="a.md")
    >>> block.where, block.language, block.text, block.is_run
    ('a.md:3', 'sh', 'make bench\\n', False)

    Raises ValueError if a fence is not closed.
    """
    blocks: list[Block] = []
    marks: dict[str, str] = {}
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if comment := _COMMENT.match(line):
            marks[comment[1]] = comment[2] or ""
            continue
        if fence := _FENCE.match(line):
            inside = []
            for _, content in lines:
                if content.rstrip() == "```":
                    break
                inside.append(f"{content}\n")
            else:
                raise ValueError(f"{page}:{number}: this fence is not closed")
            blocks.append(Block(page=page, line=number + 1, language=fence[1], text="".join(inside), marks=marks))
        marks = {}
    return blocks
