"""Membership test against printed tables, enumeration of stored sets, simulation and limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from am_theory import membership
from am_theory._binomial_window import binomial_window
from am_theory.membership import (
    ScoreLaw,
    auc,
    auc_normal,
    block_score_law,
    d_prime,
    detection_log_size,
    site_score_law,
    tpr_at_fpr,
    tpr_at_fpr_normal,
)
from tests.helpers import assert_close, assert_digits, within_standard_errors
from tests.oracles import all_sequences

# --- printed tables

# K, L, V, w, n; lambda; block AUC, its Monte Carlo value and error, normal; block TPR at 1 %;
# one-site AUC and TPR; mean of 1 / N
TABLE = """
200  12 4 .5  2 12.5   .87328 .8754 .0036 .8633 .20238 .637373 .023741 .0800
200  12 4 .5  3 3.125  .98355 .9835 .0010 .9812 .70567 .764117 .039099 .3063
200  12 4 .5  4 .78125 .99938 .9994 .0002 -     .98638 .910356 .102458 .6949
200  12 4 .05 2 12.5   .86635 .8648 .0038 .8633 .18339 .637352 .026325 -
200  12 4 .05 3 3.125  .97992 .9804 .0013 .9812 .65870 .767196 .048449 -
1000 10 3 .2  2 111.1  .60599 .6048 .0063 .6058 .02508 .537830 .013809 .0090
1000 10 3 .2  4 12.35  .76152 .7614 .0052 .7571 .07708 .612996 .023138 .0810
1000 10 3 .2  6 1.372  .95501 .9613 .0018 .9561 .42572 .813629 .057156 .5443
"""
ROWS = [line.split() for line in TABLE.strip().split("\n")]


def laws(*problem, **options):
    return [block_score_law(*problem, split=split, **options) for split in ("train", "test")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:5]))
def test_printed_table(row):
    size, length, vocab, visible = int(row[0]), int(row[1]), int(row[2]), int(row[4])
    weight, hidden = float(row[3]), int(row[1]) - int(row[4])
    assert abs(size / vocab**visible - float(row[5])) < 5e-4 * float(row[5])
    stored, other = laws(size, visible, hidden, vocab, weight, step=2e-3)
    assert_digits(stored.auc(other), row[6])
    assert_digits(stored.tpr_at_fpr(other, 0.01), row[10])
    assert_digits(auc(size, visible, 1, vocab, weight), row[11])
    assert_digits(tpr_at_fpr(size, visible, 1, vocab, weight), row[12])
    fine = auc(size, visible, length - visible, vocab, weight)
    assert abs(fine - float(row[7])) < 4 * float(row[8])
    if row[9] != "-":
        assert_digits(auc_normal(size, visible, hidden, vocab), row[9])
    if row[13] != "-":
        q = vocab**-visible
        assert_digits(-np.expm1(size * np.log1p(-q)) / (size * q), row[13])


def test_threshold_of_the_normal_law():
    assert_digits(norm.ppf(0.01), "-2.3263")
    assert_close(tpr_at_fpr_normal(1e9, 2, 8, 4), norm.cdf(d_prime(1e9, 2, 8, 4) - 2.32634787404))


# Grid of 1e6 points and more; the printed block values are those of a grid of 2e-3 nats.
FINE = [
    (200, 2, 10, 4, 0.5, ".873279", ".202347"),
    (200, 3, 9, 4, 0.5, ".983545", ".703409"),
    (200, 4, 8, 4, 0.5, ".999377", ".986372"),
    (200, 2, 10, 4, 0.05, ".866604", ".183261"),
    (200, 3, 9, 4, 0.05, ".979929", ".659720"),
    (1000, 4, 6, 3, 0.2, ".761569", ".077109"),
    (1000, 6, 4, 3, 0.2, ".954998", ".425815"),
]


@pytest.mark.parametrize("problem", FINE)
def test_default_grid_is_as_good_as_promised(problem):
    *arguments, ranked, found = problem
    assert abs(auc(*arguments) - float(ranked)) < 1.1e-5
    assert abs(tpr_at_fpr(*arguments) - float(found)) < 1e-3


# --- enumeration of all stored sets


def enumerated(size, vocab, visible, hidden, weight, split):
    """Sums of per-token scores from the mixture itself, all sets and queries: (sets * queries,)."""
    seqs = all_sequences(vocab, visible + hidden)
    sets = np.array(list(itertools.product(range(len(seqs)), repeat=size)))
    query = sets[:, :1] if split == "train" else np.arange(len(seqs))[None].repeat(len(sets), 0)

    def share(mask):
        """Probability of the query's tokens on a mask, under the model."""
        same = np.all((seqs[:, None] == seqs[None])[..., mask], axis=-1)
        stored = same[query[:, :, None], sets[:, None, :]].mean(axis=-1)
        return weight * stored + (1 - weight) * float(vocab) ** -np.sum(mask)

    seen = np.arange(visible + hidden) < visible
    total = 0.0
    for site in range(visible, visible + hidden):
        total = total + np.log(vocab * share(seen | (np.arange(len(seen)) == site)) / share(seen))
    return np.ravel(total)


