"""Everything that a probe measures of a denoiser, per sequence, as one dataset.

Splits: `train` and `heldout`, rows of files; `generated` by the denoiser from pure noise; `random`
tokens. A law is `loo`, p(x_0^i | x_t without i), or `full`, p(x_0^i | x_t). Noise is drawn per
sequence from streams of its own, so that more sequences leave the numbers of the first unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.denoiser import Denoiser
from models.streams import stream
from models.tokens import Tokens, check_tokens, token_dtype
from simulations.probe.config import ProbeConfig, Sizes
from simulations.probe.measure import cells as probe_cells
from simulations.probe.measure.budget import (
    MOST_RANDOM,
    Costs,
    choose_sizes,
    part_costs,
    time_costs,
)
from simulations.probe.measure.cells import BINS, Work
from simulations.probe.measure.dataset import Split, empty_dataset, fill, with_examples
from simulations.probe.measure.law import Reader
from simulations.probe.measure.paper import PAPER_SPLITS
from simulations.probe.measure.parts import Follow, Parts, SavedParts

Ids = NDArray[np.integer]

EXAMPLE_LEVEL = 0.25  # restored sequences of the level next to it are kept
FINGERPRINT = (8, 64)  # sites and values


def measure(
    denoiser: Denoiser,
    config: ProbeConfig,
    test: Ids | None = None,
    train: Ids | None = None,
    on_progress: Follow | None = None,
    saved: SavedParts | None = None,
) -> xr.Dataset:
    """All measures of the denoiser on test and training sequences, (n, L) each.

    on_progress : from the expected seconds of every part to a reporter that is told of them.
    saved : finished parts that are read in place of being computed, and are added to.

    Raises TokenRangeError for tokens that the denoiser cannot take, ValueError where no length is
    known, BudgetError, and ResultsError for saved parts of another model.
    """
    given = {"train": train, "heldout": test}
    seq_len = _length(denoiser, given)
    parts = Parts(saved)
    work = Work(Reader(denoiser, seq_len, parts.tick), config, parts)
    parts.check_model(_fingerprint(work.reader, config))
    costs, sizes = _sizes(work, *(None if x is None else len(x) for x in given.values()))
    splits = {
        name: _rows_of(config, name, tokens, sizes.sequences, denoiser.vocab_size, seq_len)
        for name, tokens in given.items()
        if tokens is not None
    }
    planned = {name: len(split.tokens) for name, split in splits.items()}
    planned |= {"generated": sizes.generate} if sizes.generate else {}
    planned["random"] = min(sizes.sequences, MOST_RANDOM)
    restored = {
        name: min(n, sizes.recover) if name != "random" else 0 for name, n in planned.items()
    }
    expected = part_costs(config, costs, {name: (n, restored[name]) for name, n in planned.items()})
    expected = {name: cost for name, cost in expected.items() if not parts.has(name)}
    if on_progress is None:
        return _all_parts(work, splits, sizes, restored, train)
    with on_progress(expected) as parts.reporter:
        parts.reporter.say(sizes.sentence)
        return _all_parts(work, splits, sizes, restored, train)


def _all_parts(
    work: Work,
    splits: dict[str, Split],
    sizes: Sizes,
    restored: dict[str, int],
    train: Ids | None,
) -> xr.Dataset:
    config, parts, reader = work.config, work.parts, work.reader
    if sizes.generate:
        drawn = parts.run("generate", lambda: probe_cells.generated(work, sizes.generate))[
            "tokens"
        ].values
        splits["generated"] = _numbered("generated", drawn.astype(token_dtype(reader.vocab_size)))
    splits["random"] = _random(work, min(sizes.sequences, MOST_RANDOM))
    bins = math.log(reader.vocab_size) / BINS * np.arange(BINS, dtype=np.float64)
    data = empty_dataset(list(splits.values()), config, bins)
    examples = []
    shown = min(config.levels, key=lambda t: abs(t - EXAMPLE_LEVEL))
    for name, split in splits.items():
        n = restored[name]
        for t in config.entropy_levels:
            job = _job(probe_cells.read, work, split, t)
            fill(data, split, parts.run(f"{name}-t{t:g}-read", job), t)
        if name != "random":
            fill(data, split, parts.run(f"{name}-nelbo", _job(probe_cells.nelbo, work, split)))
        for t in config.levels if n else ():
            found = parts.run(
                f"{name}-t{t:g}-restore", _job(probe_cells.restore, work, split, t, n)
            )
            fill(data, split, found.drop_vars(["noisy", "output"]), t)
            if t == shown:
                examples.append((split, t, found["noisy"].values, found["output"].values))
            if config.protocol == "paper" and name in PAPER_SPLITS:
                job = _job(probe_cells.paper, work, split, t, n)
                fill(data, split, parts.run(f"{name}-t{t:g}-paper", job), t)
        if train is not None and name in ("heldout", "generated"):
            fill(
                data,
                split,
                parts.run(f"{name}-nearest", _job(probe_cells.nearest, work, split, train)),
            )
    if "generated" in splits:
        fill(data, splits["generated"], probe_cells.repeats(splits["generated"].tokens))
    return with_examples(data, examples).assign_attrs(
        vocab_size=reader.vocab_size,
        seq_len=reader.seq_len,
        n_steps=config.steps,
        nelbo_start=config.nelbo_start,
        protocol=config.protocol,
        root_seed=config.root_seed,
        budget=sizes.sentence,
        sizes=[sizes.sequences, sizes.recover, sizes.generate],
    )


def _job(compute: Callable[..., xr.Dataset], *given: Any) -> Callable[[], xr.Dataset]:
    return lambda: compute(*given)


def _sizes(work: Work, train: int | None, test: int | None) -> tuple[Costs, Sizes]:
    """Sizes of a saved probe, else from the settings and a timing."""

    def choose() -> xr.Dataset:
        costs = time_costs(work.reader, work.config)
        sizes = choose_sizes(work.config, costs, train, test)
        numbers = [sizes.sequences, sizes.recover, sizes.generate]
        times = [costs.read, costs.step, costs.paper_step, costs.start]
        return xr.Dataset(
            {"sizes": ("size", numbers), "seconds": ("kind", times)},
            attrs={"sentence": sizes.sentence},
        )

    found = work.parts.run("sizes", choose)
    read, restored, generated = (int(n) for n in found["sizes"].values)
    costs = Costs(*(float(s) for s in found["seconds"].values))
    return costs, Sizes(read, restored, generated, found.attrs["sentence"])


def _fingerprint(reader: Reader, config: ProbeConfig) -> Any:
    """Some probabilities of the denoiser, by which it is known again."""
    rng = stream(config.root_seed, "fingerprint")
    drawn = rng.integers(reader.vocab_size, size=(1, reader.seq_len))
    x = drawn.astype(token_dtype(reader.vocab_size))
    law = np.asarray(reader.law(x, 0.3), np.float64)[0]
    return np.exp(law[: FINGERPRINT[0], : FINGERPRINT[1]])


def _rows_of(
    config: ProbeConfig, name: str, tokens: Ids, n: int, vocab_size: int, seq_len: int
) -> Split:
    """The first n rows of a file after a shuffle."""
    index = stream(config.root_seed, "rows", name).permutation(len(tokens))[:n]
    return Split(name, check_tokens(tokens[index], vocab_size, seq_len, name), index)


def _numbered(name: str, tokens: Tokens) -> Split:
    return Split(name, tokens, np.arange(len(tokens)))


def _random(work: Work, n: int) -> Split:
    seed, reader = work.config.root_seed, work.reader
    rows = [
        stream(seed, "random", i).integers(reader.vocab_size, size=reader.seq_len) for i in range(n)
    ]
    return _numbered("random", np.stack(rows).astype(token_dtype(reader.vocab_size)))


def _length(denoiser: Denoiser, given: dict[str, Ids | None]) -> int:
    lengths = {name: tokens.shape[1] for name, tokens in given.items() if tokens is not None}
    if denoiser.seq_len is None and not lengths:
        raise ValueError("the model takes any length: give sequences, or a length by `seq_len`.")
    if denoiser.seq_len is None and len(set(lengths.values())) > 1:
        raise ValueError(f"train and test sequences must have one length; got {lengths}.")
    return int(denoiser.seq_len or next(iter(lengths.values())))
