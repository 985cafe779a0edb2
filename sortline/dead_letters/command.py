"""`sortline dead-letters list|show|replay`: look at what could not be categorized, and send it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import SortlineError
from sortline.options import BootstrapOption, RegistryOption, TopicPrefixOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sortline.dead_letters.letters import Letter, Place, State
    from sortline.dead_letters.selection import Selection
    from sortline.settings import SortlineSettings

app = typer.Typer(help="Look at dead letters, and send them again once mended.", no_args_is_help=True)

DEFAULT_MAX_ATTEMPTS = 3

ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Only with this text in the reason; * stands for anything, case does not matter."
    ),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="Only from this time on: 2026-01-31T08:00 (UTC), or an age: 90m, 2d.")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Only before this time, given like --since.")]
OffsetsOption = Annotated[
    list[str] | None,
    typer.Option("--offsets", help="Only PARTITION:FROM-TO of the dead-letter topic; may be given several times."),
]
MaxAttemptsOption = Annotated[
    int, typer.Option("--max-attempts", min=1, help="A record that was replayed so often is left alone.")
]


@app.command("list")
def list_letters(
    *,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    offsets: OffsetsOption = None,
    max_attempts: MaxAttemptsOption = DEFAULT_MAX_ATTEMPTS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a group each.")] = False,
    bootstrap: BootstrapOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Group what is in products.created.dlq by reason, the largest group first.

    Numbers and quoted values are folded (# and …), so that the same fault is
    one group. `waiting` letters can be replayed, `replayed` ones were; `spent`
    came back too often, `foreign` do not come from products.created. Below each
    group: its reason, and where it is, as --offsets takes it.

    Examples:
      sortline dead-letters list
      sortline dead-letters list --since 2h --json
    """
    from sortline.console import say
    from sortline.dead_letters.display import group_json, show_groups
    from sortline.dead_letters.groups import gather

    settings, selection = _settings_and_selection(bootstrap, topic_prefix, reason, since, until, offsets)
    groups = gather(_with_states(settings, selection, max_attempts))
    if as_json:
        for group in groups:
            typer.echo(group_json(group))
    elif groups:
        show_groups(groups)
    else:
        say(f"{settings.topics.dead_letters} has no such letters.")


@app.command("show")
def show_letter(
    place: Annotated[
        str, typer.Argument(help="PARTITION:OFFSET in the dead-letter topic.", metavar="PARTITION:OFFSET")
    ],
    *,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Show one dead letter whole: what is wrong, where it came from, key, headers and value.

    The value is shown decoded if it can be, otherwise as text or in hex.

    Example:
      sortline dead-letters show 0:1234
    """
    from contextlib import closing

    from schemas.printable import printable
    from schemas.registry import ConfluentRegistry
    from sortline.console import output
    from sortline.dead_letters.display import letter_lines
    from sortline.dead_letters.reading import read_letter_at, read_marks
    from sortline.dead_letters.selection import parse_place
    from sortline.settings import read_settings

    settings = read_settings(bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix)
    letter = read_letter_at(settings.bootstrap, settings.topics, parse_place(place))
    mark = read_marks(settings.bootstrap, settings.topics).get(letter.place)
    console = output()
    with closing(ConfluentRegistry(settings.registry_url)) as schemas:
        for line in letter_lines(letter, mark, schemas):
            console.print(printable(line), soft_wrap=True)


@app.command("replay")
def replay(
    *,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    offsets: OffsetsOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many letters.")] = None,
    max_attempts: MaxAttemptsOption = DEFAULT_MAX_ATTEMPTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False,
    bootstrap: BootstrapOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Send chosen dead letters to products.created again, each once.

    Key, value and headers are the original's. What was replayed is marked in
    the same transaction and never sent again, also after a crash in the middle.
    A record that comes back as a new dead letter counts its attempts; beyond
    --max-attempts it is left alone. Repair the cause first, try it with --limit.

    Examples:
      sortline dead-letters replay --reason "schema id" --dry-run
      sortline dead-letters replay --reason "schema id" --limit 10 --yes
      sortline dead-letters replay --offsets 0:120-180 --offsets 2:7
    """
    from sortline.console import say, warn
    from sortline.dead_letters.display import show_groups
    from sortline.dead_letters.groups import gather
    from sortline.dead_letters.replay import replay_letters

    settings, selection = _settings_and_selection(bootstrap, topic_prefix, reason, since, until, offsets)
    places: list[Place] = []
    left_alone: dict[State, int] = {}
    chosen = _chosen(_with_states(settings, selection, max_attempts), limit, places, left_alone)
    groups = gather(chosen)
    if n_spent := left_alone.get("spent", 0):
        warn(f"{n_spent:,} letters were replayed {max_attempts} times and came back: they are left alone")
    if n_foreign := left_alone.get("foreign", 0):
        warn(
            f"{n_foreign:,} letters do not say that they come from {settings.topics.created}: they are left alone"
        )
    if not places:
        say("There is nothing to replay.")
        return
    show_groups(groups)
    if dry_run:
        say(f"{len(places):,} letters would be sent to {settings.topics.created}.")
        return
    if not yes:
        typer.confirm(f"Send {len(places):,} letters to {settings.topics.created}?", abort=True, err=True)
    report = replay_letters(
        bootstrap=settings.bootstrap, names=settings.topics, places=places, max_attempts=max_attempts
    )
    say(f"{report.n_sent:,} letters were sent to {settings.topics.created}.")
    if n_meanwhile := sum(report.skipped.values()):
        warn(f"{n_meanwhile:,} were replayed by somebody else meanwhile")
    if report.refused:
        name, words = report.refused[0]
        raise SortlineError(
            f"the broker refuses {len(report.refused):,} of them, such as {name} ({words}); they stay waiting"
        )


def _settings_and_selection(
    bootstrap: str | None,
    topic_prefix: str | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    offsets: list[str] | None,
) -> tuple[SortlineSettings, Selection]:
    import time

    from sortline.dead_letters.selection import parse_selection
    from sortline.settings import read_settings

    selection = parse_selection(
        reason=reason, since=since, until=until, offsets=offsets or (), now_ms=time.time_ns() // 1_000_000
    )
    return read_settings(bootstrap=bootstrap, topic_prefix=topic_prefix), selection


def _with_states(
    settings: SortlineSettings, selection: Selection, max_attempts: int
) -> Iterator[tuple[Letter, State]]:
    """Yield the selected letters with what became of each."""
    from sortline.dead_letters.letters import state_of
    from sortline.dead_letters.reading import read_letters, read_marks

    names = settings.topics
    marks = read_marks(settings.bootstrap, names)
    for letter in read_letters(settings.bootstrap, names):
        if selection.has(letter):
            yield letter, state_of(letter, marks, created=names.created, max_attempts=max_attempts)


def _chosen(
    letters: Iterator[tuple[Letter, State]], limit: int | None, places: list[Place], left_alone: dict[State, int]
) -> Iterator[tuple[Letter, State]]:
    """Yield the letters that are to be replayed, and note their places; count the others by their state."""
    for letter, state in letters:
        if state != "waiting":
            left_alone[state] = left_alone.get(state, 0) + 1
        elif limit is None or len(places) < limit:
            places.append(letter.place)
            yield letter, state
