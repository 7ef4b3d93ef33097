"""Stationary or started Markov chains of tokens, with their exact denoiser.

Seen through a channel a chain is a hidden Markov model with emission
e_i(v) = r 1[v = x_t^i] + (1 - r)/V at visible sites, r the kept fraction among them, and 1 at
masked ones, so forward-backward gives every law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory.channel import Channel, LogLinear
from models.exact import _kernels
from models.sources import _chain_kernels as kernels
from models.sources.law import EntropyLaw, MutualInformation, NoisyPairs, draw_rows, entropy_of
from models.sources.population import (
    PopulationDenoiser,
    refuse_impossible_context,
    refuse_impossible_tokens,
)
from models.tokens import Tokens, check_tokens, token_dtype

if TYPE_CHECKING:
    from models.sources.jax_twins import SmootherJax

Floats = NDArray[np.float64]


def stationary_law(transition: Floats) -> Floats:
    """Stationary law (V,) of a row-stochastic matrix with one recurrent class."""
    vocab_size = len(transition)
    system = np.vstack([transition.T - np.eye(vocab_size), np.ones(vocab_size)])
    target = np.append(np.zeros(vocab_size), 1.0)
    solution, _, rank, _ = np.linalg.lstsq(system, target, rcond=None)
    if rank < vocab_size:
        raise ValueError(
            "`transition` has several stationary laws (it splits into separate classes); "
            "give `initial` explicitly."
        )
    law: Floats = np.clip(solution, 0, None)
    return law / law.sum()


def _middle_entropy(joint: Floats) -> Floats:
    """Entropy (a, c), nats, of the middle of joint (a, b, c) given its ends."""
    context = joint.sum(1)
    return entropy_of(np.moveaxis(joint, 1, 2) / np.where(context > 0, context, 1)[..., None])


@dataclass(frozen=True, eq=False)
class MarkovSource:
    """A chain p(x) = initial[x_1] prod_i transition[x_{i-1}, x_i] of length `seq_len`.

    transition (V, V), rows sum to 1, zeros allowed; initial (V,), the stationary law
    by default. Entropies in nats.
    """

    transition: Floats
    seq_len: int
    initial: Floats

    def __init__(
        self, transition: ArrayLike, seq_len: int, initial: ArrayLike | None = None
    ) -> None:
        matrix = np.array(transition, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
            raise ValueError(
                f"`transition` must be a square matrix (V, V), V >= 2; got {matrix.shape}."
            )
        if not (np.all(matrix >= 0) and np.allclose(matrix.sum(1), 1, rtol=0, atol=1e-9)):
            raise ValueError(
                "`transition` must have non-negative rows that sum to 1; got row sums from "
                f"{matrix.sum(1).min():.6g} to {matrix.sum(1).max():.6g}."
            )
        if seq_len < 1:
            raise ValueError(f"`seq_len` must be at least 1; got {seq_len}.")
        start = stationary_law(matrix) if initial is None else np.array(initial, dtype=np.float64)
        if start.shape != (len(matrix),) or not np.isclose(start.sum(), 1) or start.min() < 0:
            raise ValueError(f"`initial` must be {len(matrix)} probabilities that sum to 1.")
        object.__setattr__(self, "transition", matrix)
        object.__setattr__(self, "seq_len", int(seq_len))
        object.__setattr__(self, "initial", start)

    @property
    def vocab_size(self) -> int:
        return len(self.transition)

    def sample(self, rng: np.random.Generator, n: int) -> Tokens:
        """`n` independent sequences, (n, L) of the smallest unsigned type."""
        tokens = np.empty((n, self.seq_len), dtype=token_dtype(self.vocab_size))
        uniforms = rng.random((n, self.seq_len))  # by rows: the first of more sequences agree
        tokens[:, 0] = draw_rows(
            np.broadcast_to(self.initial, (n, self.vocab_size)), uniforms[:, 0]
        )
        for i in range(1, self.seq_len):
            tokens[:, i] = draw_rows(self.transition[tokens[:, i - 1]], uniforms[:, i])
        return tokens

    def log_prob(self, x: ArrayLike) -> Floats:
        """log p(x) in nats of tokens (batch, L); -inf for impossible sequences."""
        tokens = check_tokens(x, self.vocab_size, self.seq_len, "x")
        with np.errstate(divide="ignore"):
            start, step = np.log(self.initial), np.log(self.transition)
        total: Floats = start[tokens[:, 0]] + step[tokens[:, :-1], tokens[:, 1:]].sum(1)
        return total

    def marginals(self) -> Floats:
        """Law of every token, (L, V)."""
        laws = [self.initial]
        for _ in range(self.seq_len - 1):
            laws.append(laws[-1] @ self.transition)
        return np.array(laws)

    def entropy(self) -> float:
        """H(x_0) in nats a sequence: H(initial) + sum_i H(x_i | x_{i-1}). Exact."""
        rates = entropy_of(self.transition)
        return float(entropy_of(self.initial) + (self.marginals()[:-1] @ rates).sum())

    def loo_entropy_law(self) -> EntropyLaw:
        """Exact law, over sites and sequences, of the per-token entropy of `loo` as t -> 0.

        At site i this is H(X_i | neighbours) at each pair of neighbour values; the two
        ends have one neighbour. O(V^3) for every site of a non-stationary chain.
        """
        values, weights = [], []
        marginals = self.marginals()
        for i in range(self.seq_len):
            before = (
                marginals[i - 1][:, None] * self.transition if i else marginals[0][None, :]
            )  # (a, b)
            joint = (
                before[:, :, None] * self.transition[None, :, :]
                if i < self.seq_len - 1
                else before[:, :, None]
            )  # (a, b, c)
            values.append(_middle_entropy(joint).ravel())
            weights.append(joint.sum(1).ravel() / self.seq_len)
        return EntropyLaw(np.concatenate(values), np.concatenate(weights))

    def loo_entropy(self) -> float:
        """Mean over sites of H(X_i | X without i), nats a token: the t -> 0 limit of the
        `loo` entropy of the population denoiser. Exact."""
        return self.loo_entropy_law().mean()

    def loo_entropy_moments(self) -> tuple[float, float]:
        """Mean (nats) and variance (nats squared) over sequences of the per-token entropy of
        `loo` averaged over the sites of a sequence, as t -> 0. Exact.

        A sum along the chain of h_i(x_{i-1}, x_{i+1}) = H(X_i | neighbours), whose moments are
        carried over the pairs (x_{i-1}, x_i), as in a transfer matrix. O(L V^3).
        """
        if self.seq_len == 1:
            return self.loo_entropy(), 0.0
        step, last = self.transition, entropy_of(self.transition)[:, None]
        weight = self.initial[:, None] * step  # of the pair (x_{i-1}, x_i)
        first, inner = _middle_entropy(weight[None])[0], _middle_entropy(step[:, :, None] * step)
        sums, squares = weight * first, weight * first**2  # site 1 is told by its right neighbour
        for _ in range(self.seq_len - 2):
            squares = squares.sum(0)[:, None] + 2 * sums.T @ inner + weight.T @ inner**2
            sums = sums.sum(0)[:, None] + weight.T @ inner
            sums, squares = sums * step, squares * step
            weight = weight.sum(0)[:, None] * step
        squares = squares + 2 * sums * last + weight * last**2
        mean = float((sums + weight * last).sum() / self.seq_len)
        return mean, float(squares.sum() / self.seq_len**2 - mean**2)

    def mutual_information(
        self,
        alpha: float,
        rng: np.random.Generator | None = None,
        n: int = 20_000,
        channel: Channel | None = None,
    ) -> MutualInformation:
        """I(x_0; x_t) = E[log q(x_t | x_0) - log p(x_t)] in nats, by Monte Carlo over `n`
        independent sequences (of a fixed seed where `rng` is not given)."""
        pairs = NoisyPairs.draw(self, alpha, rng, n, channel)
        return MutualInformation.from_pairs(
            pairs, self.vocab_size, smooth(self, pairs.x_t, pairs.alpha)[1]
        )

    @property
    def emission(self) -> Floats:
        """No rows: a state is its own token."""
        return np.empty((0, self.vocab_size))

    def population_denoiser(
        self, schedule: Any = LogLinear(), channel: Channel | None = None
    ) -> MarkovDenoiser:
        """The exact denoiser of this law."""
        return MarkovDenoiser(self, schedule, channel)


class StateChain(Protocol):
    """A Markov chain of states that emit tokens: initial (H,), transition (H, H), emission
    (H, V), without rows where a state is its own token."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def seq_len(self) -> int: ...

    @property
    def initial(self) -> Floats: ...

    @property
    def transition(self) -> Floats: ...

    @property
    def emission(self) -> Floats: ...


