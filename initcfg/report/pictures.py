"""Pictures of figures as SVG: the map of matrices, gain and signal through depth, values beside laws."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias
from xml.etree import ElementTree as ET

from initcfg.names import count, number
from initcfg.report.frames import (
    Frame,
    Line,
    Point,
    clip,
    cut,
    draw_axes,
    draw_line,
    draw_lines,
    draw_text,
    picture,
    points_text,
    svg_text,
    tick_text,
    ticks,
    titled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initcfg.probe import Probe
    from initcfg.report.values import Bins, HeldLaw, Model, Row, Spectrum

#: The variance of `unusual-variance`: ten times LeCun's, or a tenth.
USUAL = 10.0
_COLOURS = 7
# The corners of marks whose size is 1; that of the first is a circle.
_SHAPES: tuple[tuple[Point, ...], ...] = (
    (),
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, -1.2), (1.2, 1), (-1.2, 1)),
    ((0, 1.2), (1.2, -1), (-1.2, -1)),
)


def short_name(name: str) -> str:
    """What tells a matrix from its neighbours: the name below its layer, without a final ``weight``.

    Example:
        >>> short_name("transformer.h.{0..11}.attn.c_attn.weight"), short_name("transformer.wte.weight")
        ('attn.c_attn', 'wte')
    """
    parts = name.split(".")
    if len(parts) > 1 and parts[-1] in ("weight", "kernel", "w"):
        parts = parts[:-1]
    joined = _whole_segments(parts)
    spans = [at for at, part in enumerate(joined) if "{" in part]
    below = joined[spans[-1] + 1 :] if spans else joined[-1:]
    return ".".join(below or joined[-2:])


def _whole_segments(parts: Sequence[str]) -> list[str]:
    """Segments, with the dots of spans such as ``{0..11}`` put back."""
    whole: list[str] = []
    for part in parts:
        if whole and whole[-1].count("{") > whole[-1].count("}"):
            whole[-1] += f".{part}"
        else:
            whole.append(part)
    return whole


def _matrices(model: Model) -> list[Row]:
    return [row for row in model.rows if row.kind == "matrix" and row.fan_in and row.std]


def _labels(model: Model) -> dict[str, int]:
    """The short names of matrices; the rank of one decides its colour in every picture of the model."""
    names = dict.fromkeys(short_name(row.name) for row in _matrices(model))
    return {name: rank for rank, name in enumerate(names)}


def law_picture(law: HeldLaw) -> str | None:
    """How often the values of weights are found, filled, with their law as a line; None without counts."""
    if law.counts is None or law.shares is None:
        return None
    total = sum(law.counts.counts) + law.counts.outside
    found = _densities(law.counts, [each / max(total, 1) for each in law.counts.counts])
    meant = _densities(law.shares, law.shares.shares)
    title = f"The values of {cut(law.name, 200)}"
    return _over_law(title, _told_law(law), found, meant, differs=law.problem is not None)


def spectrum_picture(spectrum: Spectrum) -> str:
    """The singular values of a matrix, filled, with those of independent elements as a line."""
    values, (low, high) = spectrum.values, spectrum.edges
    bins, steps = max(8, min(48, len(values) // 6)), 60
    width, step = max(high, values[0]) * 1.02 / bins, (high - low) / steps
    counts = Counter(min(int(value / width), bins - 1) for value in values)
    found = [(at * width, (at + 1) * width, counts[at] / len(values) / width) for at in range(bins)]
    starts = [low + step * at for at in range(steps)]
    meant = [(start, start + step, density(spectrum, start + step / 2)) for start in starts]
    told = (
        f"{count(len(values))} singular values from {number(values[-1])} to {number(values[0])}; those of "
        f"independent elements lie between {number(low)} and {number(high)}"
    )
    return _over_law(f"The singular values of {cut(spectrum.name, 200)}", told, found, meant)


def density(spectrum: Spectrum, value: float) -> float:
    """How dense singular values of independent elements are at a value, by Marchenko and Pastur (1967)."""
    low, high = spectrum.edges
    if not max(low, 0) < value < high:
        return 0.0
    root = math.sqrt((high**2 - value**2) * (value**2 - low**2))
    return root / (math.pi * min(spectrum.rows, spectrum.columns) * spectrum.std**2 * value)


_Bars: TypeAlias = "Sequence[tuple[float, float, float]]"


def _over_law(title: str, told: str, found: _Bars, meant: _Bars, *, differs: bool = False) -> str:
    """Bars that are filled, and over them those of a law as a line."""
    highest = max(height for _, _, height in (*found, *meant))
    seen = [each for each in (*found, *meant) if each[2] > highest * _SEEN] or meant
    x = (min(low for low, _, _ in seen), max(high for _, high, _ in seen))
    frame = Frame(8, 8, 284, 84, x, (0, highest * 1.04), (False, False))
    root = picture(title, told, 300, 116)
    for value in ticks(x, log=False, most=4):
        at = frame.at_x(value)
        draw_line(root, (at, frame.top), (at, frame.top + frame.height), "grid")
        draw_text(root, (at, frame.top + frame.height + 16), tick_text(value), "tick", "middle")
    corners = [(edge, height) for low, high, height in found for edge in (low, high)]
    base = [(found[-1][1], 0.0), (found[0][0], 0.0)]
    area = ET.SubElement(root, "polygon", points=points_text(_placed(frame, [*corners, *base])))
    area.set("class", "found differs" if differs else "found")
    # Through the middle of bins, upright at both ends: some laws have edges.
    (low, _, first), (_, high, last) = meant[0], meant[-1]
    middles = [((low + high) / 2, height) for low, high, height in meant]
    line = [(x[0], 0.0), (low, 0.0), (low, first), *middles, (high, last), (high, 0.0), (x[1], 0.0)]
    ET.SubElement(root, "polyline", points=points_text(_placed(frame, line))).set("class", "law")
    return svg_text(root)


# What is less high than this part of the highest is not seen.
_SEEN = 2e-3


def _densities(bins: Bins, shares: Sequence[float]) -> list[tuple[float, float, float]]:
    """Both ends of each bin and its height."""
    ends = [bins.low + bins.width * rank for rank in range(len(shares) + 1)]
    return [(ends[rank], ends[rank + 1], share / bins.width) for rank, share in enumerate(shares)]


def _placed(frame: Frame, points: Iterable[Point]) -> list[Point]:
    return [(frame.at_x(clip(x, frame.x)), frame.at_y(y)) for x, y in points]


def _told_law(law: HeldLaw) -> str:
    meant = "" if law.meant is None or law.meant.std is None else f", by its law {number(law.meant.std)}"
    std = "none" if law.found.std is None else number(law.found.std)
    return f"{count(law.elements)} values of {law.law}: std {std}{meant}; {law.problem or 'they follow it'}"


# More marks than these are a crowd that tells nothing more; the largest matrices are drawn.
_MOST_MARKS = 2000


def map_picture(model: Model) -> str | None:
    """Every matrix by fan_in and standard deviation, beside the lines of LeCun and He; None without one."""
    rows, labels = _matrices(model), _labels(model)
    if not rows:
        return None
    fans, stds = [row.fan_in or 1 for row in rows], [row.std or 1 for row in rows]
    x = (min(fans) / 1.7, max(fans) * 1.7)
    y = (min(*stds, x[1] ** -0.5) / 2.2, max(*stds, (2 / x[0]) ** 0.5) * 1.6)
    legend = -(-min(len(labels), _COLOURS + 1) // 2)
    frame = Frame(56, 8, 420, 300, x, y, (True, True))
    root = picture(
        f"Where every matrix of {model.name or model.file} stands",
        f"{len(rows)} marks by fan_in and standard deviation; {_outside(rows)} outside the band in which the "
        "variance is within ten times of LeCun's",
        484,
        360 + 18 * legend,
    )
    draw_axes(root, frame, "fan_in", "standard deviation of the law")
    band = [(frame.at_x(fan), frame.at_y(clip(std, y))) for fan, std in _band(x)]
    ET.SubElement(root, "polygon", points=points_text(band)).set("class", "band")
    marks = [(frame.at_x(row.fan_in or 1), frame.at_y(row.std or 1)) for row in rows[:_MOST_MARKS]]
    for scale, label in ((1.0, "LeCun 1/√fan_in"), (2.0, "He √(2/fan_in)")):
        _theory(root, frame, scale, label, marks)
    places = {id(row): at for at, row in enumerate(model.rows)}
    under: Counter[tuple[float | None, float | None]] = Counter()
    for row in sorted(rows, key=lambda row: -row.elements)[:_MOST_MARKS]:
        # Of those at one place each later one is smaller, so that all are seen.
        share = max(0.35, 0.6 ** under[row.fan_in, row.std])
        under[row.fan_in, row.std] += 1
        size = share * (4 + 0.9 * math.log10(max(row.elements // row.copies, 1)))
        place = (frame.at_x(row.fan_in or 1), frame.at_y(row.std or 1))
        mark = _shape(root, place, size, labels[short_name(row.name)])
        titled(mark, told(row))
        mark.set("data-row", str(places[id(row)]))
    copies = dict.fromkeys(labels, 0)
    for row in rows:
        copies[short_name(row.name)] += row.copies
    _legend(root, frame, copies)
    if len(rows) > _MOST_MARKS:
        draw_text(
            root, (frame.left, 356 + 18 * legend), f"not drawn: {count(len(rows) - _MOST_MARKS)} more", "note"
        )
    return svg_text(root)


def told(row: Row) -> str:
    """The numbers of a row as its mark tells them."""
    copies = f" x{row.copies}" if row.copies > 1 else ""
    law = (
        ""
        if row.std is None or row.fan_in is None
        else f"std {number(row.std)}, fan_in {number(row.fan_in)}, "
    )
    gain = "" if not row.std or not row.fan_in else f"gain {number(row.std * math.sqrt(row.fan_in))}, "
    return f"{cut(row.name, 200)}{copies}: {row.law}; {law}{gain}{count(row.elements)} elements"


def _outside(rows: Iterable[Row]) -> int:
    return sum(not 1 / USUAL <= (row.std or 0) ** 2 * (row.fan_in or 0) <= USUAL for row in rows)


def _band(x: tuple[float, float]) -> list[tuple[float, float]]:
    """The corners of the region of usual variances."""
    steps = [x[0] * (x[1] / x[0]) ** (at / 24) for at in range(25)]
    return [(fan, (USUAL / fan) ** 0.5) for fan in steps] + [
        (fan, (1 / USUAL / fan) ** 0.5) for fan in reversed(steps)
    ]


def _between(one: Point, other: Point, share: float) -> Point:
    return one[0] + share * (other[0] - one[0]), one[1] + share * (other[1] - one[1])


def _theory(root: ET.Element, frame: Frame, scale: float, label: str, marks: Sequence[Point]) -> None:
    """The line of a variance of scale / fan_in, with its name along it."""
    ends = [(fan, (scale / fan) ** 0.5) for fan in frame.x]
    (x1, y1), (x2, y2) = [(frame.at_x(fan), frame.at_y(clip(std, frame.y))) for fan, std in ends]
    draw_line(root, (x1, y1), (x2, y2), "theory he" if scale > 1 else "theory")
    # Where it is the farthest from any mark.
    share = max(
        (0.72, 0.5, 0.28),
        key=lambda at: min(math.dist(_between((x1, y1), (x2, y2), at), mark) for mark in marks),
    )
    at_x, at_y = _between((x1, y1), (x2, y2), share)
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    offset = -5 if scale > 1 else 14
    text = ET.SubElement(
        root, "text", transform=f"translate({at_x:.1f} {at_y:.1f}) rotate({angle:.1f})", y=str(offset)
    )
    text.set("class", "note")
    text.text = label


def _shape(root: ET.Element, place: Point, size: float, rank: int) -> ET.Element:
    """A mark whose outline and colour tell its rank."""
    x, y = place
    name = f"mark c{min(rank, _COLOURS)}"
    corners = _SHAPES[rank % len(_SHAPES)]
    if not corners:
        return ET.SubElement(
            root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{size:.1f}", "class": name}
        )
    points = points_text((x + size * dx, y + size * dy) for dx, dy in corners)
    return ET.SubElement(root, "polygon", {"points": points, "class": name})


def _legend(root: ET.Element, frame: Frame, copies: Mapping[str, int]) -> None:
    """The names of marks below the plot in two columns; beyond the last colour they share one."""
    shown = [(label, f" x{times}" if times > 1 else "") for label, times in copies.items()]
    if len(shown) > _COLOURS + 1:
        shown[_COLOURS:] = [(f"{len(shown) - _COLOURS} others", "")]
    for rank, (label, times) in enumerate(shown):
        x, y = frame.left + 214 * (rank % 2), frame.top + frame.height + 56 + 18 * (rank // 2)
        _shape(root, (x + 6, y - 4), 5, rank)
        draw_text(root, (x + 18, y), f"{cut(label)}{times}", "legend")


def _profile(
    title: str, x_label: str, y_label: str, lines: Sequence[Line], ends: tuple[float, float]
) -> tuple[ET.Element, Frame]:
    """A picture of lines from block to block, with its axes."""
    blocks = [point[0] for line in lines for point in line.points]
    frame = Frame(56, 8, 300, 300, (min(blocks) - 0.4, max(blocks) + 0.4), ends, (False, True))
    spans = (
        f"{line.label}: {number(line.points[0][1])} to {number(line.points[-1][1])}"
        for line in lines
        if line.has_marks
    )
    root = picture(title, "; ".join(spans), 484, 360)
    draw_axes(root, frame, x_label, y_label, whole=True)
    return root, frame


def depth_picture(model: Model) -> str | None:
    """The gain of each repeated matrix from block to block; None where none is repeated."""
    if not model.depth:
        return None
    # A series may stand for several lines, and then has a name of its own.
    labels: defaultdict[str, int] = defaultdict(lambda: _COLOURS, _labels(model))
    ranked = sorted(model.depth, key=lambda series: (-len(series.points), labels[short_name(series.name)]))
    lines = []
    for series in ranked[:_COLOURS]:
        name, begun = short_name(series.name), cut(series.name, 200)
        points = [
            (each.block, each.gain, f"{begun}, block {each.block}: gain {number(each.gain)}")
            for each in series.points
        ]
        lines.append(Line(name, min(labels[name], _COLOURS), points))
    gains = [gain for line in lines for _, gain, _ in line.points]
    ends = (min(*gains, 1) / 1.5, max(*gains, 2**0.5) * 1.5)
    title = f"Gain through the depth of {model.name or model.file}"
    root, frame = _profile(title, "block", "gain = std · √fan_in", lines, ends)
    right = frame.left + frame.width
    low, high = (frame.at_y(clip(value, frame.y)) for value in (USUAL**-0.5, USUAL**0.5))
    corners = [(frame.left, low), (right, low), (right, high), (frame.left, high)]
    band = ET.Element("polygon", {"points": points_text(corners), "class": "band"})
    root.insert(2, band)
    for gain, label in ((1.0, "keeps variance (LeCun)"), (2**0.5, "for ReLU (He)")):
        y = frame.at_y(gain)
        draw_line(root, (frame.left, y), (right, y), "theory he" if gain > 1 else "theory")
        draw_text(root, (right - 4, y - 4), label, "note", "end")
    draw_lines(root, frame, lines)
    if len(ranked) > len(lines):
        draw_text(root, (frame.left, 356), f"not drawn: {len(ranked) - len(lines)} more", "note")
    return svg_text(root)


def signal_picture(probe: Probe, *, backward: bool = False) -> str | None:
    """Mean squares after each block, dashed what theory expects; None where none is known."""
    lines: list[Line] = []
    for rank, (name, measured, expected) in enumerate(probe.through_depth(backward=backward)[:_COLOURS]):
        for points, has_marks in ((measured, True), (expected, False)):
            told = [(at, value, f"{cut(name, 200)}, {block}: {number(value)}") for at, block, value in points]
            lines += [Line(name, rank, told, has_marks)] if told else []
    if not lines:
        return None
    values = [value for line in lines for _, value, _ in line.points]
    what = "gradient" if backward else "signal"
    title = f"The {what} through the depth of {probe.model}"
    ends = (min(values) / 1.5, max(values) * 1.5)
    root, frame = _profile(title, "after block", f"mean square of the {what}", lines, ends)
    draw_lines(root, frame, lines)
    return svg_text(root)


def pictures_of(model: Model) -> Iterator[tuple[str, str, str]]:
    """The pictures of a model with their headings and captions, those that it has."""
    placed, deep = map_picture(model), depth_picture(model)
    if placed:
        caption = (
            "Each mark is a matrix and its copies, larger for more elements. In the band the variance is "
            "within ten times of LeCun's, which keeps the size of a signal."
        )
        yield "Where every matrix stands", caption, placed
    if deep:
        caption = "What a block does to the size of a signal, by the law of its matrices alone."
        yield "Gain through depth", caption, deep
