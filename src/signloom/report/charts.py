"""Charts as inline SVG: curves over epochs, and the timeline of one utterance. Colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from signloom.report.html import Html, element, join

# Sizes in SVG units, which a desktop shows as pixels; a phone shrinks a chart of this width by about a fifth.
WIDTH, HEIGHT = 440, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 30
# A curve that falls by more than this factor is drawn on a logarithmic scale.
LOG_FROM = 30

# A timeline is never shrunk: it fills a desktop's page, and scrolls on a phone.
MIN_TIMELINE_WIDTH = 970
PIXELS_PER_SECOND = 120
LABEL_HEIGHT = 16
# Of the labels' 12-unit type; wide enough for capitals.
CHARACTER_WIDTH = 7.6


class Span(NamedTuple):
    """A gloss on the timeline.  note: its tooltip.  right: whether it agrees with the reference, if known."""

    gloss: str
    start_seconds: float
    end_seconds: float
    note: str
    right: bool | None = None


class Column(NamedTuple):
    """A column of a chart.  low, high: its interval, if any.  note: its tooltip.  under: a second label.

    filter: the utterances of a score page that it counts, e.g. `length=4-6`. A column with a filter is a link.
    """

    name: str
    value: float
    note: str
    low: float | None = None
    high: float | None = None
    under: str = ""
    filter: str = ""


def curves(
    epochs: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    best_epoch: float | None,
    show: Callable[[float], str],
    from_zero: bool = False,
) -> Html | None:
    """Returns a line per series over the epochs, or None where no series has a finite value.

    A missing or non-finite value is a gap in its line. The class names `line0`, `line1` colour the series.
    """
    finite = [value for values in series.values() for value in values if is_finite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    logarithmic = not from_zero and low > 0 and high / low > LOG_FROM
    ticks = _log_ticks(low, high) if logarithmic else _ticks(0.0 if from_zero else min(low, 0.0), high)
    bottom, top = min(ticks[0], low), max(ticks[-1], high)
    scale = math.log if logarithmic else float
    first, last = min(epochs), max(epochs)

    def x(epoch: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (epoch - first) / max(last - first, 1), 1)

    def y(value: float) -> float:
        share = (scale(value) - scale(bottom)) / ((scale(top) - scale(bottom)) or 1)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    parts = _grid(ticks, y, show)
    for tick in [tick for tick in _ticks(first, last, count=6) if first <= tick <= last and tick == int(tick)]:
        parts.append(element("text", int(tick), x=x(tick), y=HEIGHT - BOTTOM + 16, text_anchor="middle"))
    parts.append(element("text", "epoch", x=WIDTH - RIGHT, y=HEIGHT - 2, text_anchor="end"))
    if best_epoch is not None and first <= best_epoch <= last:
        best_x = x(best_epoch)
        parts.append(element("line", x1=best_x, x2=best_x, y1=TOP, y2=HEIGHT - BOTTOM, class_="best"))
        anchor = "end" if best_x > WIDTH / 2 else "start"
        label_x = best_x + (-5 if anchor == "end" else 5)
        parts.append(element("text", f"kept: epoch {best_epoch:g}", x=label_x, y=TOP + 8, text_anchor=anchor))
    for number, (name, values) in enumerate(series.items()):
        runs: list[list[str]] = [[]]
        dots = []
        for epoch, value in zip(epochs, values, strict=True):
            if not is_finite(value):
                runs.append([])
                continue
            runs[-1].append(f"{x(epoch)},{y(value)}")
            label = element("title", f"{name}, epoch {epoch:g}: {show(value)}")
            dots.append(element("circle", label, cx=x(epoch), cy=y(value), r=3, class_=f"dot{number}"))
        parts += [element("polyline", points=" ".join(run), class_=f"line{number}") for run in runs if len(run) > 1]
        # The dots of many epochs would hide their line: they are invisible, but still show their tooltips.
        parts.append(element("g", *dots, class_="dots" if len(epochs) <= 40 else "dots faint"))
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart")


class EpochChart(NamedTuple):
    """A chart over the epochs.  series: by the name in the legend, the key of an epoch's record."""

    title: str
    series: Mapping[str, str]
    show: Callable[[float], str]
    from_zero: bool = False


