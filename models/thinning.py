"""The reverse process of a network by thinning: forwards and readouts only where a token may move.

In a reverse step from alpha_t to alpha_s the plug-in kernel moves a token with probability
(1 - alpha_t / alpha_s) / N, N = 1 - alpha_t + alpha_t V x_theta[x_t], and a token that moves is
drawn from x_theta with probability alpha_s and uniformly otherwise (`models.sampler`, regrouped).
Whatever the network says, N is at least 1 - alpha_t, so a token can move with at most

    p = (1 - alpha_t / alpha_s) / (1 - alpha_t).

Which tokens are candidates is drawn first, each with probability p; a candidate moves with
probability (1 - alpha_t) / N. The law is that of the plain reverse step, exactly, and

* a step at which no token of a sequence is a candidate needs no forward of it, whether or not
  the network depends on time: each sequence goes from one of its own candidates to the next;
* the readout over the vocabulary is computed for candidates alone, a block of rows at a time,
  so that no array (batch, L, V) is ever made.

Under erasures alone nothing depends on the network but the values: a masked token is revealed in
the step from alpha_t to alpha_s with probability (alpha_s - alpha_t) / (1 - alpha_t), once, so that
when is drawn first, and every candidate moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from models.denoiser import channel_of
from models.tokens import Tokens

LOGITS = 1 << 22  # of the readout at a time: 16 MiB, which the allocator keeps
LOGITS_OF_A_GPU = 1 << 28  # which waits for each call
TOKENS = 1 << 16  # of a batch of the trunk


def pays(vocab_size: int, seq_len: int, n_steps: int, erasures: bool = False) -> bool:
    """Whether thinning is faster than plain steps: for a large readout, or where many steps move
    nothing (timings in BENCHMARKS.md); under erasures a token moves once."""
    return vocab_size >= 512 or n_steps > (seq_len if erasures else 4 * seq_len)


def candidate_probability(alpha_t: float, alpha_s: float) -> float:
    """Largest probability with which a token can move in a step, whatever x_theta."""
    if alpha_t >= 1:
        return 0.0
    return min(1.0, (1 - alpha_t / alpha_s) / (1 - alpha_t))


@dataclass(frozen=True)
class Grid:
    """Steps of a run from noisy to clean: level t, alpha_t and alpha_s of each, (n,)."""

    t: NDArray[np.float64]
    alpha_t: NDArray[np.float64]
    alpha_s: NDArray[np.float64]

    @classmethod
    def uniform(cls, schedule: Any, t: float, n: int) -> Grid:
        """n equal steps from t to 0; the last one goes to alpha = 1 exactly."""
        levels = t * (1 - np.arange(n + 1) / n)
        alpha = np.array(schedule.alpha(levels))
        alpha[-1] = 1.0
        return cls(levels[:-1], alpha[:-1], alpha[1:])


@dataclass(frozen=True)
class Events:
    """Candidates of one batch in rounds: in round j every sequence is at its j-th step with a
    candidate. Candidates i of round j are rows start[j] to start[j + 1]."""

    step: NDArray[np.int64]  # (rounds, batch); 0 for a sequence that is done
    start: NDArray[np.int64]  # (rounds + 1,)
    sequence: NDArray[np.int64]  # (candidates,)
    site: NDArray[np.int64]  # (candidates,)


def draw_events(
    rng: np.random.Generator,
    grid: Grid,
    batch: int,
    seq_len: int,
    held: NDArray[np.bool_] | None = None,
) -> Events:
    """Draw the candidates of all steps of a batch; cost one random number a token and step. Sites
    `held` (batch, L) are never among them."""
    free, found = True if held is None else ~held, []
    for k, (alpha_t, alpha_s) in enumerate(zip(grid.alpha_t, grid.alpha_s, strict=True)):
        p = candidate_probability(alpha_t, alpha_s)
        drawn = rng.random((batch, seq_len), dtype=np.float32) < p
        sequence, site = np.nonzero(drawn & free)
        found.append(np.stack([sequence, np.full(len(site), k), site]))
    sequence, step, site = np.concatenate(found, axis=1)
    return _in_rounds(sequence, step, site, batch)


def draw_reveals(rng: np.random.Generator, grid: Grid, masked: NDArray[np.bool_]) -> Events:
    """When each masked token (batch, L) is revealed: a token masked at the first level still is
    after a step to alpha_s with probability (1 - alpha_s) / (1 - alpha_t) of the first alpha_t."""
    sequence, site = np.nonzero(masked)
    still = (1 - grid.alpha_s) / (1 - grid.alpha_t[0])  # falls to 0
    step = np.searchsorted(-still, -rng.random(len(site)), side="left")
    return _in_rounds(sequence, np.minimum(step, len(still) - 1), site, len(masked))


def _in_rounds(
    sequence: NDArray[np.int64], step: NDArray[np.int64], site: NDArray[np.int64], batch: int
) -> Events:
    """Candidates in rounds, from their sequences, steps and sites."""
    order = np.lexsort((site, step, sequence))
    sequence, step, site = sequence[order], step[order], site[order]
    fresh = np.ones(len(sequence), bool)  # the first candidate of its sequence and step
    fresh[1:] = (np.diff(sequence) != 0) | (np.diff(step) != 0)
    count = np.cumsum(fresh) - 1
    opens = np.ones(len(sequence), bool)
    opens[1:] = np.diff(sequence) != 0
    turn = count - np.maximum.accumulate(np.where(opens, count, 0))  # round of each candidate
    rounds = int(turn.max()) + 1 if len(turn) else 0
    steps = np.zeros((rounds, batch), np.int64)
    steps[turn, sequence] = step
    order = np.argsort(turn, kind="stable")
    start = np.searchsorted(turn[order], np.arange(rounds + 1))
    return Events(steps, start, sequence[order], site[order])


@eqx.filter_jit
def _trunk(model: Any, tokens: Int[Array, "batch L"], t: Float[Array, " batch"]) -> Any:
    return model.trunk(tokens, t)


@eqx.filter_jit
def _move(
    model: Any,
    hidden: Float[Array, "batch L width"],
    condition: Float[Array, "batch cond"],
    sequence: Int[Array, " rows"],
    site: Int[Array, " rows"],
    token: Int[Array, " rows"],
    alpha_t: Float[Array, " rows"],
    alpha_s: Float[Array, " rows"],
    uniforms: Float[Array, "3 rows"],
) -> Int[Array, " rows"]:
    """New tokens of candidate sites."""
    logits = model.head(hidden[sequence, site], condition[sequence])
    total, own, draw = grouped_draw(logits, token, uniforms[1])
    vocab_size = logits.shape[-1]
    excess = 1 - alpha_t + alpha_t * vocab_size * own / total
    moves = uniforms[0] * excess < 1 - alpha_t
    u = uniforms[2]
    fresh = jnp.minimum((u - alpha_s) / (1 - alpha_s) * vocab_size, vocab_size - 1)
    new = jnp.where(u < alpha_s, draw, jnp.where(alpha_s < 1, fresh, 0).astype(draw.dtype))
    return jnp.where(moves, new, token)


@eqx.filter_jit
def _reveal(
    model: Any,
    hidden: Float[Array, "batch L width"],
    condition: Float[Array, "batch cond"],
    sequence: Int[Array, " rows"],
    site: Int[Array, " rows"],
    uniforms: Float[Array, " rows"],
) -> Int[Array, " rows"]:
    """Values of masked sites."""
    logits = model.head(hidden[sequence, site], condition[sequence])
    return grouped_draw(logits, jnp.zeros_like(site), uniforms)[2]


def grouped_draw(
    logits: Float[Array, "rows V"], token: Int[Array, " rows"], uniforms: Float[Array, " rows"]
) -> tuple[Array, Array, Array]:
    """Sum of e^logit, e^logit of a token, and one draw of the law, each (rows,), all relative to
    the largest logit. The draw inverts the cumulative law in two levels (about sqrt(V) groups):
    one pass over the logits, and sums of sqrt(V) terms only."""
    rows, vocab_size = logits.shape
    size = int(np.ceil(np.sqrt(vocab_size)))
    n_groups = -(-vocab_size // size)
    largest = jnp.max(logits, axis=-1, keepdims=True)
    padding = ((0, 0), (0, n_groups * size - vocab_size))
    padded = jnp.pad(logits - largest, padding, constant_values=-jnp.inf)
    group_sums = jnp.sum(jnp.exp(padded).reshape(rows, n_groups, size), axis=-1)
    # without the barrier XLA stores the padded array too, and takes three times as long
    group_sums, largest = jax.lax.optimization_barrier((group_sums, largest))
    total = jnp.sum(group_sums, axis=-1)
    group, rest = _inverse(group_sums, uniforms * total)
    places = group[:, None] * size + jnp.arange(size)
    members = jnp.take_along_axis(logits, jnp.minimum(places, vocab_size - 1), axis=-1) - largest
    member, _ = _inverse(jnp.where(places < vocab_size, jnp.exp(members), 0.0), rest)
    own = jnp.exp(jnp.take_along_axis(logits, token[:, None], axis=-1) - largest)[:, 0]
    return total, own, jnp.minimum(group * size + member, vocab_size - 1)


def _inverse(weights: Array, target: Array) -> tuple[Array, Array]:
    """First index at which the running sum of weights (rows, n) passes the target (rows,), an
    index with weight; and the target less the sum before it."""
    running = jnp.cumsum(weights, axis=-1)
    total = running[:, -1]
    target = jnp.minimum(target, jnp.nextafter(total, jnp.zeros_like(total)))
    index = jnp.sum(running <= target[:, None], axis=-1)
    before = running - weights
    return index, target - jnp.take_along_axis(before, index[:, None], axis=-1)[:, 0]


def ancestral_thinned(
    model: Any,
    rng: np.random.Generator,
    x_t: Tokens,
    grid: Grid,
    batch: int | None = None,
    held: NDArray[np.bool_] | None = None,
) -> Tokens:
    """Reverse process of a network with `trunk` and `head` over a grid, tokens (n, L), of uniform
    noise or of erasures; sites `held` (n, L), none of them masked, stay as they are.

    `batch` sequences at a time, by default as many as hold 65,536 tokens. Memory beyond the
    weights: activations of the trunk, and a few arrays of 4 million logits (268 million on a GPU),
    of 128 V where that is more.
    Raises ValueError for a network of hybrid noise.
    """
    kind = channel_of(model)
    if kind.redraws and kind.mask_id is not None:
        raise ValueError(
            "thinning has no law for hybrid noise, whose tokens are masked and redrawn; use "
            "models.sampler.ancestral, which takes plain steps."
        )
    n, seq_len = x_t.shape
    size = min(n, batch or max(1, TOKENS // seq_len))

    def batches(a: Any) -> Any:
        padded = np.concatenate([a, np.repeat(a[:1], -n % size, axis=0)])  # one shape to compile
        return np.split(padded, len(padded) // size)

    parts = batches(x_t)
    keep = [None] * len(parts) if held is None else batches(held)
    out = [_run_batch(model, rng, *part, grid) for part in zip(parts, keep, strict=True)]
    return np.concatenate(out)[:n]


def _run_batch(
    model: Any,
    rng: np.random.Generator,
    x_t: Tokens,
    held: NDArray[np.bool_] | None,
    grid: Grid,
) -> Tokens:
    tokens, kind = x_t.copy(), channel_of(model)
    reveals = not kind.redraws
    events = (
        draw_reveals(rng, grid, tokens == kind.mask_id)
        if reveals
        else draw_events(rng, grid, len(tokens), tokens.shape[1], held)
    )
    block = rows_at_a_time(model.vocab_size, tokens.size, jax.default_backend())
    for j, steps in enumerate(events.step):
        hidden, condition = _trunk(
            model, jnp.asarray(tokens, jnp.int32), jnp.asarray(grid.t[steps], jnp.float32)
        )
        for rows in _blocks(events.start[j], events.start[j + 1], block):
            sequence, site = events.sequence[rows], events.site[rows]
            missing = block - len(site)
            columns = [np.pad(a, (0, missing)) for a in (sequence, site, tokens[sequence, site])]
            if reveals:
                levels = jnp.asarray(rng.random(block, dtype=np.float32))
                rows_at, sites_at = (jnp.asarray(a, jnp.int32) for a in columns[:2])
                new = _reveal(model, hidden, condition, rows_at, sites_at, levels)
                tokens[sequence, site] = np.asarray(new)[: len(site)]
                continue
            step = steps[columns[0]]
            alphas = [a[step].astype(np.float32) for a in (grid.alpha_t, grid.alpha_s)]
            uniforms = rng.random((3, block), dtype=np.float32)
            drawn = [*(jnp.asarray(a, jnp.int32) for a in columns), *alphas, uniforms]
            new = _move(model, hidden, condition, *drawn)
            tokens[sequence, site] = np.asarray(new)[: len(site)]
    return tokens


def rows_at_a_time(vocab_size: int, n_tokens: int, backend: str) -> int:
    """Rows of the readout in one call, for a batch of so many tokens (timings in BENCHMARKS.md)."""
    if backend == "cpu":
        return min(1024, max(128, LOGITS // vocab_size))
    return min(n_tokens, max(128, LOGITS_OF_A_GPU // vocab_size))


def _blocks(first: int, last: int, size: int) -> Iterator[slice]:
    for start in range(first, last, size):
        yield slice(start, min(start + size, last))
