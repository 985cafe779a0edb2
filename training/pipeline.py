"""The retraining as a Prefect flow: its steps are tasks, tried again where that helps, and leave artifacts.

Prefect changes only how a step is run: what the steps are and in which order stands in `training.retraining`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.types.entrypoint import EntrypointType

from schemas.errors import DependencyUnavailableError, SetupError
from training.fit import TrainingResult
from training.promotion import Promotion
from training.reports.files import CARD, PAGE
from training.retrain import offsets_of
from training.retraining import Count, Look, Registered, StepRunner

_T = TypeVar("_T")

FLOW_NAME: Final = "sortline-retrain"

#: Waits before a step is tried again, in seconds, each up to 20 % longer by chance: a broker that starts anew is
#: back within the first two, and who is called after six minutes still has the night.
RETRY_DELAYS: Final = (10.0, 60.0, 300.0)


def as_flow(function: Callable[..., Any]) -> Any:
    """Make a flow of a function; a server finds it again by module and name, so keep it at module level."""
    return flow(name=FLOW_NAME, persist_result=False)(function)


def as_tasks(*, retry_delays: Sequence[float] = RETRY_DELAYS) -> StepRunner:
    """Return a runner that makes a task of each step, to be used inside a flow.

    A dependency that does not answer is waited for; anything else would fail again, so it fails at once.
    """

    def run(name: str, step: Callable[[], _T]) -> _T:
        def attempt() -> _T:
            result = step()
            publish(result)
            return result

        as_task = task(
            name=name,
            retries=len(retry_delays),
            retry_delay_seconds=[*retry_delays] or None,
            retry_jitter_factor=0.2 if retry_delays else None,
            retry_condition_fn=_may_pass,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        result: _T = as_task(attempt)()
        return result

    return run


def deploy(
    scheduled: Any,
    *,
    name: str,
    work_pool: str,
    crons: Sequence[str],
    parameters: Mapping[str, object],
    working_dir: Path,
) -> str:
    """Create or replace a deployment whose runs a worker of the pool executes; return its id.

    One run at a time. Raises SetupError if there is no such pool or a cron line is wrong,
    DependencyUnavailableError if the server does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            pool = client.read_work_pool(work_pool)
        made = scheduled.to_deployment(
            name,
            cron=[*crons] or None,
            parameters=dict(parameters),
            concurrency_limit=1,
            work_pool_name=work_pool,
            # A process worker would start it in a temporary folder, where relative paths lead nowhere.
            job_variables={"working_dir": str(working_dir)} if pool.type == "process" else None,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        return str(made.apply())
    except ObjectNotFound as error:
        raise SetupError(
            f"The Prefect server has no work pool {work_pool}: make one with "
            f"`prefect work-pool create {work_pool} --type process`."
        ) from error
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        raise DependencyUnavailableError(f"The Prefect server does not do it: {error}") from error
    except ValueError as error:  # pydantic's, of a schedule
        raise SetupError(f"option --cron: {' '.join(str(error).split())}") from error


def serve(scheduled: Any, *, name: str, crons: Sequence[str], parameters: Mapping[str, object]) -> None:
    """Create or replace a deployment and execute its runs here, one at a time, until SIGINT or SIGTERM.

    The schedule pauses when this ends. Errors as `deploy`.
    """
    try:
        scheduled.serve(
            name,
            cron=[*crons] or None,
            parameters=dict(parameters),
            limit=1,
            global_limit=1,
            print_starting_message=False,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except httpx.TransportError as error:
        raise DependencyUnavailableError(f"The Prefect server does not answer: {error}") from error
    except ValueError as error:
        raise SetupError(f"option --cron: {' '.join(str(error).split())}") from error


@singledispatch
def publish(result: object) -> None:
    """Leave what a step found as artifacts of its task run; of most results there is nothing to tell."""


@publish.register
def _(promotion: Promotion) -> None:
    rows = [
        {"check": one.name, "passed": "yes" if one.passed else "NO", "found": one.found, "wanted": one.wanted}
        for one in promotion.checks
    ]
    _table("sortline-gate", rows, f"The gate: {promotion.outcome}")


@publish.register
def _(look: Look) -> None:
    _table("sortline-offsets", _offset_rows(look), f"{look.decision.action}: {look.decision.why}")


@publish.register
def _(count: Count) -> None:
    changes = count.changes
    row: dict[str, object] = dict.fromkeys(("new", "changed", "removed"), "unknown")
    if changes is not None:
        row = {"new": changes.new, "changed": changes.changed, "removed": changes.removed}
    _table("sortline-labels", [row], f"{count.decision.action}: {count.decision.why}")


@publish.register
def _(trained: TrainingResult) -> None:
    summary = trained.evaluation.summary()
    _table(
        "sortline-evaluation",
        [{"figure": name, "test part": round(value, 4)} for name, value in summary.items()],
        f"{trained.manifest.name} {trained.manifest.version} on its test part",
    )
    if (card := trained.unlogged.report.get(CARD)) is not None:
        create_markdown_artifact(card, key="sortline-model-card", description="Model card")
    if trained.report is not None:
        link = (trained.report / PAGE).resolve().as_uri()
        create_link_artifact(link, link_text=PAGE, key="sortline-report", description="On the machine that ran it")


@publish.register
def _(registered: Registered) -> None:
    how = "registered" if registered.is_new else "was registered before"
    create_markdown_artifact(
        f"`models:/{registered.name}/{registered.version}` {how}", key="sortline-version", description="In MLflow"
    )


def _offset_rows(look: Look) -> list[dict[str, object]]:
    return [
        {
            "partition": partition,
            "champion's last offset": "-" if old is None else old,
            "last offset": "-" if new is None else new,
        }
        for partition, old, new in offsets_of(look.champion, look.bounds)
    ]


def _table(key: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
    create_table_artifact([dict(row) for row in rows], key=key, description=description)


def _may_pass(_task: object, _run: object, state: Any) -> bool:
    """Say whether a failure may pass by itself."""
    return isinstance(state.result(raise_on_failure=False), DependencyUnavailableError)
