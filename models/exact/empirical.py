"""The empirical-score optimal denoiser over K stored sequences: a dense associative memory.

P(mu | x_t) = exp(beta m_mu) / sum_nu exp(beta m_nu) with m_mu the number of sites where
x_t equals pattern mu and beta = log(1 + V a / u), u the redrawn fraction; a masked site matches no
pattern. Where a channel does not redraw, beta is infinite: the stored sequences that agree with all
visible tokens, or with most of them where none agrees with all, are equally likely. Sources:
Ambrogioni 2024 (arXiv:2309.17290); Demircigil et al. 2017 (arXiv:1702.01929) for the memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from am_theory.channel import Channel, LogLinear, channel_iv, inverse_temperature
from models.denoiser import certain_where_visible
from models.exact import _kernels
from models.exact.hamming import HammingStore
from models.exact.mapped import check_file, check_unchanged
from models.memory_size import refuse_beyond_memory
from models.tokens import Tokens, check_level, check_tokens, check_vocabulary

if TYPE_CHECKING:
    from models.exact.empirical_jax import EmpiricalJax

Floats = NDArray[np.float64]
CHUNK = 4096  # queries whose (chunk, L, V) marginals are held at once


@dataclass(frozen=True)
class EmpiricalPosterior:
    """What one pass over the store says of each query; entropies in nats.

    log_loo, log_full (batch, L, V); map_index (batch,): a pattern with most matches,
    ties broken at random; draw_index (batch,): one draw of P(mu | x_t); true_weight
    (batch,): P of the pattern asked for, NaN where none was; entropy (batch,):
    H(mu | x_t); max_matches (batch,).
    """

    log_loo: Floats
    log_full: Floats
    map_index: NDArray[np.int64]
    draw_index: NDArray[np.int64]
    true_weight: Floats
    entropy: Floats
    max_matches: NDArray[np.int64]


class EmpiricalDenoiser:
    """Exact denoiser of the uniform law over `patterns` (K, L); duplicates count double.

    `counts` (K,) says how often each pattern occurs, once where it is left out; `merged` finds
    it. `channel` is uniform where it is left out. Numba on the CPU, float64; `jax()` gives the
    twin in single precision, without any pruning, for use inside jax.jit. Patterns may be
    memory-mapped (`open_patterns`).

    Cost of a query: the distances to all patterns (`HammingStore`), then L / 2 to L additions
    for every pattern whose weight matters. No (K, L, V) array is ever made. Patterns left out
    cannot together change any law by more than exp(-32) in total variation.
    """

    def __init__(
        self,
        patterns: ArrayLike,
        vocab_size: int,
        schedule: Any = LogLinear(),
        counts: ArrayLike | None = None,
        channel: Channel | None = None,
    ) -> None:
        self.vocab_size = check_vocabulary(vocab_size)
        self.channel = channel_iv(channel, self.vocab_size)
        self._file = check_file(patterns)
        self.patterns = check_tokens(patterns, vocab_size, name="patterns")
        ids = self.vocab_size + (self.channel.mask_id is not None)
        self._store = HammingStore.of(self.patterns, ids)
        self._codes = _kernels.pack_sites(self.patterns, self.vocab_size)
        self.seq_len = self.patterns.shape[1]
        self.schedule = schedule
        self._counts = np.empty(0) if counts is None else _counts_iv(counts, len(self.patterns))
        self.train_size = len(self.patterns) if counts is None else int(self._counts.sum())

    @classmethod
    def merged(
        cls,
        patterns: ArrayLike,
        vocab_size: int,
        schedule: Any = LogLinear(),
        channel: Channel | None = None,
    ) -> EmpiricalDenoiser:
        """The same denoiser with every sequence held once and counted, in sorted order."""
        tokens = check_tokens(patterns, check_vocabulary(vocab_size), name="patterns")
        distinct, counts = np.unique(tokens, axis=0, return_counts=True)
        return cls(distinct, vocab_size, schedule, counts, channel)

    def _inputs(self, x_t: ArrayLike, t: ArrayLike) -> tuple[Tokens, Floats]:
        """Checked tokens (batch, L), V for masks, and the alpha of each row (batch,)."""
        tokens = check_tokens(x_t, self.vocab_size, self.seq_len, mask_id=self.channel.mask_id)
        return tokens, np.asarray(self.schedule.alpha(check_level(t, len(tokens))))

    def _beta(self, alpha: Floats) -> Floats:
        if not self.channel.redraws:
            return np.full(np.shape(alpha), _kernels.ERASED)
        return np.asarray(inverse_temperature(alpha, self.channel))

    def _pass(
        self,
        tokens: Tokens,
        alpha: Floats,
        uniforms: Floats,
        true_index: NDArray[np.int64],
        marginals: bool,
    ) -> tuple[NDArray[Any], ...]:
        check_unchanged(self._file)
        beta = np.broadcast_to(self._beta(alpha), (len(tokens),)).copy()
        store = self._store
        result: tuple[NDArray[Any], ...] = _kernels.in_parallel(
            _kernels.empirical_pass,
            len(tokens),
            [tokens, store.packed(tokens), beta, uniforms, true_index],
            [
                store.planes,
                store.kind,
                self._codes,
                self._counts,
                self.seq_len,
                self.vocab_size,
                marginals,
            ],
            store.rows_a_thread,
        )
        return result

    def posterior(
        self,
        x_t: ArrayLike,
        t: ArrayLike,
        rng: np.random.Generator,
        true_index: ArrayLike | None = None,
    ) -> EmpiricalPosterior:
        """Everything the posterior over patterns says of x_t (batch, L) at level t.

        `true_index` (batch,) asks for the weight of one pattern per query (-1: none).
        """
        tokens, alpha = self._inputs(x_t, t)
        wanted = np.asarray(np.full(len(tokens), -1) if true_index is None else true_index)
        if wanted.shape != (len(tokens),) or wanted.dtype.kind not in "iu":
            raise ValueError(
                f"`true_index` must hold one integer per query, shape ({len(tokens)},); got "
                f"{wanted.dtype} of shape {wanted.shape}."
            )
        if wanted.size and not -1 <= wanted.min() <= wanted.max() < len(self.patterns):
            raise ValueError(
                f"`true_index` must lie between -1 (none) and {len(self.patterns) - 1}, the last "
                f"stored sequence; got {wanted.min()} to {wanted.max()}."
            )
        log_full, log_loo, draw, best, weight, entropy, _, matches = self._pass(
            tokens, alpha, rng.random((len(tokens), 2)), wanted.astype(np.int64), True
        )
        log_full, log_loo = (
            certain_where_visible(law, tokens, self.channel) for law in (log_full, log_loo)
        )
        return EmpiricalPosterior(log_loo, log_full, best, draw, weight, entropy, matches)

    def weights(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """P(mu | x_t) of every stored sequence, (batch, K); memory 8 batch K bytes."""
        tokens, alpha = self._inputs(x_t, t)
        beta = self._beta(alpha)
        refuse_beyond_memory(
            32.0 * len(tokens) * len(self.patterns),
            f"the weights of {len(self.patterns)} sequences for {len(tokens)} queries",
            "ask for fewer queries at a time, or for `posterior`, which makes no such array",
        )
        gap = self._store.distances(tokens).astype(float)
        unnormalized = np.exp(-beta.reshape(-1, 1) * (gap - gap.min(1, keepdims=True)))
        if self._counts.size:
            unnormalized *= self._counts
        total: Floats = unnormalized / unnormalized.sum(1, keepdims=True)
        return total

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """Leave-one-out law log p(x_0^i | x_t without i), (batch, L, V), -inf allowed."""
        tokens, alpha = self._inputs(x_t, t)
        out: Floats = np.empty((*tokens.shape, self.vocab_size))
        for start in range(0, len(tokens), CHUNK):
            part = slice(start, start + CHUNK)
            n = len(tokens[part])
            none = np.full(n, -1)
            law = self._pass(tokens[part], alpha[part], np.zeros((n, 2)), none, True)[1]
            out[part] = certain_where_visible(law, tokens[part], self.channel)
        return out

    def posterior_draw(self, rng: np.random.Generator, x_t: ArrayLike, t: ArrayLike) -> Tokens:
        """One draw of P(mu | x_t) per query, as sequences (batch, L)."""
        tokens, alpha = self._inputs(x_t, t)
        none = np.full(len(tokens), -1)
        draw = self._pass(tokens, alpha, rng.random((len(tokens), 2)), none, False)[2]
        return self.patterns[draw]

    def log_prob_noisy(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p_t(x_t) in nats, (batch,): n log(u / V) + (L - n) log m - log K + log sum
        exp(beta m) with n visible tokens."""
        tokens, alpha = self._inputs(x_t, t)
        none = np.full(len(tokens), -1)
        found = self._pass(tokens, alpha, np.zeros((len(tokens), 2)), none, False)
        log_z, matches = found[6], found[7]
        rates = self.channel.rates(alpha)
        visible = (tokens < self.vocab_size).sum(1)
        masking = xlogy(self.seq_len - visible, rates.mask) - np.log(self.train_size)
        if self.channel.redraws:
            floor = np.log(np.maximum(rates.redraw, 1e-12) / self.vocab_size)
            total: Floats = visible * floor + masking + log_z
            return total
        fits = xlogy(visible, alpha) + masking + log_z - _kernels.ERASED * matches
        return np.where(matches == visible, fits, -np.inf)

    def nearest(
        self, outputs: ArrayLike, queries: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Whether each output is nearest to its query, and its distance to the store.

        success (batch,): 1 where the query is strictly nearer (Hamming) to the output than
        every stored sequence that differs from it, 0 where one is strictly nearer,
        1 / (1 + ties) at equal distance (a random tie-break in expectation). For a stored
        query this is "the nearest stored sequence is the right one".
        distance (batch,): to the nearest stored sequence of any kind.
        """
        result = check_tokens(outputs, self.vocab_size, self.seq_len, "outputs")
        asked = check_tokens(queries, self.vocab_size, self.seq_len, "queries")
        if len(asked) != len(result):
            raise ValueError(
                f"`outputs` and `queries` must have one batch size; got {len(result)} and "
                f"{len(asked)}."
            )
        nearer, level, best = _kernels.in_parallel(
            _kernels.nearest_pattern,
            len(result),
            [self._store.packed(result), (result != asked).sum(1)],
            [self._store.planes, self._store.kind, self._counts],
            self._store.rows_a_thread,
        )
        ties = level - self.multiplicity(asked)  # stored copies of the query are no rivals
        return np.where(nearer > 0, 0.0, 1 / (1 + ties)), best

    def multiplicity(self, sequences: ArrayLike) -> NDArray[np.int64]:
        """How often each sequence (batch, L) is stored, (batch,)."""
        asked = check_tokens(sequences, self.vocab_size, self.seq_len, "sequences")
        distance = self._store.distances(asked)
        weights = self._counts if self._counts.size else np.ones(len(self.patterns))
        return ((distance == 0) @ weights).astype(np.int64)

    def jax(self) -> EmpiricalJax:
        """The same denoiser as a JAX module, usable inside jit."""
        import jax.numpy as jnp

        from models.exact.empirical_jax import EmpiricalJax

        return EmpiricalJax(
            jnp.asarray(self.patterns, jnp.int32),
            jnp.log(jnp.asarray(self._counts)) if self._counts.size else None,
            self.vocab_size,
            self.seq_len,
            self.schedule,
            self.channel,
        )


def _counts_iv(counts: ArrayLike, n_patterns: int) -> Floats:
    wanted = np.asarray(counts)
    if wanted.shape != (n_patterns,) or wanted.dtype.kind not in "iu" or wanted.min() < 1:
        raise ValueError(
            f"`counts` must hold one positive integer per pattern, shape ({n_patterns},); got "
            f"{wanted.dtype} of shape {wanted.shape}"
            + (f", smallest {wanted.min()}." if wanted.size else ".")
        )
    return wanted.astype(np.float64)
