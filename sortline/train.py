"""`sortline train`: a model bundle from labelled products, of a file or of the catalogue topic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sortline.labelled_products import check_source, read_labelled
from sortline.options import (
    BootstrapOption,
    BundleFolderOption,
    FromFileOption,
    FromTopicOption,
    MinProductsOption,
    ProfileName,
    ProfileOption,
    RegistryOption,
    SeedOption,
    TargetPrecisionOption,
    TopicPrefixOption,
    TrackingUriOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from training.fit import TrainingResult


#: Categories that a warning names; the rest are counted.
_CATEGORIES_NAMED: Final = 5

#: Categories that are no class which are printed; the rest are counted.
_UNTRAINED_NAMED: Final = 100


def train(
    *,
    to: BundleFolderOption,
    from_file: FromFileOption = None,
    from_topic: FromTopicOption = False,
    profile: ProfileOption = ProfileName.TEXT,
    seed: SeedOption = 7,
    min_products: MinProductsOption = 20,
    target_precision: TargetPrecisionOption = 0.95,
    name: Annotated[str, typer.Option("--name", help="What published events call the model.")] = "sortline",
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder of the report. Default: <bundle>.report beside it.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="Older bundle to compare with. Default: the one that is replaced."),
    ] = None,
    tracking: Annotated[
        bool, typer.Option("--tracking/--no-tracking", help="Log the run and its report to MLflow.")
    ] = True,
    tracking_uri: TrackingUriOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Fit a model, evaluate it, and write its bundle.

    The products are split by group, never by row: 64 % to train on, 16 % to
    calibrate, 20 % to test on. The same products and seed give the same model,
    whether they come from a file or from the topic. With --from-topic the
    snapshot is kept beside the bundle, as <bundle>.snapshot.parquet.

    The report is a page to read in a browser (report.html), a model card
    (model-card.md) and all of it as JSON (report.json); docs/reports.md tells
    how to read it. It shows titles of products.

    Examples:
      sortline train --from-topic --to bundles/first
      sortline train --from labelled.csv --profile classic --to bundles/classic
    """
    check_source(from_file, from_topic=from_topic)

    import time

    from sortline.console import messages, output
    from sortline.progress import StepProgress
    from sortline.settings import read_settings
    from sortline.termination import leave_on_sigterm

    settings = read_settings(
        tracking_uri=tracking_uri, bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix
    )
    leave_on_sigterm()
    started = time.monotonic()
    with StepProgress(messages()) as progress:
        progress.step("Loading the libraries")
        from training.fit import fit_bundle
        from training.reports.files import check_folder

        report_to = to.with_name(f"{to.name}.report") if report is None else report
        check_folder(report_to, bundle=to)

        products, lineage = read_labelled(
            from_file, settings, progress, keep_as=to.with_name(f"{to.name}.snapshot.parquet")
        )
        result = fit_bundle(
            products,
            profile=profile.value,
            seed=seed,
            to=to,
            lineage=lineage,
            progress=progress,
            min_products=min_products,
            target_precision=target_precision,
            tracking_uri=settings.tracking_uri if tracking else None,
            name=name,
            report_to=report_to,
            compare_with=compare,
        )
    _show(result, output(), seconds=time.monotonic() - started, tracking_uri=settings.tracking_uri)


def _show(result: TrainingResult, console: Console, *, seconds: float, tracking_uri: str) -> None:
    from schemas.printable import printable
    from sortline.console import warn
    from sortline.scores import class_table, facts, score_facts
    from sortline.settings import masked
    from sortline.topic_rows import path_text
    from training.reports.files import PAGE

    evaluation = result.evaluation
    largest = printable(path_text(evaluation.largest_class.path))
    rows = [
        ("model", f"{result.manifest.name} {result.manifest.version}, profile {result.manifest.profile}"),
        ("trained on", f"{result.rows['train']:,} products, calibrated on {result.rows['calibrate']:,}"),
        ("classes", f"{len(result.labels.leaves)}, trees {result.n_trees:,}"),
    ]
    rows += [("without", reason) for reason in result.left_out]
    untrained = [
        ("merged", printable(f"{path_text(path)} is trained as {path_text(parent)}"))
        for path, parent in result.labels.merged.items()
    ] + [
        ("left out", printable(f"{path_text(path)}: {n} products are too few"))
        for path, n in result.labels.excluded.items()
    ]
    rows += untrained[:_UNTRAINED_NAMED]
    if len(untrained) > _UNTRAINED_NAMED:
        rows.append(("", f"and {len(untrained) - _UNTRAINED_NAMED:,} more, which report.json names"))
    rows += [("test " + name, value) for name, value in score_facts(evaluation)]
    rows += [
        (
            "baseline",
            f"{evaluation.baseline:.4f}  (accuracy of always saying {largest})",
        ),
        ("thresholds", f"{result.choice.thresholds}"),
        ("time", f"{seconds:.1f} s"),
        ("bundle", f"{result.path}"),
    ]
    if result.report is not None:
        rows.append(("report", f"{result.report / PAGE}"))
    if result.tracking_run is not None:
        rows.append(("MLflow", f"run {result.tracking_run} in {masked(tracking_uri)}, with the report"))
    class_table(evaluation, console)
    facts(rows, console)
    target = result.manifest.target_precision
    if result.choice.thresholds.summary()["lowest"] is None:
        warn(
            f"the calibration part shows a precision of {target} for no category: this model sends every event to "
            "review; train with a lower --target-precision, more products, or cleaner labels"
        )
    elif failed := result.choice.not_published:
        shown = ", ".join(f"{printable(path_text(path))} ({rows:,})" for path, rows in failed[:_CATEGORIES_NAMED])
        more = f" and {len(failed) - _CATEGORIES_NAMED} more" if len(failed) > _CATEGORIES_NAMED else ""
        warn(
            f"the calibration part does not show a precision of {target} for {len(failed)} of "
            f"{len(result.labels.leaves)} categories, whose products go to an ancestor or to review: {shown}{more}"
            " (products of it in that part)"
        )
