"""Hamming search, the empirical denoiser and the Hopfield sweep against peers, two threads each.

Results are checked equal before anything is timed; peers and ours take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from am_theory import channel
from models.exact import _hamming_kernels as kernels
from models.exact._kernels import in_parallel
from models.exact.empirical import EmpiricalDenoiser
from models.exact.hamming import HammingStore
from models.memories import hopfield
from models.noise import noise
from tests.benchmarks.timing import interleaved, show
from tests.helpers import ROOT
from tests.peers.forms import faiss_index, one_hot, one_hot_bits, product_posterior, torch_posterior

pytestmark = pytest.mark.benchmark
faiss = pytest.importorskip("faiss")
torch = pytest.importorskip("torch")

TRAIN_SIZE, SEQ_LEN, VOCAB, BATCH = 65_536, 64, 32, 256
SIZES = f"K = {TRAIN_SIZE:,}, L = {SEQ_LEN}, V = {VOCAB}, B = {BATCH}"


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    faiss.omp_set_num_threads(2)
    torch.set_num_threads(2)


@pytest.fixture(scope="module")
def patterns():
    rng = np.random.default_rng(0)
    return rng.integers(VOCAB, size=(TRAIN_SIZE, SEQ_LEN)).astype(np.uint8)


@njit(nogil=True)
def arithmetic_alone(queries, planes, kind):
    """Distances of packed queries to sequences that stay in cache, as do the results."""
    out = np.empty((8, planes.shape[2]), kind.dtype)
    for start in range(0, queries.shape[0], 8):
        kernels.distances_into(queries[start : start + 8], planes, out)
    return out


def test_hamming_distances_against_faiss_and_the_limit(patterns):
    """The limit: as many distances to one block, with packed queries and no memory to read."""
    rng = np.random.default_rng(1)
    queries = noise(rng, patterns[:BATCH], 0.5, VOCAB)
    store, index = HammingStore.of(patterns, VOCAB), faiss_index(patterns, VOCAB)
    bits = one_hot_bits(queries, VOCAB)
    block = HammingStore.of(patterns[: kernels.BLOCK], VOCAB)
    words = block.packed(np.tile(queries, (TRAIN_SIZE // kernels.BLOCK, 1)))

    def limit():
        rest = [block.planes, block.kind]
        return in_parallel(arithmetic_alone, len(words), [words], rest, block.rows_a_thread)

    distance, number = store.nearest(queries)
    doubled, place = index.search(bits, 1)
    np.testing.assert_array_equal(2 * distance, doubled[:, 0])
    every, rows = store.distances(queries), np.arange(BATCH)
    np.testing.assert_array_equal(every[rows, number], distance)
    np.testing.assert_array_equal(every[rows, place[:, 0]], distance)
    times = interleaved(
        {
            "nearest, from tokens": lambda: store.nearest(queries),
            "all distances, from tokens": lambda: store.distances(queries),
            "FAISS IndexBinaryFlat, k = 1, from packed one-hot bits": lambda: index.search(bits, 1),
            "the arithmetic alone, one block in cache": limit,
        },
        repeats=9,
    )
    show(f"token Hamming, {SIZES}", times, "nearest, from tokens")
    one, every, _, least = times.values()
    print(f"  share of the limit: nearest {least / one:.2f}, all distances {least / every:.2f}")


@pytest.mark.parametrize("t", [0.1, 0.25, 0.5, 0.7])
def test_empirical_posterior_against_products(patterns, t):
    """Complete: weights, both laws, entropies, draw and best pattern; products without the draw."""
    rng = np.random.default_rng(2)
    memory = EmpiricalDenoiser(patterns, VOCAB)
    store = HammingStore.of(patterns, VOCAB)
    alpha = float(memory.schedule.alpha(t))
    beta = float(channel.inverse_temperature(alpha, VOCAB))
    x_t = noise(rng, patterns[:BATCH], alpha, VOCAB)
    query, stored = one_hot(x_t, VOCAB), one_hot(patterns, VOCAB)
    query_torch, stored_torch = torch.from_numpy(query), torch.from_numpy(stored)
    ours = memory.posterior(x_t, t, rng)
    forms = [
        product_posterior(query, stored, beta, VOCAB),
        [a.numpy() for a in torch_posterior(query_torch, stored_torch, beta, VOCAB)],
    ]
    for full, loo, entropy, _ in forms:  # tolerances of tests/peers/test_empirical_peers.py
        np.testing.assert_allclose(np.exp(ours.log_full), full, atol=5e-5)
        np.testing.assert_allclose(np.exp(ours.log_loo), loo, atol=5e-5)
        np.testing.assert_allclose(ours.entropy, entropy, atol=5e-5 * np.log(TRAIN_SIZE))
    name = "posterior (numba, float64, from tokens)"
    times = interleaved(
        {
            name: lambda: memory.posterior(x_t, t, rng),
            "its Hamming stage alone: all distances": lambda: store.distances(x_t),
            "NumPy/BLAS one-hot products, float32": lambda: product_posterior(
                query, stored, beta, VOCAB
            ),
            "torch one-hot products, float32": lambda: torch_posterior(
                query_torch, stored_torch, beta, VOCAB
            ),
        }
    )
    show(f"empirical denoiser, {SIZES}, t = {t}", times, name)


@pytest.mark.parametrize("t", [0.5, 0.9, 0.95])
def test_sequences_that_fit_what_is_visible_against_masked_search(patterns, t):
    """Erasures: FAISS finds the nearest, masked sites being empty groups of bits."""
    rng = np.random.default_rng(3)
    kind = channel.Absorbing(VOCAB)
    memory = EmpiricalDenoiser(patterns, VOCAB, channel=kind)
    store, index = HammingStore.of(patterns, VOCAB + 1), faiss_index(patterns, VOCAB)
    alpha = float(memory.schedule.alpha(t))
    x_t = noise(rng, patterns[:BATCH], alpha, kind)
    masked = (x_t == VOCAB).sum(1)
    query = one_hot(np.where(x_t == VOCAB, 0, x_t), VOCAB) * np.repeat(x_t < VOCAB, VOCAB, axis=1)
    stored = one_hot(patterns, VOCAB)
    bits = np.packbits(query.astype(bool), axis=1)

    def fits():
        """Plain NumPy: all agreements by one product, then the sequences that fit."""
        matches = query @ stored.T
        return matches >= (SEQ_LEN - masked)[:, None] - 0.5

    found = memory.posterior(x_t, t, rng)
    number = fits().sum(1)
    np.testing.assert_allclose(found.entropy, np.log(number), atol=1e-9)
    doubled, _ = index.search(bits, 1)
    np.testing.assert_array_equal(doubled[:, 0], masked)  # a stored bit at each masked site
    plain, y_t = EmpiricalDenoiser(patterns, VOCAB), noise(rng, patterns[:BATCH], 0.75, VOCAB)
    name = "posterior under erasures (numba, from tokens)"
    times = interleaved(
        {
            name: lambda: memory.posterior(x_t, t, rng),
            "its Hamming stage alone: all distances": lambda: store.distances(x_t),
            "posterior under uniform noise, t = 0.25": lambda: plain.posterior(y_t, 0.25, rng),
            "FAISS, the nearest alone, from packed one-hot bits": lambda: index.search(bits, 1),
            "NumPy/BLAS, which fit, one product": fits,
        }
    )
    show(f"sequences that fit, {SIZES}, t = {t}, {number.mean():.1f} of them", times, name)


def mapped_stores(repeats, files):
    """What `mapped_store.py` says of the files, in a fresh process."""
    script = Path(__file__).with_name("mapped_store.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(repeats), *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


def test_posterior_is_linear_in_the_store_and_lean(tmp_path):
    """Memory-mapped stores: times in one process by turns, memory in a fresh process for each."""
    rng, sizes, files = np.random.default_rng(3), (100_000, 1_000_000, 10_000_000), []
    print(f"\nempirical denoiser, L = {SEQ_LEN}, V = {VOCAB}, B = 64, t = 0.25, store mapped")
    print("         K  open s  posterior s   ns/(K B)  peak MB  anonymous MB  B/(K L)  file MB")
    try:
        for size in sizes:
            files.append(tmp_path / f"{size}.npy")
            shape = (size, SEQ_LEN)
            out = np.lib.format.open_memmap(files[-1], mode="w+", dtype=np.uint8, shape=shape)
            for start in range(0, size, 100_000):
                out[start : start + 100_000] = rng.integers(VOCAB, size=(100_000, SEQ_LEN))
        del out
        times = mapped_stores(7, files)["posterior"]
        per_pair = [times[str(file)] / size / 64 for file, size in zip(files, sizes, strict=True)]
        for size, file, pair in zip(sizes, files, per_pair, strict=True):
            found = mapped_stores(1, [file])
            print(
                f"{size:10,} {found['open'][str(file)]:7.2f} {times[str(file)]:12.3f} "
                f"{1e9 * pair:10.3f} {found['peak'] / 1e6:8.0f} {found['anonymous'] / 1e6:13.0f} "
                f"{found['peak'] / size / SEQ_LEN:8.2f} {file.stat().st_size / 1e6:8.0f}"
            )
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    print(f"  time for each K, largest over smallest: {max(per_pair) / min(per_pair):.2f}")


def test_hopfield_sweep_against_products():
    """One synchronous sweep, energy and checks included; the bar is the dense float32 product."""
    rng = np.random.default_rng(4)
    stored = 2 * rng.integers(2, size=(200, 2000)).astype(np.int8) - 1
    states = np.where(rng.random((64, 2000)) < 0.2, -stored[:64], stored[:64])
    memory = hopfield.store(stored)
    single, factor = states.astype(np.float32), stored.astype(np.float32)
    couplings = factor.T @ factor
    np.fill_diagonal(couplings, 0)
    expected = np.sign(single @ couplings)
    expected = np.where(expected == 0, states, expected)
    name = f"retrieve, synchronous, max_iter = 1 (form {memory.form})"

    def sweep():
        return memory.retrieve(states, update="synchronous", max_iter=1)

    tensors = torch.from_numpy(single), torch.from_numpy(couplings)
    np.testing.assert_array_equal(sweep().states, expected)
    np.testing.assert_array_equal(np.sign((single @ factor.T) @ factor - 200 * single), expected)
    times = interleaved(
        {
            name: sweep,
            "the bar: (64 x 2000) @ (2000 x 2000), float32": lambda: single @ couplings,
            "two thin products, 64 x 2000 x 200, float32": lambda: (single @ factor.T) @ factor,
            "the bar by torch": lambda: tensors[0] @ tensors[1],
        },
        repeats=25,
    )
    show("Hopfield sweep, N = 2,000, P = 200, B = 64", times, name)
