"""Everything that a probe measures of a denoiser, per sequence, as one dataset.

Splits: `train` and `heldout`, rows of files; `generated` by the denoiser from pure noise; `random`
tokens. A law is `loo`, p(x_0^i | x_t without i), or `full`, p(x_0^i | x_t). Noise is drawn per
sequence from streams of its own, so that more sequences leave the numbers of the first unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from models.denoiser import Denoiser
from models.sampler import steps_from
from models.streams import stream
from models.tokens import Tokens, check_tokens, token_dtype
from simulations.console.progress import Reporter
from simulations.measure.names import SMALL_LEVEL
from simulations.probe.audit import copies, extraction
from simulations.probe.config import ProbeConfig
from simulations.probe.measure import attractors, cells, temperature
from simulations.probe.measure.budget import MOST_RANDOM, Costs, read_sizes, sizes_part
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import (
    EXAMPLE,
    Split,
    empty_dataset,
    fill,
    repeats_of,
    with_examples,
)
from simulations.probe.measure.kind import attributes, limits_of, noise_iv
from simulations.probe.measure.law import Reader
from simulations.probe.measure.paper import PAPER_SPLITS
from simulations.probe.measure.parts import Parts

Ids = NDArray[np.integer]

EXAMPLE_LEVEL = 0.25  # restored sequences of the level next to it are kept
FINGERPRINT = (8, 64)  # sites and values
MOST_ROWS = 1 << 17  # of the training file that are searched for repeats
SEARCH = 1e-3  # seconds to find the nearest training sequence, roughly


def measure(
    denoiser: Denoiser,
    config: ProbeConfig,
    test: Ids | None = None,
    train: Ids | None = None,
    *,
    console: Console | None = None,
    parts: Parts | None = None,
) -> xr.Dataset:
    """All measures of the denoiser on test and training sequences, (n, L) each.

    console : where progress is told; nothing is by default.
    parts : finished parts that are read in place of being computed, and are added to.

    Raises TokenRangeError for tokens that the denoiser cannot take, ValueError where no length is
    known, NoiseError for the paper's protocol under masks, BudgetError, and ResultsError for saved
    parts of another model.
    """
    given = {"train": train, "heldout": test}
    there = {name: tokens for name, tokens in given.items() if tokens is not None}
    parts = parts or Parts()
    noise_iv(denoiser, config)
    reader = Reader(denoiser, _length(denoiser, there), parts.tick)
    vocab_size, work = reader.vocab_size, Work(reader, config)
    parts.check_model(fingerprint(work))
    have = [None if tokens is None else len(tokens) for tokens in given.values()]
    attrs, limits = attributes(denoiser, work.alone), limits_of(denoiser)
    passes = work.alone or 1
    costs, sizes = read_sizes(parts.run("sizes", sizes_part, reader, config, passes, *have))
    splits = {name: _rows_of(work, name, tokens, sizes.sequences) for name, tokens in there.items()}
    counts = {name: len(split.tokens) for name, split in splits.items()}
    counts |= {"generated": sizes.generate} if sizes.generate else {}
    counts["random"] = min(sizes.sequences, MOST_RANDOM)
    plan = list(_plan(work, costs, counts, sizes.recover, train))
    whole = config.steps * costs.step
    starts = attractors.starts(sizes.generate)
    own = {"generate": sizes.generate * whole, "temperature": temperature.MOST * costs.read}
    own["attractors"] = starts * attractors.SWEEPS * costs.read
    seconds = own if sizes.generate else {}
    seconds |= {part.name: part.seconds for part in plan}
    draws = extraction.seconds(work, counts, sizes.recover, costs.step)
    seconds |= draws | copies.seconds(train)
    left = {name: max(s, 1e-6) for name, s in seconds.items() if name not in parts.finished}
    with Reporter(console or Console(quiet=True), left, 1) as parts.reporter:
        for words in (attrs["read"], *limits, sizes.sentence):
            parts.reporter.say(words)
        if draws:
            parts.reporter.say(extraction.announced(work, draws, sizes.recover))
        if sizes.generate:
            drawn = parts.run("generate", cells.generated, work, sizes.generate)["tokens"].values
            splits["generated"] = _numbered("generated", drawn, vocab_size)
        splits["random"] = _random(work, counts["random"])
        if sizes.generate:
            path = parts.run("temperature", temperature.search, work, splits["generated"])
            beta = float(path.attrs["beta"])
            attrs |= {"inverse_temperature": beta, "settled": int(path.attrs["settled"])}
            if beta != 1:
                parts.reporter.say(temperature.OFF.format(1 / beta))
                plan += _rescaled(parts, work.at(beta), costs, splits, counts)
        data = empty_dataset(list(splits.values()), config, vocab_size, sites=work.alone > 0)
        examples = {}
        shown = min(config.levels, key=lambda t: abs(t - EXAMPLE_LEVEL))
        for part in plan:
            found = parts.run(part.name, part.compute, splits[part.split])
            if part.t == shown and EXAMPLE[0] in found:
                examples[part.split] = found
            fill(data, part.split, found.drop_vars(EXAMPLE, errors="ignore"), part.t)
        if sizes.generate:
            data = data.assign(parts.run("attractors", attractors.attractors, work, starts))
        if train is not None:
            data = copies.with_copies(work, parts, train, test, splits, data)
        if draws:
            data = extraction.extracted(work, parts, splits, sizes.recover, data)
    mine = data["split"].values == "generated"
    data["repeats"].values[mine] = repeats_of(data["tokens"].values[mine])
    return with_examples(
        data, shown, examples
    ).assign_attrs(
        vocab_size=vocab_size,
        seq_len=reader.seq_len,
        train_repeats=0.0 if train is None else _repeated(train),
        **attrs,
        limits=limits or [""],  # a file cannot hold an empty list
        n_steps=config.steps,
        nelbo_start=config.nelbo_start,
        protocol=config.protocol,
        root_seed=config.root_seed,
        budget=sizes.sentence,
        sizes=list(sizes[:3]),
    )


class Part(NamedTuple):
    """One thing that is measured of one split, at level t where it has one; rough seconds."""

    name: str
    split: str
    t: float | None
    seconds: float
    compute: Callable[[Split], xr.Dataset]


def _plan(
    work: Work, costs: Costs, counts: dict[str, int], recover: int, train: Ids | None
) -> Iterator[Part]:
    """All parts, from the number of sequences by split, of which `recover` are restored."""
    config = work.config
    for split, n in counts.items():
        yield from _readings(work, costs, split, n)
        if split == "random":
            continue
        if split != "train":
            job = partial(temperature.losses, work)
            seconds = min(n, temperature.MOST) * costs.read
            yield Part(f"{split}-tempered", split, None, seconds, job)
        seconds = n * config.nelbo_draws * costs.read
        yield Part(f"{split}-nelbo", split, None, seconds, partial(cells.nelbo, work))
        few = min(n, recover)
        for t in config.levels if few else ():
            name, steps = f"{split}-t{t:g}", steps_from(t, config.steps) * few
            job = partial(cells.restore, work, t, few)
            yield Part(f"{name}-restore", split, t, steps * costs.step, job)
            if config.protocol == "paper" and split in PAPER_SPLITS:
                job = partial(cells.paper, work, t, few)
                yield Part(f"{name}-paper", split, t, steps * costs.paper_step, job)
        if train is not None and split != "train":
            job = partial(cells.nearest, work, train)
            yield Part(f"{split}-nearest", split, None, n * SEARCH, job)


def _readings(work: Work, costs: Costs, split: str, n: int) -> Iterator[Part]:
    """The laws of n sequences of a split at all levels."""
    for t in work.config.entropy_levels:
        seconds = n * costs.read * (costs.passes if t == SMALL_LEVEL else 1)
        yield Part(f"{split}-t{t:g}-read", split, t, seconds, partial(cells.read, work, t))


def _rescaled(
    parts: Parts, work: Work, costs: Costs, splits: dict[str, Split], counts: dict[str, int]
) -> list[Part]:
    """Add what the model writes at its own temperature to `splits`, and the held-out sequences
    once more, and return the readings of both."""
    n = counts["generated"]
    names = {"generated": "rescaled", "heldout": "heldout_rescaled"}
    plan = [
        part
        for name, again in names.items()
        if name in counts
        for part in _readings(work, costs, again, counts[name])
    ]
    seconds = {"rescaled": n * work.config.steps * costs.step}
    seconds |= {part.name: part.seconds for part in plan}
    if parts.reporter is not None:
        parts.reporter.more(
            {k: max(s, 1e-6) for k, s in seconds.items() if k not in parts.finished}
        )
    drawn = parts.run("rescaled", cells.generated, work, n)["tokens"].values
    splits["rescaled"] = _numbered("rescaled", drawn, work.reader.vocab_size)
    if "heldout" in splits:
        splits["heldout_rescaled"] = replace(splits["heldout"], name="heldout_rescaled")
    return plan


def fingerprint(work: Work) -> NDArray[np.float64]:
    """Some probabilities of the denoiser, by which it is known again."""
    reader, rng = work.reader, stream(work.config.root_seed, "fingerprint")
    drawn = rng.integers(reader.vocab_size, size=(1, reader.seq_len))
    x_t = drawn.astype(token_dtype(reader.vocab_size))
    if not reader.noise.redraws:  # the laws of visible tokens say nothing
        x_t = x_t.astype(token_dtype(reader.vocab_size + 1))
        x_t[:, ::2] = reader.noise.mask_id
    return np.exp(reader.corner(x_t, 0.3, *FINGERPRINT))


def _rows_of(work: Work, name: str, tokens: Ids, n: int) -> Split:
    """The first n rows of a file after a shuffle."""
    index = stream(work.config.root_seed, "rows", name).permutation(len(tokens))[:n]
    reader = work.reader
    return Split(name, check_tokens(tokens[index], reader.vocab_size, reader.seq_len, name), index)


def _numbered(name: str, tokens: Tokens | Ids, vocab_size: int) -> Split:
    return Split(name, tokens.astype(token_dtype(vocab_size)), np.arange(len(tokens)))


def _random(work: Work, n: int) -> Split:
    seed, size = work.config.root_seed, work.reader.vocab_size
    rows = [stream(seed, "random", i).integers(size, size=work.reader.seq_len) for i in range(n)]
    return _numbered("random", np.stack(rows), size)


def _repeated(train: Ids) -> float:
    """Share of the first MOST_ROWS training sequences that equal another one of them: by so much
    held-out sequences are training sequences by chance."""
    return float((repeats_of(np.asarray(train[:MOST_ROWS])) > 0).mean())


def _length(denoiser: Denoiser, given: dict[str, Ids]) -> int:
    lengths = {name: tokens.shape[1] for name, tokens in given.items()}
    if denoiser.seq_len is None and not lengths:
        raise ValueError("the model takes any length: give sequences, or a length by `seq_len`.")
    if denoiser.seq_len is None and len(set(lengths.values())) > 1:
        raise ValueError(f"train and test sequences must have one length; got {lengths}.")
    return int(denoiser.seq_len or next(iter(lengths.values())))
