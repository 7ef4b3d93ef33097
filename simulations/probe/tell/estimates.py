"""Cells of a report: a number with its interval, and the grades of a score of membership."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulations.measure.tables import number, spread
from simulations.probe.judge.membership import LEAST_HELD_OUT, Membership
from simulations.probe.measure.estimate import Estimate

GRADES = ("AUC", "TPR at 1 % FPR", "TPR at 0.1 % FPR")


def shown(found: Estimate, digits: int = 3) -> str:
    """`value [low, high]`; a dash where undefined, the value alone where no interval is known."""
    if not found.known:
        return "–"
    if not math.isfinite(found.low):
        return f"{number(found.value, digits)} (no interval)"
    return f"{number(found.value, digits)} {spread(found.low, found.high, digits)}"


def graded(row: Membership) -> tuple[str, ...]:
    """Cells of `GRADES`."""
    rates = (shown(rate) if rate.known else "not resolvable" for rate in row.tprs)
    return (shown(row.auc), *rates)


def rates_words(rows: Sequence[Membership]) -> list[str]:
    """Why rates are missing; empty where none is."""
    least = "at least {} held-out sequences, one at 0.1 % {:,}".format(*LEAST_HELD_OUT)
    words = f"A true positive rate at 1 % false positives needs {least}; with fewer, one alone is "
    lacking = not all(rate.known for row in rows for rate in row.tprs)
    return [f"{words}more than that, and no number is given."] if lacking else []
