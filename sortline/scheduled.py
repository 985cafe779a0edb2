"""The flow that Prefect starts, found by this module's name.

Where Kafka, the registry and MLflow are it takes from the environment of the process that runs it, so that no
address, and no password in one, is kept by Prefect's server.
"""

from __future__ import annotations

from pathlib import Path

from sortline.console import messages
from sortline.options import ProfileName
from sortline.progress import StepProgress
from sortline.retrain import promoter, sources
from sortline.settings import read_settings
from training.pipeline import RETRY_DELAYS, as_flow, as_tasks
from training.retraining import Retraining, RetrainRequest, retrain


#: Its parameters have builtin types: Prefect resolves annotations without this module's names.
@as_flow
def sortline_retrain(
    to: str,
    *,
    name: str = "sortline",
    if_changed: bool = False,
    min_new: int = 1,
    promote: bool = False,
    profile: str = "text",
    seed: int = 7,
    min_products: int = 20,
    target_precision: float = 0.95,
    retry_delays: tuple[float, ...] = RETRY_DELAYS,
) -> Retraining:
    """Retrain from the catalogue topic: look, snapshot, count, fit and evaluate, register, promote."""
    settings = read_settings()
    request = RetrainRequest(
        to=Path(to),
        name=name,
        only_if_changed=if_changed,
        min_new=min_new,
        profile=ProfileName(profile).value,
        seed=seed,
        min_products=min_products,
        target_precision=target_precision,
    )
    with StepProgress(messages()) as progress:
        return retrain(
            request,
            sources(settings),
            progress,
            promote=promoter(settings, progress) if promote else None,
            run=as_tasks(retry_delays=retry_delays),
        )
