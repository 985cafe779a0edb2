"""Made-up products with every field, for trying the program where no catalogue is at hand.

A product's category shows in its brand, price, subcategory, rating, reviews, seller and title words, in none of
them for certain: brands and subcategories are shared between categories, and one label in ten is wrong on
purpose, so that no honest model scores above .90.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

N_SELLERS: Final = 7_200  # so that a sample of 10,000 rows names more than 5,000
LABEL_NOISE: Final = 0.10

_SUBCATEGORY_MISSING: Final = 0.04
_SUBCATEGORY_SHARED: Final = 0.40
_BRAND_FROM_ELSEWHERE: Final = 0.08
_SELLER_FROM_ELSEWHERE: Final = 0.30
_PRICE_SPREAD: Final = 0.40  # standard deviation of the price's logarithm within a category

#: Words that sellers put before a title, how often, and by how much they move the logarithm of the price.
_EDITIONS: Final = (
    ("", 0.52, 0.0),
    ("Pro", 0.10, 0.30),
    ("Premium", 0.07, 0.35),
    ("Deluxe", 0.05, 0.40),
    ("Standard", 0.07, 0.0),
    ("Basic", 0.07, -0.35),
    ("New", 0.07, 0.05),
    ("Sale", 0.05, -0.25),
)
_CURRENCIES: Final = (("EUR", 0.6), ("USD", 0.3), ("GBP", 0.1))
_COLOURS: Final = ("black", "white", "blue", "green", "grey", "red", "silver", "sand")
_SYLLABLES: Final = (
    "Al",
    "Bor",
    "Cen",
    "Dra",
    "El",
    "Fen",
    "Gal",
    "Hol",
    "Ira",
    "Jun",
    "Kel",
    "Lum",
    "Mor",
    "Nor",
)
_ENDINGS: Final = ("ta", "vex", "ia", "nor", "qo")

#: Shop category texts that several categories use.
_SHARED_SUBCATEGORIES: Final = (
    ("accessories", ("Electronics > Phones", "Electronics > Audio", "Fashion > Shoes", "Fashion > Clothing")),
    ("office", ("Electronics > Computers", "Home > Furniture", "Electronics > Phones")),
    ("outdoor living", ("Home > Garden", "Sports > Outdoor", "Fashion > Shoes")),
    ("wellness", ("Sports > Fitness", "Beauty > Skin care", "Home > Kitchen")),
    ("gifts", ("Toys > Games", "Beauty > Skin care", "Home > Kitchen", "Electronics > Audio")),
    ("kids", ("Toys > Games", "Fashion > Clothing", "Home > Furniture", "Sports > Outdoor")),
    ("training", ("Sports > Fitness", "Electronics > Computers", "Home > Garden")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Category:
    path: str
    weight: float
    price: float  # typical price in major units
    rating: float  # mean rating, 1 to 5
    reviews: float  # typical number of reviews
    nouns: tuple[str, ...]
    subcategories: tuple[str, ...]


_CATEGORIES: Final = (
    _Category(
        path="Electronics > Phones",
        weight=1.4,
        price=480,
        rating=4.2,
        reviews=240,
        nouns=("smartphone", "phone", "handset", "case", "charger"),
        subcategories=("mobile phones", "smartphones"),
    ),
    _Category(
        path="Electronics > Audio",
        weight=1.2,
        price=110,
        rating=4.3,
        reviews=160,
        nouns=("headphones", "speaker", "earbuds", "microphone", "stand"),
        subcategories=("headphones", "hi-fi"),
    ),
    _Category(
        path="Electronics > Computers",
        weight=1.3,
        price=860,
        rating=4.1,
        reviews=90,
        nouns=("laptop", "notebook", "desktop", "monitor", "stand"),
        subcategories=("laptops", "desktops"),
    ),
    _Category(
        path="Home > Kitchen",
        weight=1.2,
        price=55,
        rating=4.4,
        reviews=120,
        nouns=("pan", "kettle", "knife set", "blender", "scale"),
        subcategories=("cookware", "small appliances"),
    ),
    _Category(
        path="Home > Furniture",
        weight=1.0,
        price=320,
        rating=3.9,
        reviews=40,
        nouns=("chair", "desk", "shelf", "sofa", "bench"),
        subcategories=("living room", "bedroom"),
    ),
    _Category(
        path="Home > Garden",
        weight=0.8,
        price=75,
        rating=4.0,
        reviews=35,
        nouns=("hose", "planter", "mower", "chair", "lamp"),
        subcategories=("garden tools", "plants"),
    ),
    _Category(
        path="Fashion > Shoes",
        weight=1.2,
        price=95,
        rating=4.1,
        reviews=75,
        nouns=("sneakers", "boots", "sandals", "trainers", "laces"),
        subcategories=("women's shoes", "men's shoes"),
    ),
    _Category(
        path="Fashion > Clothing",
        weight=1.3,
        price=38,
        rating=3.8,
        reviews=55,
        nouns=("jacket", "shirt", "jeans", "dress", "gloves"),
        subcategories=("women's clothing", "men's clothing"),
    ),
    _Category(
        path="Sports > Fitness",
        weight=0.9,
        price=65,
        rating=4.3,
        reviews=100,
        nouns=("dumbbell", "mat", "bench", "gloves", "scale"),
        subcategories=("gym equipment", "yoga"),
    ),
    _Category(
        path="Sports > Outdoor",
        weight=0.9,
        price=140,
        rating=4.4,
        reviews=60,
        nouns=("tent", "backpack", "sleeping bag", "lamp", "boots"),
        subcategories=("camping", "hiking"),
    ),
    _Category(
        path="Beauty > Skin care",
        weight=0.8,
        price=22,
        rating=4.5,
        reviews=300,
        nouns=("cream", "serum", "mask", "cleanser", "set"),
        subcategories=("face care", "body care"),
    ),
    _Category(
        path="Toys > Games",
        weight=0.8,
        price=30,
        rating=4.6,
        reviews=130,
        nouns=("board game", "puzzle", "card game", "dice", "set"),
        subcategories=("board games", "puzzles"),
    ),
)

_Ints = npt.NDArray[np.int64]


def generate_products(*, rows: int, seed: int) -> pa.Table:
    """Generate that many labelled products; the same arguments give the same table.

    Columns as `schemas.product_files` reads them: product_id, title, description, brand, seller_id, subcategory,
    price (major units), currency, rating (null without reviews), reviews_count, created_at, category ("A > B").
    """
    random = np.random.default_rng(seed)
    weights = np.array([category.weight for category in _CATEGORIES])
    truth = random.choice(len(_CATEGORIES), size=rows, p=weights / weights.sum())
    edition = random.choice(len(_EDITIONS), size=rows, p=[share for _, share, _ in _EDITIONS])
    brands = _brands(random, truth)
    reviews = _reviews(random, truth)
    titles, nouns = _titles(random, truth, edition, brands)
    return pa.table(
        {
            "product_id": pa.array([f"sample-{seed}-{row:07d}" for row in range(rows)]),
            "title": pa.array(titles),
            "description": pa.array(_descriptions(random, nouns)),
            "brand": pa.array(brands),
            "seller_id": pa.array([f"seller-{number:05d}" for number in _sellers(random, truth)]),
            "subcategory": pa.array(_subcategories(random, truth), pa.string()),
            "price": pa.array(_prices(random, truth, edition)),
            "currency": pa.array(
                random.choice([c for c, _ in _CURRENCIES], size=rows, p=[p for _, p in _CURRENCIES])
            ),
            "rating": pa.array(_ratings(random, truth), mask=reviews == 0),
            "reviews_count": pa.array(reviews),
            "created_at": pa.array(_created(random, rows), pa.timestamp("ms", tz="UTC")),
            "category": pa.array([_CATEGORIES[label].path for label in _noisy(random, truth)]),
        }
    )


def _noisy(random: np.random.Generator, truth: _Ints) -> _Ints:
    """Replace one label in ten, on average, by another category."""
    wrong = random.random(truth.size) < LABEL_NOISE
    shift = random.integers(1, len(_CATEGORIES), size=truth.size)
    return np.where(wrong, (truth + shift) % len(_CATEGORIES), truth)


def _brands(random: np.random.Generator, truth: _Ints) -> list[str]:
    """Pick brands: a category has 14 of 70, so that each brand is at home in two or three categories."""
    pool = [first + ending for first in _SYLLABLES for ending in _ENDINGS]
    # The homes are the same for every seed, or a model of one sample would mean nothing on another.
    homes = np.stack([np.random.default_rng(k).permutation(len(pool))[:14] for k in range(len(_CATEGORIES))])
    # Some brands of a category are much more frequent than others, as in any shop.
    place = np.minimum(random.geometric(0.18, size=truth.size) - 1, homes.shape[1] - 1)
    elsewhere = random.random(truth.size) < _BRAND_FROM_ELSEWHERE
    chosen = np.where(elsewhere, random.integers(0, len(pool), size=truth.size), homes[truth, place])
    return [pool[number] for number in chosen]


def _sellers(random: np.random.Generator, truth: _Ints) -> _Ints:
    """Pick sellers 1 to N_SELLERS; a seller is at home in the category of its number modulo 12."""
    n = len(_CATEGORIES)
    at_home = random.integers(0, N_SELLERS // n, size=truth.size) * n + truth
    elsewhere = random.random(truth.size) < _SELLER_FROM_ELSEWHERE
    return np.where(elsewhere, random.integers(0, N_SELLERS, size=truth.size), at_home) + 1


def _subcategories(random: np.random.Generator, truth: _Ints) -> list[str | None]:
    shared = [[text for text, paths in _SHARED_SUBCATEGORIES if c.path in paths] for c in _CATEGORIES]
    kind = random.random(truth.size)
    pick = random.integers(0, 1 << 30, size=truth.size)
    chosen: list[str | None] = []
    for category, share, number in zip(truth, kind, pick, strict=True):
        if share < _SUBCATEGORY_MISSING:
            chosen.append(None)
            continue
        texts = shared[category] if share < _SUBCATEGORY_MISSING + _SUBCATEGORY_SHARED else None
        texts = texts or list(_CATEGORIES[category].subcategories)
        chosen.append(texts[number % len(texts)])
    return chosen


def _prices(random: np.random.Generator, truth: _Ints, edition: _Ints) -> npt.NDArray[np.float64]:
    """Draw prices in major units: log-normal around the category's, moved by the edition, ending in .99 or .49."""
    typical = np.log([category.price for category in _CATEGORIES])[truth]
    moved = np.array([shift for _, _, shift in _EDITIONS])[edition]
    price = np.exp(random.normal(typical + moved, _PRICE_SPREAD))
    ending = random.choice([0.99, 0.49], size=truth.size, p=[0.8, 0.2])
    rounded: npt.NDArray[np.float64] = np.round(np.floor(price) + ending, 2)
    return rounded


