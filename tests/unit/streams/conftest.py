"""Records, and a model whose decisions can be read off the titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from schemas.stages import StageClock
from schemas.wire import SchemaId
from streams.records import Header
from streams.slices import SliceProcessor
from streams.warm_up import MadeUpRecord
from tests.unit.streams.pipeline_rig import Rig

NOW_MS = 1_767_225_600_123
TOPIC = "products.created"


@dataclass(frozen=True, slots=True)
class TitleTaxonomy:
    version: str = "taxonomy-1"


@dataclass(slots=True)
class TitleClassifier:
    """Decides by words of the title: `unsure` is for review, `vague` backs off, `poison` breaks the model."""

    name: str = "by-title"
    version: str = "v1"
    feature_fingerprint: str = "f" * 64
    taxonomy: TitleTaxonomy = TitleTaxonomy()
    batches: list[int] = field(default_factory=list)
    broken: Exception | None = None

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        self.batches.append(products.num_rows)
        if self.broken is not None:
            raise self.broken
        rows: list[dict[str, object]] = []
        for product in products.to_pylist():
            title = str(product["title"])
            if "poison" in title:
                raise ZeroDivisionError("poison in the title")
            decision = "review" if "unsure" in title else "backed_off" if "vague" in title else "accepted"
            path = ["Things"] if decision == "backed_off" else ["Things", title]
            rows.append(
                {
                    "product_id": product["product_id"],
                    "category_path": path,
                    "confidence": 0.75,
                    "decision": decision,
                    "alternatives": [{"category_path": path, "confidence": 0.75}],
                    "unseen_brand": product["brand"] == "new",
                    "unseen_seller": False,
                    "unfamiliar_text": 0.25,
                }
            )
        return pa.RecordBatch.from_pylist(rows, columns.DECISION)


@dataclass(slots=True)
class Workbench:
    """A processor on an in-memory registry, and what its tests need around it."""

    registry: InMemoryRegistry
    classifier: TitleClassifier
    created_id: SchemaId
    categorized_id: SchemaId
    processor: SliceProcessor
    next_offset: int = 0

    def value(self, product_id: str, title: str, **fields: object) -> bytes:
        row = {"product_id": product_id, "title": title, **fields}
        batch = pa.RecordBatch.from_pylist([row], columns.PRODUCT)
        return Encoder(load_schema("product_created"), self.created_id).encode(batch)[0]

    def record(
        self, key: bytes | None, value: bytes | None, headers: Sequence[Header] = (), partition: int = 0
    ) -> MadeUpRecord:
        self.next_offset += 1
        return MadeUpRecord(
            topic=TOPIC,
            partition=partition,
            offset=self.next_offset - 1,
            key=key,
            value=value,
            headers=headers,
            timestamp=1_700_000_000_000 + self.next_offset,
        )

    def product(self, product_id: str, title: str, partition: int = 0) -> MadeUpRecord:
        return self.record(product_id.encode(), self.value(product_id, title), partition=partition)

    def products(self, titles: Sequence[str]) -> list[MadeUpRecord]:
        return [self.product(f"p-{number}", title) for number, title in enumerate(titles)]

    def published(self, value: bytes | None) -> dict[str, object]:
        """Decode a value of the categorized or review topic."""
        assert value is not None
        decoder = Decoder(self.registry, load_schema("product_categorized"), columns.PRODUCT_CATEGORIZED)
        decoded = decoder.decode([value])
        assert not decoded.rejected
        row: dict[str, object] = decoded.batch.to_pylist()[0]
        return row


@pytest.fixture
def workbench() -> Workbench:
    registry = InMemoryRegistry()
    created_id = registry.register("products.created-value", load_schema("product_created"))
    categorized_id = registry.register("products.categorized-value", load_schema("product_categorized"))
    classifier = TitleClassifier()
    processor = SliceProcessor(
        decoder=Decoder(registry, load_schema("product_created"), columns.PRODUCT),
        classifier=classifier,
        encoder=Encoder(load_schema("product_categorized"), categorized_id),
        group_id="sorters",
        now_ms=lambda: NOW_MS,
    )
    return Workbench(registry, classifier, created_id, categorized_id, processor)


@pytest.fixture
def rig(workbench: Workbench) -> Rig:
    return Rig(workbench.processor)


@pytest.fixture
def clock() -> Callable[[], float]:
    """A clock that stands still until it is told to go on: `clock.now += 1`."""

    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    return Clock()
