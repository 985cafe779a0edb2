"""An explanation as a page of names and values, and as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from models.manifest import Manifest
from schemas.errors import InvalidRecordError
from schemas.wire import split
from sortline.dead_letters.display import time_text
from sortline.explain.lineage import Explanation, code_versions, running_code
from sortline.explain.recompute import Difference
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import path_text

_LONGEST: Final = 200


def lines(explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Yield names and values, in the order of the chain; names of lines that go on are blank."""
    event, decision, source, model = (
        explanation.event,
        explanation.decision,
        explanation.source,
        explanation.model,
    )
    if event is not None:
        yield "event", f"{explanation.place}, product {_text(event.key)}{_written(event)}"
    if decision is not None:
        path, confidence = path_text(decision["category_path"]), decision["confidence"]
        yield "decision", f"{decision['decision']}: {path}, confidence {confidence:.4f}"
        others = (f"{path_text(one['category_path'])} {one['confidence']:.4f}" for one in decision["alternatives"])
        yield "", f"likeliest: {', '.join(others)}"
        yield "", f"decided at {_iso(decision['categorized_at'])}"
    if explanation.source_place is not None:
        found = f"product {_text(source.key)}{_written(source)}" if source is not None else "not there any more"
        yield "input", f"{explanation.source_place}, {found}"
    if explanation.product is not None:
        yield "", f"title: {_short(explanation.product['title'])}"
    if decision is not None:
        yield "model", f"{decision['model_name']} {decision['model_version']}, as the event says"
        yield "features", f"fingerprint {decision['feature_fingerprint']}, as the event says"
    if model is not None and decision is not None:
        yield from _bundle_lines(explanation, model.origin, model.manifest, decision)
    yield "result", explanation.sentence
    if explanation.recomputation is not None:
        for one in explanation.recomputation.differences:
            yield "", f"{one.field}: published {_value(one.published)}, now {_value(one.recomputed)}"


def _bundle_lines(
    explanation: Explanation, origin: str, manifest: Manifest, decision: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    same = "the same" if manifest.feature_fingerprint == decision["feature_fingerprint"] else "another"
    yield "bundle", f"{origin}: {manifest.name} {manifest.version}, written {manifest.created_at[:19]}Z"
    if explanation.model_note is not None:
        yield "", explanation.model_note
    yield (
        "",
        f"features: {same} fingerprint; taxonomy {manifest.taxonomy_version}",
    )
    yield from _training_lines(manifest.lineage)
    running = running_code()
    algorithm = running.pop("feature_algorithm")
    yield "code", f"feature algorithm {algorithm}; python {running['python']} now"
    for name, then, now in code_versions(manifest):
        change = "the same now" if then == now else f"{now or 'not installed'} now"
        yield "", f"trained with {name} {then or '(not noted)'}, {change}"


def _training_lines(lineage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    name = "training"
    for topic, partitions in dict(lineage.get("offsets") or {}).items():
        spans = " ".join(f"{number}:{first}-{last}" for number, (first, last) in sorted(partitions.items()))
        yield name, f"{topic}, offsets {spans or 'none'}"
        name = ""
    if "file" in lineage:
        yield name, f"file {lineage['file']}"
        name = ""
    rest = ", ".join(
        f"{title} {lineage[key]}"
        for key, title in (
            ("rows", "products"),
            ("content_digest", "content digest"),
            ("schema_ids", "schema ids"),
            ("seed", "seed"),
        )
        if key in lineage
    )
    yield name, rest or "the bundle does not say"


def to_json(explanation: Explanation) -> str:
    """Return everything as one line of JSON; bytes are base64, what is unknown is null."""
    model, recomputation = explanation.model, explanation.recomputation
    document: dict[str, object] = {
        "verdict": explanation.verdict,
        "sentence": explanation.sentence,
        "event": explanation.place._asdict(),
        "decision": explanation.decision,
        "value_base64": _base64(None if explanation.event is None else explanation.event.value),
        "input": None if explanation.source_place is None else explanation.source_place._asdict(),
        "product": explanation.product,
        "model": None
        if model is None
        else {
            "origin": model.origin,
            "name": model.manifest.name,
            "version": model.manifest.version,
            "created_at": model.manifest.created_at,
            "feature_fingerprint": model.manifest.feature_fingerprint,
            "taxonomy_version": model.manifest.taxonomy_version,
            "thresholds": model.manifest.thresholds,
            "training": model.manifest.lineage,
            "libraries": model.manifest.libraries,
            "note": explanation.model_note,
            "problem": model.problem,
        },
        "code": running_code(),
        "recomputation": None
        if recomputation is None
        else {
            "is_equal": recomputation.is_equal,
            "compared_by": recomputation.compared_by,
            "value_base64": _base64(recomputation.value),
            "differences": [_difference(one) for one in recomputation.differences],
        },
    }
    return json.dumps(document, ensure_ascii=False, default=_plain)


def _difference(one: Difference) -> Mapping[str, object]:
    return {"field": one.field, "published": one.published, "recomputed": one.recomputed}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, bytes):
        return _base64(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _text(key: bytes | None) -> str:
    return "without key" if key is None else key.decode("utf-8", "replace")


def _written(record: TopicRecord) -> str:
    """Return when and with which schema a record was written."""
    at = f", written {time_text(record.timestamp_ms)} UTC"
    if record.value is None:
        return f"{at}, null: a tombstone"
    try:
        return f"{at}, schema id {split(record.value)[0]}"
    except InvalidRecordError:
        return at


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return _iso(value)
    return _short(json.dumps(value, ensure_ascii=False, default=_plain))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