def law_of(samples):
    found, count = np.unique(np.round(samples, 11), return_counts=True)
    return ScoreLaw(found, count / count.sum())


TINY = [(1, 3, 1, 1), (2, 2, 1, 2), (2, 2, 0, 3), (3, 2, 2, 1), (2, 3, 1, 2), (4, 2, 1, 2)]


@pytest.mark.parametrize("size, vocab, visible, hidden", TINY)
@pytest.mark.parametrize("split", ["train", "test"])
def test_laws_against_enumeration(size, vocab, visible, hidden, split):
    exact = law_of(enumerated(size, vocab, visible, hidden, 0.3, split))
    law = block_score_law(size, visible, hidden, vocab, 0.3, split=split, step=2e-5)
    if hidden == 1:
        assert_close(law.values, exact.values, atol=1e-10)
        assert_close(law.probabilities, exact.probabilities, rtol=1e-10)
    assert_close(law.mean(), exact.mean(), rtol=1e-8, atol=1e-9)
    between = (exact.values[1:] + exact.values[:-1]) / 2
    for level in between[np.diff(exact.values) > 1e-3]:
        over = exact.probabilities[exact.values > level].sum()
        assert_close(law.probabilities[law.values > level].sum(), over, rtol=1e-10)


@pytest.mark.parametrize("size, vocab, visible, hidden", TINY)
def test_grades_against_enumeration(size, vocab, visible, hidden):
    """Every pair of a stored and another score compared; a power read off the sorted scores."""
    mine = enumerated(size, vocab, visible, hidden, 0.3, "train")
    others = enumerated(size, vocab, visible, hidden, 0.3, "test")
    ranks = np.sort(np.round(others, 9))
    low, high = (np.searchsorted(ranks, np.round(mine, 9), side) for side in ("left", "right"))
    problem = (size, visible, hidden, vocab, 0.3)
    assert_close(auc(*problem), np.mean(low + high) / 2 / ranks.size, rtol=1e-5)
    tau = ranks[-max(int(0.1 * ranks.size), 1)]
    tie = (0.1 - np.mean(ranks > tau)) / np.mean(ranks == tau)
    mine = np.round(mine, 9)
    power = np.mean(mine > tau) + tie * np.mean(mine == tau)
    stored, other = laws(*problem, step=2e-6)
    assert abs(stored.tpr_at_fpr(other, 0.1) - power) < (0.02 if hidden > 1 else 1e-9)


# --- simulation


def drawn(rng, count, size, visible, hidden, vocab, weight):
    """Scores of stored and other sequences, (count, M) each, from drawn sets."""
    length = visible + hidden
    found = []
    for own in (True, False):
        sets = rng.integers(0, vocab, (count, size, length), dtype=np.int8)
        query = sets[:, 0] if own else rng.integers(0, vocab, (count, length), dtype=np.int8)
        agree = sets == query[:, None]
        fits = agree[..., :visible].all(axis=-1)
        both = (fits[..., None] & agree[..., visible:]).sum(axis=1)
        prior = (1 - weight) * float(vocab) ** -visible
        top = weight / size * both + prior / vocab
        found.append(np.log(vocab * top / (weight / size * fits.sum(axis=1) + prior)[:, None]))
    return found


@pytest.mark.parametrize(
    "problem", [(200, 3, 9, 4, 0.5), (200, 2, 10, 4, 0.05), (81, 4, 6, 3, 0.2)]
)
def test_grades_against_drawn_sets(problem):
    size, visible, hidden, vocab, weight = problem
    scores = drawn(np.random.default_rng(7), 4000, *problem)
    for tokens in (hidden, 1):
        mine, others = (np.round(s[:, :tokens].sum(axis=1), 9) for s in scores)
        member, other = laws(size, visible, tokens, vocab, weight)
        # the chance of each stored score to beat an unrelated one, by the exact law, and back
        spread = np.interp(mine, other.values, np.cumsum(other.probabilities)).std()
        ranks = np.sort(others)
        low, high = (np.searchsorted(ranks, mine, side) for side in ("left", "right"))
        found = np.mean(low + high) / 2 / ranks.size
        assert abs(found - auc(size, visible, tokens, vocab, weight)) < 4 * spread * np.sqrt(
            2 / 4e3
        )
        within_standard_errors(mine, member.mean(), 4)
        within_standard_errors(others, other.mean(), 4)
        if tokens == 1:
            level = member.values[np.searchsorted(np.cumsum(member.probabilities), 0.7)] + 1e-8
            over = member.probabilities[member.values > level].sum()
            within_standard_errors(mine > level, over, 4)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.06])
