"""A training run in MLflow: settings, figures, dataset, test rows, report, and the bundle as a registered model.

MLflow is imported when a run is logged: that takes seconds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from models.bundle import Manifest
from models.mlflow_store import mlflow_client
from models.registry import log_bundle
from training.evaluation import ClassScore, Evaluation
from training.held_out_rows import log_test_rows
from training.row_digests import log_row_digests

EXPERIMENT: Final = "sortline"
_SQLITE: Final = "sqlite:///"


def log_training(
    bundle: Path,
    manifest: Manifest,
    evaluation: Evaluation,
    *,
    test: pa.Table,
    row_digests: pa.Table,
    report: Mapping[str, str],
    parameters: Mapping[str, object],
    tracking_uri: str,
) -> str:
    """Log one run with the files of its report, register the bundle under the model's name; return the run's id.

    With a `sqlite:///` store the files go to the folder `mlruns` beside the database. A run that cannot be logged
    to its end is marked as failed. `test`, the test part with all its columns, is kept with the run: promotion
    compares models on it; `row_digests` tell a later training what is new.

    Raises DependencyUnavailableError if MLflow does not answer.
    """
    with mlflow_client(tracking_uri) as client:
        run_id: str = client.create_run(_experiment(client, tracking_uri), run_name=manifest.version).info.run_id
        status = "FAILED"
        try:
            for name, value in parameters.items():
                client.log_param(run_id, name, value)
            for name, number in evaluation.summary().items():
                client.log_metric(run_id, name, number)
            _log_dataset(client, run_id, manifest.lineage)
            log_test_rows(client, run_id, test)
            log_row_digests(client, run_id, row_digests)
            client.log_text(run_id, _class_table(evaluation), "classes.csv")
            for name, text in report.items():
                client.log_text(run_id, text, name)
            log_bundle(bundle, tracking_uri=tracking_uri, run_id=run_id, registered_name=manifest.name)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status)
    return run_id


def _log_dataset(client: Any, run_id: str, lineage: Mapping[str, object]) -> None:
    from mlflow.entities import DatasetInput, InputTag

    from training.mlflow_dataset import dataset_of

    dataset = dataset_of(lineage)
    if dataset is not None:
        context = InputTag("mlflow.data.context", "training")
        client.log_inputs(run_id, datasets=[DatasetInput(dataset._to_mlflow_entity(), [context])])


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
