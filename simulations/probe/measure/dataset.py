"""The dataset of a probe: its shape, empty, and how parts are put into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.tokens import Tokens
from simulations.phase.config import DECODERS, EPSILONS, LAWS
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.paper import MEASURES

INTEGERS = {
    "corrupted": ("sequence", "t"),
    "corrupted_ancestral": ("sequence", "t"),
    "recovered": ("sequence", "t", "decoder"),
    "broken": ("sequence", "t", "decoder"),
    "vanishing": ("sequence", "law", "t_entropy", "epsilon"),
    "nearest_train": ("sequence",),
    "nearest_distance": ("sequence",),
    "repeats": ("sequence",),
}
REALS = {
    "entropy": ("sequence", "law", "t_entropy"),
    "log_loss": ("sequence", "law", "t_entropy"),
    "nelbo": ("sequence",),
}


@dataclass(frozen=True, eq=False)
class Split:
    """Sequences (n, L) of one kind and their numbers (n,)."""

    name: str
    tokens: Tokens
    index: NDArray[np.int64]


def empty_dataset(
    splits: list[Split], config: ProbeConfig, bins: NDArray[np.float64]
) -> xr.Dataset:
    """All splits after one another, nothing measured: -1 in integers, NaN in reals, 0 counts."""
    coords: dict[str, Any] = {
        "split": ("sequence", np.repeat([s.name for s in splits], [len(s.index) for s in splits])),
        "index": ("sequence", np.concatenate([s.index for s in splits]).astype(np.int32)),
        "t": list(config.levels),
        "t_entropy": list(config.entropy_levels),
        "law": list(LAWS),
        "decoder": list(DECODERS),
        "epsilon": ("epsilon", list(EPSILONS), {"units": "nats"}),
        "bin_edge_low": ("bin", bins, {"units": "nats"}),
    }
    tokens = np.concatenate([s.tokens for s in splits]).astype(np.int32)
    data = xr.Dataset({"tokens": (("sequence", "position"), tokens)}, coords=coords)
    integers, reals = dict(INTEGERS), dict(REALS)
    if config.protocol == "paper":
        data = data.assign_coords(paper_measure=list(MEASURES))
        reals["paper"] = ("sequence", "t", "paper_measure")
    sizes = dict(data.sizes)
    for names, empty in ((integers, np.int32(-1)), (reals, np.float32(np.nan))):
        for name, dims in names.items():
            data[name] = (dims, np.full([sizes[d] for d in dims], empty))
    for name in ("entropy", "log_loss"):
        data[name].attrs["units"] = "nats"
    data["nelbo"].attrs["units"] = "nats a token"
    dims = ("sequence", "law", "t_entropy", "bin")
    data["entropy_histogram"] = (dims, np.zeros([sizes[d] for d in dims], np.uint16))
    return data


def fill(data: xr.Dataset, split: Split, part: xr.Dataset, t: float | None = None) -> None:
    """Put a part of one split, at level t where it has one, into its place, in place.

    A part may have fewer sequences, the first ones, and fewer decoders (its `shot`)."""
    first = int(np.argmax(data["split"].values == split.name))
    for name, found in part.data_vars.items():
        target = data[name]
        where: dict[str, Any] = {"sequence": slice(first, first + found.sizes["sequence"])}
        for level in ("t", "t_entropy"):
            if level in target.dims:
                where[level] = int(np.argmin(np.abs(data[level].values - t)))
        if "shot" in found.dims:
            where["decoder"] = [DECODERS.index(shot) for shot in part["shot"].values.tolist()]
        place = tuple(where.get(str(dim), slice(None)) for dim in target.dims)
        target.values[place] = found.values


def with_examples(
    data: xr.Dataset, examples: list[tuple[Split, float, Tokens, Tokens]]
) -> xr.Dataset:
    """Add the inputs and outputs of restored sequences, to be shown as text."""
    seq_len = data.sizes["position"]
    where: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    levels: list[float] = []
    pairs = [np.zeros((0, 2, seq_len), np.int32)]
    for split, t, noisy, output in examples:
        first = int(np.argmax(data["split"].values == split.name))
        where.append(first + np.arange(len(noisy)))
        levels += [t] * len(noisy)
        pairs.append(np.stack([noisy, output], axis=1).astype(np.int32))
    tokens = np.concatenate(pairs)
    dims = ("example", "position")
    return data.assign(
        example_sequence=("example", np.concatenate(where).astype(np.int32)),
        example_t=("example", np.array(levels, np.float64)),
        example_noisy=(dims, tokens[:, 0]),
        example_output=(dims, tokens[:, 1]),
    )


def split_rows(data: xr.Dataset, split: str) -> xr.Dataset:
    """The sequences of one split."""
    return data.isel(sequence=np.flatnonzero(data["split"].values == split))
