"""What can be known of the pages without a broker; tests/integration/guides runs their commands."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path
from typing import Final

import pytest
import typer
from typer.core import TyperGroup

from sortline.main import app
from tests.pages import Block, page_names, parse_blocks, read_blocks

_LINK: Final = re.compile(r"\]\((?!https?:)([^)#\s]+)?(#[^)\s]+)?\)")


@pytest.fixture(scope="module")
def blocks(repository: Path) -> list[Block]:
    return [block for page in page_names(repository) for block in read_blocks(repository, page)]


def test_a_block_knows_its_place_and_the_comments_above_it() -> None:
    text = "# Page\n\n<!-- needs: mvn -->\n<!-- not run: slow -->\n```sh\nmvn\n\nls\n```\ntext\n\n```\nold\n```\n"
    first, second = parse_blocks(text, page="p.md")
    assert (first.where, first.text, first.marks) == ("p.md:6", "mvn\n\nls\n", {"needs": "mvn", "not run": "slow"})
    assert (second.language, second.marks) == ("", {})


def test_a_comment_that_stands_elsewhere_marks_nothing() -> None:
    [block] = parse_blocks("<!-- not run: slow -->\ntext\n```sh\nls\n```\n", page="p.md")
    assert block.is_run


def test_a_fence_that_is_not_closed_is_told() -> None:
    with pytest.raises(ValueError, match=r"p\.md:2"):
        parse_blocks("text\n```sh\nls\n", page="p.md")


def test_the_index_names_every_page_once(repository: Path) -> None:
    index = (repository / "docs" / "index.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\(([\w-]+\.md)\)", index)
    pages = {file.name for file in (repository / "docs").glob("*.md")} - {"index.md"}
    assert sorted(named) == sorted(pages)


def test_commands_that_no_test_runs_say_why(blocks: list[Block], repository: Path) -> None:
    for block in blocks:
        if "not run" not in block.marks:
            continue
        reason = block.marks["not run"]
        assert len(reason.split()) > 2, f"{block.where}: {reason!r} is no reason"
        for named in re.findall(r"\b(?:tests|docs|benchmarks)/[\w/.-]+\w", reason):
            assert (repository / named).exists(), f"{block.where}: {named} is not there"


def test_shell_commands_are_in_blocks_that_say_so(blocks: list[Block]) -> None:
    commands = [
        f"{block.where}: {line}"
        for block in blocks
        if block.language != "sh" and not block.marks
        for line in block.text.splitlines()
        if re.match(r"\$? ?(sortline|make|python|pip|curl|mvn|docker|kubectl) ", line)
    ]
    assert commands == []


def test_output_follows_a_block_that_is_run(blocks: list[Block]) -> None:
    before: Block | None = None
    for block in blocks:
        if "output" in block.marks:
            assert before is not None
            assert before.is_run, f"{block.where}: the block before it is not run"
            assert before.page == block.page
        if block.language == "sh":
            before = block


def test_a_block_that_shows_a_file_shows_it_as_it_is(blocks: list[Block], repository: Path) -> None:
    shown = [block for block in blocks if "file" in block.marks]
    for block in shown:
        assert block.text == (repository / block.marks["file"]).read_text(encoding="utf-8"), block.where


def test_examples_are_all_in_a_page(blocks: list[Block], repository: Path) -> None:
    shown = {block.marks["file"] for block in blocks if "file" in block.marks}
    examples = (repository / "docs" / "examples").rglob("*.*")
    code = {str(file.relative_to(repository)) for file in examples if file.suffix in {".py", ".java"}}
    assert code <= shown


def test_every_sortline_command_has_the_options_of_that_command(blocks: list[Block]) -> None:
    commands = [
        (block.where, words) for block in blocks if block.language == "sh" for words in _commands(block.text)
    ]
    assert len(commands) > 30
    for where, words in commands:
        try:
            _parse(words)
        except Exception as error:  # noqa: BLE001 - typer has click's usage errors in a private module
            pytest.fail(f"{where}: sortline {shlex.join(words)}: {error}")


def test_links_lead_somewhere(repository: Path) -> None:
    broken = []
    for page in [*page_names(repository), "CONTRIBUTING.md", "CHANGELOG.md"]:
        file = repository / page
        for target, anchor in _LINK.findall(file.read_text(encoding="utf-8")):
            to = file.parent / target if target else file
            if not to.exists() or (anchor and to.suffix == ".md" and anchor[1:] not in _anchors(to)):
                broken.append(f"{page}: {target}{anchor}")
    assert broken == []


def _commands(text: str) -> list[list[str]]:
    """Return the words after `sortline` of each call in a block."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        call: list[str] | None = None
        for word in lexer:
            if set(word) <= set("();<>|&"):
                call = None  # another command begins, or a redirection that is none of its words
            elif call is not None:
                call.append(word)
            elif word == "sortline" or word.endswith("/sortline"):
                call = []
                found.append(call)
    return found


#: Built once: it takes longer than to parse with.
_command = functools.cache(lambda: typer.main.get_command(app))


def _parse(words: list[str]) -> None:
    command = _command()
    context = command.make_context(command.name, list(words))
    while isinstance(command, TyperGroup):
        _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
        context = command.make_context(command.name, words, parent=context)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
