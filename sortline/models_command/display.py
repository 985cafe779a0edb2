"""Registered models as people read them: a table of versions, one version, a difference, a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console

from models.registry import METRIC_PREFIX, METRICS
from schemas.printable import printable
from sortline.console import Column, LineTable
from sortline.scores import facts
from sortline.topic_rows import path_text

if TYPE_CHECKING:
    from models.manifest import Manifest
    from models.registry import RegisteredVersion
    from models.taxonomy import Path
    from training.promotion import Promotion

_VERSIONS: Final = (
    Column(name="version", width=7, justify="right"),
    Column(name="content", width=12),
    Column(name="aliases", width=14),
    *(Column(name=name.replace("_", "-"), width=9, justify="right") for name in METRICS),
    Column(name="gate", width=9),
    Column(name="created (UTC)", width=16),
)


def show_versions(rows: Sequence[RegisteredVersion], console: Console) -> None:
    """Print a line a version."""
    table = LineTable(_VERSIONS, console)
    for row in rows:
        table.row(
            str(row.number),
            row.content_version or "-",
            ", ".join(row.aliases) or "-",
            *(_figure(row.tags.get(METRIC_PREFIX + name)) for name in METRICS),
            row.tags.get("sortline.gate", "-"),
            _time(row.created_ms),
        )


def version_json(row: RegisteredVersion) -> str:
    """Return a version as one line of JSON."""
    fields: dict[str, object] = {
        "name": row.name,
        "version": row.number,
        "content_version": row.content_version or None,
        "aliases": list(row.aliases),
        "created": datetime.fromtimestamp(row.created_ms / 1000, UTC).isoformat(timespec="seconds"),
        "run_id": row.run_id,
        "tags": dict(row.tags),
    }
    return json.dumps(fields, ensure_ascii=False)


def show_version(row: RegisteredVersion, manifest: Manifest, console: Console) -> None:
    """Print what the manifest and the tags say of one version."""
    target = "" if manifest.target_precision is None else f", for a precision of {manifest.target_precision:g}"
    rows = [
        ("model", f"{row.name} {row.number}, content {manifest.version}, profile {manifest.profile}"),
        ("aliases", ", ".join(row.aliases) or "none"),
        ("registered", f"{_time(row.created_ms)} UTC, made {manifest.created_at}, run {row.run_id or 'none'}"),
        ("features", manifest.feature_fingerprint),
        ("categories", f"{len(manifest.labels):,}, taxonomy {manifest.taxonomy_version}"),
        ("thresholds", _thresholds(manifest) + target),
        *_lineage(manifest.lineage),
        *((f"test {name}", _value(value)) for name, value in manifest.metrics.items() if _is_number(value)),
        *((f"tag {name}", value) for name, value in sorted(row.tags.items()) if value),
    ]
    facts([(name, printable(value)) for name, value in rows], console)


def show_difference(
    before: tuple[RegisteredVersion, Manifest], after: tuple[RegisteredVersion, Manifest], console: Console
) -> None:
    """Print what differs: content, features, categories, figures and settings."""
    from training.taxonomy_change import taxonomy_change

    (old_row, old), (new_row, new) = before, after
    rows = [("model", f"{old_row.name} {old_row.number} ({old.version})  {new_row.number} ({new.version})")]
    rows += _changed("content", old.version, new.version, "the same bundle")
    rows += _changed("features", old.feature_fingerprint[:12], new.feature_fingerprint[:12], "the same")
    rows += _changed("profile", old.profile, new.profile, "the same")
    change = taxonomy_change(old.labels, new.labels)
    rows += [("added", path_text(path)) for path in change.added]
    rows += [("removed", path_text(path)) for path in change.removed]
    rows += [("renamed", f"{path_text(was)} is {path_text(now)}") for was, now in change.renamed]
    if not (change.added or change.removed or change.renamed):
        rows.append(("categories", f"the same {len(new.labels):,}"))
    rows += _numbers("test ", old.metrics, new.metrics)
    settings = [
        {
            **{f"threshold, {name}": value for name, value in one.thresholds.items()},
            "target_precision": one.target_precision,
            "temperature": one.calibration.get("temperature"),
            **{name: one.lineage.get(name) for name in ("rows", "seed", "min_products")},
        }
        for one in (old, new)
    ]
    rows += _numbers("", *settings)
    digests = [str(one.lineage.get("content_digest", "unknown"))[:12] for one in (old, new)]
    rows += _changed("products", digests[0], digests[1], "the same")
    facts([(name, printable(value)) for name, value in rows], console)


def show_verdict(promotion: Promotion, console: Console) -> None:
    """Print each check with what was found and wanted, and the categories that change."""
    for check in promotion.checks:
        verdict = "ok    " if check.passed else "FAILED"
        console.print(printable(f"{verdict}  {check.name}: {check.found}"), soft_wrap=True)
        console.print(printable(f"        wanted: {check.wanted}"), soft_wrap=True)
    if promotion.change is not None:
        for line in _category_lines(promotion.change.added, promotion.change.removed, promotion.change.renamed):
            console.print(printable(line), soft_wrap=True)
    if promotion.reason is not None:
        console.print(printable(f"forced: {promotion.reason}"), soft_wrap=True)


def _category_lines(
    added: Iterable[Path], removed: Iterable[Path], renamed: Iterable[tuple[Path, Path]]
) -> Iterator[str]:
    for path in removed:
        yield f"removed category: {path_text(path)}"
    for was, now in renamed:
        yield f"renamed category: {path_text(was)} is {path_text(now)}"
    for path in added:
        yield f"added category: {path_text(path)}"


def _thresholds(manifest: Manifest) -> str:
    found = manifest.thresholds
    lowest, highest = found.get("lowest"), found.get("highest")
    if not isinstance(lowest, float) or not isinstance(highest, float):
        return "none: nothing is published"
    never = f", {found['never']} categories never published" if found.get("never") else ""
    return f"{lowest:.2f} to {highest:.2f} by category{never}"


def _lineage(lineage: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    offsets = lineage.get("offsets")
    if isinstance(offsets, Mapping):
        for topic, partitions in offsets.items():
            ranges = ", ".join(f"{number}: {first}-{last}" for number, (first, last) in partitions.items())
            yield "trained on", f"topic {topic}, offsets {ranges}, schema ids {lineage.get('schema_ids')}"
    elif "file" in lineage:
        yield "trained on", f"file {lineage['file']}"
    for name in ("rows", "removed", "rejected", "seed", "min_products", "content_digest"):
        if name in lineage:
            yield name.replace("_", " "), _value(lineage[name])


def _numbers(prefix: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was != now and (_is_number(was) or _is_number(now)):
            gain = f"  ({now - was:+.4g})" if _is_number(was) and _is_number(now) else ""  # type: ignore[operator]
            yield prefix + name, f"{_value(was)}  {_value(now)}{gain}"


def _changed(name: str, old: str, new: str, same: str) -> Iterator[tuple[str, str]]:
    yield name, same if old == new else f"{old}  {new}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _figure(text: str | None) -> str:
    return "-" if text is None else text


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"
