"""Numbers and tables as text: Markdown for reports, JSON without NaN for summaries."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simulations.measure.checks import Check, Row


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` decimals, in powers of ten where these would show zero alone.

    >>> number(0.12345), number(2e-6), number(float("nan"))
    ('0.123', '2.0e-06', '–')
    """
    if not math.isfinite(value):
        return "–"
    small = 0 < abs(value) < 0.5 * 10**-digits
    return f"{value:.1e}" if small else f"{value:.{digits}f}"


def spread(low: float, high: float, digits: int = 3) -> str:
    """An interval, `[low, high]`."""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def with_spread(value: float, low: float, high: float, digits: int = 3) -> str:
    """A number with its interval, `0.123 [0.100, 0.150]`."""
    return f"{number(value, digits)} {spread(low, high, digits)}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, with an empty line after it."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def section(title: str, *paragraphs: str) -> list[str]:
    """Lines of a Markdown heading and paragraphs, with an empty line after each.

    >>> section("Caveats", "None.")
    ['## Caveats', '', 'None.', '']
    """
    return [line for part in (f"## {title}", *paragraphs) for line in (part, "")]


def check_table(checks: Sequence[Check]) -> list[str]:
    """Comparisons with exact predictions as a Markdown table."""
    header = ["exact predictions", "simulated", "exact", "standard error", "z", "verdict"]
    rows = []
    for c in checks:
        numbers = [number(value, 5) for value in (c.simulated, c.exact, c.standard_error)]
        rows.append([c.name, *numbers, f"{c.z:+.2f}", "agree" if c.agrees else "deviate"])
    return markdown(header, rows)


def row_table(rows: Sequence[Row], what: str) -> list[str]:
    """Comparisons with predictions as a Markdown table; `what` heads the first column."""
    header = [what, "simulated", "predicted", "95 % of the gap", "verdict"]
    table = []
    for r in rows:
        numbers = [number(r.simulated, 4), number(r.predicted, 4), spread(r.low, r.high, 4)]
        table.append([r.what, *numbers, r.verdict])
    return markdown(header, table)


def to_json(value: Any) -> str:
    """JSON text of plain containers and arrays; NaN and infinities become strings."""
    return json.dumps(_plain(value), indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, np.integer):
        return int(value)
    return value
