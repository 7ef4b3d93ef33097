"""The parts of a probe: each measures one thing of one split, per sequence.

A law is `loo`, p(x_0^i | x_t without i), or `full`, p(x_0^i | x_t). Noise is drawn per sequence
from streams of its own, so that more sequences leave the numbers of the first unchanged.

Under erasures alone visible tokens have no law: entropies and log losses are then those of masked
sites, where the two laws are one; and as t -> 0 those of `sites` of each sequence, masked alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from am_theory.channel import Channel, inverse_temperature
from models.exact.hamming import HammingStore
from models.noise import noise
from models.sampler import ancestral, generate
from models.streams import stream
from models.tempered import tempered
from models.tokens import Tokens
from simulations.measure.counts import Counts, corrupted_count, count_tokens, stratified_levels
from simulations.measure.names import DECODERS, EPSILONS, LOG_LOSS_CAP, SMALL_LEVEL
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.dataset import BINS, EXAMPLE, Split
from simulations.probe.measure.law import LawReading, Reader, read_law
from simulations.probe.measure.paper import MEASURES, paper_block, paper_columns, paper_rows

Ids = NDArray[np.integer]

TRAIN_ROWS = 1 << 20  # of the training file compared at a time
MOST_ALONE = 16  # sites of a sequence that are masked alone, a pass for each


class Work(NamedTuple):
    """What every part needs."""

    reader: Reader
    config: ProbeConfig

    @property
    def noise(self) -> Channel:
        return self.reader.noise

    @property
    def alone(self) -> int:
        """Sites of a sequence that are read alone as t -> 0; 0 where visible tokens have laws."""
        return 0 if self.noise.redraws else min(self.reader.seq_len, MOST_ALONE)

    def alpha(self, t: float) -> float:
        return float(self.reader.schedule.alpha(t))

    def at(self, beta: float) -> Work:
        """The same for the model at inverse temperature `beta`."""
        reader = self.reader
        cold = Reader(tempered(reader.denoiser, beta), reader.seq_len, reader.tick)
        return Work(cold, self.config)

    def noisy(self, split: Split, t: float, what: str, n: int | None = None) -> Tokens:
        """The first n sequences of a split, noised to t, each from its own stream."""
        alpha, names = self.alpha(t), (self.config.root_seed, what, split.name, f"{t:g}")
        rows = zip(split.tokens[:n], split.index[:n], strict=True)
        noised = [noise(stream(*names, i), x[None], alpha, self.noise) for x, i in rows]
        return np.concatenate(noised)

    def sites(self, split: Split) -> NDArray[np.int64]:
        """Sites (n, S) of every sequence that are masked alone, all of a short one."""
        names = (self.config.root_seed, "alone", split.name)
        drawn = [stream(*names, i).permutation(self.reader.seq_len) for i in split.index]
        return np.sort(np.stack(drawn)[:, : self.alone], axis=1)


def read(work: Work, t: float, split: Split) -> xr.Dataset:
    """One forward a sequence at level t: both laws, and the two one-shot decoders."""
    x_0, redraws = split.tokens, work.noise.redraws
    if t == SMALL_LEVEL and not redraws:
        return _masked_alone(work, split)
    x_t = work.noisy(split, t, "channel")
    found = work.reader.scalars(x_t, x_0, t)
    loo = read_law(found, x_t, x_0)
    if redraws:
        full = read_law(found, x_t, x_0, float(inverse_temperature(work.alpha(t), work.noise)))
        part, change = law_columns([loo, full], x_0, work.reader.vocab_size), found.best_other
    else:
        masked = x_t == work.noise.mask_id
        part, full = law_columns([loo, loo], x_0, work.reader.vocab_size, masked), loo
        change = np.where(masked, found.best_other, x_t)  # visible tokens are certain
    if t not in work.config.levels:
        return part
    outputs = dict(zip(DECODERS[1:], (full.argmax, change), strict=True))
    corrupted = corrupted_count(x_0, x_t).astype(np.int32)
    return part.assign(corrupted=("sequence", corrupted), **_counts(x_0, x_t, outputs))


def _masked_alone(work: Work, split: Split) -> xr.Dataset:
    """The laws as t -> 0 where visible sites have none."""
    sites = work.sites(split)
    x_0 = np.take_along_axis(split.tokens, sites, axis=1)
    found = work.reader.masked_alone(split.tokens, sites)
    loo = read_law(found, np.full(x_0.shape, work.noise.mask_id), x_0)
    everywhere = np.ones(x_0.shape, bool)
    return law_columns([loo, loo], x_0, work.reader.vocab_size, everywhere)


def law_columns(
    laws: list[LawReading], x_0: Ids, vocab_size: int, kept: NDArray[np.bool_] | None = None
) -> xr.Dataset:
    """Means and counts over the tokens x_0 (n, tokens) of every sequence, of `loo` and `full`; over
    those that are `kept` (n, tokens) alone, where given, with their number as `sites`. `correct` :
    tokens that are the mode of their law."""
    flags = np.ones(laws[0].entropy.shape, bool) if kept is None else kept

    def stacked(kind: Any, value: Callable[[LawReading], Any]) -> NDArray[Any]:
        return np.stack([value(law) for law in laws], axis=1).astype(kind)

    def mean(values: Any) -> Any:
        if kept is None:
            return values.mean(1)
        with np.errstate(invalid="ignore"):
            return np.where(kept, values, 0.0).sum(1) / kept.sum(1)

    def loss(law: LawReading) -> Any:
        return mean(np.minimum(-law.log_true, LOG_LOSS_CAP))

    def vanishing(law: LawReading) -> Any:
        return np.stack([((law.entropy < eps) & flags).sum(1) for eps in EPSILONS], axis=1)

    def correct(law: LawReading) -> Any:
        return ((law.argmax == x_0) & flags).sum(1)

    def histogram(law: LawReading) -> Any:
        """Tokens (n, bin) of every sequence by entropy."""
        place = (law.entropy * (BINS / math.log(vocab_size))).astype(np.int64)
        flat = np.clip(place, 0, BINS - 1) + BINS * np.arange(len(place))[:, None]
        return np.bincount(flat[flags], minlength=place.shape[0] * BINS).reshape(-1, BINS)

    over = ("sequence", "law")
    part = xr.Dataset(
        {
            "entropy": (over, stacked(np.float32, lambda law: mean(law.entropy))),
            "log_loss": (over, stacked(np.float32, loss)),
            "correct": (over, stacked(np.int32, correct)),
            "vanishing": ((*over, "epsilon"), stacked(np.int32, vanishing)),
            "entropy_histogram": ((*over, "bin"), stacked(np.uint16, histogram)),
        }
    )
    return part if kept is None else part.assign(sites=("sequence", kept.sum(1).astype(np.int32)))


def _counts(x_0: Tokens, x_t: Tokens, outputs: dict[str, Any]) -> dict[str, Any]:
    """Tokens restored and broken by every decoder, from its output (n, L)."""
    counts = [count_tokens(x_0, x_t, output) for output in outputs.values()]
    columns = zip(Counts._fields, zip(*counts, strict=True), strict=True)
    found: dict[str, Any] = {
        name: (("sequence", "shot"), np.stack(column, axis=1).astype(np.int32))
        for name, column in columns
    }
    return found | {"shot": ("shot", list(outputs))}


def nelbo(work: Work, split: Split) -> xr.Dataset:
    """Mean over stratified levels of the NELBO rate, times the length of [t_0, 1]."""
    config, reader = work.config, work.reader
    start, draws = config.nelbo_start, config.nelbo_draws
    levels, noisy = [], []
    for x, i in zip(split.tokens, split.index, strict=True):
        rng = stream(config.root_seed, "nelbo", split.name, i)
        t = stratified_levels(rng, start, 1, draws)[0]
        alphas = (work.alpha(level) for level in t)
        noisy += [noise(rng, x[None], alpha, work.noise) for alpha in alphas]
        levels.append(t)
    x_0 = np.repeat(split.tokens, draws, axis=0)
    rates = reader.nelbo_rates(np.concatenate(noisy), x_0, np.concatenate(levels))
    nelbo = (1 - start) * rates.reshape(-1, draws).mean(1)
    return xr.Dataset({"nelbo": ("sequence", nelbo.astype(np.float32))})


def restore(work: Work, t: float, n: int, split: Split) -> xr.Dataset:
    """The reverse process from t, on the first n sequences."""
    config, reader = work.config, work.reader
    x_0, x_t = split.tokens[:n], work.noisy(split, t, "reverse", n)

    def run(block: int, rows: Any) -> Any:
        rng = stream(config.root_seed, "ancestral", split.name, f"{t:g}", block)
        return ancestral(reader.denoiser, rng, x_t[rows], t, config.steps)

    output = reader.in_blocks(n, run)
    found = _counts(x_0, x_t, {DECODERS[0]: output})
    for name, tokens in zip(EXAMPLE, (x_t, output), strict=True):
        found[name] = (("sequence", "position"), tokens.astype(np.int32))
    corrupted = corrupted_count(x_0, x_t).astype(np.int32)
    return xr.Dataset({"corrupted_ancestral": ("sequence", corrupted), **found})


def paper(work: Work, t: float, n: int, split: Split) -> xr.Dataset:
    """Their measures of their reverse process from t, on the first n sequences."""
    config, reader = work.config, work.reader
    x_0, x_t = split.tokens[:n], work.noisy(split, t, "paper", n)

    def run(block: int, rows: Any) -> Any:
        rng = stream(config.root_seed, "paper-run", split.name, f"{t:g}", block)
        end = paper_block(reader.denoiser, rng, x_t[rows], t, config.steps)
        return paper_columns(x_0[rows], x_t[rows], *end)

    values = reader.in_blocks(n, run, paper_rows(reader)).astype(np.float32)
    return xr.Dataset(
        {"paper": (("sequence", "paper_measure"), values)}, coords={"paper_measure": list(MEASURES)}
    )


def generated(work: Work, n: int) -> xr.Dataset:
    """Sequences from pure noise."""
    config, reader = work.config, work.reader

    def run(block: int, rows: Any) -> Any:
        rng = stream(config.root_seed, "generate", block)
        return generate(reader.denoiser, rng, len(rows), reader.seq_len, config.steps)

    tokens = reader.in_blocks(n, run).astype(np.int32)
    return xr.Dataset({"tokens": (("sequence", "position"), tokens)})


def nearest(work: Work, train: Ids, split: Split) -> xr.Dataset:
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
