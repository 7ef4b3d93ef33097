"""Target and reference network read on the same noisy inputs, sequence by sequence.

A sequence that is easy for everybody is no sign of memory. What is left of its log loss when that
of a network that never saw it is taken away is one:

    d_i = log loo_target(x_0^i) - log loo_reference(x_0^i),

of the leave-one-out laws at one noisy input of both (common noise: what noise does to the one it
mostly does to the other, and the difference is rid of it). Kept are, by level and by which sites
are `scored` (those that noise corrupted, masked ones among them; or all), means over the sites:

    reference_gap         of d_i
    reference_own         of log loo_target(x_0^i), the same without a reference
    reference_apart       of log loo_reference(x_0^i) at noise of its own, on the first APART alone
    reference_votes       of sign votes: 1 where d_i > 0, 1/2 where it is 0
    reference_subsets     the same by SUBSETS disjoint subsets of the sites, each by its sum of d_i

and `reference_nelbo`, the reference's NELBO on the draws of the target's, `reference_nelbo_apart`
on others. Where suffixes were drawn of the target (`audit.extraction`), the reference draws them
too. Log-probabilities are no lower than -LOG_LOSS_CAP. Not measured, or no site: NaN.

As t -> 0 the level is SMALL_LEVEL, or, where visible tokens have no law, sites masked one at a
time. With stored sequences and the population as the reference this is the score of theory
(`am_theory.membership`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from models.denoiser import Denoiser, channel_of
from models.streams import stream
from models.tokens import token_dtype
from simulations.console.errors import UserError
from simulations.console.progress import Reporter
from simulations.measure.names import LOG_LOSS_CAP, SMALL_LEVEL
from simulations.probe.audit import extraction
from simulations.probe.config import ProbeConfig
from simulations.probe.measure import cells
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split, split_rows
from simulations.probe.measure.kind import name as noise_name
from simulations.probe.measure.law import Reader
from simulations.probe.measure.measures import fingerprint
from simulations.probe.measure.parts import Parts

Floats = NDArray[np.float64]

SITES = ("corrupted", "all")
AUDITED = ("train", "heldout")
COLUMNS = ("gap", "own", "apart", "votes", "subsets")
SUBSETS = 8  # disjoint subsets of the sites of a sequence
APART = 256  # sequences of a split that the reference reads on noise of its own too
SAME_ALPHA = 0.01  # by which the tokens kept at a level may differ
GRID = np.linspace(0.01, 1.0, 34)  # levels at which schedules are compared


class UnfitReferenceError(UserError, ValueError):
    """A network that cannot be the reference of another; the message says why in a sentence."""


def reference_iv(target: Denoiser, reference: Denoiser, seq_len: int) -> None:
    """Raise UnfitReferenceError unless both take the same noisy sequences of `seq_len` tokens."""
    sizes = [int(model.vocab_size) for model in (target, reference)]
    if sizes[0] != sizes[1]:
        raise _refused("vocabulary", f"of {sizes[0]:,} values", f"of {sizes[1]:,}")
    if reference.seq_len not in (None, seq_len):
        raise _refused("length", f"of {seq_len} tokens", f"of {reference.seq_len}")
    kinds = [channel_of(model) for model in (target, reference)]
    if kinds[0] != kinds[1]:
        told = [noise_name(kind) for kind in kinds]
        told = told if told[0] != told[1] else [f"{kind}" for kind in kinds]
        raise _refused("noise", told[0], told[1])
    kept = [np.asarray(model.schedule.alpha(GRID), np.float64) for model in (target, reference)]
    worst = int(np.abs(kept[0] - kept[1]).argmax())
    if abs(kept[0][worst] - kept[1][worst]) > SAME_ALPHA:
        shares = [f"{each[worst]:.3g} of the tokens kept at t = {GRID[worst]:.2g}" for each in kept]
        raise _refused("schedule", shares[0], shares[1])


def _refused(what: str, mine: str, theirs: str) -> UnfitReferenceError:
    return UnfitReferenceError(
        f"the reference must have the model's {what}, as both are read on the same noisy "
        f"sequences: the model's is {mine}, the reference's {theirs}; give another reference."
    )


def with_reference(
    data: xr.Dataset,
    target: Denoiser,
    reference: Denoiser,
    config: ProbeConfig,
    parts: Parts | None = None,
    console: Console | None = None,
) -> xr.Dataset:
    """A probe's dataset with what is read of training and held-out sequences by a reference.

    Adds the variables of the module, (sequence, t_entropy, scored); NaN on other splits. Finished
    parts are kept as those of the probe are. Raises UnfitReferenceError, and ResultsError for kept
    parts of another reference.
    """
    reference_iv(target, reference, data.sizes["position"])
    parts = parts or Parts()
    parts.reporter = None  # that of the probe has told all of its parts
    mine, theirs = (
        Work(Reader(model, data.sizes["position"], parts.tick), config)
        for model in (target, reference)
    )
    parts.check_model(fingerprint(theirs), "reference")
    splits = {name: _split(data, name) for name in AUDITED if name in data["split"].values}
    plan: dict[str, tuple[str, float | None, Any]] = {}
    passes: dict[str, float] = {}  # of a network, of every part
    for name, split in splits.items():
        for t in config.entropy_levels:
            plan[f"{name}-t{t:g}-reference"] = name, t, partial(compare, mine, theirs, t)
            passes[f"{name}-t{t:g}-reference"] = 2 * len(split.tokens)
        plan[f"{name}-nelbo-reference"] = name, None, partial(compare_nelbo, theirs)
        passes[f"{name}-nelbo-reference"] = config.nelbo_draws * len(split.tokens)
    counts = {name: len(split.tokens) for name, split in splits.items()}
    recover = int(data.attrs["sizes"][1])
    draws = extraction.seconds(theirs, counts, recover, 1.0, extraction.REFERENCE)
    found = _empty(data)
    left = {k: float(n) for k, n in (passes | draws).items() if k not in parts.finished}
    with Reporter(console or Console(quiet=True), left, 1) as parts.reporter:
        for part, (name, level, compute) in plan.items():
            _fill(found, data, name, level, parts.run(part, compute, splits[name]))
        data = data.assign(found).assign_coords(scored=list(SITES))
        if draws:
            them = extraction.REFERENCE
            data = extraction.extracted(theirs, parts, splits, recover, data, them)
    return data


def compare(target: Work, reference: Work, t: float, split: Split) -> xr.Dataset:
    """The columns of one level, (sequence, scored)."""
    x_0, redraws = split.tokens, target.noise.redraws
    few = Split(f"{split.name}-apart", x_0[:APART], split.index[:APART])
    apart: list[Floats] | None = None
    if t == SMALL_LEVEL and not redraws:
        sites = target.sites(split)
        log_true = [_log_true(w.reader.masked_alone(x_0, sites)) for w in (target, reference)]
        kept = [np.ones(sites.shape, bool), np.zeros(sites.shape, bool)]
    else:
        x_t = target.noisy(split, t, "channel")
        log_true = [_log_true(w.reader.scalars(x_t, x_0, t)) for w in (target, reference)]
        kept = [x_t != x_0, np.full(x_0.shape, redraws)]
        if t != SMALL_LEVEL:
            other = target.noisy(few, t, "channel")
            theirs = _log_true(reference.reader.scalars(other, few.tokens, t))
            flags = (other != few.tokens, np.full(few.tokens.shape, redraws))
            apart = [_mean(theirs, each) for each in flags]
    order = stream(target.config.root_seed, "subsets", f"{t:g}").permutation(log_true[0].shape[1])
    gap = log_true[0] - log_true[1]
    columns = {
        "gap": [_mean(gap, each) for each in kept],
        "own": [_mean(log_true[0], each) for each in kept],
        "votes": [_mean(_won(gap), each) for each in kept],
        "subsets": [subset_votes(gap, each, order) for each in kept],
    }
    nothing = np.full((len(x_0), len(SITES)), np.nan)
    if apart is not None:
        nothing[: len(few.index)] = np.stack(apart, axis=1)
    found = {name: np.stack(by, axis=1) for name, by in columns.items()} | {"apart": nothing}
    return xr.Dataset(
        {name: (("sequence", "scored"), x.astype(np.float32)) for name, x in found.items()}
    )


def compare_nelbo(reference: Work, split: Split) -> xr.Dataset:
    """The reference's NELBO on the target's draws, as those depend on the seed and the sequence
    alone; and on other draws."""
    few = Split(f"{split.name}-apart", split.tokens[:APART], split.index[:APART])
    apart = np.full(len(split.index), np.nan, np.float32)
    apart[: len(few.index)] = cells.nelbo(reference, few)["nelbo"].values
    found = {"nelbo": cells.nelbo(reference, split)["nelbo"].values, "nelbo_apart": apart}
    return xr.Dataset({name: ("sequence", values) for name, values in found.items()})


def subset_votes(gap: Floats, kept: NDArray[np.bool_], order: NDArray[np.integer]) -> Floats:
    """Of SUBSETS disjoint subsets of the sites (n, L), the share whose kept d_i have a sum above 0;
    site i is in subset order[i] mod SUBSETS, and subsets without a kept site do not vote."""
    member = np.eye(min(SUBSETS, len(order)))[order % min(SUBSETS, len(order))]  # (L, subset)
    sums = np.where(kept, gap, 0.0) @ member
    return _mean(_won(sums), kept.astype(np.float64) @ member > 0)


def _won(gap: Floats) -> Floats:
    return (gap > 0) + 0.5 * (gap == 0)


def _mean(values: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Over the kept of each row; NaN where there is none."""
    n = kept.sum(1)
    return np.where(n > 0, np.where(kept, values, 0.0).sum(1) / np.maximum(n, 1), np.nan)


