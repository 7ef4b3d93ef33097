"""What the workers of `capacity` compute: one dataset per family and size.

Patterns of a set are drawn once for the largest load; a smaller load stores the first of them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linprog

from models.memories import dense, hopfield, potts, pseudolikelihood
from models.streams import stream
from simulations.capacity.config import (
    FAMILIES,
    CapacityConfig,
    threshold,
    train_sizes,
    vocab_size,
)

MAX_ITER = 200  # sweeps of a retrieval
LOST = 0.1  # share of kept starts below which larger loads are not run
ONE = {"units": "1"}


def compute(config: CapacityConfig, coordinates: dict[str, Any]) -> xr.Dataset:
    """The dataset of one cell of the sweep."""
    kind, size = coordinates["kind"], coordinates["size"]
    if kind in FAMILIES:
        return retrieval(config, kind, size)
    return {"existence": existence, "fits": fits, "features": features}[kind](config, size)


def retrieval(config: CapacityConfig, family: str, size: int) -> xr.Dataset:
    """Overlaps (set, load, start) of the fixed points reached from stored patterns, and whether
    they are fixed points; sites one at a time. NaN at loads above the first at which fewer than
    a tenth of the starts are kept: these are not run."""
    sizes = train_sizes(family, size, config.relative_loads(family))
    starts = min(config.starts, sizes[0])
    shape = (config.sets, len(sizes), config.starts)
    overlap, converged = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
    rngs = (stream(config.root_seed, "retrieval", family, size, n) for n in range(config.sets))
    states, largest = vocab_size(family), (sizes[-1], size)
    patterns = [rng.integers(states, size=largest, dtype=np.uint8) for rng in rngs]
    for place, count in enumerate(sizes):
        for number, drawn in enumerate(patterns):
            found = end_points(family, drawn[:count], starts)
            overlap[number, place, :starts], converged[number, place, :starts] = found
        if (overlap[:, place, :starts] > threshold(family)).mean() < LOST:
            break
    load = "dense_load" if family == "dense3" else "load"
    dims = ("set", load, "start")
    return xr.Dataset(
        {
            "overlap": (dims, overlap, ONE),
            "converged": (dims, converged, ONE),
            "train_size": (load, sizes, {"units": "sequences"}),
        }
    )


def end_points(family: str, patterns: NDArray[Any], starts: int) -> tuple[Any, Any]:
    """Overlap, 1 for the pattern itself, of the states reached from the first `starts`."""
    if family == "hopfield":
        spins = hopfield.spins_from_tokens(patterns)
        ended = hopfield.store(spins).retrieve(spins[:starts], max_iter=MAX_ITER)
        return (ended.states * spins[:starts]).mean(axis=1), ended.converged
    states = vocab_size(family)
    memory: Any = (
        dense.store(patterns, 2, dense.Distinct(3))
        if family == "dense3"
        else potts.store(patterns, states)
    )
    ended = memory.retrieve(patterns[:starts], max_iter=MAX_ITER)
    share = (ended.states == patterns[:starts]).mean(axis=1)
    return (states * share - 1) / (states - 1), ended.converged


def existence(config: CapacityConfig, size: int) -> xr.Dataset:
    """Largest K up to which couplings hold the first K patterns at a site, (set, row)."""
    largest = np.zeros((config.sets, config.rows), np.int64)
    for number in range(config.sets):
        rng = stream(config.root_seed, "existence", size, number)
        spins = rng.choice([-1.0, 1.0], (6 * size, size))
        for place, site in enumerate(rng.permutation(size)[: config.rows]):
            signed = spins[:, [site]] * np.delete(spins, site, axis=1)
            largest[number, place] = _largest_separable(signed)
    return xr.Dataset({"held": (("set", "row"), largest, {"units": "sequences"})})


def _largest_separable(signed: NDArray[np.float64]) -> int:
    """Largest K with a row w that has signed[:K] w > 0; by bisection, as it falls with K."""
    sizes = range(1, len(signed) + 1)
    return bisect_right(sizes, False, key=lambda count: not separable(signed[:count]))


def separable(signed: NDArray[np.float64]) -> bool:
    """Whether some w has signed w >= 1 at every pattern: a linear program."""
    count, size = signed.shape
    found = linprog(
        np.zeros(size), A_ub=-signed, b_ub=-np.ones(count), bounds=(None, None), method="highs"
    )
    return bool(found.status == 0)


def fits(config: CapacityConfig, size: int) -> xr.Dataset:
    """Fitted pseudo-likelihood memories, (set, load): shares over converged rows."""
    shape = (config.sets, len(config.fit_loads))
    names = ("stable", "held", "unconverged", "overlap", "unsettled")
    found = {name: np.full(shape, np.nan) for name in names}
    for number in range(config.sets):
        rng = stream(config.root_seed, "fits", size, number)
        patterns = rng.integers(2, size=(round(config.fit_loads[-1] * size), size))
        for place, load in enumerate(config.fit_loads):
            inside = patterns[: max(1, round(load * size))]
            memory = pseudolikelihood.store(inside, 2, penalty=config.fit_penalty)
            right = memory.fields(inside).argmax(axis=2) == inside
            starts = inside[: config.starts]
            ended = memory.retrieve(starts, max_iter=MAX_ITER)
            overlap = 2 * (ended.states == starts).mean(axis=1) - 1
            at, good, settled = (number, place), memory.converged, ended.converged
            found["unconverged"][at] = (~good).sum()
            found["unsettled"][at] = (~settled).sum()
            if good.any():
                found["stable"][at] = right[:, good].mean()
                found["held"][at] = right.all(axis=0)[good].mean()
            if good.all() and settled.any():
                found["overlap"][at] = overlap[settled].mean()
    return xr.Dataset({name: (("set", "fit_load"), value, ONE) for name, value in found.items()})


def features(config: CapacityConfig, size: int) -> xr.Dataset:
    """Overlaps of structured examples, (set, load, kind, stage): stored, feature, unseen; after
    one synchronous update and at the fixed point of updates one at a time."""
    count = round(size * config.feature_load)
    found = np.full((config.sets, len(config.feature_loads), 3, 2), np.nan)
    unsettled = np.zeros(found.shape[:3])
    for number in range(config.sets):
        rng = stream(config.root_seed, "features", size, number)
        factors = rng.choice([-1.0, 1.0], (count, size))
        wanted = config.starts, round(config.feature_loads[-1] * size)
        mixed = [rng.normal(size=(n, count)) @ factors for n in wanted]
        unseen, stored = (np.where(sums > 0, np.int8(1), np.int8(-1)) for sums in mixed)
        for place, load in enumerate(config.feature_loads):
            memory = hopfield.store(stored[: round(load * size)])
            for kind, query in enumerate((stored, factors.astype(np.int8), unseen)):
                start = query[: config.starts]
                step = memory.retrieve(start, update="synchronous", max_iter=1)
                ended = memory.retrieve(start, max_iter=MAX_ITER)
                good = ended.converged
                unsettled[number, place, kind] = (~good).sum()
                found[number, place, kind, 0] = (step.states * start).mean()
                if good.any():
                    found[number, place, kind, 1] = (ended.states * start)[good].mean()
    dims = ("set", "feature_load", "kind", "stage")
    return xr.Dataset({"overlap": (dims, found, ONE), "unsettled": (dims[:3], unsettled, ONE)})
