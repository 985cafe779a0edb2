"""The chain behind one event: output, input, model, features, training snapshot, code, and whether it holds."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from typing import Any, Literal, TypeAlias

from features import ALGORITHM_VERSION
from models.manifest import Manifest
from schemas.errors import SetupError
from schemas.registry import SchemaRegistry
from schemas.topics import TopicContract
from sortline.explain.finding import Absent, Place, find_record
from sortline.explain.models import FoundModel, find_model
from sortline.explain.recompute import Recomputation, recompute
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import RowDecoder, header_text

Verdict: TypeAlias = Literal["equal", "differs", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known of an event; what is None was not found, and then the sentence says so.

    Attributes:
        place: of the event.
        verdict: whether deciding again gives the same event.
        sentence: the same in words, with what stands in the way if it is `unavailable`.
        event: the record, and `decision`, decoded; None for a tombstone.
        source_place: of the input that the event names; `source`: what is there; `product`: decoded.
        model: the bundle; `model_note` says if it is another than the event names.
        recomputation: what came of deciding again.
    """

    place: Place
    verdict: Verdict
    sentence: str
    event: TopicRecord | None = None
    decision: Mapping[str, Any] | None = None
    source_place: Place | None = None
    source: TopicRecord | None = None
    product: Mapping[str, Any] | None = None
    model: FoundModel | None = None
    model_note: str | None = None
    recomputation: Recomputation | None = None


def explain(
    place: Place,
    *,
    bootstrap: str,
    registry: SchemaRegistry,
    contract: TopicContract,
    input_contract: TopicContract,
    model: str | None,
    tracking_uri: str,
) -> Explanation:
    """Follow an event of the topic of `contract` back to its input and model, and decide again.

    `model` is a bundle to decide with, instead of the one that MLflow has for the event. Raises
    DependencyUnavailableError if Kafka, the registry or MLflow does not answer, SetupError if there is no such
    topic, partition or bundle.
    """
    found = find_record(bootstrap, place)
    if isinstance(found, Absent):
        return Explanation(place=place, verdict="unavailable", sentence=found.sentence)
    if found.value is None:
        return _explain_tombstone(place, found, bootstrap)
    (row,) = RowDecoder(contract, registry).decode([found])
    if row.value is None:
        sentence = f"{place} cannot be read as an event: {row.problem}"
        return Explanation(place=place, verdict="unavailable", sentence=sentence, event=found)
    decision = row.value
    source_place = Place(**decision["source"])
    source = _find_source(bootstrap, source_place)
    product = None
    if not isinstance(source, Absent):
        product = RowDecoder(input_contract, registry).decode([source])[0].value
    model_found = find_model(
        decision["model_name"], decision["model_version"], given=model, tracking_uri=tracking_uri
    )
    used = model_found if isinstance(model_found, FoundModel) else None
    recomputation = None
    if isinstance(source, TopicRecord) and used is not None and used.classifier is not None:
        recomputation = recompute(found, decision, source, used.classifier, registry)
    verdict, sentence = _verdict(source, model_found, recomputation)
    return Explanation(
        place=place,
        verdict=verdict,
        sentence=sentence,
        event=found,
        decision=decision,
        source_place=source_place,
        source=None if isinstance(source, Absent) else source,
        product=product,
        model=used,
        model_note=_model_note(used, decision),
        recomputation=recomputation,
    )


def _find_source(bootstrap: str, place: Place) -> TopicRecord | Absent:
    try:
        return find_record(bootstrap, place)
    except SetupError as error:  # its topic or partition is gone, and the rest of the chain is still worth a look
        return Absent(f"{place} is gone: {error}")


def _verdict(
    source: TopicRecord | Absent, model: FoundModel | str, recomputation: Recomputation | None
) -> tuple[Verdict, str]:
    if recomputation is not None:
        return "equal" if recomputation.is_equal else "differs", recomputation.sentence
    reasons: list[str] = []
    if isinstance(source, Absent):
        reasons.append(f"the input {source.sentence}")
    if isinstance(model, str):
        reasons.append(model)
    elif model.problem is not None:
        reasons.append(model.problem)
    return "unavailable", f"cannot be decided again: {'; '.join(reasons)}"


def _model_note(used: FoundModel | None, decision: Mapping[str, Any]) -> str | None:
    if used is None:
        return None
    there = (used.manifest.name, used.manifest.version)
    named = (str(decision["model_name"]), str(decision["model_version"]))
    if there == named:
        return None
    return f"the event names {' '.join(named)}, and this bundle is {' '.join(there)}"


def _explain_tombstone(place: Place, event: TopicRecord, bootstrap: str) -> Explanation:
    """Explain an event that only says that a product was withdrawn: its input must have a null value, too."""
    key = (event.key or b"").decode("utf-8", "replace")
    told = f"{place} is a tombstone: product {key} was withdrawn, and no model decided"
    source_place = Place.parse(header_text(event, "ce_id"))
    if source_place is None:
        sentence = f"{told}; its headers name no input"
        return Explanation(place=place, verdict="unavailable", sentence=sentence, event=event)
    source = _find_source(bootstrap, source_place)
    verdict: Verdict
    if isinstance(source, Absent):
        verdict, found, sentence = "unavailable", None, f"{told}; the input {source.sentence}"
    elif source.value is None and source.key == event.key:
        verdict, found, sentence = "equal", source, f"{told}; its input {source_place} says the same"
    else:
        verdict, found = "differs", source
        sentence = f"{told}; but its input {source_place} does not withdraw that product"
    return Explanation(
        place=place, verdict=verdict, sentence=sentence, event=event, source_place=source_place, source=found
    )


def code_versions(manifest: Manifest) -> list[tuple[str, str | None, str | None]]:
    """Return for each library that the bundle names, and for this program, the version then and now."""
    names = sorted({*manifest.libraries, "sortline"})
    return [(name, manifest.libraries.get(name), _installed(name)) for name in names]


def running_code() -> dict[str, object]:
    """Return what decides here and now."""
    return {
        "sortline": _installed("sortline"),
        "feature_algorithm": ALGORITHM_VERSION,
        "python": platform.python_version(),
    }


def _installed(name: str) -> str | None:
    try:
        return library_version(name)
    except PackageNotFoundError:
        return None
