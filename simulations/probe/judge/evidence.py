"""Everything that a verdict is made from, read once from the dataset of a probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import interval
from simulations.probe.judge.attractors import Attractors, attractors_of
from simulations.probe.judge.domain import Domain, domain
from simulations.probe.judge.features import (
    Features,
    feature_replicates,
    features_of,
    is_rescaled,
    known_tokens,
    own_rows,
)
from simulations.probe.judge.share import share_above
from simulations.probe.judge.states import States, states
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate

Floats = NDArray[np.float64]

REPLICATES = 1000
UNKNOWN = Estimate(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Readings of one model.

    seen, replicates : features, and their replicates by name, `near` among them.
    states : of what the model writes as it is, None without generated sequences.
    text : the held-out text against the model's own sequences; None where one is missing.
    pair : the held-out text against the training text; None where one is missing.
    share : share of training sequences that the model knows better than held-out ones, a lower
        bound; own_share : the same of its own sequences.
    attractors : where noise leads; None where it was not asked for.
    """

    data: xr.Dataset
    seen: Features
    replicates: dict[str, Floats]
    states: States | None
    text: Domain | None
    pair: Domain | None
    share: Estimate
    own_share: Estimate
    attractors: Attractors | None = None

    def feature(self, name: str) -> Estimate:
        """A feature with its interval."""
        values = self.replicates[name]
        value = self.values[name]
        if not np.isfinite(value) or not np.isfinite(values).any():
            return Estimate(value, np.nan, np.nan, 0)
        low, high = interval(values[np.isfinite(values)])
        return Estimate(value, float(low), float(high), self.n)

    @property
    def n(self) -> int:
        """Held-out sequences that were measured; the model's own ones where there are none."""
        held = split_rows(self.data, "heldout").sizes["sequence"]
        return held or split_rows(self.data, "generated").sizes["sequence"]

    @property
    def values(self) -> dict[str, float]:
        """Features by name, `near` among them."""
        near = np.nan if self.states is None else self.states.near.value
        return self.seen.as_dict() | {"near": near}


def evidence_of(data: xr.Dataset, rng: np.random.Generator) -> Evidence:
    """The readings of a probe's dataset (`simulations.probe.measure.measures`)."""
    size = int(data.attrs["vocab_size"])
    made = split_rows(data, "generated")["tokens"].values
    held = split_rows(data, "heldout")["tokens"].values
    train = split_rows(data, "train")["tokens"].values
    own, beside = own_rows(data)
    found = text = pair = None
    if len(made) > 1:
        found = states(made, size, rng)
    if found is not None and len(held):
        tokens = own["tokens"].values
        again = states(tokens, size, rng) if is_rescaled(data) else found
        text = domain(held, tokens, again.group, size, rng)
        if text.result == "passed":
            found = states(made, size, rng, held)
    if len(train) and len(held):
        _, group = np.unique(train, axis=0, return_inverse=True)
        pair = domain(held, train, group.ravel(), size, rng)
    replicates = feature_replicates(data, rng, REPLICATES)
    near = np.full(REPLICATES, np.nan) if found is None else found.replicates
    return Evidence(
        data,
        features_of(data),
        replicates | {"near": near},
        found,
        text,
        pair,
        _share(data, split_rows(data, "train"), split_rows(data, "heldout"), rng),
        _share(data, own, beside, rng),
        None if found is None else attractors_of(data, found.within),
    )


def _share(
    data: xr.Dataset, rows: xr.Dataset, null: xr.Dataset, rng: np.random.Generator
) -> Estimate:
    """Share of the distinct sequences of `rows` that the model knows better than those of the
    null, by the share of their tokens that it knows from the others."""
    scores = []
    for part in (rows, null):
        if not part.sizes["sequence"]:
            return UNKNOWN
        _, first = np.unique(part["tokens"].values, axis=0, return_index=True)
        right, asked = known_tokens(data, part.isel(sequence=first))
        scores.append(right[asked > 0] / asked[asked > 0])
    return share_above(scores[0], scores[1], rng, REPLICATES)
