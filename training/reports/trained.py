"""The report of a model that has just been trained, on its test part."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from models.classifier import Classifier
from models.manifest import Manifest
from training.labels import TrainedLabels
from training.outcomes import Outcomes
from training.reports.champions import Champion, compare_with_champion
from training.reports.contents import Report, build_report


def report_of_training(
    classifier: Classifier,
    manifest: Manifest,
    outcomes: Outcomes,
    test: pa.Table,
    labels: TrainedLabels,
    former: Champion | str | None,
) -> Report:
    """Report `outcomes` on the `test` part, in the same order, and compare with the `former` model.

    `former` is as `find_champion` gives it.
    """
    comparison, note = None, former if isinstance(former, str) else None
    if isinstance(former, Champion):
        candidate = replace(classifier, version=manifest.version)
        comparison, note = compare_with_champion(former, candidate, test)
    return build_report(
        manifest,
        outcomes,
        test,
        measured_on="the test part, a fifth of the products, which the model has not seen",
        comparison=comparison,
        comparison_note=note,
        labels=labels,
    )
