"""`sortline retrain`: a new model from the catalogue topic, if there is enough that the champion does not know."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sortline.options import (
    BootstrapOption,
    BundleFolderOption,
    IfChangedOption,
    JsonOption,
    MinNewOption,
    MinProductsOption,
    ProfileName,
    ProfileOption,
    PromoteOption,
    RegisteredNameOption,
    RegistryOption,
    SeedOption,
    TargetPrecisionOption,
    TopicPrefixOption,
    TrackingUriOption,
)

if TYPE_CHECKING:
    from sortline.settings import SortlineSettings
    from training.progress import Progress
    from training.retraining import Promoter, Sources

DEFAULT_FOLDER = Path("bundles/retrained")


def retrain(
    *,
    to: BundleFolderOption = DEFAULT_FOLDER,
    if_changed: IfChangedOption = False,
    min_new: MinNewOption = 1,
    promote: PromoteOption = False,
    name: RegisteredNameOption = "sortline",
    profile: ProfileOption = ProfileName.TEXT,
    seed: SeedOption = 7,
    min_products: MinProductsOption = 20,
    target_precision: TargetPrecisionOption = 0.95,
    as_json: JsonOption = False,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
    tracking_uri: TrackingUriOption = None,
) -> None:
    """Train from the catalogue topic and register the model in MLflow.

    With --if-changed the topic's offsets are compared with those that
    models:/sortline@champion was trained on, which reads no record; only if
    they have moved, the topic is read and new, changed and removed labels are
    counted. The table tells what was found and decided. Without a champion the
    first model is trained.

    The exit code is 0 whether it retrained or had nothing to do: the first
    line, or "action" in --json, says which. It is 0, too, if the gate refuses
    the new version: the champion stays, a warning and "promotion" say so.

    Examples:
      sortline retrain --to bundles/next
      sortline retrain --if-changed --min-new 500 --promote
    """
    from sortline.console import messages, output
    from sortline.progress import StepProgress
    from sortline.settings import read_settings
    from sortline.termination import leave_on_sigterm

    settings = read_settings(
        tracking_uri=tracking_uri, bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix
    )
    leave_on_sigterm()
    with StepProgress(messages()) as progress:
        progress.step("Loading the libraries")
        from training.reports.files import check_folder
        from training.retraining import RetrainRequest
        from training.retraining import retrain as run_retraining

        request = RetrainRequest(
            to=to,
            name=name,
            only_if_changed=if_changed,
            min_new=min_new,
            profile=profile.value,
            seed=seed,
            min_products=min_products,
            target_precision=target_precision,
        )
        check_folder(request.report, bundle=to)
        done = run_retraining(
            request,
            sources(settings),
            progress,
            promote=promoter(settings, progress) if promote else None,
        )

    from sortline.retrained import show, to_json

    if as_json:
        typer.echo(to_json(done))
    else:
        show(done, output())


def sources(settings: SortlineSettings) -> Sources:
    """Return where a retraining reads and writes."""
    from training.retraining import Sources

    return Sources(
        bootstrap=settings.bootstrap,
        registry_url=settings.registry_url,
        topic=settings.topics.catalog,
        tracking_uri=settings.tracking_uri,
    )


def promoter(settings: SortlineSettings, progress: Progress) -> Promoter:
    """Return what promotes a version through the gate, and tells running workers if it passes."""
    from sortline.models_command.announcing import tell_workers
    from training.promotion import Promotion, promote

    def through_the_gate(name: str, version: int) -> Promotion:
        promotion = promote(name, version, tracking_uri=settings.tracking_uri, progress=progress)
        if promotion.outcome == "promoted":
            tell_workers(settings, name, version)
        return promotion

    return through_the_gate
