"""MLflow's client, opened for one store, with its errors turned into ours.

MLflow is imported when it is first used: that takes seconds, which a worker that loads a plain folder does not
pay. The store must be a server or a database (`sqlite:///…`): MLflow from 3.18 on refuses plain folders.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.errors import DependencyUnavailableError, SetupError

#: MLflow's own seven retries take four minutes to say that nobody answers; three take about ten seconds.
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
}

#: What MLflow says when it answers, and the answer is that there is no such thing.
_NOT_FOUND: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")

_module_lock: Final = threading.RLock()


@contextlib.contextmanager
def mlflow_client(tracking_uri: str) -> Iterator[Any]:
    """Give an `MlflowClient` of the store; runs and registered models are in the same one.

    Nothing global is set, so threads may have clients of different stores. What MLflow refuses becomes SetupError,
    what does not answer DependencyUnavailableError.
    """
    with _translated(tracking_uri):
        yield _imported().MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@contextlib.contextmanager
def mlflow_module(tracking_uri: str) -> Iterator[Any]:
    """Give the module `mlflow` with its tracking URI set, and put the former one back. Errors as above.

    For those functions that take no store as an argument; one thread at a time, others wait.
    """
    with _module_lock, _translated(tracking_uri):
        module = _imported()
        former = module.get_tracking_uri() if module.is_tracking_uri_set() else ""
        module.set_tracking_uri(tracking_uri)
        try:
            yield module
        finally:
            module.set_tracking_uri(former)


def without_secrets(text: str) -> str:
    """Return the text without the names and passwords that addresses in it may hold.

    >>> without_secrets("MLflow at https://me:secret@mlflow.example/")
    'MLflow at https://mlflow.example/'
    """
    return re.sub(r"//[^/@\s]*@", "//", text)


def _imported() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # MLflow takes them from nowhere else
    with warnings.catch_warnings():
        # Said of MLflow's own classes while they are imported; nobody here can act on it.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning)
        import mlflow
        import mlflow.pyfunc
    return mlflow


@contextlib.contextmanager
def _translated(tracking_uri: str) -> Iterator[None]:
    _imported()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    store = without_secrets(tracking_uri)
    # A new database tells of each of its forty migrations.
    noisy = [logging.getLogger(name) for name in ("alembic", "mlflow")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        sentence = without_secrets(" ".join(str(error).split()))
        if getattr(error, "error_code", None) in _NOT_FOUND:
            raise SetupError(f"MLflow at {store} refuses: {sentence}") from error
        raise DependencyUnavailableError(
            f"MLflow at {store} does not answer, look whether it runs (--tracking-uri): {sentence}"
        ) from error
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
