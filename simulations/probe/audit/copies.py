"""Near copies: generated sequences that training rows nearly are, and how many so by chance.

A sequence is a near copy if a training row is within a tenth of its tokens in edits, or if half of
it or more stands in one training row as one run, at whatever offset. Held-out sequences of the same
source are near copies too, of what is common; their share is taken off. Of each near copy a cause
is named: its row is there more than once (duplicated); half of the held-out sequences that are as
predictable come as near (predictable); neither (rare).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.streams import stream
from simulations.probe.audit.blocks import longest_blocks
from simulations.probe.audit.edits import nearest_by_edits, run_hashes
from simulations.probe.audit.ngrams import NGram
from simulations.probe.audit.shares import difference
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split
from simulations.probe.measure.estimate import Estimate, proportion
from simulations.probe.measure.parts import Parts

Ids = NDArray[np.integer]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

REACH = 0.1  # edits of a near copy, a share of its tokens
RUN = 0.5  # of its tokens that stand in one row as one run
ALIKE = 0.05  # share of the held-out sequences that are nearest in log loss, at least LEAST_ALIKE
LEAST_ALIKE = 8
PREDICTABLE = 0.5  # share of these that are near copies, from which on a copy needs no memory
SPLITS = ("heldout", "generated")
COLUMNS = ("copy_edits", "copy_run", "copy_row", "copy_times", "copy_log_loss")
CAUSES = ("duplicated", "predictable", "rare")
MOST_FITTED = 1 << 20  # tokens that the n-gram is fitted to
MOST_COMPARED = 1 << 25  # tokens of the training file that are compared with
SECONDS = 5e-6  # a token of the training file, roughly


def reach(seq_len: int) -> int:
    """Edits within which a row of L tokens is near: a tenth of them, at least one where L allows.

    >>> [reach(n) for n in (1, 2, 3, 64)]
    [0, 0, 1, 6]
    """
    return min(max(1, int(REACH * seq_len)), (seq_len - 1) // 2)


def run_of(seq_len: int) -> int:
    """Tokens in a row that make a near copy."""
    return math.ceil(RUN * seq_len)


def near_copies(
    work: Work, train: Ids, held_out: Ids | None, splits: Sequence[Split]
) -> xr.Dataset:
    """Of every sequence of the splits, one after another: edits to the nearest training row, one
    more than `reach` where none is within it; the longest run that a row has too; the row, by edits
    where one is near, else by the run; how often that row is in the file; and the n-gram log loss,
    of held-out sequences by the half of them that they are not in, NaN without any."""
    tokens = np.concatenate([split.tokens for split in splits])
    most, chosen = reach(tokens.shape[1]), _compared(work, train)
    compared = train if len(chosen) == len(train) else train[chosen]
    nearest = nearest_by_edits(tokens, compared, most, work.reader.tick)
    runs = longest_blocks(tokens, compared, work.reader.tick)
    row = np.where(nearest.row >= 0, nearest.row, runs.row)
    columns = {
        "copy_edits": np.where(nearest.row < 0, most + 1, nearest.edits),
        "copy_run": runs.length,
        "copy_row": np.where(row < 0, -1, chosen[row]),
        "copy_times": _times(compared, row),
    }
    found = {name: ("sequence", values.astype(np.int32)) for name, values in columns.items()}
    losses = np.concatenate([_log_loss(work, held_out, split) for split in splits])
    return xr.Dataset(found | {"copy_log_loss": ("sequence", losses.astype(np.float32))})


def seconds(train: Ids | None) -> dict[str, float]:
    """The part and its rough seconds; none without a training file."""
    return {} if train is None else {"copies": SECONDS * min(train.size, MOST_COMPARED)}


def with_copies(
    work: Work,
    parts: Parts,
    train: Ids,
    held_out: Ids | None,
    splits: Mapping[str, Split],
    data: xr.Dataset,
) -> xr.Dataset:
    """`data` with the columns of `near_copies` of generated and held-out sequences; -1 and NaN
    elsewhere."""
    compared = [splits[name] for name in SPLITS if name in splits]
    if not compared:
        return data
    part = parts.run("copies", near_copies, work, train, held_out, compared)
    names = data["split"].values
    places = np.concatenate([np.flatnonzero(names == split.name) for split in compared])
    for name, column in part.data_vars.items():
        empty = np.nan if column.dtype.kind == "f" else -1
        values = np.full(data.sizes["sequence"], empty, column.dtype)
        values[places] = column.values
        data = data.assign({name: ("sequence", values)})
    used = len(_compared(work, train))
    return data.assign_attrs(copies_of=[used, len(train)])


def _compared(work: Work, train: Ids) -> NDArray[np.int64]:
    """Rows of the training file that are compared with: all, or of a large one as many, drawn at
    random, as have MOST_COMPARED tokens."""
    most = max(1, MOST_COMPARED // train.shape[1])
    if len(train) <= most:
        return np.arange(len(train))
    drawn = stream(work.config.root_seed, "copies").permutation(len(train))[:most]
    return np.sort(drawn)


def _times(train: Ids, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many training rows equal each of those named, 0 for -1."""
    whole = run_hashes(train, train.shape[1])[:, 0]
    asked, stored = whole[row], np.sort(whole)
    times = np.searchsorted(stored, asked, "right") - np.searchsorted(stored, asked, "left")
    return np.where(row < 0, 0, times)