def test_noise_on_the_score(noise):
    """Draws from the exact laws with normal noise added, against the leading order."""
    rng, problem = np.random.default_rng(3), (3000, 2, 20, 3, 0.2)
    mine, others = (rng.choice(law.values, 400_000, p=law.probabilities) for law in laws(*problem))
    mine, others = (x + noise * np.sqrt(20) * rng.normal(size=x.size) for x in (mine, others))
    expected = auc_normal(*problem[:4], weight=0.2, noise=noise)
    within_standard_errors(mine > others, expected, 4)


# --- limits and properties


def test_whole_sequence_tells_members_without_error():
    """One site masked and all others seen, in a space that is nearly empty."""
    assert auc(100, 30, 1, 4, 0.5) == pytest.approx(1.0, abs=1e-12)
    assert tpr_at_fpr(100, 30, 8, 4, 0.5) == pytest.approx(1.0, abs=1e-12)


def test_small_weight_keeps_the_ranking():
    """The score of small weight is that of V c - N, whose block law is a binomial given N."""
    size, visible, hidden, vocab = 200, 2, 8, 4
    found = []
    for own in (1, 0):
        matches, p = binomial_window(size - own, vocab**-visible)
        values, law = [], []
        for n, q in zip(matches, p, strict=True):
            hits = np.arange(hidden * n + 1)
            values.append(vocab * (hits + hidden * own) - hidden * (n + own))
            law.append(q * binom.pmf(hits, hidden * n, 1 / vocab))
        place, where = np.unique(np.concatenate(values), return_inverse=True)
        found.append(ScoreLaw(place, np.bincount(where, np.concatenate(law))))
    limit = found[0].auc(found[1])
    assert limit > 0.83
    assert_close(auc(size, visible, hidden, vocab, 1e-12), limit, rtol=1e-6)
    # a first order of the score in the weight ties; the second order ranks a little better
    assert limit < auc(size, visible, hidden, vocab, 0.01) < limit + 0.003
    single = [auc(size, visible, 1, vocab, w) for w in (1e-2, 1e-4, 1e-6)]
    assert_close(single, np.full(3, single[0]), rtol=1e-5)


@pytest.mark.parametrize("load", [1e3, 9e3])
def test_many_consistent_sequences_hide_a_member(load):
    size = round(16 * load)
    for tokens in (1, 8):
        expected = auc_normal(size, 2, tokens, 4)
        stored, other = laws(size, 2, tokens, 4, 0.5)
        found = stored.auc(other)
        assert 0 < found - 0.5 < 3 / np.sqrt(load)
        assert abs(found - expected) < 1.5 * (expected - 0.5) / load**0.5
        assert 0.01 < stored.tpr_at_fpr(other, 0.01) < 0.01 + 0.3 / np.sqrt(load)


def test_detection_ends_later_than_retrieval():
    log_size = detection_log_size([2, 5], [[8], [3]], 4)
    assert log_size.shape == (2, 2)
    assert_close(log_size[0], np.log(4) * np.array([2, 5]) + np.log(24))
    assert_close(d_prime(np.exp(log_size), [2, 5], [[8], [3]], 4), np.ones((2, 2)))


problems = st.tuples(
    st.integers(1, 40),
    st.integers(0, 4),
    st.integers(1, 6),
    st.integers(2, 5),
    st.sampled_from([0.03, 0.3, 0.5, 0.97]),
)


@given(problems)
def test_false_alarms_are_bounded_without_examples(problem):
    size, visible, _, vocab, weight = problem
    single = site_score_law(size, visible, vocab, weight, split="test")
    assert_close(single.probabilities @ np.exp(single.values), 1.0, rtol=1e-9)
    block = block_score_law(*problem, split="test")
    assert_close(block.probabilities @ np.exp(block.values), 1.0, rtol=1e-5)
    for law in (single, block):
        assert np.all(np.diff(law.values) > 0)
        assert_close(law.probabilities.sum(), 1.0)
        passed = np.cumsum(law.probabilities[::-1])[::-1]
        assert np.all(passed <= np.exp(-law.values) * (1 + 1e-5))


