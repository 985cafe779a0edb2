"""Bundles in MLflow: log and register them, find them again, and fetch them back as folders.

A registered version carries what its bundle is as tags, set in the call that creates it, so that whoever looks for
a content version, or wants to know what an alias means now, asks the store for a row and downloads nothing.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from models.bundle import FILES, KNOWN_FILES, bundle_files, load_bundle, read_manifest
from models.bundle_folder import check_target, read_file, replace_folder
from models.classifier import Classifier
from models.manifest import MANIFEST, Manifest
from models.mlflow_store import mlflow_client, mlflow_module
from schemas.errors import SetupError

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MODEL_NAME: Final = "bundle"
"""What the model is called below its run: `runs:/<run id>/bundle`."""

CHAMPION: Final = "champion"
"""The alias of the version that workers run."""

CONTENT_VERSION: Final = "sortline.content_version"
FEATURE_FINGERPRINT: Final = "sortline.feature_fingerprint"
TAXONOMY_VERSION: Final = "sortline.taxonomy_version"
CONTENT_DIGEST: Final = "sortline.content_digest"

METRICS: Final = ("accuracy", "macro_f1", "coverage", "precision")
METRIC_PREFIX: Final = "sortline.test."
"""The figures of the manifest that are tags, too, so that a list of versions is one query."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model, as the store's row says it.

    Attributes:
        name: of the registered model.
        number: what MLflow calls it: `models:/<name>/<number>`.
        content_version: `Manifest.version` of its bundle; empty if it was not registered by this program.
        run_id: the run that trained it, or None.
        created_ms: when it was registered, milliseconds since the epoch.
        tags: all of them.
        aliases: those that mean this version; empty where it came of a search (MLflow does not tell them there).
    """

    name: str
    number: int
    content_version: str
    run_id: str | None
    created_ms: int
    tags: Mapping[str, str]
    aliases: tuple[str, ...]

    @property
    def uri(self) -> str:
        """Return what `fetch_bundle` takes."""
        return f"models:/{self.name}/{self.number}"


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
    with mlflow_module(tracking_uri) as mlflow:
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
            )
        version = None
        if registered_name is not None:
            version = _register(mlflow.MlflowClient(), logged, registered_name, _tags(manifest))
    return LoggedBundle(model_uri=str(logged.model_uri), registered_version=version)


def set_alias(registered_name: str, alias: str, version: int, *, tracking_uri: str) -> None:
    """Let `models:/<name>@<alias>` mean this version from now on."""
    with mlflow_client(tracking_uri) as client:
        client.set_registered_model_alias(registered_name, alias, str(version))


def resolve_alias(name: str, alias: str, tracking_uri: str) -> RegisteredVersion:
    """Return the version that the alias means now: one row of the store, no download, fit for polling.

    Raises SetupError if there is no such model or alias, DependencyUnavailableError if MLflow does not answer.
    """
    with mlflow_client(tracking_uri) as client:
        return registered_version(client.get_model_version_by_alias(name, alias))


def version_with_content(name: str, content_version: str, tracking_uri: str) -> int | None:
    """Return the newest version of the registered model that holds the bundle of this content version, if any.

    One query, no download. Raises DependencyUnavailableError if MLflow does not answer.
    """
    found = _newest_tagged(name, CONTENT_VERSION, content_version, tracking_uri)
    return None if found is None else found.number


def version_trained_on(name: str, content_digest: str, tracking_uri: str) -> RegisteredVersion | None:
    """Return the newest version of the registered model that was trained on the products of this digest, if any.

    One query, no download. Raises DependencyUnavailableError if MLflow does not answer.
    """
    return _newest_tagged(name, CONTENT_DIGEST, content_digest, tracking_uri)


def find_alias(name: str, alias: str, tracking_uri: str) -> RegisteredVersion | None:
    """Return the version that the alias means now, or None if there is no such model or alias.

    Raises DependencyUnavailableError if MLflow does not answer.
    """
    with mlflow_client(tracking_uri) as client:
        # A search that finds nothing is an answer; a model asked for by its name and not found is an error.
        if not client.search_registered_models(f"name = {_quoted(name)}"):
            return None
        if alias not in client.get_registered_model(name).aliases:
            return None
        return registered_version(client.get_model_version_by_alias(name, alias))


def registered_version(row: Any) -> RegisteredVersion:
    """Return MLflow's `ModelVersion` as ours."""
    return RegisteredVersion(
        name=str(row.name),
        number=int(row.version),
        content_version=row.tags.get(CONTENT_VERSION, ""),
        run_id=row.run_id or None,
        created_ms=int(row.creation_timestamp),
        tags=dict(row.tags),
        aliases=tuple(row.aliases or ()),
    )


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
        folder = download(uri, Path(scratch), tracking_uri=tracking_uri)
        found = sorted(folder.rglob(MANIFEST))
        if len(found) != 1:
            raise SetupError(f"{uri} holds {len(found)} bundles of sortline, not one: log it with this program.")
        manifest = read_manifest(found[0].parent)
        target = to / manifest.version
        check_target(target, KNOWN_FILES)
        contents = {name: read_file(found[0].with_name(name)) for name in (*bundle_files(manifest), MANIFEST)}
        replace_folder(target, contents, check=load_bundle)
    return target


def load_registered(uri: str, *, tracking_uri: str) -> tuple[Classifier, Manifest]:
    """Return the model that MLflow keeps at the address, checked, and its manifest; nothing stays on disk.

    Takes and raises what `fetch_bundle` does.
    """
    with tempfile.TemporaryDirectory(prefix="sortline-model-") as folder:
        bundle = fetch_bundle(uri, Path(folder), tracking_uri=tracking_uri)
        return load_bundle(bundle), read_manifest(bundle)


def download(uri: str, to: Path, *, tracking_uri: str) -> Path:
    """Copy whatever the address means (`models:/…`, `runs:/…`) below the folder `to`, and return where it is."""
    with mlflow_module(tracking_uri) as mlflow:
        # Given the store as an argument, MLflow still looks for a registered model in the global one.
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(to)))


def _register(client: Any, logged: Any, name: str, tags: Mapping[str, str]) -> int:
    """Create a version of the logged model, with its tags in the same step; `log_model` cannot give it any."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created = client.create_model_version(
        name, source=logged.model_uri, run_id=logged.run_id, tags=dict(tags), model_id=logged.model_id
    )
    return int(created.version)


def _is_active(mlflow: Any, run_id: str) -> bool:
    active = mlflow.active_run()
    return active is not None and active.info.run_id == run_id


def _newest_tagged(name: str, tag: str, value: str, tracking_uri: str) -> RegisteredVersion | None:
    with mlflow_client(tracking_uri) as client:
        found = client.search_model_versions(f"name = {_quoted(name)} and tags.`{tag}` = {_quoted(value)}")
        return max(map(registered_version, found), key=lambda one: one.number, default=None)


def _quoted(text: str) -> str:
    """Return the text as MLflow's filters take it, which know both quotes and no way to escape one."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _tags(manifest: Manifest) -> dict[str, str]:
    """Return what a registered version says of its bundle."""
    digest = manifest.lineage.get("content_digest")
    figures = {name: manifest.metrics.get(name) for name in METRICS}
    return {
        CONTENT_VERSION: manifest.version,
        FEATURE_FINGERPRINT: manifest.feature_fingerprint,
        TAXONOMY_VERSION: manifest.taxonomy_version,
        **({CONTENT_DIGEST: digest} if isinstance(digest, str) else {}),
        **{METRIC_PREFIX + name: f"{one:.4f}" for name, one in figures.items() if isinstance(one, float)},
    }


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
