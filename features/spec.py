"""The declared features of a model, as data, and their fingerprint.

A bundle stores its spec and the fingerprint; code that cannot reproduce the fingerprint would compute other
numbers than the model was fitted on, so it refuses the bundle.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Final, Literal, get_args

from features import ALGORITHM_VERSION
from features.characters import tables_digest
from schemas.errors import BundleError, SetupError

Profile = Literal["text", "classic"]
BlockKind = Literal["word", "char"]

#: The text columns that a block may read.
TEXT_FIELDS: Final = ("title", "description", "brand", "subcategory", "seller_id")

#: The dense features in their usual order; `features.dense` defines each.
DENSE_FEATURES: Final = (
    "seller_id_bucket",
    "brand_bucket",
    "subcategory_bucket",
    "brand_price_range_bucket",
    "price",
    "price_log",
    "price_range",
    "rating",
    "reviews_count",
    "reviews_count_log",
    "title_length",
    "title_words",
    "has_pro",
    "has_premium",
    "has_deluxe",
    "has_standard",
    "has_basic",
    "has_new",
    "has_sale",
)

_MAX_HASH_BITS: Final = 30  # buckets are int32
_MAX_NGRAM: Final = 16
_MAX_CATEGORICAL_BUCKETS: Final = 1 << 24  # bucket numbers stay exact in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBlock:
    """The n-grams of one text column: of words, or of characters inside one word with a space on each side."""

    field: str
    kind: BlockKind
    shortest: int
    longest: int

    def __post_init__(self) -> None:
        if self.field not in TEXT_FIELDS:
            raise SetupError(f"A text block names the field {self.field!r}; known are {', '.join(TEXT_FIELDS)}.")
        if self.kind not in get_args(BlockKind):
            raise SetupError(f"A text block has the kind {self.kind!r}; known are word and char.")
        if not 1 <= self.shortest <= self.longest <= _MAX_NGRAM:
            raise SetupError(
                f"The {self.kind} block of {self.field} goes from {self.shortest} to {self.longest}; "
                f"needed is 1 <= shortest <= longest <= {_MAX_NGRAM}."
            )

    @property
    def name(self) -> str:
        """What the block is called, such as `title/char`: its hash is the seed of the block's n-grams."""
        return f"{self.field}/{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Which features a model is fed, and every number needed to compute them again.

    Attributes:
        profile: `text` (hashed n-grams and the dense features) or `classic` (the dense features alone).
        hash_bits: n-grams fall into 2**hash_bits buckets, which all blocks share.
        blocks: the n-gram blocks, in the order of `TokenCounts`.
        dense: names of the dense features, in the order of the columns.
        categorical_buckets: seller, brand, subcategory and the brand x price cross are hashed into so many.
        price_edges: where price ranges begin, major units, ascending: n edges make n + 1 ranges.
    """

    profile: Profile
    hash_bits: int = 18
    blocks: tuple[TextBlock, ...] = ()
    dense: tuple[str, ...] = DENSE_FEATURES
    categorical_buckets: int = 1000
    price_edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.profile not in get_args(Profile):
            raise SetupError(f"The feature profile is {self.profile!r}; known are text and classic.")
        if not 1 <= self.hash_bits <= _MAX_HASH_BITS:
            raise SetupError(f"hash_bits is {self.hash_bits}; needed is 1 to {_MAX_HASH_BITS}.")
        if not 1 <= self.categorical_buckets <= _MAX_CATEGORICAL_BUCKETS:
            raise SetupError(f"categorical_buckets is {self.categorical_buckets}; needed is 1 to 2**24.")
        for name in self.dense:
            if name not in DENSE_FEATURES:
                raise SetupError(f"The dense feature {name!r} is unknown; known are {', '.join(DENSE_FEATURES)}.")
        if len(set(self.dense)) != len(self.dense):
            raise SetupError("A dense feature is named twice.")
        if not all(math.isfinite(edge) for edge in self.price_edges):
            raise SetupError("A price edge is not a finite number.")
        if any(low >= high for low, high in pairwise(self.price_edges)):
            raise SetupError("The price edges do not ascend strictly.")

    @property
    def dense_width(self) -> int:
        """The number of dense columns."""
        return len(self.dense)

    @property
    def n_buckets(self) -> int:
        """The number of buckets that the n-grams of all blocks share."""
        return 1 << self.hash_bits

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of all that decides the features' bytes: spec, algorithm version, Unicode tables."""
        content = {
            "spec": self.to_json(),
            "algorithm_version": ALGORITHM_VERSION,
            "unicode_tables": tables_digest(),
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Return the spec as a JSON object (plain dicts, lists, strings and numbers)."""
        return {
            "profile": self.profile,
            "hash_bits": self.hash_bits,
            "blocks": [asdict(block) for block in self.blocks],
            "dense": list(self.dense),
            "categorical_buckets": self.categorical_buckets,
            "price_edges": list(self.price_edges),
        }

    @classmethod
    def from_json(cls, document: object) -> FeatureSpec:
        """Read what `to_json` gave.

        Raises BundleError if a field is missing, unknown, or has a value that no spec has: the document was then
        written by other code, and its features cannot be computed here.
        """
        content = _object(document, cls, "The feature spec")
        try:
            return cls(
                profile=_profile(content["profile"]),
                hash_bits=_integer(content["hash_bits"], "hash_bits"),
                blocks=tuple(_block(block) for block in _list(content["blocks"], "blocks")),
                dense=tuple(_text(name, "dense") for name in _list(content["dense"], "dense")),
                categorical_buckets=_integer(content["categorical_buckets"], "categorical_buckets"),
                price_edges=tuple(_number(edge) for edge in _list(content["price_edges"], "price_edges")),
            )
        except BundleError:
            raise
        except SetupError as error:
            raise BundleError(f"The feature spec cannot be used: {error}") from error


def classic_spec(price_edges: Sequence[float]) -> FeatureSpec:
    """Declare the 19 dense features and nothing else.

    >>> classic_spec((10.0, 100.0)).dense_width
    19
    """
    return FeatureSpec(profile="classic", price_edges=tuple(price_edges))


def text_spec(price_edges: Sequence[float]) -> FeatureSpec:
    """Declare the n-grams of every text column, and the 19 dense features.

    >>> [block.name for block in text_spec(()).blocks][:2]
    ['title/word', 'title/char']
    """
    return FeatureSpec(
        profile="text",
        blocks=(
            TextBlock(field="title", kind="word", shortest=1, longest=2),
            TextBlock(field="title", kind="char", shortest=2, longest=4),
            TextBlock(field="description", kind="word", shortest=1, longest=2),
            TextBlock(field="brand", kind="word", shortest=1, longest=2),
            TextBlock(field="subcategory", kind="word", shortest=1, longest=2),
            TextBlock(field="seller_id", kind="word", shortest=1, longest=1),
        ),
        price_edges=tuple(price_edges),
    )


def _object(document: object, kind: type[FeatureSpec | TextBlock], what: str) -> Mapping[str, object]:
    """Return the document if it has exactly the fields of the dataclass."""
    if not isinstance(document, Mapping):
        raise BundleError(f"{what} is not a JSON object.")
    names = {field.name for field in fields(kind)}
    if unknown := sorted(set(document) - names):
        raise BundleError(
            f"{what} has the field {unknown[0]!r}, which this version does not know: upgrade sortline."
        )
    if missing := sorted(names - set(document)):
        raise BundleError(f"{what} lacks the field {missing[0]!r}.")
    return document


def _block(document: object) -> TextBlock:
    content = _object(document, TextBlock, "A text block")
    kind = content["kind"]
    if kind != "word" and kind != "char":
        raise BundleError(f"A text block has the kind {kind!r}; this version knows word and char.")
    return TextBlock(
        field=_text(content["field"], "field"),
        kind=kind,
        shortest=_integer(content["shortest"], "shortest"),
        longest=_integer(content["longest"], "longest"),
    )


def _profile(value: object) -> Profile:
    if value == "text" or value == "classic":
        return value
    raise BundleError(f"The feature profile is {value!r}; this version knows text and classic.")


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BundleError(f"The feature spec's {name} is {value!r}, not a whole number.")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BundleError(f"The feature spec's price edge {value!r} is not a number.")
    return float(value)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise BundleError(f"The feature spec's {name} holds {value!r}, which is not a string.")
    return value


def _list(value: object, name: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise BundleError(f"The feature spec's {name} is not a list.")
    return value
