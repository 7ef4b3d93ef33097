"""Where the likeliest tokens of a model lead from noise: its attractors, without any text.

    x -> argmax_v loo_i(v | x)   at every site at once, at t = 0.25, from uniformly drawn tokens

until a state comes again. Under erasures alone, where visible tokens have no law, all sites are
masked and filled with their likeliest tokens, in a random order for each start.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from models.relaxation import settle
from models.streams import stream
from models.tokens import Tokens, token_dtype
from simulations.probe.measure.cells import Work

LEVEL = 0.25
MOST = 256  # starts
SWEEPS = 16  # of all sites, at most


def starts(generate: int) -> int:
    """From how many starts, by how many sequences the model is asked to write."""
    return min(generate, MOST)


def attractors(work: Work, n: int) -> xr.Dataset:
    """Ends (start, position) of n starts, and `attractor_period`: 1 for a fixed point, else the
    length of the cycle, of which the smallest state is given; 0 where none was reached.

    Cost: at most SWEEPS readings of n sequences; a block of them ends when all have settled.
    """
    names = (work.config.root_seed, "attractors")
    if work.noise.redraws:
        size, length = work.reader.vocab_size, work.reader.seq_len
        drawn = [stream(*names, i).integers(size, size=length) for i in range(n)]
        start = np.stack(drawn).astype(token_dtype(size))
        found = work.reader.in_blocks(
            n, lambda _, rows: settle(lambda x: _likeliest(work, x), start[rows], SWEEPS)
        )
        ends, period = found.states, found.period
    else:
        order = [stream(*names, i).permutation(work.reader.seq_len) for i in range(n)]
        ends, period = _filled(work, np.stack(order)), np.ones(n, np.int64)
    return xr.Dataset(
        {
            "attractor": (("start", "position"), ends.astype(np.int32)),
            "attractor_period": ("start", period.astype(np.int32)),
        }
    )


def _likeliest(work: Work, x: Tokens) -> Tokens:
    return work.reader.likeliest(x, LEVEL).astype(x.dtype)


def _filled(work: Work, order: np.ndarray) -> Tokens:
    """Masks filled in SWEEPS parts, or one by one; `order` (n, L) of the sites."""
    schedule, mask = work.reader.schedule, work.noise.mask_id
    length = order.shape[1]
    rounds = min(length, SWEEPS)
    turn = np.argsort(order, axis=1) * rounds // length
    x = np.full(order.shape, mask, token_dtype(work.reader.vocab_size + 1))
    lowest = float(schedule.alpha(1.0))
    for k in range(rounds):
        visible = float((turn[0] < k).mean())
        t = float(schedule.time_at(np.clip(visible, lowest, 1.0)))
        best = work.reader.likeliest(x, t)
        x = np.where(turn == k, best, x).astype(x.dtype)
    return x