def epoch_charts(
    epochs: Sequence[Mapping[str, Any]], charts: Sequence[EpochChart], *, best_epoch: float | None = None
) -> Html | None:
    """Returns charts with their legends, side by side, or None where no chart has a finite value."""
    figures = []
    for title, series, show, from_zero in charts:
        chart = curves(
            [epoch["epoch"] for epoch in epochs],
            {name: [epoch.get(key) for epoch in epochs] for name, key in series.items()},
            best_epoch=best_epoch,
            show=show,
            from_zero=from_zero,
        )
        if chart is not None:
            keys = [
                element("span", element("span", class_=f"key key{k}"), name, class_="keyed")
                for k, name in enumerate(series)
            ]
            legend = element("figcaption", *keys, class_="small") if len(keys) > 1 else None
            figures.append(element("figure", element("h3", title), chart, legend))
    return element("div", *figures, class_="pair") if figures else None


def timeline(lanes: Mapping[str, Sequence[Span]], duration_seconds: float) -> Html:
    """Returns lanes of glosses, one above the other, on a common axis in seconds.

    Labels that would overlap go into further rows, so that the label of a few frames stays legible.
    """
    margin = 8
    longest = max((len(span.gloss) for spans in lanes.values() for span in spans), default=0) * CHARACTER_WIDTH
    width = round(max(MIN_TIMELINE_WIDTH, duration_seconds * PIXELS_PER_SECOND, longest + 2 * margin))

    def x(seconds: float) -> float:
        return round(margin + (width - 2 * margin) * min(max(seconds / duration_seconds, 0), 1), 1)

    parts: list[Html] = []
    top = 4.0
    for name, spans in lanes.items():
        parts.append(element("text", name, x=margin, y=top + 11, class_="lane"))
        bar = top + 18
        rows: list[float] = []
        for span in sorted(spans, key=lambda span: (span.start_seconds, span.end_seconds)):
            start, end = x(span.start_seconds), x(span.end_seconds)
            half = len(span.gloss) * CHARACTER_WIDTH / 2
            middle = min(max((start + end) / 2, margin + half), width - margin - half)
            row = next((k for k, used in enumerate(rows) if middle - half > used + 6), len(rows))
            rows[row : row + 1] = [middle + half]
            colour = {None: "neutral", True: "right", False: "wrong"}[span.right]
            baseline = bar + 18 + LABEL_HEIGHT * (row + 1)
            parts.append(
                element(
                    "g",
                    element("title", span.note),
                    element("rect", x=start, y=bar, width=max(end - start, 3), height=16, rx=3),
                    element("line", x1=(start + end) / 2, x2=middle, y1=bar + 16, y2=baseline - 11),
                    element("text", span.gloss, x=middle, y=baseline, text_anchor="middle"),
                    class_=f"span {colour}",
                )
            )
        top = bar + 28 + LABEL_HEIGHT * max(len(rows), 1)
    grid: list[Html] = []
    for tick in [tick for tick in _ticks(0, duration_seconds, count=8) if tick <= duration_seconds]:
        grid.append(element("line", x1=x(tick), x2=x(tick), y1=4, y2=top, class_="grid"))
        anchor = "start" if tick == 0 else "middle"
        parts.append(element("text", f"{tick:g} s", x=x(tick), y=top + 14, text_anchor=anchor))
    height = round(top + 20)
    svg = element("svg", *grid, *parts, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img")
    return element("div", svg, class_="scroll timeline")


def columns(items: Sequence[Column], show: Callable[[float], str], *, axis: str) -> Html:
    """Returns values as vertical columns, their intervals as thin lines. `axis` describes the names below them."""
    ticks = _ticks(0.0, max([*(item.value for item in items), *(item.high or 0.0 for item in items)]) or 1.0)
    bottom = HEIGHT - BOTTOM - 14
    slot = (WIDTH - LEFT - RIGHT) / max(len(items), 1)
    wide = min(slot * 0.7, 46)

    def y(value: float) -> float:
        return round(bottom - (bottom - TOP) * value / ticks[-1], 1)

    parts = _grid(ticks, y, show)
    for number, item in enumerate(items):
        middle = round(LEFT + slot * (number + 0.5), 1)
        whisker = None
        if item.low is not None and item.high is not None:
            whisker = element("line", x1=middle, x2=middle, y1=y(item.low), y2=y(item.high), class_="whisker-line")
        drawn = element(
            "g",
            element("title", item.note),
            # The whole slot shows the tooltip, even where the column is too low to point at.
            element("rect", x=middle - slot / 2, y=TOP, width=slot, height=bottom - TOP, style="fill:transparent"),
            element("rect", x=middle - wide / 2, y=y(item.value), width=wide, height=bottom - y(item.value), rx=2),
            whisker,
            element("text", item.name, x=middle, y=bottom + 15, text_anchor="middle", class_="value"),
            element("text", item.under, x=middle, y=bottom + 28, text_anchor="middle") if item.under else None,
            class_="column",
        )
        parts.append(element("a", drawn, href=f"#{item.filter}", data_filter=item.filter) if item.filter else drawn)
    parts.append(element("text", axis, x=WIDTH - RIGHT, y=HEIGHT + 8, text_anchor="end"))
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT + 12}", role="img", class_="chart")