def _ratings(random: np.random.Generator, truth: _Ints) -> npt.NDArray[np.float64]:
    mean = np.array([category.rating for category in _CATEGORIES])[truth]
    rating: npt.NDArray[np.float64] = random.normal(mean, 0.3)
    return rating.clip(1.0, 5.0).round(1)


def _reviews(random: np.random.Generator, truth: _Ints) -> _Ints:
    typical = np.log([category.reviews for category in _CATEGORIES])[truth]
    counts = np.floor(np.exp(random.normal(typical, 0.8))).astype(np.int64)
    return np.where(random.random(truth.size) < 0.06, 0, counts)


def _created(random: np.random.Generator, rows: int) -> npt.NDArray[np.datetime64]:
    """Draw times within 2025."""
    year_ms = 365 * 24 * 3_600 * 1_000
    return np.datetime64("2025-01-01", "ms") + random.integers(0, year_ms, size=rows)


def _titles(
    random: np.random.Generator, truth: _Ints, edition: _Ints, brands: list[str]
) -> tuple[list[str], list[str]]:
    """Compose titles such as "Pro Keltasmartphone X120 black", and return them with the noun of each."""
    pick = random.integers(0, 5, size=truth.size)
    model = random.integers(10, 9_999, size=truth.size)
    letter = random.integers(0, 26, size=truth.size)
    colour = random.integers(0, 2 * len(_COLOURS), size=truth.size)  # every second title names one
    nouns = [_CATEGORIES[category].nouns[number] for category, number in zip(truth, pick, strict=True)]
    titles = []
    for row, noun in enumerate(nouns):
        named = _COLOURS[colour[row]] if colour[row] < len(_COLOURS) else ""
        code = f"{chr(ord('A') + int(letter[row]))}{model[row]}"
        parts = (_EDITIONS[edition[row]][0], brands[row], noun, code, named)
        titles.append(" ".join(part for part in parts if part))
    return titles, nouns


def _descriptions(random: np.random.Generator, nouns: list[str]) -> list[str]:
    forms = (
        "A {} for every day.",
        "This {} comes with two years of warranty.",
        "Reliable {}, tested by our team.",
        "Ships in one day.",
    )
    pick = random.integers(0, len(forms), size=len(nouns))
    return [forms[number].format(noun) for number, noun in zip(pick, nouns, strict=True)]
