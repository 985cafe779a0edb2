"""The catalogues that accuracy is measured on, each cut to the categories that a test can speak of."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.product_events import SAMPLE
from schemas.product_files import read_products


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A file of labelled products and what is kept of it, the same for every way that is measured.

    Attributes:
        name: of the folder and the file: DIR/name/name.parquet or DIR/name.parquet.
        title: what it is, in tables.
        levels: how many levels of a category path count. None: whole paths.
        least_levels: products with fewer are left out.
        least_products: categories of fewer products, in the whole catalogue, are left out with their products;
            training merges those that are too small for it.
        ways: what is measured on it, or None for every way.
    """

    name: str
    title: str
    levels: int | None
    least_levels: int = 1
    least_products: int
    ways: tuple[str, ...] | None = None


CATALOGUES: Final = (
    Catalogue(name="pcparts", title="computer parts", levels=None, least_products=20),
    Catalogue(name="flipkart", title="general shop, level 2", levels=2, least_levels=2, least_products=50),
    Catalogue(name="pricerunner", title="appliances and electronics", levels=None, least_products=20),
    # As a shop has it, with its many small categories: here backing off shows what it is worth.
    Catalogue(name="flipkart", title="general shop, three levels", levels=3, least_products=1, ways=("text",)),
)


def find_file(catalogue: Catalogue, folder: Path | None) -> Path | None:
    """Return the catalogue's file in the folder; without one, the sample that ships; None if there is none."""
    if folder is None:
        return SAMPLE if catalogue.name == SAMPLE.stem else None
    places = (folder / catalogue.name / f"{catalogue.name}.parquet", folder / f"{catalogue.name}.parquet")
    return next((place for place in places if place.is_file()), None)


def read_catalogue(catalogue: Catalogue, file: Path) -> pa.Table:
    """Return the products that count, as `read_products` has them, with their paths cut to `levels`.

    They are cut before they are read as products: of a catalogue's rows without a category, training takes none.
    """
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / file.name
        pq.write_table(kept_products(pq.read_table(file), catalogue), kept)
        return read_products(kept, labelled=True)


def kept_products(products: pa.Table, catalogue: Catalogue) -> pa.Table:
    """Cut the paths and leave out what is too short or too rare."""
    place = products.schema.get_field_index("category_path")
    paths: list[list[str]] = [path[: catalogue.levels] for path in products["category_path"].to_pylist()]
    sizes = Counter(map(tuple, paths))
    kept = [
        len(path) >= catalogue.least_levels and sizes[tuple(path)] >= catalogue.least_products for path in paths
    ]
    cut = pa.array(paths, products.schema.field(place).type)
    return products.set_column(place, products.schema.field(place), cut).filter(pa.array(kept))
