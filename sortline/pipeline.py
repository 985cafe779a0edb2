"""`sortline pipeline`: the retraining as a Prefect flow, at once or on a schedule."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

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
from sortline.retrain import DEFAULT_FOLDER

app = typer.Typer(no_args_is_help=True, help="The retraining as a Prefect flow: at once, or on a schedule.")

ApiUrlOption = Annotated[
    str | None,
    typer.Option("--api-url", envvar="PREFECT_API_URL", help="Prefect server, such as http://host:4200/api."),
]
CronOption = Annotated[
    list[str] | None, typer.Option("--cron", help='When to run, such as "0 3 * * *" (UTC); may be repeated.')
]
DeploymentOption = Annotated[
    str, typer.Option("--deployment", help="Name of the deployment; one there is replaced.")
]

_API_URL: Final = "PREFECT_API_URL"


@app.command("run")
def run_pipeline(
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
    api_url: ApiUrlOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
    tracking_uri: TrackingUriOption = None,
) -> None:
    """Run the flow here and now; what does not answer is tried again for six minutes.

    It reports to the Prefect server of --api-url if there is one. Otherwise
    it needs none, and leaves nothing running: Prefect's API lives in this
    process until it ends, which takes some 15 s of CPU to start.

    Examples:
      sortline pipeline run --to bundles/next
      sortline pipeline run --if-changed --min-new 500
    """
    from contextlib import ExitStack

    from sortline.console import messages, output
    from sortline.progress import StepProgress
    from sortline.termination import leave_on_sigterm

    _configure(api_url, bootstrap, registry, topic_prefix, tracking_uri)
    leave_on_sigterm()
    from training.prefect_api import reporting

    with ExitStack() as prefect:
        with StepProgress(messages()) as progress:
            progress.step("Starting Prefect")
            prefect.enter_context(reporting(debug=bool(os.environ.get("SORTLINE_DEBUG"))))
            from sortline.scheduled import sortline_retrain

        done = sortline_retrain(
            **_parameters(to, if_changed, min_new, promote, name, profile, seed, min_products, target_precision)
        )

    from sortline.retrained import show, to_json

    if as_json:
        typer.echo(to_json(done))
    else:
        show(done, output())


@app.command("deploy")
def deploy_pipeline(
    *,
    work_pool: Annotated[str, typer.Option("--work-pool", help="Whose workers execute the runs.")],
    cron: CronOption = None,
    deployment: DeploymentOption = "nightly",
    to: BundleFolderOption = DEFAULT_FOLDER,
    if_changed: IfChangedOption = False,
    min_new: MinNewOption = 1,
    promote: PromoteOption = False,
    name: RegisteredNameOption = "sortline",
    profile: ProfileOption = ProfileName.TEXT,
    seed: SeedOption = 7,
    min_products: MinProductsOption = 20,
    target_precision: TargetPrecisionOption = 0.95,
    api_url: ApiUrlOption = None,
) -> None:
    """Create a deployment on a Prefect server, with its schedule; workers of the pool execute it.

    The worker needs sortline[pipeline] installed and the SORTLINE_ variables
    set: addresses are not kept by Prefect. Runs of a process pool start in the
    folder in which this command was given.

    Examples:
      prefect work-pool create training --type process
      sortline pipeline deploy --work-pool training --cron "0 3 * * *" --if-changed
      SORTLINE_BOOTSTRAP=kafka:9092 prefect worker start --pool training
    """
    _configure(api_url)
    from training.prefect_api import server

    with server() as url:
        from sortline.console import say
        from sortline.scheduled import sortline_retrain
        from training.pipeline import FLOW_NAME, deploy

        deploy(
            sortline_retrain,
            name=deployment,
            work_pool=work_pool,
            crons=cron or [],
            parameters=_parameters(
                to, if_changed, min_new, promote, name, profile, seed, min_products, target_precision
            ),
            working_dir=Path.cwd(),
        )
        when = "on demand" if not cron else ", ".join(cron)
        say(f"{FLOW_NAME}/{deployment} is deployed to {url}, pool {work_pool}, {when}")


@app.command("serve")
def serve_pipeline(
    *,
    cron: CronOption = None,
    deployment: DeploymentOption = "nightly",
    to: BundleFolderOption = DEFAULT_FOLDER,
    if_changed: IfChangedOption = False,
    min_new: MinNewOption = 1,
    promote: PromoteOption = False,
    name: RegisteredNameOption = "sortline",
    profile: ProfileOption = ProfileName.TEXT,
    seed: SeedOption = 7,
    min_products: MinProductsOption = 20,
    target_precision: TargetPrecisionOption = 0.95,
    api_url: ApiUrlOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
    tracking_uri: TrackingUriOption = None,
) -> None:
    """Create a deployment on a Prefect server and execute its runs here until Ctrl-C or SIGTERM.

    For one machine that trains, without a work pool. The schedule pauses when
    this ends.

    Example:
      sortline pipeline serve --cron "0 3 * * *" --if-changed --min-new 500
    """
    _configure(api_url, bootstrap, registry, topic_prefix, tracking_uri)
    from training.prefect_api import server

    with server() as url:
        from sortline.console import messages
        from sortline.scheduled import sortline_retrain
        from training.pipeline import FLOW_NAME, serve

        messages().print(f"{FLOW_NAME}/{deployment} is served from here, registered at {url}", soft_wrap=True)
        serve(
            sortline_retrain,
            name=deployment,
            crons=cron or [],
            parameters=_parameters(
                to, if_changed, min_new, promote, name, profile, seed, min_products, target_precision
            ),
        )


def _parameters(
    to: Path,
    if_changed: bool,
    min_new: int,
    promote: bool,
    name: str,
    profile: ProfileName,
    seed: int,
    min_products: int,
    target_precision: float,
) -> dict[str, object]:
    """Return the parameters of the flow, as JSON has them."""
    return {
        "to": str(to.resolve()),
        "name": name,
        "if_changed": if_changed,
        "min_new": min_new,
        "promote": promote,
        "profile": profile.value,
        "seed": seed,
        "min_products": min_products,
        "target_precision": target_precision,
    }


def _configure(
    api_url: str | None,
    bootstrap: str | None = None,
    registry: str | None = None,
    topic_prefix: str | None = None,
    tracking_uri: str | None = None,
) -> None:
    """Put the options where the flow finds them, in this process or in one that it starts: the environment."""
    from sortline.settings import PREFIX, read_settings

    wanted = {
        "bootstrap": bootstrap,
        "registry_url": registry,
        "topic_prefix": topic_prefix,
        "tracking_uri": tracking_uri,
    }
    read_settings(**wanted)  # refuses what is wrong before anything starts
    os.environ.update({f"{PREFIX}{name.upper()}": value for name, value in wanted.items() if value is not None})
    if api_url is not None:
        os.environ[_API_URL] = api_url
