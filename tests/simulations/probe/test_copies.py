"""Near copies: edit distance, shifted matches, causes, against brute force and known cases."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from models.exact.empirical import EmpiricalDenoiser
from models.sources import MarkovSource
from simulations.probe.audit.blocks import longest_blocks, sorted_suffixes
from simulations.probe.audit.copies import causes, copies, rows, with_copies
from simulations.probe.audit.edits import nearest_by_edits, run_hashes, shared_run
from simulations.probe.audit.ngrams import NGram
from simulations.probe.audit.shares import difference, drawn_within, means
from simulations.probe.config import ProbeConfig
from simulations.probe.measure.cells import Work
from simulations.probe.measure.dataset import Split, empty_dataset
from simulations.probe.measure.law import Reader
from simulations.probe.measure.parts import Parts
from tests import oracles
from tests.helpers import assert_close, within_standard_errors


def rows_of(n, length, vocab_size, seed=0):
    return np.random.default_rng(seed).integers(vocab_size, size=(n, length))


def edited(rng, row, edits, vocab_size):
    """A row of the same length after so many insertions and deletions, in pairs, and changes."""
    tokens = list(row)
    for _ in range(edits // 2):
        tokens.pop(rng.integers(len(tokens)))
        tokens.insert(rng.integers(len(tokens) + 1), rng.integers(vocab_size))
    if edits % 2:
        tokens[rng.integers(len(tokens))] = rng.integers(vocab_size)
    return tokens


@given(
    st.integers(2, 3), st.integers(1, 12), st.integers(1, 8), st.integers(1, 30), st.integers(0, 99)
)
@pytest.mark.parametrize("dense", [-1.0, 1.0])
def test_nearest_by_edits_is_the_brute_force(dense, vocab_size, length, n, k, seed):
    with patch("simulations.probe.audit.edits.DENSE", dense):
        check_nearest(vocab_size, length, n, k, seed)


def check_nearest(vocab_size, length, n, k, seed):
    queries, rows = rows_of(n, length, vocab_size, seed), rows_of(k, length, vocab_size, seed + 1)
    for edits in range(length // 2 + 1):
        if shared_run(length, edits) < 1:
            continue
        found = nearest_by_edits(queries, rows, edits)
        table = np.array(
            [[Levenshtein.distance(q, r) for r in rows.tolist()] for q in queries.tolist()]
        )
        least, first = table.min(1), table.argmin(1)
        np.testing.assert_array_equal(found.edits, np.where(least <= edits, least, -1))
        np.testing.assert_array_equal(found.row, np.where(least <= edits, first, -1))


def test_a_pair_within_reach_shares_a_run():
    rng = np.random.default_rng(0)
    for edits in (1, 3, 6):
        rows = rows_of(50, 64, 300, edits)
        queries = np.array([edited(rng, row, edits, 300) for row in rows])
        found = nearest_by_edits(queries, rows, edits)
        np.testing.assert_array_equal(found.row, np.arange(50))
        assert found.edits.max() <= edits


def test_chunks_of_rows_change_nothing(monkeypatch):
    rows = rows_of(90, 16, 2)
    queries = rows[::9].copy()
    queries[:, 3] ^= 1
    whole = nearest_by_edits(queries, rows, 2), longest_blocks(queries, rows)
    monkeypatch.setattr("simulations.probe.audit.edits.CHUNK", 16 * 7)
    monkeypatch.setattr("simulations.probe.audit.edits.PAIRS", 5)
    monkeypatch.setattr("simulations.probe.audit.blocks.CHUNK", 16 * 7)
    ticks = []
    again = (
        nearest_by_edits(queries, rows, 2, lambda: ticks.append(1)),
        longest_blocks(queries, rows),
    )
    assert len(ticks) == 13
    np.testing.assert_array_equal(again[0], whole[0])
    np.testing.assert_array_equal(again[1].length, whole[1].length)


def test_tokens_of_a_large_vocabulary_are_told_apart():
    """Also those whose character would be half of a surrogate pair, or end a string."""
    rows = np.array([[0, 0, 0xD7FF, 0xD800], [0xDC00, 500_000, 0, 0], [1, 2, 3, 4]])
    found = nearest_by_edits(rows, rows, 1)
    np.testing.assert_array_equal(found.row, np.arange(3))
    np.testing.assert_array_equal(found.edits, 0)
    assert nearest_by_edits(rows[:1], rows[1:], 1).row == -1


def test_too_many_edits_are_refused():
    with pytest.raises(ValueError, match="edits be so few"):
        nearest_by_edits(rows_of(1, 4, 2), rows_of(1, 4, 2), 2)


def test_equal_runs_alone_have_equal_hashes():
    rows = rows_of(200, 40, 3)
    runs = np.lib.stride_tricks.sliding_window_view(rows, 7, axis=1).reshape(-1, 7)
    hashes = run_hashes(rows, 7).ravel()
    assert len(np.unique(hashes)) == len(np.unique(runs, axis=0))
    assert len(np.unique(np.column_stack([runs, hashes.astype(np.int64)]), axis=0)) == len(
        np.unique(hashes)
    )


# --- blocks


def longest(query, row):
    """The longest shared run of two sequences, the slow way."""
    pairs = ((i, j) for i in range(len(query)) for j in range(len(row)))
    best = 0
    for i, j in pairs:
        k = 0
        while max(i, j) + k < len(row) and query[i + k] == row[j + k]:
            k += 1
        best = max(best, k)
    return best


@given(st.integers(2, 4), st.integers(1, 11), st.integers(1, 5), st.integers(0, 99))
def test_longest_blocks_are_the_brute_force(vocab_size, length, n, seed):
    queries, rows = rows_of(4, length, vocab_size, seed), rows_of(n, length, vocab_size, seed + 1)
    found = longest_blocks(queries, rows)
    for q, k, row, i, j in zip(queries, *found, strict=True):
        assert k == max(longest(q, r) for r in rows)
        if k:
            np.testing.assert_array_equal(q[i : i + k], rows[row][j : j + k])
        else:
            assert row == -1


def test_suffixes_are_in_order():
    rows = rows_of(9, 13, 3)
    rows[4:] = rows[:5]
    suffixes = [rows[p // 13, p % 13 :].tolist() for p in sorted_suffixes(rows)]
    assert len(suffixes) == 9 * 13 and suffixes == sorted(suffixes)


# --- how predictable


def test_ngram_laws_are_normalized_and_counted_by_hand():
    law = NGram.of(np.array([[0, 1, 0, 1, 2]]), 3, order=2)
    unigram = (np.array([2, 2, 1]) + 3 / 3) / (5 + 3)
    after_0 = (np.array([0, 2, 0]) + 1 * unigram) / (2 + 1)
    after_2 = unigram  # 2 was never followed by anything
    for first, after in ((0, after_0), (2, after_2)):
        rows = np.array([[first, x] for x in range(3)])
        assert_close(law.probabilities(rows), np.stack([np.full(3, unigram[first]), after], axis=1))


@given(st.integers(2, 4), st.integers(1, 6), st.integers(0, 99))
def test_ngram_laws_sum_to_one(vocab_size, length, seed):
    law = NGram.of(rows_of(4, length, vocab_size, seed), vocab_size)
    before = np.repeat(rows_of(1, length, vocab_size, seed + 1), vocab_size, axis=0)
    before[:, -1] = np.arange(vocab_size)
    assert_close(law.probabilities(before)[:, -1].sum(), 1.0)


def test_ngram_log_loss_tends_to_the_entropy_rate():
    chain = MarkovSource(oracles.CHAIN, 64)
    rng = np.random.default_rng(0)
    law = NGram.of(chain.sample(rng, 2000), 3)
    found = law.log_loss(chain.sample(rng, 2000)).mean()
    assert abs(found - chain.entropy() / 64) < 0.004


# --- shares and causes

L = 32


def compared(train, held_out, generated, vocab_size):
    """A probe's dataset of two splits, with near copies measured."""
    denoiser = EmpiricalDenoiser(train[:1], vocab_size)
    work = Work(Reader(denoiser, train.shape[1], lambda: None), ProbeConfig())
    splits = {
        name: Split(name, tokens.astype(np.uint8), np.arange(len(tokens)))
        for name, tokens in (("train", train), ("generated", generated), ("heldout", held_out))
    }
    data = empty_dataset(list(splits.values()), ProbeConfig(), vocab_size)
    return with_copies(work, Parts(), train, held_out, splits, data)


