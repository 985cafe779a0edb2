"""After `sortline warm-up` nothing is compiled any more: neither classification nor the stream asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tiny_model import build_tiny_bundle

#: In a process of its own: other tests call the same kernels. A kernel has the signatures compiled or loaded.
PROGRAM = """
import sys
from pathlib import Path

from numba.core.dispatcher import Dispatcher

from sortline.main import main

def signatures():
    packages = ("features", "models", "schemas", "streams", "training")
    return {
        (name, kernel.__name__, str(signature))
        for name, module in list(sys.modules.items()) if name.split(".")[0] in packages
        for kernel in list(vars(module).values()) if isinstance(kernel, Dispatcher)
        for signature in kernel.signatures
    }

assert main(["warm-up"]) == 0
before = signatures()
assert len(before) > 40, before

import numpy as np
import pyarrow as pa

from models.bundle import load_bundle
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from streams.batch_reading import join, read_batch
from streams.batch_writing import write_batch
from streams.record_slice import RecordSlice
from streams.slices import SliceProcessor
from streams.warm_up import MadeUpRecord
from tests.tiny_model import tiny_products

classifier = load_bundle(Path(sys.argv[1]))
products = tiny_products().select(columns.PRODUCT.names)
classifier.classify(products)
classifier.classify(products.slice(3, 1))
registry = InMemoryRegistry()
created, categorized = load_schema("product_created"), load_schema("product_categorized")
created_id = registry.register("products.created-value", created)
processor = SliceProcessor(
    decoder=Decoder(registry, created, columns.PRODUCT),
    classifier=classifier,
    encoder=Encoder(categorized, registry.register("products.categorized-value", categorized)),
    group_id="group",
    now_ms=lambda: 0,
)

def sent(outputs):
    for part in (*outputs.categorized.parts, *outputs.review.parts):
        batch, _ = write_batch(part.arrays, 0, most_bytes=1 << 20, compression=None, is_transactional=True)
        data = np.frombuffer(bytes(batch._build()), np.uint8)
        yield read_batch(data, 0, len(data))

values = Encoder(created, created_id).encode(products)
keys = [key.encode() for key in products["product_id"].to_pylist()]
kinds = {
    "products": values, "tombstones": [None] * len(keys), "unreadable": [b"no Avro"] * len(keys),
    "a mixture": [value if row % 3 else None if row % 2 else b"no Avro" for row, value in enumerate(values)],
}
for kind, of_kind in kinds.items():
    records = [
        MadeUpRecord(topic="products.created", partition=0, offset=at, key=key, value=value)
        for at, (key, value) in enumerate(zip(keys, of_kind))
    ]
    batches = list(sent(processor.process(records)))
    # As fetched: one batch, or several of which the bytes are put one behind the other.
    for parts in (batches[:1], [*batches, *batches]):
        if parts:
            list(sent(processor.process(RecordSlice(("products.created", 0), join(parts)))))

new = sorted(signatures() - before)
print("\\n".join(map(str, new)))
sys.exit(1 if new else 0)
"""


def test_after_a_warm_up_nothing_is_compiled(tmp_path: Path) -> None:
    bundle = build_tiny_bundle(tmp_path / "tiny", "text")
    command = [sys.executable, "-c", PROGRAM, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