def _log_true(found: Any) -> Floats:
    return np.maximum(np.asarray(found.log_true, np.float64), -LOG_LOSS_CAP)


def _split(data: xr.Dataset, name: str) -> Split:
    rows = split_rows(data, name)
    tokens = rows["tokens"].values.astype(token_dtype(int(data.attrs["vocab_size"])))
    return Split(name, tokens, rows["index"].values.astype(np.int64))


def _empty(data: xr.Dataset) -> dict[str, tuple[tuple[str, ...], NDArray[np.float32]]]:
    """All variables, nothing measured."""
    dims = ("sequence", "t_entropy", "scored")
    shape = [data.sizes["sequence"], data.sizes["t_entropy"], len(SITES)]
    found = {f"reference_{c}": (dims, np.full(shape, np.nan, np.float32)) for c in COLUMNS}
    nothing = np.full(shape[:1], np.nan, np.float32)
    more = {f"reference_{c}": (dims[:1], nothing.copy()) for c in ("nelbo", "nelbo_apart")}
    return {**found, **more}


def _fill(
    found: Mapping[str, Any], data: xr.Dataset, split: str, t: float | None, part: xr.Dataset
) -> None:
    """Put a part into its place."""
    rows = np.flatnonzero(data["split"].values == split)
    for name, column in part.data_vars.items():
        target = found[f"reference_{name}"][1]
        if t is None:
            target[rows] = column.values
        else:
            target[rows, int(np.abs(data["t_entropy"].values - t).argmin())] = column.values