def difference(value: float, low: float, high: float, show: Callable[[float], str], *, left: str, right: str) -> Html:
    """Returns a difference with its interval, on an axis that includes zero.

    left, right: what a difference on that side of zero means.
    """
    ticks = _ticks(min(low, 0.0), max(high, 0.0))
    margin, height = 24, 96

    def x(position: float) -> float:
        return round(margin + (WIDTH - 2 * margin) * (position - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    parts: list[Html] = []
    for tick in ticks:
        parts.append(element("line", x1=x(tick), x2=x(tick), y1=22, y2=66, class_="zero" if tick == 0 else "grid"))
        parts.append(element("text", show(tick), x=x(tick), y=82, text_anchor="middle"))
    title = element("title", f"{show(value)} ({show(low)} to {show(high)})")
    reach = "reach" if low > 0 or high < 0 else "reach none"
    parts.append(element("line", title, x1=x(low), x2=x(high), y1=44, y2=44, class_=reach))
    parts.append(element("circle", title, cx=x(value), cy=44, r=6, class_="middle"))
    parts.append(element("text", f"← {left}", x=margin, y=14))
    parts.append(element("text", f"{right} →", x=WIDTH - margin, y=14, text_anchor="end"))
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", class_="chart")


def bars(rates: Mapping[str, tuple[float, float | None, float | None]], show: Callable[[float], str]) -> Html:
    """Returns values as horizontal bars, their intervals (low, high) as thin lines. The largest value fills its track.

    rates: value, low and high by name; low and high are None for a value without an interval.
    """
    longest = max([1e-9, *(value for rate in rates.values() for value in rate if value is not None)])
    rows = []
    for number, (name, (value, low, high)) in enumerate(rates.items()):
        rows.append(
            join(
                element("span", name, class_="name"),
                bar(value, low, high, longest, show, number),
                element("span", show(value), class_="value"),
            )
        )
    return element("div", *rows, class_="bars")


def bar(
    value: float, low: float | None, high: float | None, longest: float, show: Callable[[float], str], number: int = 0
) -> Html:
    """Returns one horizontal bar with its interval. longest: the value that fills the track.  number: its colour."""
    whisker = None
    if low is not None and high is not None:
        style = f"left:{100 * low / longest:.1f}%;width:{100 * (high - low) / longest:.1f}%"
        whisker = element("i", style=style, class_="whisker", title=f"{show(low)} to {show(high)}")
    fill = element("i", style=f"width:{100 * value / longest:.1f}%", class_=f"fill fill{number}")
    return element("span", fill, whisker, class_="track")


def short(value: float) -> str:
    """Returns a number with three significant digits."""
    return f"{value:.3g}"


def is_finite(value: object) -> TypeGuard[float]:
    """Returns whether `value` is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def _grid(ticks: Sequence[float], y: Callable[[float], float], show: Callable[[float], str]) -> list[Html]:
    """Returns the horizontal lines of a chart with their labels. y: the height of a value in the chart."""
    parts: list[Html] = []
    for tick in ticks:
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(element("text", show(tick), x=LEFT - 6, y=y(tick) + 4, text_anchor="end"))
    return parts


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Returns about `count` round numbers, the first at most `low` and the last at least `high`."""
    span = (high - low) or abs(high) or 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(start, max(stop, start + 1) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Returns 1, 2 and 5 times the powers of ten between low and high; only the powers where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    kept = [tick for tick in fine if low * 0.8 <= tick <= high * 1.25]
    return kept if 2 <= len(kept) <= 7 else [10.0**power for power in powers]
