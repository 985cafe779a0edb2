"""A training run in MLflow: settings, figures, the report, and the bundle as a registered model.

MLflow is imported when a run is logged: that takes seconds.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from models.bundle import Manifest
from models.registry import log_bundle
from schemas.errors import DependencyUnavailableError
from training.evaluation import ClassScore, Evaluation

EXPERIMENT: Final = "sortline"
_SQLITE: Final = "sqlite:///"


def log_training(
    bundle: Path,
    manifest: Manifest,
    evaluation: Evaluation,
    *,
    report: Mapping[str, str],
    parameters: Mapping[str, object],
    tracking_uri: str,
) -> str:
    """Log one run with the files of its report, register the bundle under the model's name; return the run's id.

    With a `sqlite:///` store the files go to the folder `mlruns` beside the database. A run that cannot be logged
    to its end is marked as failed. Raises DependencyUnavailableError if MLflow does not answer.
    """
    with _client(tracking_uri) as client:
        run_id: str = client.create_run(_experiment(client, tracking_uri), run_name=manifest.version).info.run_id
        status = "FAILED"
        try:
            for name, value in parameters.items():
                client.log_param(run_id, name, value)
            for name, number in evaluation.summary().items():
                client.log_metric(run_id, name, number)
            client.log_text(run_id, _class_table(evaluation), "classes.csv")
            for name, text in report.items():
                client.log_text(run_id, text, name)
            log_bundle(bundle, tracking_uri=tracking_uri, run_id=run_id, registered_name=manifest.name)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status)
    return run_id


def _experiment(client: Any, tracking_uri: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    location = None
    if tracking_uri.startswith(_SQLITE):
        # MLflow's own default is the folder that the program happens to be started in.
        database = Path(tracking_uri.removeprefix(_SQLITE)).resolve()
        location = (database.parent / "mlruns" / EXPERIMENT).as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _class_table(evaluation: Evaluation) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(ClassScore)])
    table.writeheader()
    table.writerows({**asdict(one), "path": " > ".join(one.path)} for one in evaluation.classes)
    return text.getvalue()


@contextmanager
def _client(tracking_uri: str) -> Iterator[Any]:
    """Give a client of the store, quiet about its own housekeeping."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        # Said of MLflow's own classes while they are imported; nobody here can act on it.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning)
        import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    noisy = [logging.getLogger(name) for name in ("alembic", "mlflow")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        yield mlflow.MlflowClient(tracking_uri=tracking_uri)
    except (MlflowException, SQLAlchemyError) as error:
        sentence = " ".join(str(error).split())
        raise DependencyUnavailableError(f"MLflow at {tracking_uri} does not log the run: {sentence}") from error
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
