"""The dataset of a probe: its shape, empty, and how parts are put into it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from models.tokens import Tokens
from simulations.measure.names import DECODERS, EPSILONS, LAWS
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.paper import MEASURES

BINS = 40  # of the entropy histogram, over [0, log V]
EXAMPLE = ("noisy", "output")  # tokens of a restored sequence, before and after
BETAS = tuple(float(f"{1.3**k:.4g}") for k in range(-6, 7))  # inverse temperatures
SITES = {"sites": ("sequence", "t_entropy")}  # read, where not all have a law
INTEGERS = {
    "corrupted": ("sequence", "t"),
    "corrupted_ancestral": ("sequence", "t"),
    "recovered": ("sequence", "t", "decoder"),
    "broken": ("sequence", "t", "decoder"),
    "correct": ("sequence", "law", "t_entropy"),
    "vanishing": ("sequence", "law", "t_entropy", "epsilon"),
    "nearest_train": ("sequence",),
    "nearest_distance": ("sequence",),
    "repeats": ("sequence",),
}
REALS = {
    "entropy": ("sequence", "law", "t_entropy"),
    "log_loss": ("sequence", "law", "t_entropy"),
    "nelbo": ("sequence",),
    "tempered_loss": ("sequence", "beta"),
}


@dataclass(frozen=True, eq=False)
class Split:
    """Sequences (n, L) of one kind and their numbers (n,)."""

    name: str
    tokens: Tokens
    index: NDArray[np.int64]


def empty_dataset(
    splits: list[Split], config: ProbeConfig, vocab_size: int, sites: bool = False
) -> xr.Dataset:
    """All splits after one another, nothing measured: -1 in integers, NaN in reals, 0 counts.

    sites : whether the number of sites whose law is read differs by sequence."""
    bins = math.log(vocab_size) / BINS * np.arange(BINS, dtype=np.float64)
    coords: dict[str, Any] = {
        "split": ("sequence", np.repeat([s.name for s in splits], [len(s.index) for s in splits])),
        "index": ("sequence", np.concatenate([s.index for s in splits]).astype(np.int32)),
        "t": list(config.levels),
        "t_entropy": list(config.entropy_levels),
        "law": list(LAWS),
        "decoder": list(DECODERS),
        "beta": list(BETAS),
        "epsilon": ("epsilon", list(EPSILONS), {"units": "nats"}),
        "bin_edge_low": ("bin", bins, {"units": "nats"}),
    }
    tokens = np.concatenate([s.tokens for s in splits]).astype(np.int32)
    data = xr.Dataset({"tokens": (("sequence", "position"), tokens)}, coords=coords)
    reals = dict(REALS)
    if config.protocol == "paper":
        data = data.assign_coords(paper_measure=list(MEASURES))
        reals["paper"] = ("sequence", "t", "paper_measure")
    counts = {"entropy_histogram": ("sequence", "law", "t_entropy", "bin")}
    integers = INTEGERS | SITES if sites else INTEGERS
    kinds: list[tuple[dict[str, Any], Any]] = [(integers, np.int32(-1)), (reals, np.float32("nan"))]
    for names, empty in (*kinds, (counts, np.uint16(0))):
        for name, dims in names.items():
            data[name] = (dims, np.full([data.sizes[d] for d in dims], empty))
    for name, units in {"entropy": "nats", "log_loss": "nats", "nelbo": "nats a token"}.items():
        data[name].attrs["units"] = units
    data["tempered_loss"].attrs["units"] = "nats"
    return data


def fill(data: xr.Dataset, split: str, part: xr.Dataset, t: float | None = None) -> None:
    """Put a part of one split, at level t where it has one, into its place, in place.

    A part may have fewer sequences, the first ones, and fewer decoders (its `shot`)."""
    first = int(np.argmax(data["split"].values == split))
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


def with_examples(data: xr.Dataset, t: float, examples: dict[str, xr.Dataset]) -> xr.Dataset:
    """Add the inputs and outputs of sequences restored from t, by split, to be shown as text."""
    splits, none = data["split"].values, np.zeros((0, data.sizes["position"]), np.int32)
    rows = [np.flatnonzero(splits == s)[: part.sizes["sequence"]] for s, part in examples.items()]
    places = np.concatenate([np.zeros(0, np.int32), *rows]).astype(np.int32)
    found: dict[str, Any] = {"sequence": ("example", places)}
    found["t"] = ("example", np.full(len(places), t))
    for name in EXAMPLE:
        tokens = np.concatenate([none, *(part[name].values for part in examples.values())])
        found[name] = (("example", "position"), tokens)
    return data.assign({f"example_{name}": values for name, values in found.items()})


def split_rows(data: xr.Dataset, split: str) -> xr.Dataset:
    """The sequences of one split."""
    return data.isel(sequence=np.flatnonzero(data["split"].values == split))


def repeats_of(tokens: Any) -> NDArray[np.int64]:
    """How many other rows equal each row of (n, L)."""
    _, group, count = np.unique(tokens, axis=0, return_inverse=True, return_counts=True)
    others: NDArray[np.int64] = count[group.ravel()] - 1
    return others
