"""Erasures in the basins command: where memories start, what bounds them, what is told."""

import json
from itertools import product

import numpy as np
import pytest

from am_theory import empirical, erasures
from am_theory.channel import Absorbing, LogLinear
from models.exact.empirical import EmpiricalDenoiser
from models.memories import dense, hopfield, potts, pseudolikelihood
from models.noise import noise
from simulations.basins import erased
from simulations.basins.analysis import EXACT
from simulations.basins.cells import make_erased, make_queries
from simulations.basins.config import DRAW, MAP, MEMORIES, STARTS, preset
from simulations.basins.figure import draw_erasures
from simulations.basins.memories import BUILDERS, ancestral_rule
from simulations.basins.study import STUDY, merge
from simulations.basins.theory import erased_bound, erased_rate
from simulations.results.files import read_dataset
from tests.simulations.basins.test_command import CONFIG

SEED = np.random.default_rng(11)


def queries(vocab_size, seq_len=6, train_size=5):
    """Patterns, and queries (n, L) that have every number of erased sites but all."""
    patterns = SEED.integers(vocab_size, size=(train_size, seq_len)).astype(np.uint8)
    x_t = patterns[np.arange(seq_len) % train_size].copy()
    for gone, row in enumerate(x_t):
        row[SEED.permutation(seq_len)[:gone]] = vocab_size
    return patterns, x_t


def fillings(row, vocab_size):
    """Every way to fill the erased sites of a query (L,)."""
    gone = np.flatnonzero(row == vocab_size)
    for values in product(range(vocab_size), repeat=len(gone)):
        full = row.copy()
        full[gone] = values
        yield full


def centred(score):
    """Of scores (..., V), what an argmax may depend on, up to a positive factor."""
    shifted = score - score.mean(-1, keepdims=True)
    return shifted / max(np.abs(shifted).max(), 1e-12)


def summed_by_token(patterns, weights, vocab_size):
    """Summed weights (K, L) of the sequences that have each token, (L, V)."""
    return np.stack([(weights * (patterns == v)).sum(0) for v in range(vocab_size)], -1)


CASES = [
    ("spins", 2),
    ("rows", 3),
    ("Potts", 3),
    ("dense, n = 3", 2),
    ("dense, n = 3", 3),
    ("exponential", 3),
]


@pytest.mark.parametrize(("name", "vocab_size"), CASES)
def test_erased_fields_are_the_mean_over_all_fillings(name, vocab_size):
    patterns, x_t = queries(vocab_size)

    def others(full):  # matches (K, L) at all sites but each
        same = patterns == full
        return same.sum(1, keepdims=True) - same

    if name == "spins":
        memory = hopfield.store(hopfield.spins_from_tokens(patterns), rule="pseudo-inverse")
        found = erased.spin_fields(memory)(x_t)

        def score(full):
            return memory.fields(hopfield.spins_from_tokens(full[None]))[0][:, None] * [-1, 1]

    elif name == "rows":
        memory = pseudolikelihood.store(patterns, vocab_size)
        found = erased.row_fields(memory)(x_t)

        def score(full):
            return memory.fields(full[None])[0]

    elif name == "exponential":
        memory = dense.store(patterns, vocab_size, dense.Exponential(1.3))
        found = erased.vote_fields(erased.exponential_weight)(memory)(x_t)

        def score(full):
            return summed_by_token(patterns, np.exp(1.3 * others(full)), vocab_size)

    else:
        two = name == "Potts"  # the same fields as the dense memory of two sites
        memory = dense.store(patterns, vocab_size, dense.Distinct(2 if two else 3))
        weight = erased.overlap_weight if two else erased.pair_weight
        held = potts.store(patterns, vocab_size) if two else memory
        found = erased.vote_fields(weight)(held)(x_t)

        def score(full):
            return summed_by_token(patterns, memory.gains[others(full)], vocab_size)

    for row, mine in zip(x_t, found, strict=True):
        gone = row == vocab_size
        if gone.any():
            mean = np.mean([score(full) for full in fillings(row, vocab_size)], 0)
            np.testing.assert_allclose(centred(mine[gone]), centred(mean[gone]), atol=1e-9)


def test_visible_sites_stay_and_erased_ones_take_what_is_favoured_ties_at_random():
    x_t = np.array([[0, 3, 3, 1]] * 900, np.uint8)
    fields = np.broadcast_to([[9.0, 0, 0], [0, 2, 1], [4, 4, 0], [5, 0, 0]], (900, 4, 3))
    start = erased.favoured(np.random.default_rng(0), x_t, 3, lambda x: fields)
    assert (start[:, [0, 3]] == [0, 1]).all()
    assert (start[:, 1] == 1).all()
    assert set(start[:, 2]) == {0, 1}
    assert abs(start[:, 2].mean() - 0.5) < 0.09


