"""How many sequences a site's row can put right, by linear programs: random ones, and chains."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linprog

from am_theory.conditional_likelihood import critical_load
from models.memories.multinomial import simplex
from models.sources.markov import MarkovSource
from models.streams import stream
from simulations.rows.config import RowsConfig, dimension

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

SEQUENCES = {"units": "sequences"}


def separable_rows(config: RowsConfig, index: int) -> xr.Dataset:
    """Largest numbers of random sequences that rows of one case separate, dimension program: of
    rows without biases and, on the same sequences, with."""
    vocab_size, seq_len = case = config.separable[index]
    most = round(2 * critical_load(vocab_size) * dimension(case)) + 20
    found = np.empty((2, config.programs), int)
    for number in range(config.programs):
        rng = stream(config.root_seed, "separable", vocab_size, seq_len, number)
        tokens = rng.integers(vocab_size, size=(most, seq_len))
        guess = critical_load(vocab_size) * dimension(case)
        for row, biases in enumerate((False, True)):
            found[row, number] = largest_separable(tokens, vocab_size, guess, biases=biases)
    names = ("largest", "largest_biased")
    return xr.Dataset(
        {name: ("program", row, SEQUENCES) for name, row in zip(names, found, strict=True)}
    )


def chain_rows(config: RowsConfig, index: int) -> xr.Dataset:
    """Largest numbers of sequences of a chain of two tokens that the middle site's row separates,
    dimensions chain_length, program."""
    flip = config.chains[index]
    largest = np.empty((len(config.chain_lengths), config.programs), int)
    for place, seq_len in enumerate(config.chain_lengths):
        source = MarkovSource([[1 - flip, flip], [flip, 1 - flip]], seq_len)
        guess = 1.5 * critical_load(2) * (seq_len - 1)
        for number in range(config.programs):
            rng = stream(config.root_seed, "chains", flip, seq_len, number)
            tokens = source.sample(rng, round(8 * guess)).astype(int)
            middle = (seq_len - 1) // 2
            last = np.hstack([np.delete(tokens, middle, axis=1), tokens[:, [middle]]])
            largest[place, number] = largest_separable(last, 2, guess)
    dims = ("chain_length", "program")
    return xr.Dataset(
        {"largest": (dims, largest, SEQUENCES)}, {"chain_length": list(config.chain_lengths)}
    )


def largest_separable(tokens: Ints, vocab_size: int, guess: float, *, biases: bool = False) -> int:
    """Largest K at which the last site's token follows from the others, by bisection from a
    guess."""
    walls = wall_inputs(tokens, vocab_size, biases)
    low, high = 0, len(tokens)  # separable, and not so
    count = round(guess)
    step = max(1, count // 8)
    while high - low > 1:
        if separable(walls[:count]):
            low, count = count, min(count + step, (count + high) // 2)
        else:
            high, count = count, max(count - step, (count + low) // 2)
        step = max(1, step // 2) if low and high < len(tokens) else step
        count = min(max(count, low + 1), high - 1)
    return low


def wall_inputs(tokens: Ints, vocab_size: int, biases: bool = False) -> Floats:
    """(K, V - 1, unknowns): products with a row's unknowns are the target's logit minus others."""
    basis = simplex(vocab_size)
    inputs = basis[tokens[:, :-1]].reshape(len(tokens), -1)
    if biases:
        inputs = np.hstack([inputs, np.ones((len(tokens), 1))])
    target = tokens[:, -1]
    others = (target[:, None] + np.arange(1, vocab_size)) % vocab_size
    apart = basis[target][:, None, :] - basis[others]
    return np.einsum("kva,kd->kvad", apart, inputs).reshape(len(tokens), vocab_size - 1, -1)


def separable(walls: Floats) -> bool:
    """Whether some row has products of at least 1 with all: a linear program, by interior points,
    and by the simplex method where these fail."""
    flat = walls.reshape(-1, walls.shape[-1])
    for method in ("highs-ipm", "highs-ds"):
        found = linprog(
            np.zeros(flat.shape[1]),
            A_ub=-flat,
            b_ub=-np.ones(len(flat)),
            bounds=(None, None),
            method=method,
        )
        if found.status in (0, 2):
            return bool(found.status == 0)
    raise ArithmeticError(f"The linear program ended without an answer: {found.message}")
