"""Frames, axes, lines and texts of pictures; colours and fonts are classes of the page's style sheet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from xml.etree import ElementTree as ET

from initcfg.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point: TypeAlias = tuple[float, float]


class Frame(NamedTuple):
    """A plot's place in its picture, and the ranges of its axes; `log` of both."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    log: tuple[bool, bool]

    def at_x(self, value: float) -> float:
        """Where a value of the horizontal axis stands."""
        return self.left + self.width * _share(value, self.x, self.log[0])

    def at_y(self, value: float) -> float:
        """Where a value of the vertical axis stands."""
        return self.top + self.height * (1 - _share(value, self.y, self.log[1]))


def _share(value: float, ends: tuple[float, float], log: bool) -> float:
    low, high = (math.log(end) for end in ends) if log else ends
    return ((math.log(value) if log else value) - low) / (high - low)


def picture(title: str, description: str, width: float, height: float) -> ET.Element:
    """An empty picture that scales with its page."""
    root = ET.Element(
        "svg", viewBox=f"0 0 {width:g} {height:g}", role="img", xmlns="http://www.w3.org/2000/svg"
    )
    titled(root, title)
    ET.SubElement(root, "desc").text = printable(description)
    return root


def titled(element: ET.Element, title: str) -> None:
    """Names an element; what a document's names hold of control characters would be no XML."""
    ET.SubElement(element, "title").text = printable(title)


def svg_text(root: ET.Element) -> str:
    """The picture as it stands in a page; whatever a name holds is escaped."""
    return ET.tostring(root, encoding="unicode")


def clip(value: float, ends: tuple[float, float]) -> float:
    """The value, or the end that it is beyond."""
    return min(max(value, ends[0]), ends[1])


def points_text(points: Iterable[tuple[float, float]]) -> str:
    """Places as SVG writes them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def cut(label: str, most: int = 24) -> str:
    """The two ends of a label that is longer than a picture or a table has room for."""
    return label if len(label) <= most else f"{label[: most // 2 - 1]}…{label[-most // 2 + 1 :]}"


class Line(NamedTuple):
    """A series: its label, the rank of its colour, and the places of its points with what each tells."""

    label: str
    rank: int
    points: Sequence[tuple[float, float, str]]
    has_marks: bool = True


def draw_lines(root: ET.Element, frame: Frame, lines: Iterable[Line]) -> None:
    """Series with their names at the right end, none over another."""
    height = -math.inf
    for line in sorted(lines, key=lambda line: -line.points[-1][1]):
        places = [(frame.at_x(x), frame.at_y(clip(y, frame.y))) for x, y, _ in line.points]
        kind = "series" if line.has_marks else "series expected"
        ET.SubElement(root, "polyline", points=points_text(places)).set("class", f"{kind} s{line.rank}")
        if not line.has_marks:
            continue
        for (*_, told), (x, y) in zip(line.points, places, strict=True):
            about = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3.5", "class": f"mark c{line.rank}"}
            titled(ET.SubElement(root, "circle", about), told)
        height = max(places[-1][1] + 4, height + 15)
        place = (frame.left + frame.width + 8, height)
        draw_text(root, place, cut(line.label, 18), f"label t{line.rank}")


def draw_axes(root: ET.Element, frame: Frame, x_label: str, y_label: str, *, whole: bool = False) -> None:
    """Grid lines with their numbers, and the names of the axes."""
    right, bottom = frame.left + frame.width, frame.top + frame.height
    for value in ticks(frame.x, log=frame.log[0]):
        if whole and value != round(value):
            continue
        x = frame.at_x(value)
        draw_line(root, (x, frame.top), (x, bottom), "grid")
        draw_text(root, (x, bottom + 16), tick_text(value), "tick", "middle")
    for value in ticks(frame.y, log=frame.log[1]):
        y = frame.at_y(value)
        draw_line(root, (frame.left, y), (right, y), "grid")
        draw_text(root, (frame.left - 6, y + 4), tick_text(value), "tick", "end")
    draw_text(root, ((frame.left + right) / 2, bottom + 34), x_label, "axis", "middle")
    turned = f"translate(12 {(frame.top + bottom) / 2:.1f}) rotate(-90)"
    ET.SubElement(
        root, "text", {"transform": turned, "class": "axis", "text-anchor": "middle"}
    ).text = y_label


def tick_text(value: float) -> str:
    """A number at an axis."""
    text = f"{value:,.0f}" if abs(value) >= 1 and value == round(value) else f"{value:.3g}"
    return text.replace("-", "\u2212", 1) if value < 0 else text


def ticks(ends: tuple[float, float], *, log: bool, most: int = 6) -> list[float]:
    """Round values within a range: powers of ten, where there are few also 2 and 5 times those.

    Example:
        >>> ticks((0.3, 40), log=True), ticks((-0.4, 11.4), log=False)
        ([0.5, 1.0, 2.0, 5.0, 10.0, 20.0], [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    """
    low, high = ends
    if not log:
        rough = (high - low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough)
        # Rounded, so that three times 0.1 is 0.3.
        return [
            float(f"{step * at:.12g}") for at in range(math.ceil(low / step), math.floor(high / step) + 1)
        ]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0,), (1.0, 2.0, 5.0)):
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) > 2:
            break
    return found


def draw_line(root: ET.Element, start: Point, end: Point, name: str) -> None:
    """A straight line of a class of the style sheet."""
    (x1, y1), (x2, y2) = start, end
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    ET.SubElement(root, "line", ends | {"class": name})


def draw_text(root: ET.Element, place: Point, text: str, name: str, anchor: str = "start") -> None:
    """A text of a class of the style sheet; what it holds is escaped."""
    x, y = place
    about = {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": name, "text-anchor": anchor}
    ET.SubElement(root, "text", about).text = printable(text)
