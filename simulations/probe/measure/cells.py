"""The parts of a probe: each measures one thing of one split, per sequence.

A law is `loo`, p(x_0^i | x_t without i), or `full`, p(x_0^i | x_t). Noise is drawn per sequence
from streams of its own, so that more sequences leave the numbers of the first unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import inverse_temperature
from models.exact.hamming import HammingStore
from models.sampler import ancestral, generate, noise
from models.streams import stream
from models.tokens import Tokens
from simulations.measure.counts import corrupted_count, count_tokens, stratified_levels
from simulations.phase.config import DECODERS, EPSILONS, LOG_LOSS_CAP
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.law import LawReading, Reader, of_full, of_loo
from simulations.probe.measure.paper import MEASURES, paper_block, paper_columns, paper_rows
from simulations.probe.measure.parts import Parts

Ids = NDArray[np.integer]

BINS = 40  # of the entropy histogram, over [0, log V]
TRAIN_ROWS = 1 << 20  # of the training file compared at a time


class Work(NamedTuple):
    """What every part needs."""

    reader: Reader
    config: ProbeConfig
    parts: Parts

    def alpha(self, t: float) -> float:
        return float(self.reader.schedule.alpha(t))

    def noisy(self, split: Split, t: float, what: str, n: int | None = None) -> Tokens:
        """The first n sequences of a split, noised to t, each from its own stream."""
        alpha, vocab_size = self.alpha(t), self.reader.vocab_size
        names = (self.config.root_seed, what, split.name, f"{t:g}")
        rows = zip(split.tokens[:n], split.index[:n], strict=True)
        noised = [noise(stream(*names, i), x[None], alpha, vocab_size) for x, i in rows]
        return np.concatenate(noised)


def read(work: Work, split: Split, t: float) -> xr.Dataset:
    """One forward a sequence at level t: both laws, and the two one-shot decoders."""
    x_0, x_t = split.tokens, work.noisy(split, t, "channel")
    found = work.reader.scalars(x_t, x_0, t)
    beta = float(inverse_temperature(work.alpha(t), work.reader.vocab_size))
    laws = [of_loo(found, x_t), of_full(found, x_t, x_0, beta)]
    outputs = [laws[1].argmax, found.best_other]
    counts = [count_tokens(x_0, x_t, output) for output in outputs]
    over = ("sequence", "law")
    part = xr.Dataset(
        {
            "entropy": (over, _stack(laws, lambda law: law.entropy.mean(1)).astype(np.float32)),
            "log_loss": (over, _stack(laws, _loss).astype(np.float32)),
            "vanishing": ((*over, "epsilon"), _stack(laws, _vanishing).astype(np.int32)),
            "entropy_histogram": (
                (*over, "bin"),
                _stack(laws, lambda law: _histogram(law, work.reader.vocab_size)),
            ),
        }
    )
    if t not in work.config.levels:
        return part
    shots = ("sequence", "shot")
    return part.assign(
        corrupted=("sequence", corrupted_count(x_0, x_t).astype(np.int32)),
        recovered=(shots, np.stack([c.recovered for c in counts], axis=1).astype(np.int32)),
        broken=(shots, np.stack([c.broken for c in counts], axis=1).astype(np.int32)),
        shot=("shot", list(DECODERS[1:])),
    )


def _stack(laws: list[LawReading], value: Callable[[LawReading], Any]) -> NDArray[Any]:
    return np.stack([value(law) for law in laws], axis=1)


def _loss(law: LawReading) -> Any:
    return np.minimum(-law.log_true, LOG_LOSS_CAP).mean(1)


def _vanishing(law: LawReading) -> Any:
    return np.stack([(law.entropy < eps).sum(1) for eps in EPSILONS], axis=1)


def _histogram(law: LawReading, vocab_size: int) -> Any:
    """Tokens (n, bin) of every sequence by entropy."""
    place = (law.entropy * (BINS / math.log(vocab_size))).astype(np.int64)
    n = len(place)
    flat = np.clip(place, 0, BINS - 1) + BINS * np.arange(n)[:, None]
    return np.bincount(flat.ravel(), minlength=n * BINS).reshape(n, BINS).astype(np.uint16)


def nelbo(work: Work, split: Split) -> xr.Dataset:
    """Mean over stratified levels of the NELBO rate, times the length of [t_0, 1]."""
    config, reader = work.config, work.reader
    start, draws = config.nelbo_start, config.nelbo_draws
    levels, noisy = [], []
    for x, i in zip(split.tokens, split.index, strict=True):
        rng = stream(config.root_seed, "nelbo", split.name, i)
        t = stratified_levels(rng, start, 1, draws)[0]
        alphas = (work.alpha(level) for level in t)
        noisy += [noise(rng, x[None], alpha, reader.vocab_size) for alpha in alphas]
        levels.append(t)
    x_0 = np.repeat(split.tokens, draws, axis=0)
    rates = reader.nelbo_rates(np.concatenate(noisy), x_0, np.concatenate(levels))
    nelbo = (1 - start) * rates.reshape(-1, draws).mean(1)
    return xr.Dataset({"nelbo": ("sequence", nelbo.astype(np.float32))})


def restore(work: Work, split: Split, t: float, n: int) -> xr.Dataset:
    """The reverse process from t, on the first n sequences."""
    config, reader = work.config, work.reader
    x_0, x_t = split.tokens[:n], work.noisy(split, t, "reverse", n)
    out = []
    for block, (rows, count) in enumerate(reader.blocks(n)):
        rng = stream(config.root_seed, "ancestral", split.name, f"{t:g}", block)
        out.append(ancestral(reader.denoiser, rng, x_t[rows], t, config.steps)[:count])
        reader.tick()
    output = np.concatenate(out)
    counts = count_tokens(x_0, x_t, output)
    place = ("sequence", "position")
    return xr.Dataset(
        {
            "corrupted_ancestral": ("sequence", corrupted_count(x_0, x_t).astype(np.int32)),
            "recovered": (("sequence", "shot"), counts.recovered[:, None].astype(np.int32)),
            "broken": (("sequence", "shot"), counts.broken[:, None].astype(np.int32)),
            "noisy": (place, x_t.astype(np.int32)),
            "output": (place, output.astype(np.int32)),
        },
        coords={"shot": list(DECODERS[:1])},
    )


def paper(work: Work, split: Split, t: float, n: int) -> xr.Dataset:
    """Their measures of their reverse process from t, on the first n sequences."""
    config, reader = work.config, work.reader
    x_0, x_t, step = split.tokens[:n], work.noisy(split, t, "paper", n), paper_rows(reader)
    found = []
    for first in range(0, n, step):
        rows = np.minimum(np.arange(first, first + step), n - 1)
        rng = stream(config.root_seed, "paper-run", split.name, f"{t:g}", first // step)
        final, entropy = paper_block(reader.denoiser, rng, x_t[rows], t, config.steps)
        found.append(paper_columns(x_0[rows], x_t[rows], final, entropy)[: n - first])
        reader.tick()
    values = np.concatenate(found).astype(np.float32)
    return xr.Dataset(
        {"paper": (("sequence", "paper_measure"), values)}, coords={"paper_measure": list(MEASURES)}
    )


def generated(work: Work, n: int) -> xr.Dataset:
    config, reader = work.config, work.reader
    out = []
    for block, (_, count) in enumerate(reader.blocks(n)):
        rng = stream(config.root_seed, "generate", block)
        drawn = generate(reader.denoiser, rng, reader.rows, reader.seq_len, config.steps)
        out.append(drawn[:count])
        reader.tick()
    return xr.Dataset({"tokens": (("sequence", "position"), np.concatenate(out).astype(np.int32))})


def nearest(work: Work, split: Split, train: Ids) -> xr.Dataset:
    """Exact nearest row of the training file, the first of several, a chunk at a time."""
    best = np.full(len(split.tokens), np.iinfo(np.int32).max, np.int64)
    row = np.full(len(best), -1, np.int64)
    for first in range(0, len(train), TRAIN_ROWS):
        store = HammingStore.of(train[first : first + TRAIN_ROWS], work.reader.vocab_size)
        distance, number = store.nearest(split.tokens)
        nearer = distance < best
        best[nearer], row[nearer] = distance[nearer], first + number[nearer]
        work.reader.tick()
    columns = {"nearest_train": row, "nearest_distance": best}
    return xr.Dataset({name: ("sequence", x.astype(np.int32)) for name, x in columns.items()})


def repeats(tokens: Tokens) -> xr.Dataset:
    _, group, count = np.unique(tokens, axis=0, return_inverse=True, return_counts=True)
    others = count[group.ravel()] - 1
    return xr.Dataset({"repeats": ("sequence", others.astype(np.int32))})