@given(problems)
def test_members_score_higher(problem):
    found = auc(*problem)
    assert 0.5 - 1e-9 <= found <= 1 + 1e-12
    stored, other = laws(*problem)
    assert stored.mean() >= -1e-6 >= other.mean() - 2e-6
    rates = [stored.tpr_at_fpr(other, rate) for rate in (0.01, 0.1, 0.5, 1.0)]
    assert rates == sorted(rates) and abs(rates[-1] - 1) < 1e-9
    assert rates[1] >= 0.1 - 1e-9


@given(problems, st.integers(1, 4))
def test_more_tokens_and_fewer_sequences_tell_more(problem, more):
    size, visible, hidden, vocab, weight = problem
    assert auc(size, visible, hidden + more, vocab, weight) > auc(*problem) - 2e-3
    assert d_prime(size + more, visible, hidden, vocab) < d_prime(size, visible, hidden, vocab)


def test_shapes_and_types():
    assert auc([20, 50], [[1], [2], [3]], 4, 3, 0.5).shape == (3, 2)
    assert type(auc(20, 1, 4, 3, 0.5)) is type(d_prime(20, 1, 4, 3)) is float
    assert d_prime([1e12, 10], 900, [[4], [5]], 3).shape == (2, 2)
    assert tpr_at_fpr_normal(20, 1, 4, 3, fpr=[0.01, 0.1]).shape == (2,)
    assert np.isfinite(auc(10**12, 30, 5, 4, 0.5)) and np.isfinite(auc(200, 900, 5, 4, 0.5))


TRIALS = [(7, 0.3), (10**4, 0.02), (12_000, 0.1), (10**6, 0.5), (10**5, 1e-6)]


@pytest.mark.parametrize("trials, hit", TRIALS)
def test_binomial_window(trials, hit):
    for thin in (False, True):
        count, p = binomial_window(trials, hit, thin)
        assert_close(p.sum(), 1.0)
        assert_close(p @ count, trials * hit, rtol=1e-12)
        assert_close(p @ count**2, trials * hit * (1 - hit) + (trials * hit) ** 2, rtol=1e-12)
        step = count[1] - count[0]
        near = np.abs(count - trials * hit) < 6 * np.sqrt(trials * hit) + 1
        assert_close(p[near], (step * binom.pmf(count, trials, hit))[near], rtol=1e-8)
    assert binomial_window(5, 0.0)[0].tolist() == [0] and binomial_window(5, 1.0)[0].tolist() == [5]


BAD = [
    (lambda: auc(0, 1, 2, 4, 0.5), "`train_size` must lie in [1, inf); got 0"),
    (lambda: auc(2.5, 1, 2, 4, 0.5), "`train_size` must be a whole number; got 2.5"),
    (lambda: auc(10, 1, 2, 4, 1.0), "`weight` must lie in (0, 1); got 1"),
    (lambda: auc(10, 1, 2, 4, 0), "`weight` must lie in (0, 1); got 0"),
    (lambda: auc(10, -1, 2, 4, 0.5), "`visible` must be a whole number of at least 0; got -1"),
    (lambda: auc(10, 1, 0, 4, 0.5), "`masked` must be a whole number of at least 1; got 0"),
    (lambda: auc(10, 1, 2, 1, 0.5), "`vocab_size` must be a whole number of at least 2; got 1"),
    (lambda: auc([1, 2], [1, 2, 3], 2, 4, 0.5), "must broadcast; got shapes (2,), (3,)"),
    (
        lambda: auc(1e8, 1, 2, 4, 0.5),
        "`train_size` / V^visible must be at most 10000; got 2.5e+07",
    ),
    (lambda: tpr_at_fpr(10, 1, 2, 4, 0.5, fpr=0), "`fpr` must lie in (0, 1]; got 0"),
    (lambda: site_score_law(9, 1, 4, 0.5, split="dev"), "`split` must be one of train, test"),
    (lambda: block_score_law(9, 1, 3, 4, 0.5, step=0), "`step` must lie in (0, inf); got 0"),
    (lambda: block_score_law(9, 1, 3, 4, 0.5, step=1e-9), "`step` must leave at most 2^24 points"),
    (lambda: d_prime(10, 1, 2, 4, noise=-1), "`noise` must lie in [0, inf); got -1"),
    (lambda: d_prime(10, 1, 2, 4, weight=2), "`weight` must lie in (0, 1); got 2"),
    (lambda: detection_log_size(-1, 2, 4), "`visible` must lie in [0, inf); got -1"),
]


@pytest.mark.parametrize("call, fragment", BAD)
def test_bad_input(call, fragment):
    with pytest.raises(ValueError) as caught:
        call()
    assert fragment in str(caught.value)


def test_the_module_names_its_functions():
    assert set(membership.__all__) <= set(dir(membership))
