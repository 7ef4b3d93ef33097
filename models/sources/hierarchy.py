"""The random hierarchy model: a tree of rules whose every string has one derivation.

A root symbol, uniform over v, is expanded `depth` times; at every level each symbol has m
rules, equally likely tuples of `branching` symbols, and no two rules of a level (of whatever
symbol) share their tuple. So L = s**depth and all v m**((L - 1)/(s - 1)) strings are equally
likely: H = log v + (L - 1)/(s - 1) log m.
Source: Cagnetta et al. 2024 (PRX 14, 031001); Sclocchi, Favero, Wyart 2024
(arXiv:2402.16991) for belief propagation under noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory.channel import Channel, LogLinear
from models.exact import _kernels
from models.sources import _hierarchy_kernels as kernels
from models.sources.law import (
    EntropyLaw,
    Estimate,
    MutualInformation,
    NoisyPairs,
    entropy_of,
)
from models.sources.population import (
    PopulationDenoiser,
    refuse_impossible_context,
    refuse_impossible_tokens,
)
from models.tokens import Tokens, check_tokens, check_vocabulary, token_dtype

if TYPE_CHECKING:
    from models.sources.jax_twins import HierarchyJax

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
ENUMERATED = 4096  # strings up to which entropies are sums over all of them


@dataclass(frozen=True, eq=False)
class HierarchySource:
    """Random hierarchy model with `rules` (depth, v, m, s), the top level first.

    rules[k, a] holds the m tuples, of s symbols each, into which symbol `a` of level k
    expands; all v m tuples of a level differ. v >= 2, m >= 1, s >= 2, depth >= 1.

    >>> import numpy as np
    >>> source = HierarchySource.random(np.random.default_rng(0), 4, 2, 2, 3)
    >>> source.seq_len, source.n_strings, source.sample(np.random.default_rng(1), 5).shape
    (8, 512, (5, 8))
    """

    rules: Indices

    def __init__(self, rules: ArrayLike) -> None:
        table = np.array(rules)
        if table.ndim != 4 or table.dtype.kind not in "ui":
            raise ValueError(
                "`rules` must hold integers in an array (depth, v, m, branching); got shape "
                f"{table.shape} of {table.dtype}."
            )
        table = np.ascontiguousarray(table, np.int64)
        depth, size, n_rules, branching = table.shape
        check_sizes(size, n_rules, branching, depth)
        if table.min() < 0 or table.max() >= size:
            raise ValueError(
                f"`rules` must hold symbols 0 to {size - 1}; got {table.min()} to {table.max()}."
            )
        for level, codes in enumerate(_codes(table)):
            if len(np.unique(codes)) < codes.size:
                raise ValueError(
                    f"`rules` repeats a tuple at level {level}; all {codes.size} tuples of a "
                    "level must differ, so that a string has one derivation."
                )
        object.__setattr__(self, "rules", table)

    @classmethod
    def random(
        cls, rng: np.random.Generator, vocab_size: int, n_rules: int, branching: int, depth: int
    ) -> HierarchySource:
        """Rules drawn uniformly without replacement from the v**s tuples, level by level."""
        check_sizes(vocab_size, n_rules, branching, depth)
        shape = (vocab_size,) * branching
        levels = [
            np.stack(
                np.unravel_index(
                    rng.choice(vocab_size**branching, vocab_size * n_rules, replace=False), shape
                ),
                axis=-1,
            ).reshape(vocab_size, n_rules, branching)
            for _ in range(depth)
        ]
        return cls(np.array(levels))

    @property
    def vocab_size(self) -> int:
        return self.rules.shape[1]

    @property
    def seq_len(self) -> int:
        return int(self.rules.shape[3]) ** self.rules.shape[0]

    @property
    def n_expansions(self) -> int:
        """Rules used in one string, (L - 1) / (s - 1)."""
        return (self.seq_len - 1) // (self.rules.shape[3] - 1)

    @property
    def n_strings(self) -> int:
        """Number of strings of positive probability, v m**n_expansions. Exact."""
        return self.vocab_size * int(self.rules.shape[2]) ** self.n_expansions

    def _expand(self, symbols: Indices, choices: Indices) -> Tokens:
        """Strings from root symbols (n,) and rule numbers (n, n_expansions), level by level."""
        row, used = symbols[:, None], 0
        for rule in self.rules:
            chosen = choices[:, used : used + row.shape[1]]
            used += row.shape[1]
            row = rule[row, chosen].reshape(len(row), -1)
        return row.astype(token_dtype(self.vocab_size))

    def sample(self, rng: np.random.Generator, n: int) -> Tokens:
        """`n` independent strings, (n, L) of the smallest unsigned type."""
        uniforms = rng.random((n, 1 + self.n_expansions))  # by rows: the first of more agree
        symbols = (uniforms[:, 0] * self.vocab_size).astype(np.int64)
        return self._expand(symbols, (uniforms[:, 1:] * self.rules.shape[2]).astype(np.int64))

    def all_strings(self) -> Tokens:
        """Every string of positive probability, (n_strings, L); refused above a million."""
        if self.n_strings > 1_000_000:
            raise ValueError(
                f"this source has {self.n_strings:.3g} strings; only up to 1,000,000 are listed. "
                "Use `sample`."
            )
        grid = np.indices((self.vocab_size,) + (self.rules.shape[2],) * self.n_expansions)
        table = grid.reshape(1 + self.n_expansions, -1).T
        return self._expand(table[:, 0], table[:, 1:])

    def classes(self, x: ArrayLike) -> Indices:
        """Root symbol of each string (batch, L), -1 where the rules cannot make it."""
        row = check_tokens(x, self.vocab_size, self.seq_len, "x").astype(np.int64)
        size, n_rules, branching = self.rules.shape[1:]
        for codes in _codes(self.rules)[::-1]:
            order = np.argsort(codes)
            tuples = row.reshape(len(row), -1, branching)
            asked = tuples @ (size ** np.arange(branching)[::-1])
            place = np.minimum(np.searchsorted(codes[order], asked), codes.size - 1)
            found = (codes[order][place] == asked) & (tuples >= 0).all(-1)
            row = np.where(found, order[place] // n_rules, -1)
        return row[:, 0]

    def log_prob(self, x: ArrayLike) -> Floats:
        """log p(x) in nats, (batch,): minus the entropy, or -inf where no rule makes x. Exact."""
        return np.where(self.classes(x) >= 0, -self.entropy(), -np.inf)

    def entropy(self) -> float:
        """H(x_0) = log v + (L - 1)/(s - 1) log m, nats a sequence. Exact."""
        return float(np.log(self.vocab_size) + self.n_expansions * np.log(self.rules.shape[2]))

    def _loo_entropies(self, rng: np.random.Generator | None, n: int) -> tuple[Floats, bool]:
        """Entropies (strings, L) of clean `loo` laws; whether the strings are all there are."""
        exact = self.n_strings <= ENUMERATED
        rng = np.random.default_rng(0) if rng is None else rng
        strings = self.all_strings() if exact else self.sample(rng, n)
        return entropy_of(np.exp(self._pass(strings, np.ones(len(strings)))[0])), exact

    def loo_entropy_law(self, rng: np.random.Generator | None = None, n: int = 512) -> EntropyLaw:
        """Law, over sites and strings, of the per-token entropy of `loo` as t -> 0.

        Exact up to 4,096 strings; from `n` sampled strings (fixed seed by default) above.
        """
        values = self._loo_entropies(rng, n)[0].ravel()
        return EntropyLaw(values, np.full(values.size, 1 / values.size))

    def loo_entropy_estimate(
        self, rng: np.random.Generator | None = None, n: int = 512
    ) -> Estimate:
        """Mean over sites of H(X_i | X without i), nats a token, with its standard error."""
        values, exact = self._loo_entropies(rng, n)
        weights = np.full(len(values), 1 / len(values))
        return Estimate.weighted(values.mean(1), weights, exact)

    def loo_entropy(self) -> float:
        """Value of `loo_entropy_estimate()`, nats a token."""
        return self.loo_entropy_estimate().value

    def mutual_information(
        self,
        alpha: float,
        rng: np.random.Generator | None = None,
        n: int = 20_000,
        channel: Channel | None = None,
    ) -> MutualInformation:
        """I(x_0; x_t) in nats by Monte Carlo over `n` strings (fixed seed without `rng`)."""
        pairs = NoisyPairs.draw(self, alpha, rng, n, channel)
        log_prob = self._pass(pairs.x_t, pairs.alpha)[2]
        return MutualInformation.from_pairs(pairs, self.vocab_size, log_prob)

    def _pass(self, x_t: Tokens, alpha: Floats) -> tuple[Floats, Floats, Floats]:
        """log_loo (B, L, V), log class posterior (B, V), log p(x_t) (B,); rows of an impossible
        context are NaN."""
        log_loo, log_class, log_prob, low = _kernels.in_parallel(
            _logs_of_scaled_pass, len(x_t), [x_t, alpha], [self.rules]
        )
        with np.errstate(invalid="ignore"):
            again = np.flatnonzero(low)
            if again.size:
                log_loo[again], log_class[again], log_prob[again] = _kernels.in_parallel(
                    kernels.log_pass, again.size, [x_t[again], alpha[again]], [self.rules]
                )
            for rows, which in ((log_loo, again), (log_class, again)):
                if which.size:
                    rows[which] -= np.logaddexp.reduce(rows[which], -1, keepdims=True)
        return log_loo, log_class, log_prob

    def population_denoiser(
        self, schedule: Any = LogLinear(), channel: Channel | None = None
    ) -> HierarchyDenoiser:
        """The exact denoiser of this law."""
        return HierarchyDenoiser(self, schedule, channel)


def _logs_of_scaled_pass(*arguments: Any) -> tuple[Floats, Floats, Floats, Floats]:
    """`scaled_pass` with logs of its laws; run by each thread on its own rows."""
    loo, classes, log_prob, low = kernels.scaled_pass(*arguments)
    with np.errstate(divide="ignore"):
        return np.log(loo, out=loo), np.log(classes, out=classes), log_prob, low


def check_sizes(size: int, n_rules: int, branching: int, depth: int) -> None:
    """Raise ValueError unless a model of these sizes exists."""
    check_vocabulary(size)
    if branching < 2 or depth < 1 or n_rules < 1:
        raise ValueError(
            "the tree needs `branching` >= 2, `depth` >= 1 and `n_rules` >= 1; got "
            f"{branching}, {depth} and {n_rules}."
        )
    if size**branching >= 2**62:
        raise ValueError(
            f"v**branching must stay below 2**62; got {size}**{branching}. Use smaller tuples."
        )
    if n_rules > size ** (branching - 1):
        raise ValueError(
            f"`n_rules` must be at most v**(branching - 1) = {size ** (branching - 1)}, or tuples "
            f"run out; got {n_rules}."
        )


def _codes(rules: Indices) -> Indices:
    """Each tuple as one number, (depth, v m), in the order of symbols and rules."""
    size, branching = rules.shape[1], rules.shape[3]
    codes: Indices = (rules @ (size ** np.arange(branching)[::-1])).reshape(len(rules), -1)
    return codes


@dataclass(frozen=True, eq=False)
class HierarchyDenoiser(PopulationDenoiser):
    """Exact denoiser of a hierarchy by belief propagation; O(batch L v m s)."""

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_0^i | x_t without i), (batch, L, V): the downward message of each leaf.

        Raises ValueError where the context has probability zero (possible only at alpha = 1).
        """
        tokens, alpha = self._inputs(x_t, t)
        log_loo, _, _ = self.source._pass(tokens, alpha)
        refuse_impossible_context(~np.isfinite(log_loo.max(-1)))
        return self._visible(log_loo, tokens)

    def log_class_posterior(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(root symbol | x_t), (batch, V). Raises ValueError where x_t is impossible."""
        log_class = self.source._pass(*self._inputs(x_t, t))[1]
        refuse_impossible_tokens(~np.isfinite(log_class.max(-1)), "it has no class")
        return log_class

    def log_prob_noisy(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """log p(x_t) in nats, (batch,)."""
        tokens, alpha = self._inputs(x_t, t, certain=True)
        log_prob: Floats = self.source._pass(tokens, alpha)[2] + self._masking(tokens, t)
        return log_prob

    def posterior_draw(self, rng: np.random.Generator, x_t: ArrayLike, t: ArrayLike) -> Tokens:
        """One exact joint draw of p(x_0 | x_t) per row, (batch, L)."""
        tokens, alpha = self._inputs(x_t, t)
        uniforms = rng.random((len(tokens), 1 + self.source.n_expansions))
        trees: Indices = _kernels.in_parallel(
            kernels.posterior_trees, len(tokens), [tokens, alpha, uniforms], [self.source.rules]
        )
        refuse_impossible_tokens(trees < 0)
        return trees[:, -self.seq_len :].astype(token_dtype(self.vocab_size))

    def jax(self) -> HierarchyJax:
        """The same denoiser as a JAX module, usable inside jit."""
        from models.sources.jax_twins import HierarchyJax

        return HierarchyJax(self.source.rules, self.schedule, self.channel)
