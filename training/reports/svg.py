"""Drawings as SVG to stand inside a page: colours and fonts are those of the page, by class.

Text goes through ElementTree, which escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from schemas.printable import printable

Point = tuple[float, float]

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 24.0, 12.0, 46.0
_TICK: Final = 5.0


class Drawing:
    """An SVG picture that grows element by element.

    `name` is what a screen reader says, and its first words have to tell all that matters.
    """

    def __init__(self, width: float, height: float, *, name: str, css_class: str) -> None:
        self._root = Element(
            "svg",
            {
                "viewBox": f"0 0 {_number(width)} {_number(height)}",
                "width": _number(width),
                "height": _number(height),
                "role": "img",
                "aria-label": printable(name),
                "class": css_class,
            },
        )

    def shape(self, tag: str, css_class: str, *, tip: str | None = None, **attributes: float | str) -> None:
        """Add a shape; `tip` is what a mouse that rests on it is told. `stroke_width=2` becomes `stroke-width`."""
        element = SubElement(self._root, tag, _attributes(css_class, attributes))
        if tip is not None:
            SubElement(element, "title").text = printable(tip)

    def text(self, words: str, css_class: str, **attributes: float | str) -> None:
        """Add a line of text."""
        SubElement(self._root, "text", _attributes(css_class, attributes)).text = printable(words)

    def to_markup(self) -> Markup:
        """Return the picture as part of a page, with everything in it escaped."""
        return Markup(tostring(self._root, encoding="unicode"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A straight scale from `low`..`high` to a place on the paper."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the place of the value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


class Chart:
    """A drawing with two axes of shares; whatever is given in shares lands at its place."""

    def __init__(
        self, *, name: str, x: tuple[float, float], y: tuple[float, float], width: float = 460, height: float = 360
    ) -> None:
        self.drawing = Drawing(width, height, name=name, css_class="chart")
        self.x = Scale(low=x[0], high=x[1], start=_LEFT, stop=width - _RIGHT)
        self.y = Scale(low=y[0], high=y[1], start=height - _BOTTOM, stop=_TOP)

    def axes(self, x_title: str, y_title: str) -> None:
        """Draw the grid, the ticks in percent, and what the axes are."""
        for value in ticks(self.x.low, self.x.high):
            at = self.x(value)
            self.drawing.shape("line", "grid", x1=at, x2=at, y1=self.y.start, y2=self.y.stop)
            self.drawing.text(_percent(value), "tick middle", x=at, y=self.y.start + 17)
        for value in ticks(self.y.low, self.y.high):
            at = self.y(value)
            self.drawing.shape("line", "grid", x1=self.x.start, x2=self.x.stop, y1=at, y2=at)
            self.drawing.text(_percent(value), "tick end", x=self.x.start - 7, y=at + 4)
        middle_x, middle_y = (self.x.start + self.x.stop) / 2, (self.y.start + self.y.stop) / 2
        self.drawing.text(x_title, "axis middle", x=middle_x, y=self.y.start + 37)
        self.drawing.text(
            y_title, "axis middle", x=13, y=middle_y, transform=f"rotate(-90 13 {_number(middle_y)})"
        )

    def line(self, points: Iterable[Point], css_class: str) -> None:
        """Draw through the points, in order."""
        places = " ".join(f"{_number(self.x(x))},{_number(self.y(y))}" for x, y in points)
        self.drawing.shape("polyline", css_class, points=places)

    def point(self, at: Point, css_class: str, *, tip: str, radius: float = 4) -> None:
        """Draw a dot that tells what it is."""
        self.drawing.shape("circle", css_class, tip=tip, cx=self.x(at[0]), cy=self.y(at[1]), r=radius)


def ticks(low: float, high: float) -> Sequence[float]:
    """Return round values from `low` to `high`, at most seven.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    wanted = (high - low) / _TICK
    step = next(step for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if step >= wanted - 1e-9)
    first, last = -int(-low / step // 1), int((high + 1e-9) / step // 1)
    return [round(k * step, 6) for k in range(first, last + 1)]


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _attributes(css_class: str, attributes: dict[str, float | str]) -> dict[str, str]:
    plain = {
        name.replace("_", "-"): value if isinstance(value, str) else _number(value)
        for name, value in attributes.items()
    }
    return {"class": css_class, **plain}
