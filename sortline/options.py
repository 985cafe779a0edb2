"""Options that several commands have: each overrides the setting that its help names."""

from __future__ import annotations

from typing import Annotated

import typer

BootstrapOption = Annotated[str | None, typer.Option("--bootstrap", help="Kafka [SORTLINE_BOOTSTRAP].")]
RegistryOption = Annotated[str | None, typer.Option("--registry", help="Schema registry [SORTLINE_REGISTRY_URL].")]
TopicPrefixOption = Annotated[
    str | None, typer.Option("--topic-prefix", help="Prefix of the topics [SORTLINE_TOPIC_PREFIX].")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Bundle folder, or models:/name@alias [SORTLINE_MODEL]."),
]
