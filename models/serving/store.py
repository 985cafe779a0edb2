"""Where a served model is kept: in a folder, or in the model registry, where an alias can be followed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from models.bundle import load_bundle, read_manifest
from models.registry import is_registry_uri, load_registered, resolve_alias
from models.serving.described import DescribedModel
from models.serving.served import Classifier
from schemas.errors import SetupError

ModelT_co = TypeVar("ModelT_co", bound=Classifier, covariant=True)

_ALIAS: Final = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_NUMBER: Final = re.compile(r"models:/(?P<name>[^/@]+)/(?P<number>\d+)")


class ModelStore(Protocol[ModelT_co]):
    """The versions of one registered model, and the one that is wanted: `MlflowStore` is one.

    Both methods may block, and raise DependencyUnavailableError if there is no answer.
    """

    def wanted(self) -> int:
        """Return the number of the version that is to be served now. Raises SetupError if there is none."""

    def load(self, number: int) -> ModelT_co:
        """Return a version, checked. Raises BundleError if it cannot be trusted, SetupError if it is gone."""


@dataclass(frozen=True, slots=True)
class MlflowStore:
    """An alias of a model that is registered in MLflow."""

    name: str
    alias: str
    tracking_uri: str

    def wanted(self) -> int:
        """Return what the alias means; see ModelStore."""
        return resolve_alias(self.name, self.alias, self.tracking_uri).number

    def load(self, number: int) -> DescribedModel:
        """Return a version; see ModelStore."""
        return _registered(f"models:/{self.name}/{number}", self.tracking_uri)


def followed(model: str, tracking_uri: str | None) -> MlflowStore | None:
    """Return the store to follow if the model is named by an alias, `models:/name@alias`.

    A folder, `models:/name/3` and `runs:/…` mean the same for ever: there is nothing to follow.
    """
    found = _ALIAS.fullmatch(model)
    return MlflowStore(found["name"], found["alias"], _tracking(model, tracking_uri)) if found else None


def open_model(model: str, tracking_uri: str | None) -> tuple[DescribedModel, int | None]:
    """Load the bundle from a folder, or from MLflow if the name begins with `models:/` or `runs:/`.

    Also returns its number in MLflow; None from a folder or a run. Raises BundleError if it cannot be trusted,
    SetupError if it cannot be found, DependencyUnavailableError if MLflow does not answer.
    """
    if not is_registry_uri(model):
        folder = Path(model)
        return DescribedModel(load_bundle(folder), read_manifest(folder)), None
    store = followed(model, tracking_uri)
    if store is not None:
        number = store.wanted()
        return store.load(number), number
    found = _NUMBER.fullmatch(model)
    return _registered(model, _tracking(model, tracking_uri)), int(found["number"]) if found else None


def _registered(uri: str, tracking_uri: str) -> DescribedModel:
    return DescribedModel(*load_registered(uri, tracking_uri=tracking_uri))


def _tracking(model: str, tracking_uri: str | None) -> str:
    if not tracking_uri:
        raise SetupError(f"model {model}: the setting tracking_uri must say where MLflow keeps it")
    return tracking_uri
