"""How far single-site laws are from having an energy: log-odds summed around cycles of flips.

Laws p_i(. | rest) are the conditional laws of one positive law exp(-E) if and only if, for every
state x, two sites i, j and tokens a, b, the log-odds of the four flips

    x -> (i: a) -> (i: a, j: b) -> (j: b) -> x

sum to 0: each is then a difference of -E, and such cycles generate all others. The log-odds of a
flip from u to v at site i is log p_i(v | rest) - log p_i(u | rest), in nats.
Source: Kolmogorov's criterion, Kelly 1979 (Reversibility and Stochastic Networks), section 1.5;
Besag 1974 (J. R. Stat. Soc. B 36, 192) for conditional laws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.tokens import Tokens, check_tokens, check_vocabulary
from simulations.measure.inputs import check_generator

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LogLaw = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Circulation:
    """Log-odds (n, 4) of the flips of n cycles, in their order, in nats.

    Where a law gives a token probability 0 a log-odds is infinite or undefined, and the sum of its
    cycle has no meaning: it is NaN, and the cycle is in no mean.
    """

    log_odds: Floats

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether all four log-odds of a cycle are finite, (n,)."""
        return np.asarray(np.isfinite(self.log_odds).all(axis=1))

    @property
    def share_defined(self) -> float:
        """Of the cycles, the share that is defined; NaN if there are none."""
        return float(self.defined.mean()) if len(self.log_odds) else np.nan

    @property
    def sums(self) -> Floats:
        """Sum of the log-odds of each cycle, (n,), nats; NaN where undefined."""
        terms = np.where(self.defined[:, None], self.log_odds, np.nan)
        return np.asarray(terms.sum(axis=1))

    @property
    def squares(self) -> tuple[Floats, Floats]:
        """Square of the sum, and mean square of the four log-odds, of each cycle: (n,), (n,),
        nats squared, both 0 where undefined. `ratio` is the root of the ratio of their sums: its
        replicates are the roots of those of `bootstrap_ratio` of the two, by sequence."""
        terms = np.where(self.defined[:, None], self.log_odds, 0.0)
        return np.asarray(terms.sum(axis=1) ** 2), np.asarray((terms**2).mean(axis=1))

    @property
    def ratio(self) -> float:
        """Root mean square of the sums over that of the log-odds; dimensionless, in [0, 4].

        0: there is an energy; 2: the four log-odds are as good as independent; 4: they are
        equal. It does not change when all log-odds are multiplied by a number. NaN where no
        cycle is defined or all log-odds are 0.
        """
        top, bottom = (float(part.sum()) for part in self.squares)
        return float(np.sqrt(top / bottom)) if bottom > 0 else np.nan


def circulation(
    log_law: LogLaw, states: ArrayLike, sites: ArrayLike, tokens: ArrayLike
) -> Circulation:
    """The log-odds around cycles of flips of two sites.

    Parameters
    ----------
    log_law : from tokens (n, L) to log p_i(v | rest), (n, L, V), in nats, -inf allowed. A law
        whose p_i depends on x_i too (no leave-one-out law) is not refused, and has no meaning
        here. It is called four times, on n states each.
    states : (n, L) tokens; where cycles start.
    sites : (n, 2) integers; i and j, distinct.
    tokens : (n, 2) tokens; a and b, other than those of the state at i and j.

    Raises TokenRangeError and ValueError on bad shapes, sites or tokens.
    """
    x = np.asarray(states)
    where, new = _checked_cycles(x, sites, tokens)
    rows = np.arange(len(x))
    i, j = where.T
    old = np.take_along_axis(x.astype(np.int64), where, axis=1)

    def flipped(first: bool, second: bool) -> NDArray[Any]:
        state = x.copy()
        if first:
            state[rows, i] = new[:, 0]
        if second:
            state[rows, j] = new[:, 1]
        return state

    def odds(state: NDArray[Any], k: int, start: Integers, end: Integers) -> Floats:
        log = np.asarray(log_law(state), dtype=np.float64)
        if log.ndim != 3 or log.shape[:2] != state.shape:
            raise ValueError(
                f"`log_law` must return (n, L, V) with (n, L) = {state.shape}; got {log.shape}. "
                "For a denoiser at level t pass `lambda x: denoiser.log_loo(x, t)`."
            )
        if new.size and max(new.max(), old.max()) >= log.shape[2]:
            raise ValueError(
                f"`log_law` has {log.shape[2]} tokens; got the token {max(new.max(), old.max())}. "
                "Map the sequences to its vocabulary first."
            )
        at = where[:, k]
        with np.errstate(invalid="ignore"):  # -inf on both sides
            return np.asarray(log[rows, at, end] - log[rows, at, start])

    (u, v), (a, b) = old.T, new.T
    terms = [
        odds(flipped(False, False), 0, u, a),
        odds(flipped(True, False), 1, v, b),
        odds(flipped(True, True), 0, a, u),
        odds(flipped(False, True), 1, b, v),
    ]
    return Circulation(np.stack(terms, axis=1))


