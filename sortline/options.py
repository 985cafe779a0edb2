"""Options that several commands have: each overrides the setting that its help names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ProfileName(StrEnum):
    """The two kinds of model."""

    TEXT = "text"
    CLASSIC = "classic"


BootstrapOption = Annotated[str | None, typer.Option("--bootstrap", help="Kafka [SORTLINE_BOOTSTRAP].")]
RegistryOption = Annotated[str | None, typer.Option("--registry", help="Schema registry [SORTLINE_REGISTRY_URL].")]
TopicPrefixOption = Annotated[
    str | None, typer.Option("--topic-prefix", help="Prefix of the topics [SORTLINE_TOPIC_PREFIX].")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Bundle folder, or models:/name@alias [SORTLINE_MODEL]."),
]

TrackingUriOption = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow's store [SORTLINE_TRACKING_URI].")
]

FromFileOption = Annotated[
    Path | None, typer.Option("--from", help="Labelled products: Parquet, CSV or JSON Lines.")
]
FromTopicOption = Annotated[
    bool, typer.Option("--from-topic", help="Labelled products: what is in products.catalog now.")
]
BundleFolderOption = Annotated[
    Path, typer.Option("--to", help="Folder of the bundle; an older bundle there is replaced.")
]
RegisteredNameOption = Annotated[
    str, typer.Option("--name", help="Registered model, and what published events call it.")
]
IfChangedOption = Annotated[
    bool, typer.Option("--if-changed", help="Only if enough labels changed since the champion was trained.")
]
MinNewOption = Annotated[
    int, typer.Option("--min-new", min=1, help="So many new, changed and removed labels are enough.")
]
PromoteOption = Annotated[
    bool, typer.Option("--promote", help="Make the new version the champion, if the gate lets it pass.")
]
ProfileOption = Annotated[
    ProfileName,
    typer.Option("--profile", help="text: words and trees. classic: 19 hand-made features and trees."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the split and the fit.")]
MinProductsOption = Annotated[
    int, typer.Option("--min-products", min=1, help="A category with fewer is trained as its parent.")
]
TargetPrecisionOption = Annotated[
    float,
    typer.Option(
        "--target-precision", min=0.5, max=0.9999, help="Share of what is published that should be right."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The outcome as one JSON document.")]
