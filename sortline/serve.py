"""`sortline serve`: the same decisions over HTTP, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sortline.options import ModelOption, RegistryOption, TopicPrefixOption, TrackingUriOption


def serve(
    *,
    model: ModelOption = None,
    tracking_uri: TrackingUriOption = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on [SORTLINE_HTTP_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port, 0 for a free one [SORTLINE_HTTP_PORT].")
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option("--max-batch", help="Most products of one request [SORTLINE_MAX_BATCH].")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", help="Kafka: take products to publish, too [SORTLINE_BOOTSTRAP].")
    ] = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
    max_body_bytes: Annotated[
        int | None,
        typer.Option("--max-body-bytes", help="Most bytes of one request's body [SORTLINE_MAX_BODY_BYTES]."),
    ] = None,
    api_keys: Annotated[
        Path | None,
        typer.Option("--api-keys", help="File of `sortline keys`: ask for a key [SORTLINE_API_KEYS]."),
    ] = None,
    rate_limit: Annotated[
        float | None,
        typer.Option("--rate-limit", help="Products a second of one key or address [SORTLINE_RATE_LIMIT]."),
    ] = None,
) -> None:
    r"""Answer predictions over HTTP until SIGTERM or Ctrl-C, as the stream decides.

    For callers that have no Kafka: POST /predict takes a product as JSON,
    /predict/batch several, /v2 is the Open Inference Protocol; /docs describes
    them all and works offline. With models:/name@alias it follows the alias:
    the model is swapped while requests are answered. With --bootstrap it takes
    products to publish, too: POST /products answers once Kafka has them. SIGTERM
    waits for the answers in flight.

    Examples:
      sortline serve --model bundles/first
      sortline serve --model models:/sortline@champion --host 0.0.0.0 --port 8000
      sortline serve --model bundles/first --bootstrap localhost:9092 --api-keys keys.json
      curl -s localhost:8080/predict -H 'Content-Type: application/json' \
        -d '{"product_id": "1", "title": "Corsair Vengeance 32GB DDR5"}'
    """
    from sortline.long_running import settings_to_run

    settings, named = settings_to_run(
        model=model,
        tracking_uri=tracking_uri,
        http_host=host,
        http_port=port,
        max_batch=max_batch,
        bootstrap=bootstrap,
        registry_url=registry,
        topic_prefix=topic_prefix,
        max_body_bytes=max_body_bytes,
        api_keys=api_keys,
        rate_limit=rate_limit,
    )

    from gateway.server import run_gateway
    from gateway.settings import GatewaySettings
    from streams.logs import configure_logging

    configure_logging(level="INFO", log_format="text")
    code = run_gateway(
        GatewaySettings(
            model=named,
            tracking_uri=settings.tracking_uri,
            host=settings.http_host,
            port=settings.http_port,
            max_batch=settings.max_batch,
            # Its default is for commands that need a Kafka; here it has to be named.
            bootstrap=settings.bootstrap if "bootstrap" in settings.model_fields_set else None,
            registry_url=settings.registry_url,
            created_topic=settings.topics.created,
            max_body_bytes=settings.max_body_bytes,
            max_connections=settings.max_connections,
            api_keys=settings.api_keys,
            rate_limit=settings.rate_limit,
            model_poll_seconds=settings.model_poll_seconds,
            shutdown_seconds=settings.shutdown_seconds,
        )
    )
    if code:
        raise typer.Exit(code)
