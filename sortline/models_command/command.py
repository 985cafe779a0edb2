"""`sortline models list|show|diff|promote|rollback`: registered models, and which of them is the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import SetupError, SortlineError
from sortline.options import BootstrapOption, RegistryOption, TopicPrefixOption, TrackingUriOption

if TYPE_CHECKING:
    from pathlib import Path

    from models.manifest import Manifest
    from models.registry import RegisteredVersion

app = typer.Typer(help="Look at registered models, and decide which of them workers run.", no_args_is_help=True)

NameOption = Annotated[str, typer.Option("--name", help="The registered model.")]
VersionArgument = Annotated[
    str, typer.Argument(help="A number, as `list` shows it, or an alias: champion.", metavar="VERSION")
]
AnnounceOption = Annotated[
    bool, typer.Option("--announce/--no-announce", help="Tell running workers, by the topic models.announced.")
]
DEFAULT_NAME = "sortline"


@app.command("list")
def list_models(
    *,
    name: NameOption = DEFAULT_NAME,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a version each.")] = False,
    tracking_uri: TrackingUriOption = None,
) -> None:
    """List the versions of the model, newest first: aliases, figures on their own test rows, what the gate said.

    Examples:
      sortline models list
      sortline models list --tracking-uri http://mlflow.example:5000 --json
    """
    from models.mlflow_store import mlflow_client
    from sortline.console import output, say
    from sortline.models_command.display import show_versions, version_json
    from sortline.settings import read_settings
    from training.champion_history import list_versions

    settings = read_settings(tracking_uri=tracking_uri)
    with mlflow_client(settings.tracking_uri) as client:
        rows = list_versions(client, name)
    if as_json:
        for row in rows:
            typer.echo(version_json(row))
    elif rows:
        show_versions(rows, output())
    else:
        say(f"{name} has no versions: `sortline train` registers one.")


@app.command("show")
def show_model(
    version: VersionArgument, *, name: NameOption = DEFAULT_NAME, tracking_uri: TrackingUriOption = None
) -> None:
    """Show one version whole: what it is, what it was trained on, its figures, thresholds and tags.

    The bundle is fetched and checked for that.

    Examples:
      sortline models show champion
      sortline models show 3
    """
    from sortline.console import output
    from sortline.models_command.display import show_version

    row, manifest = _fetched(name, (version,), tracking_uri)[0]
    show_version(row, manifest, output())


@app.command("diff")
def diff_models(
    before: VersionArgument,
    after: VersionArgument,
    *,
    name: NameOption = DEFAULT_NAME,
    tracking_uri: TrackingUriOption = None,
) -> None:
    """Tell what differs between two versions: categories, figures, settings, features.

    Figures are each version's own, on its own test rows; `promote` compares
    the two on the same rows.

    Example:
      sortline models diff champion 4
    """
    from sortline.console import output
    from sortline.models_command.display import show_difference

    old, new = _fetched(name, (before, after), tracking_uri)
    show_difference(old, new, output())


@app.command("promote")
def promote_model(
    version: VersionArgument,
    *,
    name: NameOption = DEFAULT_NAME,
    allow_taxonomy_change: Annotated[
        bool,
        typer.Option("--allow-taxonomy-change", help="Categories that subscribers know may go or be renamed."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote it although it fails; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept with the version.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as one JSON document.")] = False,
    announce: AnnounceOption = True,
    tracking_uri: TrackingUriOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Make a version the champion, which workers run, if it is as good as the one that is it now.

    Both are measured on the champion's test rows and on newer rows that
    neither has learned from. The table tells what was asked, what was found
    and what was wanted. A version that fails is refused with exit code 1;
    docs/models.md tells what to do then. Workers that follow the champion are
    told at once; without Kafka they find it with their next look.

    Examples:
      sortline models promote 4
      sortline models promote 4 --allow-taxonomy-change
      sortline models promote 4 --force --reason "the champion sells a recalled product"
    """
    import json
    from datetime import UTC, datetime

    from sortline.console import messages, output, say
    from sortline.models_command.announcing import tell_workers
    from sortline.models_command.display import show_verdict
    from sortline.progress import StepProgress
    from sortline.settings import read_settings

    if force and not (reason or "").strip():
        raise SetupError("option --force: say why with --reason TEXT; it is kept with the version")
    settings = read_settings(
        tracking_uri=tracking_uri, bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix
    )
    with StepProgress(messages()) as progress:
        progress.step("Loading the libraries")
        from training.promotion import promote, to_json

        promotion = promote(
            name,
            _number(name, version, settings.tracking_uri),
            tracking_uri=settings.tracking_uri,
            progress=progress,
            allow_taxonomy_change=allow_taxonomy_change,
            force_reason=reason if force else None,
        )
    if as_json:
        typer.echo(json.dumps(to_json(promotion, at=datetime.now(UTC).isoformat(timespec="seconds"))))
    else:
        show_verdict(promotion, output())
    if promotion.outcome == "refused":
        failed = ", ".join(check.name for check in promotion.checks if not check.passed)
        raise SortlineError(
            f"version {promotion.version} of {name} was not promoted: {failed}; the champion is as it was"
        )
    if not as_json:
        was = "" if promotion.champion is None else f", after version {promotion.champion}"
        done = {
            "promoted": f"Version {promotion.version} of {name} is the champion now{was}.",
            "forced": f"Version {promotion.version} of {name} is the champion now{was}, by force.",
            "already champion": f"Version {promotion.version} of {name} is the champion already.",
        }
        say(done[promotion.outcome])
    if announce:
        tell_workers(settings, name, promotion.version)


