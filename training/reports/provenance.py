"""Where a model comes from, as names and values; a lineage may hold more than this program knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from training.reports.contents import Report

Facts = list[tuple[str, str]]

_NAMES: Final[Mapping[str, str]] = {
    "file": "file",
    "schema_ids": "schema ids",
    "rows": "products",
    "removed": "removed by a tombstone",
    "rejected": "left out, unusable",
    "content_digest": "digest of the content",
    "seed": "seed of split and fit",
    "min_products": "least products of a class",
}


def lineage_facts(report: Report) -> Facts:
    """Return what is known of the products that the model was made of, offsets aside."""
    lineage = report.manifest.lineage
    facts = [("topic", topic) for topic in _offsets(lineage)]
    facts += [(name, _text(lineage[key])) for key, name in _NAMES.items() if key in lineage]
    known = {*_NAMES, "offsets"}
    facts += [(key, _text(value)) for key, value in lineage.items() if key not in known]
    parts = report.manifest.metrics.get("rows")
    if isinstance(parts, Mapping):
        facts.append(("parts", ", ".join(f"{name} {_text(n)}" for name, n in sorted(parts.items()))))
    return facts


def offset_rows(report: Report) -> list[tuple[str, int, int]]:
    """Return partition, first and last offset of what was read of a topic; empty if it was a file."""
    return [
        (partition, first, last)
        for partitions in _offsets(report.manifest.lineage).values()
        for partition, (first, last) in sorted(partitions.items(), key=lambda item: int(item[0]))
    ]


def model_facts(report: Report) -> Facts:
    """Return settings and versions."""
    manifest = report.manifest
    target = manifest.target_precision
    return [
        ("version", f"{manifest.version} (digest of the content)"),
        ("written at", manifest.created_at),
        ("profile", manifest.profile),
        *((f"thresholds, {name}", _text(value)) for name, value in manifest.thresholds.items()),
        ("chosen for a precision of", "unknown" if target is None else f"{target:g}"),
        *_calibration("", manifest.calibration),
        ("classes", f"{len(manifest.labels):,}, taxonomy {manifest.taxonomy_version}"),
        *_left_out(manifest.metrics),
        ("features", manifest.feature_fingerprint),
        ("bundle format", str(manifest.format_version)),
        ("made with", ", ".join(f"{name} {version}" for name, version in sorted(manifest.libraries.items()))),
        ("report written by", ", ".join(f"{name} {version}" for name, version in report.software.items())),
    ]


def _calibration(of: str, calibration: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in calibration.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            yield from _calibration(f" of {words}s", value)
        else:
            yield f"calibration, {words}{of}", _text(value)


def _left_out(metrics: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    reasons = metrics.get("left_out")
    for reason in reasons if isinstance(reasons, list | tuple) else ():
        yield "left out", _text(reason)


def _offsets(lineage: Mapping[str, object]) -> dict[str, dict[str, tuple[int, int]]]:
    topics = lineage.get("offsets")
    return {
        topic: dict(_ranges(partitions))
        for topic, partitions in (topics if isinstance(topics, Mapping) else {}).items()
    }


def _ranges(partitions: object) -> Iterator[tuple[str, tuple[int, int]]]:
    for partition, ends in (partitions if isinstance(partitions, Mapping) else {}).items():
        if isinstance(ends, list | tuple) and len(ends) == 2 and str(partition).isdecimal():
            yield str(partition), (int(ends[0]), int(ends[1]))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value, ensure_ascii=False)