def cycle_sums(log_law: LogLaw, states: ArrayLike, sites: ArrayLike, tokens: ArrayLike) -> Floats:
    """`circulation(...).sums`: (n,), nats, 0 everywhere if there is an energy; NaN where undefined.

    >>> pair = np.log([[[0.4, 0.1]], [[0.1, 0.4]]])[:, 0]  # two sites that like to agree
    >>> law = lambda x: pair[x[:, ::-1]] - np.log(0.5)
    >>> cycle_sums(law, [[0, 1]], [[0, 1]], [[1, 0]]).tolist()
    [0.0]
    """
    return circulation(log_law, states, sites, tokens).sums


def random_cycles(
    rng: np.random.Generator, states: ArrayLike, vocab_size: int
) -> tuple[Integers, Integers]:
    """A random cycle of each state (n, L): sites (n, 2) and tokens (n, 2), for `circulation`.

    Sites are an ordered pair of distinct ones, tokens any but the state's there, all equally
    probable and independent. Raises TypeError for a seed in place of a Generator, TokenRangeError
    for bad tokens, ValueError for sequences of one site.
    """
    check_generator(rng)
    x = check_tokens(states, check_vocabulary(vocab_size), name="states")
    n, seq_len = x.shape
    _refuse_one_site(seq_len)
    first = rng.integers(seq_len, size=n)
    second = (first + rng.integers(1, seq_len, size=n)) % seq_len
    sites = np.stack([first, second], axis=1)
    steps = rng.integers(1, vocab_size, size=(n, 2))
    return sites, (np.take_along_axis(x.astype(np.int64), sites, axis=1) + steps) % vocab_size


def noisy_law(denoiser: Any, t: float) -> LogLaw:
    """log p(x_t^i = v | x_t without i) = log(alpha loo_i(v) + (1 - alpha) / V) of a denoiser at t.

    An exact denoiser's `loo` at t > 0 is no set of conditional laws of one law, only its limit at
    t -> 0 is; these always are, of the law of x_t. They are positive for t > 0, so that all cycles
    are defined, whatever the denoiser.
    """
    alpha = float(denoiser.schedule.alpha(t))
    floor = (1 - alpha) / denoiser.vocab_size

    def law(states: Tokens) -> Floats:
        loo = np.exp(np.asarray(denoiser.log_loo(states, t), dtype=np.float64))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(alpha * loo + floor))

    return law


def _checked_cycles(
    states: NDArray[Any], sites: ArrayLike, tokens: ArrayLike
) -> tuple[Integers, Integers]:
    """Sites and tokens (n, 2) that make cycles of states (n, L)."""
    largest = int(states.max(initial=0)) + 1 if states.dtype.kind in "ui" else 1
    check_tokens(states, max(largest, 1), name="states")
    n, seq_len = states.shape
    _refuse_one_site(seq_len)
    found = []
    for name, values in (("sites", sites), ("tokens", tokens)):
        table = np.asarray(values)
        if table.shape != (n, 2) or table.dtype.kind not in "ui":
            raise ValueError(
                f"`{name}` must be integers of shape (n, 2) = ({n}, 2); got {table.dtype} of shape "
                f"{table.shape}. Draw cycles with `random_cycles`."
            )
        found.append(table.astype(np.int64))
    where, new = found
    if where.size and (where.min() < 0 or where.max() >= seq_len):
        raise ValueError(
            f"`sites` must lie in 0 to {seq_len - 1}; got {where.min()} to {where.max()}. "
            "Draw cycles with `random_cycles`."
        )
    if (where[:, 0] == where[:, 1]).any():
        raise ValueError(
            "`sites` must be two distinct ones in every cycle. Draw cycles with `random_cycles`."
        )
    if (new < 0).any() or (np.take_along_axis(states.astype(np.int64), where, 1) == new).any():
        raise ValueError(
            "`tokens` must be tokens other than the state's at `sites`. "
            "Draw cycles with `random_cycles`."
        )
    return where, new


def _refuse_one_site(seq_len: int) -> None:
    if seq_len < 2:
        raise ValueError(
            "`states` must have at least 2 sites (L >= 2); got 1. One site has no cycle."
        )
