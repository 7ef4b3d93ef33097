"""Scores of membership that a reference calibrates, beside the same without it.

High where the model looks as if it had seen the sequence. The score fixed beforehand is that as
t -> 0, at all sites (at sites masked alone, where visible ones have no law): there a site sees the
most of the sequence, and where the model stores some sequences and is otherwise the reference no
other level tells more (`am_theory.membership`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.names import SMALL_LEVEL
from simulations.probe.audit.reference import SITES
from simulations.probe.judge.membership import scores as own_scores
from simulations.probe.measure.kind import erases, small

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibrated:
    """One score by sequence, (sequence,), NaN where undefined: `own`, without the reference;
    `gap`, less the reference's on the same noise; `apart`, the reference's on noise of its own, on
    few sequences; `votes` and `subsets`, shares of sites, and of sets of sites, with a positive
    gap, None for the NELBO."""

    name: str
    own: Floats
    gap: Floats
    apart: Floats
    votes: Floats | None = None
    subsets: Floats | None = None


def has_reference(data: xr.Dataset) -> bool:
    return "reference_gap" in data


def calibrated(data: xr.Dataset) -> Iterator[Calibrated]:
    """Every level and choice of sites that was read, the score fixed beforehand first; the NELBO
    last."""
    for k, t in enumerate(data["t_entropy"].values.tolist()):
        level = small(data) if t == SMALL_LEVEL else f"t = {t:g}"
        for sites in reversed(SITES):
            column = data.isel(t_entropy=k).sel(scored=sites)
            own, gap, apart, votes, subsets = (
                column[f"reference_{name}"].values.astype(np.float64)
                for name in ("own", "gap", "apart", "votes", "subsets")
            )
            if t == SMALL_LEVEL and sites == "corrupted" and not erases(data):
                continue  # almost none is
            if np.isfinite(gap).any():
                where = "masked sites" if erases(data) else f"{sites} sites"
                yield Calibrated(f"log loo, {where}, {level}", own, gap, apart, votes, subsets)
    own, theirs, apart = (
        -data[name].values.astype(np.float64)
        for name in ("nelbo", "reference_nelbo", "reference_nelbo_apart")
    )
    yield Calibrated("-NELBO", own, own - theirs, apart)


def candidates(data: xr.Dataset) -> dict[str, Floats]:
    """Scores by name that "was this set used?" can be asked of, the one fixed beforehand first."""
    if not has_reference(data):
        return own_scores(data)
    return {f"{row.name}, target - reference": row.gap for row in calibrated(data)}
