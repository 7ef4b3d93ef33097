"""Random patterns behind masks and hybrid noise: the exact denoiser against finite-size theory.

Every quantity is measured on independent sets of patterns, whose spread gives the standard error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from am_theory import empirical, erasures
from am_theory.channel import Absorbing, Hybrid, Linear
from models.exact.empirical import EmpiricalDenoiser
from models.noise import noise
from tests.helpers import within_standard_errors

ERRORS = 4.0  # standard errors


class Case(NamedTuple):
    """K random sequences of L tokens on V values, and their kept fraction."""

    size: int
    length: int
    vocab: int
    alpha: float


ERASED = [
    Case(20, 10, 3, 0.4),
    Case(50, 12, 3, 0.3),
    pytest.param(Case(200, 16, 4, 0.3), marks=pytest.mark.slow),
    pytest.param(Case(1000, 20, 2, 0.5), marks=pytest.mark.slow),
    pytest.param(Case(500, 16, 8, 0.2), marks=pytest.mark.slow),
]
MIXED = [
    (Case(8, 8, 2, 0.5), 0.2),
    (Case(50, 12, 3, 0.4), 0.2),
    pytest.param(Case(200, 16, 4, 0.35), 0.1, marks=pytest.mark.slow),
    pytest.param(Case(500, 16, 8, 0.25), 0.3, marks=pytest.mark.slow),
]


def measured(case, channel, split, n_sets=1500, queries=8):
    """What the posterior does to `queries` of each set: (n_sets, queries) or (..., L) by name."""
    rng = np.random.default_rng([3, case.size, split == "test"])
    rows: dict[str, list] = {}
    for _ in range(n_sets):
        patterns = rng.integers(case.vocab, size=(case.size, case.length))
        asked = rng.integers(case.size, size=queries)
        x_0 = patterns[asked]
        if split == "test":
            x_0 = rng.integers(case.vocab, size=x_0.shape)
        x_t = noise(rng, x_0, case.alpha, channel).astype(int)
        denoiser = EmpiricalDenoiser(patterns, case.vocab, Linear(), channel=channel)
        found = denoiser.posterior(x_t, 1 - case.alpha, rng, asked)
        law = np.exp(found.log_full)
        entropy = -(law * np.where(law > 0, found.log_full, 0.0)).sum(-1)
        at_truth = np.take_along_axis(law, x_0[..., None], -1)[..., 0]
        best = law > law.max(-1, keepdims=True) * (1 - 1e-9)
        values = {
            "retrieved": found.map_index == asked,
            "weight": found.true_weight,
            "posterior entropy": found.entropy,
            "corrupted": x_t != x_0,
            "masked": x_t == case.vocab,
            "map": patterns[found.map_index] == x_0,
            "sample": patterns[found.draw_index] == x_0,
            "argmax": np.take_along_axis(best, x_0[..., None], -1)[..., 0] / best.sum(-1),
            "law": at_truth,
            "entropy": entropy,
            "certain": entropy < 1e-12,
        }
        for name, value in values.items():
            rows.setdefault(name, []).append(value)
    return {name: np.asarray(value, float) for name, value in rows.items()}


def pooled(value, where, expected):
    """Check a mean over the tokens where `where` is 1, pooled over sets of patterns."""
    within_standard_errors((where * (value - expected)).sum((1, 2)), 0.0, ERRORS)


@pytest.mark.parametrize("case", ERASED, ids=str)
def test_erasures(case):
    found = measured(case, Absorbing(case.vocab), "train")
    right = erasures.retrieval_probability(*case)
    for name in ("retrieved", "weight"):
        within_standard_errors(found[name].mean(1), right, ERRORS)
    unsure = erasures.posterior_entropy(*case)
    within_standard_errors(found["posterior entropy"].mean(1), unsure, ERRORS)
    masked = found["masked"]
    for name in ("map", "sample", "law"):
        decoder = "map" if name == "map" else "sample"
        pooled(found[name], masked, erasures.token_recovery(*case, decoder=decoder))
    everywhere = erasures.token_recovery(*case, tokens="all")
    within_standard_errors(found["map"].mean((1, 2)), everywhere, ERRORS)
    bayes = erasures.token_recovery(*case, decoder="argmax")
    pooled(found["argmax"], masked, (bayes.low + bayes.high) / 2)
    pooled(found["entropy"], masked, erasures.token_entropy(*case))
    pooled(found["certain"], masked, erasures.zero_entropy_fraction(*case))


@pytest.mark.parametrize("case", ERASED, ids=str)
def test_erasures_of_unrelated_sequences(case):
    """No stored sequence fits, as a rule: those that agree best are equally likely."""
    found = measured(case, Absorbing(case.vocab), "test")
    unsure = erasures.posterior_entropy(*case, split="test")
    within_standard_errors(found["posterior entropy"].mean(1), unsure, ERRORS)
    masked = found["masked"]
    for name in ("map", "sample"):
        pooled(found[name], masked, erasures.token_recovery(*case, decoder=name, split="test"))
    pooled(found["argmax"], masked, 1 / case.vocab)
    pooled(found["entropy"], masked, erasures.token_entropy(*case, split="test"))
    pooled(found["certain"], masked, erasures.zero_entropy_fraction(*case, split="test"))


@pytest.mark.parametrize("case, p_uniform", MIXED, ids=str)
@pytest.mark.parametrize("split", ["train", "test"])
def test_hybrid_noise(case, p_uniform, split):
    channel = Hybrid(case.vocab, p_uniform)
    found = measured(case, channel, split)
    if split == "train":
        for name, theory in (
            ("retrieved", empirical.retrieval_probability),
            ("weight", empirical.true_weight),
        ):
            within_standard_errors(found[name].mean(1), theory(*case, channel=channel), ERRORS)
    unsure = empirical.posterior_entropy(*case, channel=channel, split=split)
    within_standard_errors(found["posterior entropy"].mean(1), unsure, ERRORS)
    for name in ("map", "sample"):
        both = {"decoder": name, "split": split, "channel": channel}
        all_of_them = empirical.token_recovery(*case, tokens="all", **both)
        within_standard_errors(found[name].mean((1, 2)), all_of_them, ERRORS)
        of_these = empirical.token_recovery(*case, tokens="corrupted", **both)
        pooled(found[name], found["corrupted"], of_these)