def _log_loss(work: Work, held_out: Ids | None, split: Split) -> Floats:
    if held_out is None or len(held_out) < 2:
        return np.full(len(split.tokens), np.nan)
    most = max(1, MOST_FITTED // held_out.shape[1] // 2)
    losses = []
    for half in range(2):
        law = NGram.of(held_out[half::2][:most], work.reader.vocab_size)
        losses.append(law.log_loss(split.tokens))
    if split.name == "heldout":
        return np.where(split.index % 2 == 0, losses[1], losses[0])
    return (losses[0] + losses[1]) / 2


# --- what follows from it


@dataclass(frozen=True)
class Copies:
    """Near copies by one criterion, edits or run: share of generated and of held-out sequences, and
    the difference."""

    criterion: str
    generated: Estimate
    held_out: Estimate
    excess: Estimate


def copies(data: xr.Dataset) -> tuple[Copies, ...]:
    """By edits, by run, and by either; none where no training file was compared with."""
    if "copy_edits" not in data:
        return ()
    found = []
    for criterion in ("edits", "run", "either"):
        flags = near(data, criterion)
        ours, others = (flags[rows(data, split)] for split in ("generated", "heldout"))
        excess = difference(ours, others)
        found.append(Copies(criterion, proportion(ours), proportion(others), excess))
    return tuple(found)


def near(data: xr.Dataset, criterion: str = "either") -> Flags:
    """Which sequences are near copies."""
    edits, run = (data[name].values for name in ("copy_edits", "copy_run"))
    length = data.sizes["position"]
    within = (edits >= 0) & (edits <= reach(length))
    long = run >= run_of(length)
    flags: Flags = {"edits": within, "run": long, "either": within | long}[criterion]
    return flags


def rows(data: xr.Dataset, split: str) -> NDArray[np.int64]:
    """Places of the sequences of a split that were compared."""
    return np.flatnonzero((data["split"].values == split) & (data["copy_edits"].values >= 0))


def causes(data: xr.Dataset) -> NDArray[np.str_]:
    """The cause of every near copy (sequence,), empty for other sequences."""
    found, flags = np.full(data.sizes["sequence"], "", "<U11"), near(data)
    loss, others = data["copy_log_loss"].values, rows(data, "heldout")
    n_alike = max(LEAST_ALIKE, round(ALIKE * len(others)))
    for i in np.flatnonzero(flags):
        cause = "rare"
        if data["copy_times"].values[i] > 1:
            cause = "duplicated"
        elif len(others) and np.isfinite(loss[i]):
            alike = np.argsort(np.abs(loss[others] - loss[i]), kind="stable")[:n_alike]
            cause = "predictable" if flags[others[alike]].mean() >= PREDICTABLE else "rare"
        found[i] = cause
    return found