@app.command("rollback")
def rollback_model(
    *,
    name: NameOption = DEFAULT_NAME,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; kept with the version that goes.")] = None,
    announce: AnnounceOption = True,
    tracking_uri: TrackingUriOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Make the champion before this one the champion again.

    Called again, it goes back one more promotion. The gate is not asked; the
    bundle is fetched and must load.

    Example:
      sortline models rollback --reason "confuses kettles with teapots"
    """
    from sortline.console import messages, say
    from sortline.models_command.announcing import tell_workers
    from sortline.progress import StepProgress
    from sortline.settings import read_settings

    settings = read_settings(
        tracking_uri=tracking_uri, bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix
    )
    with StepProgress(messages()) as progress:
        progress.step("Loading the libraries")
        from training.promotion import rollback

        gone, version = rollback(name, tracking_uri=settings.tracking_uri, progress=progress, reason=reason)
    instead = "" if gone is None else f" instead of version {gone}"
    say(f"Version {version} of {name} is the champion again{instead}.")
    if announce:
        tell_workers(settings, name, version)


def _number(name: str, version: str, tracking_uri: str) -> int:
    from models.registry import resolve_alias

    return int(version) if version.isdecimal() else resolve_alias(name, version, tracking_uri).number


def _fetched(
    name: str, versions: tuple[str, ...], tracking_uri: str | None
) -> list[tuple[RegisteredVersion, Manifest]]:
    """Return the row and the manifest of each version; the bundles are checked."""
    import tempfile
    from pathlib import Path

    from models.mlflow_store import mlflow_client
    from sortline.console import messages
    from sortline.progress import StepProgress
    from sortline.settings import read_settings
    from training.champion_history import list_versions
    from training.promotion import find_version

    settings = read_settings(tracking_uri=tracking_uri)
    with StepProgress(messages()) as progress, tempfile.TemporaryDirectory(prefix="sortline-") as folder:
        progress.step("Asking MLflow")
        with mlflow_client(settings.tracking_uri) as client:
            rows = list_versions(client, name)
        found = [find_version(rows, name, _number(name, one, settings.tracking_uri)) for one in versions]
        fetched = []
        for row in found:
            progress.step(f"Fetching version {row.number}")
            fetched.append((row, _manifest(row, Path(folder), settings.tracking_uri)))
    return fetched


def _manifest(row: RegisteredVersion, to: Path, tracking_uri: str) -> Manifest:
    from models.bundle import read_manifest
    from models.registry import fetch_bundle

    return read_manifest(fetch_bundle(row.uri, to, tracking_uri=tracking_uri))
