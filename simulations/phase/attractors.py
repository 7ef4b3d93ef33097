"""Which sequences are attractors: fixed points of the deterministic dynamics, and where others end.

The map sends every site to the likeliest token of its law (`models.relaxation`): of `loo` at
t = 1e-5, or of `full` at LEVEL_OF_FULL. Starts are training, held-out and uniformly random
sequences. Beside them, around a random cycle of flips of each start, how far the `loo` laws are
from having an energy (`simulations.measure.circulation`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from models.exact.empirical import EmpiricalDenoiser
from models.relaxation import likeliest, relax
from models.tokens import Tokens
from simulations.measure.circulation import circulation, noisy_law, random_cycles
from simulations.measure.names import SMALL_LEVEL

LEVEL_OF_FULL = 0.25
MAPS = ("loo", "full")
STARTS = ("train", "heldout", "random")
SWEEPS = 64

Law = Callable[[Tokens], Any]


def attractor_schema(position: str = "position") -> list[tuple[str, str, Any, str, str]]:
    """Variables of a cell on attractors."""
    on = "denoiser split_start start"
    count = "tokens"
    return [
        ("start_cluster", "split_start start", np.int32, "1", "which distinct sequence a start is"),
        ("kept", f"map {on}", np.int16, count, "tokens of a start that one application keeps"),
        ("settled_same", on, np.int16, count, "tokens that attractor and start share"),
        ("settled_distance", on, np.int16, count, "attractor to its nearest stored sequence"),
        ("settled_sweeps", on, np.int16, "1", "sweeps to the attractor"),
        ("settled_period", on, np.int16, "1", "1: fixed point, more: cycle, 0: not reached"),
        ("cycle_square", on, np.float32, "nats^2", "squared sum of the log-odds around a cycle"),
        ("odds_square", on, np.float32, "nats^2", "mean square of its four log-odds"),
        ("attractor", f"{on} {position}", np.int32, "1", "state of the attractor"),
    ]


def draw_cycles(
    rng: np.random.Generator, starts: dict[str, Tokens], vocab_size: int
) -> dict[str, Any]:
    """A cycle of flips for every start, the same for all denoisers; none for L = 1."""
    if next(iter(starts.values())).shape[1] < 2:
        return {}
    return {split: random_cycles(rng, x_0, vocab_size) for split, x_0 in starts.items()}


def measure_attractors(
    out: xr.Dataset,
    denoiser: str,
    law: Law,
    full: Law,
    starts: dict[str, Tokens],
    cycles: dict[str, Any],
    store: EmpiricalDenoiser,
) -> None:
    """Fill the variables of one denoiser; starts (n, L) and cycles of every split of STARTS.

    law, full : from clean tokens (n, L) to the log laws of the two maps, (n, L, V).
    """
    for split in STARTS:
        x_0 = starts[split]
        place = {"denoiser": denoiser, "split_start": split}
        for name, log_law in (("loo", law(x_0)), ("full", full(x_0))):
            out["kept"].loc[{**place, "map": name}] = (likeliest(log_law, x_0) == x_0).sum(1)
        if split in cycles:
            # of the law of x_t, which is positive: cycles of the memorizer are defined too
            noised = SimpleNamespace(
                schedule=store.schedule,
                vocab_size=store.vocab_size,
                log_loo=lambda tokens, _: law(tokens),
            )
            around = circulation(noisy_law(noised, SMALL_LEVEL), x_0, *cycles[split])
            out["cycle_square"].loc[place], out["odds_square"].loc[place] = around.squares
        ended = relax(law, x_0, SWEEPS)
        out["settled_same"].loc[place] = (ended.states == x_0).sum(1)
        out["settled_distance"].loc[place] = store.nearest(ended.states, ended.states)[1]
        out["settled_sweeps"].loc[place] = ended.sweeps
        out["settled_period"].loc[place] = ended.period
        out["attractor"].loc[place] = ended.states
