# SPDX-License-Identifier: Apache-2.0
"""Charts of a report, as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from cnnmetric.registration.stage import Stage
from cnnmetric.report.quality import Quality

_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 22, 26, 34
_AXES = ("x", "y", "z")
_HALF_WINDOW = 7  # iterations


class _Frame:
    """The plot's area, and where values lie in it."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across = across
        pad = 0.06 * (up[1] - up[0]) or 0.5
        self.up = (up[0] - pad, up[1] + pad)

    def x(self, value: float) -> float:
        low, high = self.across
        return _LEFT + (value - low) / ((high - low) or 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.up
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def line(self, points: Sequence[tuple[float, float]], style: str) -> str:
        text = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline class="{style}" points="{text}"/>'

    def scale(self) -> str:
        """Return the ticks of the vertical axis, with lines across."""
        parts = []
        for value in ticks(*self.up):
            y = self.y(value)
            ends = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(
                f'<line class="grid" {ends}/>'
                f'<text class="tick" x="{_LEFT - 8}" y="{y + 3.5:.1f}" text-anchor="end">'
                f"{value:g}</text>"
            )
        return "".join(parts)


def ticks(low: float, high: float) -> list[float]:
    """Return about four round numbers between two."""
    step: float = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 5)
    first = math.ceil(low / step)
    return [round(n * step, 10) for n in range(first, math.floor(high / step) + 1)]


def convergence(stages: Sequence[Stage]) -> str:
    """Return the metric's value over the iterations of all stages, one after the other.

    Levels of a stage look at the images in different detail, so that their values do not continue
    each other; each is a line of its own.
    """
    lines: list[list[tuple[float, float]]] = []
    spans: list[tuple[str, int, int]] = []
    number = 0
    for stage in stages:
        start, level = number, None
        for iteration in stage.trace:
            if iteration.level != level:
                lines.append([])
                level = iteration.level
            if math.isfinite(iteration.value):
                lines[-1].append((number, iteration.value))
            number += 1
        spans.append((stage.name, start, number))
    values = [value for line in lines for _, value in line]
    if not values:
        return '<p class="note">No iterations were followed.</p>'
    frame = _Frame((0, max(number - 1, 1)), (min(values), max(values)))
    parts = [frame.scale()]
    for place, (name, start, end) in enumerate(spans):
        x = frame.x(start)
        if place:
            parts.append(
                f'<line class="edge" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" '
                f'y2="{_HEIGHT - _BOTTOM}"/>'
            )
        parts.append(
            f'<text class="tick name" x="{x + 6:.1f}" y="{_TOP - 8}">'
            f"{escape(name.replace('_', ' '))}"
            f'<tspan class="dim" dx="5">{end - start}</tspan></text>'
        )
    for line in lines:
        parts.append(frame.line(thinned(line), "curve raw"))
        parts.append(frame.line(thinned(_smoothed(line)), "curve"))
    parts.append(_below("iteration"))
    return _svg(parts, "Metric value over iterations, stage by stage; lower is better")


def neighbourhood(quality: Quality) -> str:
    """Return the metric's value with the moving image displaced along each axis."""
    points = quality.displaced
    values = [point.value for point in points] + [quality.value]
    largest = max(abs(point.millimetres) for point in points)
    frame = _Frame((-largest, largest), (min(values), max(values)))
    parts = [frame.scale()]
    for millimetres in sorted({point.millimetres for point in points} | {0.0}):
        parts.append(
            f'<text class="tick" x="{frame.x(millimetres):.1f}" y="{_HEIGHT - _BOTTOM + 16}" '
            f'text-anchor="middle">{millimetres:+.1f}</text>'.replace("+0.0", "0")
        )
    x = frame.x(0)
    parts.append(
        f'<line class="edge" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
    )
    for axis in sorted({point.axis for point in points}):
        line = [(point.millimetres, point.value) for point in points if point.axis == axis]
        line = sorted([*line, (0.0, quality.value)])
        parts.append(frame.line(line, f"curve axis-{axis}"))
        parts += [
            f'<circle class="dot axis-{axis}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="2.6"/>'
            for x, y in line
        ]
        parts.append(
            f'<text class="tick axis-{axis} key" x="{_LEFT + 8 + 66 * axis}" y="{_TOP - 8}">'
            f"along {_AXES[axis]}</text>"
        )
    parts.append(_below("displacement in mm"))
    return _svg(parts, "Metric value with the moving image displaced; the result is at 0")


def _smoothed(line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the running mean: other patches are drawn in each iteration, so that values jump."""
    half = min(_HALF_WINDOW, len(line) // 6)
    found = []
    for place, (number, _) in enumerate(line):
        near = [value for _, value in line[max(0, place - half) : place + half + 1]]
        found.append((number, sum(near) / len(near)))
    return found


def thinned(line: Sequence[tuple[float, float]], most: int = 400) -> Sequence[tuple[float, float]]:
    """Return a line of at most about that many points, its last one included."""
    step = -(-len(line) // most) or 1
    return [*line[:-1:step], *line[-1:]]


def _below(text: str) -> str:
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'<text class="tick" x="{middle:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{text}</text>'
    )


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