def smooth(source: StateChain, x_t: Tokens, alpha: Floats) -> tuple[Floats, Floats]:
    """log_loo (B, L, V), NaN where the context is impossible, and log p(x_t) (B,)."""
    law = [source.initial, source.transition, source.emission]
    log_loo, log_prob, low = _kernels.in_parallel(
        kernels.smoother, len(x_t), [x_t, alpha], [*law, False]
    )
    again = np.flatnonzero(low)
    if again.size:
        log_loo[again], log_prob[again], _ = _kernels.in_parallel(
            kernels.smoother, again.size, [x_t[again], alpha[again]], [*law, True]
        )
    return log_loo, log_prob


@dataclass(frozen=True, eq=False)
class MarkovDenoiser(PopulationDenoiser):
    """Exact denoiser of a chain, or of a hidden Markov source, by forward-backward.

    O(batch L (H^2 + H V)) with H states; H = V and no second term for a chain.
    """

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_0^i | x_t without i), (batch, L, V).

        Raises ValueError where the context has probability zero (possible only at
        alpha = 1 with forbidden transitions).
        """
        tokens, alpha = self._inputs(x_t, t)
        log_loo, _ = smooth(self.source, tokens, alpha)
        refuse_impossible_context(np.isnan(log_loo))
        return self._visible(log_loo, tokens)

    def log_prob_noisy(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_t) in nats, (batch,)."""
        tokens, alpha = self._inputs(x_t, t, certain=True)
        return smooth(self.source, tokens, alpha)[1] + self._masking(tokens, t)

    def posterior_draw(self, rng: np.random.Generator, x_t: ArrayLike, t: ArrayLike) -> Tokens:
        """One exact joint draw of p(x_0 | x_t) per row, (batch, L)."""
        tokens, alpha = self._inputs(x_t, t)
        law = [self.source.initial, self.source.transition, self.source.emission]
        states: NDArray[np.int64] = _kernels.in_parallel(
            kernels.draw_states, len(tokens), [tokens, alpha, rng.random(tokens.shape)], law
        )
        refuse_impossible_tokens(states < 0)
        if len(self.source.emission) == 0:
            return states.astype(token_dtype(self.vocab_size))
        # given its state and its noisy token, a token depends on nothing else
        weight = np.where(np.arange(self.vocab_size) == tokens[..., None], 1.0, 0.0)
        floor = ((1 - alpha) / self.vocab_size)[:, None, None]
        rows = self.source.emission[states] * (alpha[:, None, None] * weight + floor)
        drawn = draw_rows(rows.reshape(-1, self.vocab_size), rng.random(tokens.size))
        return drawn.reshape(tokens.shape).astype(token_dtype(self.vocab_size))

    def jax(self) -> SmootherJax:
        """The same denoiser as a JAX module, usable inside jit."""
        from models.sources.jax_twins import SmootherJax

        return SmootherJax(self.source, self.schedule, self.channel)
