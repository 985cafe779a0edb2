"""Bundles in MLflow: log and register them, and fetch them back as folders.

The only module here that calls MLflow, and it imports it when first used: that takes seconds, which a worker that
loads a plain folder does not pay. The tracking store must be a server or `sqlite:///`: MLflow from 3.18 on refuses
plain folders.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from models.bundle import FILES, KNOWN_FILES, bundle_files, load_bundle, read_manifest
from models.bundle_folder import check_target, read_file, replace_folder
from models.manifest import MANIFEST
from schemas.errors import DependencyUnavailableError, SetupError

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MODEL_NAME: Final = "bundle"
"""What the model is called below its run: `runs:/<run id>/bundle`."""

_ENTRY: Final = Path(__file__).with_name("pyfunc_entry.py")
#: Columns, their type and whether they are required. Of whole numbers that may be missing pandas makes floats, and
#: MLflow converts neither way: they may be either, and `products_from_frame` sees to them.
_INPUTS: Final = (
    ("product_id", "string", True),
    ("title", "string", True),
    ("description", "string", False),
    ("brand", "string", False),
    ("seller_id", "string", False),
    ("subcategory", "string", False),
    ("price_minor", "any", False),
    ("currency", "string", False),
    ("rating", "double", False),
    ("reviews_count", "any", False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedBundle:
    """Where MLflow keeps a bundle.

    Attributes:
        model_uri: what MLflow calls the logged model; `fetch_bundle` takes it.
        registered_version: version under the registered name, or None if it was not registered.
    """

    model_uri: str
    registered_version: int | None


def is_registry_uri(model: str) -> bool:
    """Say whether a model is named by MLflow (`models:/` or `runs:/`) rather than by a folder."""
    return model.startswith(("models:/", "runs:/"))


def log_bundle(
    bundle: Path, *, tracking_uri: str, run_id: str | None = None, registered_name: str | None = None
) -> LoggedBundle:
    """Store a bundle in MLflow as a pyfunc model, and register it if a name is given.

    It is logged to the run given, else to the active run, else without one. The bundle is loaded first: a damaged
    one raises BundleError and is not stored. MLflow tries the stored model on an example before this returns.
    Raises SetupError or DependencyUnavailableError as `fetch_bundle` does.
    """
    classifier = load_bundle(bundle)
    manifest = read_manifest(bundle)
    with _mlflow(tracking_uri) as mlflow:
        run = (
            contextlib.nullcontext() if run_id is None or _is_active(mlflow, run_id) else mlflow.start_run(run_id)
        )
        with run:
            logged = mlflow.pyfunc.log_model(
                name=MODEL_NAME,
                python_model=str(_ENTRY),
                artifacts={"bundle": str(bundle.resolve())},
                signature=_signature(),
                input_example=_example(bundle),
                pip_requirements=[_requirement()],
                metadata={"sortline_name": classifier.name, "sortline_version": manifest.version},
                registered_model_name=registered_name,
            )
    version = logged.registered_model_version
    return LoggedBundle(
        model_uri=str(logged.model_uri), registered_version=None if version is None else int(version)
    )


def set_alias(registered_name: str, alias: str, version: int, *, tracking_uri: str) -> None:
    """Let `models:/<name>@<alias>` mean this version from now on."""
    with _mlflow(tracking_uri) as mlflow:
        mlflow.MlflowClient().set_registered_model_alias(registered_name, alias, str(version))


def fetch_bundle(uri: str, to: Path, *, tracking_uri: str) -> Path:
    """Copy a bundle out of MLflow into the folder `to / <content version>`, verified, and return that folder.

    `uri` is `models:/<name>@<alias>`, `models:/<name>/<version>`, `runs:/<run id>/bundle` or a model_uri of
    `log_bundle`. A copy that is there already is replaced.

    Raises SetupError if MLflow has no such model or it holds no bundle, BundleError if the bundle is damaged, and
    DependencyUnavailableError if MLflow does not answer.
    """
    if not is_registry_uri(uri):
        raise SetupError(
            f"{uri!r} does not name a model of MLflow: give models:/name@alias, models:/name/3 or runs:/…."
        )
    with tempfile.TemporaryDirectory(prefix="sortline-") as scratch:
        with _mlflow(tracking_uri) as mlflow:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch))
        found = sorted(folder.rglob(MANIFEST))
        if len(found) != 1:
            raise SetupError(f"{uri} holds {len(found)} bundles of sortline, not one: log it with this program.")
        manifest = read_manifest(found[0].parent)
        target = to / manifest.version
        check_target(target, KNOWN_FILES)
        contents = {name: read_file(found[0].with_name(name)) for name in (*bundle_files(manifest), MANIFEST)}
        replace_folder(target, contents, check=load_bundle)
    return target


@contextlib.contextmanager
def _mlflow(tracking_uri: str) -> Iterator[Any]:
    """Give MLflow with its tracking URI set, put the former one back, and turn its errors into ours."""
    with warnings.catch_warnings():
        # Said of MLflow's own classes while they are imported; nobody here can act on it.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning)
        import mlflow
        import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    module: Any = mlflow
    former = module.get_tracking_uri() if module.is_tracking_uri_set() else ""
    module.set_tracking_uri(tracking_uri)
    try:
        yield module
    except MlflowException as error:
        sentence = _without_secrets(" ".join(str(error).split()))
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
            raise SetupError(f"MLflow at {_without_secrets(tracking_uri)} refuses: {sentence}") from error
        raise DependencyUnavailableError(
            f"MLflow at {_without_secrets(tracking_uri)} does not answer: {sentence}"
        ) from error
    finally:
        module.set_tracking_uri(former)


def _without_secrets(text: str) -> str:
    """Return the text without the names and passwords that addresses in it may hold."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def _is_active(mlflow: Any, run_id: str) -> bool:
    active = mlflow.active_run()
    return active is not None and active.info.run_id == run_id


def _signature() -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Schema, TensorSpec

    anything = cast("Any", AnyType)()  # its constructor is not typed
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(anything if kind == "any" else kind, name, required=required) for name, kind, required in _INPUTS
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec("string", "product_id"),
        ColSpec("string", "category"),
        ColSpec(Array(DataType.string), "category_path"),
        ColSpec("double", "confidence"),
        ColSpec("string", "decision"),
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _example(bundle: Path) -> Any:
    """Return the first self-check product as a frame with the columns of the signature."""
    with pa.ipc.open_file(str(bundle / FILES[2])) as reader:
        frame = reader.get_batch(0).slice(0, 1).to_pandas()
    return frame[[name for name, _, _ in _INPUTS]]


def _requirement() -> str:
    try:
        return f"sortline=={library_version('sortline')}"
    except PackageNotFoundError:  # running from the work tree
        return "sortline"