@pytest.mark.parametrize("vocab_size", [2, 5])
def test_erasures_filled_at_random_are_the_uniform_channel(vocab_size):
    x_0 = np.random.default_rng(1).integers(vocab_size, size=(400, 25)).astype(np.uint8)
    streams = [np.random.default_rng(7) for _ in range(2)]
    changed = noise(streams[0], x_0, 0.4, vocab_size)
    gone = noise(streams[1], x_0, 0.4, Absorbing(vocab_size)) == vocab_size
    assert not ((changed != x_0) & ~gone).any()
    full = erased.filled(np.random.default_rng(2), np.where(gone, vocab_size, x_0), vocab_size)
    assert (full[~gone] == x_0[~gone]).all()
    shares = np.bincount(full[gone], minlength=vocab_size) / gone.sum()
    np.testing.assert_allclose(shares, 1 / vocab_size, atol=0.03)
    # the same share of sites differs, as often as under the uniform channel
    assert (full != x_0).mean() == pytest.approx((changed != x_0).mean(), abs=0.02)


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - {MAP, DRAW}))
@pytest.mark.parametrize("vocab_size", [2, 5])
def test_every_memory_completes_three_sequences_from_half(name, vocab_size):
    memory = next(memory for memory in MEMORIES if memory.name == name)
    if not (memory.binary if vocab_size == 2 else memory.tokens):
        return
    rng = np.random.default_rng(5)
    store = EmpiricalDenoiser(rng.integers(vocab_size, size=(3, 60)), vocab_size)
    x_t = noise(rng, store.patterns, 0.5, Absorbing(vocab_size))
    assert (x_t == vocab_size).any(1).all()
    found = BUILDERS[name](store, 50)(rng, x_t, np.full(3, 0.5))
    np.testing.assert_array_equal(found.states, store.patterns)


def test_a_trained_denoiser_gets_no_mask():
    class Echo:
        vocab_size = 3

    seen = []

    def ancestral(denoiser, rng, x_t, t, n_steps):
        seen.append(x_t)
        return x_t

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simulations.basins.memories.ancestral", ancestral)
        x_t = np.full((4, 50), 3, np.uint8)
        ancestral_rule(Echo(), 2, 2)(np.random.default_rng(0), x_t, np.full(4, 0.9))
    assert len(seen) == 2
    assert set(np.concatenate(seen).ravel()) == {0, 1, 2}


def test_queries_under_erasures_leave_the_others_as_they_are():
    place = (2, 16, 20)
    given = make_queries(CONFIG, place, 3, 4)
    gone = make_erased(CONFIG, place, 3, 4, given)
    again = make_queries(CONFIG, place, 3, 4)
    np.testing.assert_array_equal(given.x_t, again.x_t)
    assert gone.x_t.shape == (4 * len(CONFIG.erased_levels), 16)
    visible = gone.x_t < 2
    np.testing.assert_array_equal(gone.x_t[visible], gone.truth[visible])
    # MAP decoding is right once in the number of stored sequences that fit
    fits = ((gone.store.patterns == gone.x_t[:, None]) | ~visible[:, None]).all(-1).sum(1)
    np.testing.assert_allclose(gone.lookup, 1 / fits)


def test_rates_and_bounds_are_those_of_erasures():
    t = np.array([0.3, 0.8])
    alpha = LogLinear().alpha(t)
    expected = erasures.retrieval_probability(1000, 64, 2, alpha)
    np.testing.assert_allclose(erased_rate(1000, 2, 64, t), expected)
    radius, limit = erased_bound([1000], 2, 64, 0.5)
    assert radius[0] == pytest.approx(0.853704, abs=2e-6)  # sheet of the channels, 2.3
    assert limit[0] == pytest.approx(0.845130, abs=5e-4)
    # places known: never worse than the uniform channel at the same level
    sizes = np.array([4, 64, 1000, 16384])
    for vocab_size, seq_len in preset("small").panels:
        known = erased_bound(sizes, vocab_size, seq_len, 0.5)[0]
        assert (known > empirical.shannon_radius(sizes, seq_len, vocab_size, 0.5).t_map).all()


def test_every_memory_says_what_erased_sites_are_to_it():
    assert {STARTS[memory.kind] for memory in MEMORIES} == set(STARTS.values())
    assert set(EXACT) == {memory.name for memory in MEMORIES if memory.kind == "lookup"}


@pytest.mark.slow
def test_erasures_are_told_beside_the_rest(tiny_run):
    folder = tiny_run("basins")
    data = merge(folder, CONFIG)
    kind = data["erased"].isel(point=0).values
    assert kind.sum() == len(CONFIG.erased_levels)
    gone = data.isel(corruption=np.flatnonzero(kind))
    assert (gone["errors"] == -1).all()
    assert int((gone["corrupted"] - gone["recovered"]).min()) >= 0
    # MAP and one draw leave visible tokens as they are, whatever they choose
    exact = gone.isel(point=np.flatnonzero(np.isin(gone["memory"], EXACT)))
    assert (exact["broken"] == 0).all()

    report = (folder / "report.md").read_text()
    for word in ("## Erasures", "Blackwell", "no field", "filled at random"):
        assert word in report
    summary = json.loads((folder / "summary.json").read_text())
    assert len(summary["erased"]) == len(summary["points"])
    assert any("erased" in check["name"] for check in summary["exact_checks"])
    for point in summary["erased"]:
        assert point["shannon"] > 0.7  # at most 20 sequences
        assert np.isnan(float(point["predicted"])) != (point["memory"] in EXACT)

    analysis = STUDY.analyse(CONFIG, read_dataset(folder / "basins.nc"), folder)
    figure = draw_erasures(analysis)
    assert len(figure.axes) >= 2
    assert (folder / "erasures.png").exists()
