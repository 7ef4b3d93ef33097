"""Two small trained networks of the paper's authors' code, read and evaluated by ours.

One has memorized its 64 training sequences, one has not; the data were computed by a peer's code
(a README beside them). Largest errors of the deterministic checks, over both models and both kinds
of weights: logits 4e-5, entropies 2e-5 nats, metrics 4e-7.
"""

import json

import equinox as eqx
import numpy as np
import pytest

from models.released.paper_protocol import SMALLEST_TIME, law_of, token_entropy
from models.sampler import ancestral
from simulations.measure.paper_measures import Comparison, compare_sequences, macro_means
from tests.helpers import open_stated as open_released
from tests.helpers import shared

MODELS, WEIGHTS, SPLITS = ("memorizing", "generalizing"), ("raw", "ema"), ("train", "test")
START, LEVELS = ("0.1", "0.25", "0.5"), ("1e-05", "0.1", "0.25", "0.5")
FLOAT32 = 1e-4  # of logits and entropies in float32, by the README of the data
METRICS = 1e-6


class Arrays(dict):
    """Arrays of a file, each read when it is asked for."""

    def __init__(self, file):
        self.file = np.load(file)

    def __missing__(self, key):
        self[key] = self.file[key]
        return self[key]


@pytest.fixture(scope="module", params=[(m, w) for m in MODELS for w in WEIGHTS], ids="-".join)
def case(request):
    """The network, the kind of weights and the arrays of its evaluation."""
    name, weights = request.param
    folder = shared(f"golden_trained/{name}")
    found = open_released(folder / f"{name}.ckpt", weights=weights)
    assert (found.weights, found.source_kind) == (weights, "lightning")
    assert found.model.seq_len == 32 and found.model.vocab_size == 64
    return found.model, weights, Arrays(folder / "per_sequence.npz")


def entropy(model, x, t):
    alpha = model.schedule.alpha(np.float32(t))
    return token_entropy(law_of(model)(x.astype(np.int32), np.full(len(x), -np.log(alpha))))


def gap(a, b):
    return float(np.nanmax(np.abs(np.asarray(a, np.float64) - b)))


def test_logits(case):
    model, weights, given = case
    x, sigma = given["xt_test_t0.25"][:8].astype(np.int32), given["sigma_check"][:, 0]

    @eqx.filter_jit
    def logits(model):
        hidden, condition = model.trunk_at_sigma(x, sigma)
        return model.head(hidden, condition[:, None])

    assert gap(logits(model), given[f"{weights}_logits_check"]) < FLOAT32


def test_entropies_of_restored_sequences(case):
    model, weights, given = case
    worst = 0.0
    for split in SPLITS:
        for t in START:
            run = f"{weights}_{split}_t{t}"
            ours = entropy(model, given[f"{run}_x_recon"], SMALLEST_TIME)
            worst = max(worst, gap(ours, given[f"{run}_token_entropy"]))
    assert worst < FLOAT32, worst


def test_conditional_entropies(case):
    model, weights, given = case
    worst = 0.0
    for split in (*SPLITS, "generated"):
        for t in LEVELS:
            run = f"{weights}_{split}_ce_t{t}"
            worst = max(worst, gap(entropy(model, given[f"{run}_xt"], float(t)), given[run]))
    assert worst < FLOAT32, worst


@pytest.mark.parametrize("name", MODELS)
def test_measures(name):
    given = Arrays(shared(f"golden_trained/{name}/per_sequence.npz"))
    reference = json.loads(shared(f"golden_trained/{name}/reference.json").read_text())
    worst = 0.0
    for weights in WEIGHTS:
        for split in SPLITS:
            for t in START:
                run = f"{weights}_{split}_t{t}"
                tokens = given[f"x0_{split}"], given[f"xt_{split}_t{t}"], given[f"{run}_x_recon"]
                ours = compare_sequences(*tokens, given[f"{run}_token_entropy"])
                means = macro_means(ours)
                for measure in Comparison._fields:
                    column, theirs = getattr(ours, measure), given[f"{run}_{measure}"]
                    np.testing.assert_array_equal(np.isnan(column), np.isnan(theirs))
                    if not np.isnan(column).all():
                        worst = max(worst, gap(column, theirs))
                        mean = reference["reverse"][weights][split][t][measure]["mean"]
                        worst = max(worst, abs(means[measure] - mean))
    assert worst < METRICS, worst


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("split", SPLITS)
def test_our_sampler_recovers_as_much_as_theirs(weights, split):
    """Mean recovery within five standard errors of the difference, taken by distinct sequence
    since both start from the same x_t; of training sequences all but one in 256 are restored."""
    folder = shared("golden_trained/memorizing")
    model = open_released(folder / "memorizing.ckpt", weights=weights).model
    given = Arrays(folder / "per_sequence.npz")
    reference = json.loads((folder / "reference.json").read_text())
    x_0, x_t = given[f"x0_{split}"], given[f"xt_{split}_t0.25"]
    restored = ancestral(model, np.random.default_rng(0), x_t, 0.25, 100)
    ours = compare_sequences(x_0, x_t, restored, np.zeros(x_0.shape)).recovery_rate
    theirs = given[f"{weights}_{split}_t0.25_recovery_rate"]
    stated = reference["reverse"][weights][split]["0.25"]["recovery_rate"]
    assert np.nanmean(theirs) == pytest.approx(stated["mean"], abs=METRICS)
    known = np.isfinite(theirs)
    difference = (ours - theirs)[known]
    _, group = np.unique(x_0[known], axis=0, return_inverse=True)
    sums = np.bincount(group.ravel(), difference - difference.mean())
    error = np.sqrt(np.square(sums).sum()) / len(difference)
    assert abs(difference.mean()) <= 5 * error
    independent = np.hypot(np.nanstd(ours, ddof=1) / np.sqrt(len(difference)), stated["se"])
    assert abs(np.nanmean(ours) - stated["mean"]) <= 5 * independent