def text(n_tokens, seed=0):
    """Tokens of a source with little memory: a chain over 12 letters."""
    rng = np.random.default_rng(9)
    chain = MarkovSource(rng.dirichlet(np.full(12, 0.7), size=12), n_tokens)
    return chain.sample(np.random.default_rng(seed), 1)[0]


def test_a_population_model_has_no_excess():
    """False positives: what it draws is as near to the training rows as held-out text is."""
    everything = text(L * 1400).reshape(-1, L)
    found = copies(compared(*np.split(everything, [1000, 1200]), 12))
    for row in found:
        assert row.excess.low <= 0 <= row.excess.high


def test_text_that_was_packed_at_another_offset_is_found_by_its_runs():
    """Power: the model gives the training text word for word, shifted by half a window."""
    whole = text(L * 1001)
    train, shifted = whole[: L * 1000].reshape(-1, L), whole[L // 2 : -L // 2].reshape(-1, L)
    data = compared(train, text(L * 200, seed=1).reshape(-1, L), shifted[:200], 12)
    by = {row.criterion: row for row in copies(data)}
    assert by["edits"].generated.value == 0  # no row is near, nor at equal offsets
    assert by["run"].generated.value == 1 and by["either"].excess.low > 0.9
    assert by["run"].held_out.high < 0.05
    assert set(causes(data)[rows(data, "generated")]) == {"rare"}


def test_copies_with_edits_are_found_and_their_causes_named():
    rng, train = np.random.default_rng(0), text(L * 300).reshape(-1, L)
    held_out = text(L * 200, seed=1).reshape(-1, L)
    train[50:100] = train[:50]  # twice there
    train[200:] = 3  # boilerplate, as is a tenth of the held-out text
    held_out[::10] = 3
    generated = np.array([edited(rng, row, 3, 12) for row in train[[0, 1, 2, 150, 151, 250, 251]]])
    data = compared(train, held_out, generated, 12)
    found = causes(data)[rows(data, "generated")].tolist()
    assert found == ["duplicated"] * 3 + ["rare"] * 2 + ["duplicated"] * 2
    train[201:] = text(L * 99, seed=2).reshape(-1, L)  # boilerplate once
    data = compared(train, held_out, generated[[3, 5]], 12)
    assert causes(data)[rows(data, "generated")].tolist() == ["rare", "predictable"]
    assert data["copy_row"].values[rows(data, "generated")].tolist() == [150, 200]


def test_without_a_training_file_nothing_is_said():
    assert copies(xr.Dataset()) == ()


# --- shares


def test_the_interval_of_a_difference_covers_and_has_a_width_at_zero():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        found = difference(rng.random(60) < 0.08, rng.random(80) < 0.02)
        hits += found.low <= 0.06 <= found.high
    assert 0.93 < hits / 2000 < 0.985
    none = difference(np.zeros(50, bool), np.zeros(50, bool))
    assert none.low == pytest.approx(-none.high) and 0.03 < none.high < 0.12


def test_hits_among_draws_estimate_extraction_without_bias():
    rng, p, draws = np.random.default_rng(0), 0.07, 20
    hits = rng.binomial(draws, p, size=200_000)
    for n in (1, 3, 20):
        within_standard_errors(drawn_within(hits, draws, n), 1 - (1 - p) ** n)
    assert drawn_within(np.array([0, 20]), 20, 20).tolist() == [0.0, 1.0]


def test_means_of_numbers_and_of_shares():
    rng = np.random.default_rng(0)
    a, b = rng.random(400) * 0.5, rng.random(300)
    first, second, gap = means(a, b, rng)
    assert first.value == pytest.approx(a.mean()) and second.value == pytest.approx(b.mean())
    assert gap.low < -0.25 < gap.high and 0.1 > gap.high - gap.low
    shares = means(np.zeros(40), np.zeros(40), rng)
    assert shares[2] == difference(np.zeros(40, bool), np.zeros(40, bool))
    flat = means(np.full(40, 0.5), np.full(40, 0.5), rng)
    assert flat[2].low < 0 < flat[2].high
    edge = means(np.full(40, 1.0), rng.random(40), rng)
    assert 0.9 < edge[0].low < edge[0].high == 1.0 and edge[2].high <= 1.0
    signed = means(-rng.random(40), rng.random(40), rng)
    assert -2 < signed[2].low < signed[2].value < signed[2].high < -0.7
    assert not means(np.zeros(0), a, rng)[2].known
