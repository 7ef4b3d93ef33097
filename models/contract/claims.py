"""What is claimed of a denoiser, tested: that its law does not follow a site's own token.

Exchange the token of one site, u for z, and nothing else. The log-odds of z against u at that site
change by 0 under a leave-one-out law, and by 2 beta under the token posterior `full`, which is
loo_v e^(beta 1[v = x_t]) up to a constant a site; beta = log(1 + V a / u) is the weight of a
visible token. The share of 2 beta that is seen says which of the two a law is, for networks that
have learnt it in part too. (Where others leave no doubt of a token the two laws are one, and the
share of a law with a floor under its probabilities is near 0 whichever it was.)

Of networks trained by this toolkit and by the authors' code (uniform noise, V = 16 and 64; memories
and generalizers, 100 to 3000 steps), those of the leave-one-out losses have shares of -0.03 to 0.07
at every level in `LEVELS`, those of cross-entropy on the clean token 0.05 to 0.4 after few steps or
from 32 sequences, 0.3 to 0.7 (MLP) and 0.8 to 1.1 (transformer) from 4096.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from am_theory.channel import inverse_temperature
from models.noise import channel_of, noise
from models.slices import read_slices
from models.tokens import Tokens, check_tokens, token_dtype

LEVELS = (0.1, 0.3, 0.5, 0.7)
CONTEXTS, SITES = 2, 4  # contexts a level, and swaps in each
LENGTH = 6  # tokens of a sequence, where the denoiser takes any number of them
SEEN = 1 << 22  # numbers of a sequence's law that are looked at
LARGE = 1 << 24  # numbers of one, beyond which few sequences are asked about at once
LEAST_WEIGHT = 0.25  # nats; where beta is smaller, own and other tokens cannot be told apart
OTHER_LAW = 0.5  # of the share: beyond it the other reading is the nearer one
SAME_LAW = 0.1
HEEDED = 0.2
IN_PART = "The law called loo is one in part"  # begins such a note
FEWEST = 6  # swaps; the range of so many covers the median with 97 %


class OwnToken(NamedTuple):
    """Median share of 2 beta by which log-odds follow a site's own token, 0 for `loo` and 1 for
    `full`; its 95 % interval over the swaps; how many of these say anything. NaN where none does,
    as for laws that give both tokens probability 0."""

    share: float
    low: float
    high: float
    swaps: int

    @property
    def problem(self) -> str | None:
        """What contradicts the claim to be a leave-one-out law, as a sentence."""
        if self.swaps < FEWEST:
            return None
        if self.share > OTHER_LAW and self.low > OTHER_LAW / 2:
            return (
                f"{self._seen}, so it is the posterior `full`, not the leave-one-out law. Convert "
                "it with am_theory.channel.loo_from_full."
            )
        if self.share < -OTHER_LAW and self.high < -OTHER_LAW / 2:
            return (
                f"{self._seen}, so that evidence of the own token is taken out that was not in: "
                "the law is converted twice, was the leave-one-out law before, or is that of a "
                "network that has not learnt such evidence. It is nearer to loo as it stood before."
            )
        return None

    @property
    def note(self) -> str | None:
        """What a reader should know of a law that is leave-one-out in part, as a sentence."""
        apart = self.low > SAME_LAW or self.high < -SAME_LAW
        if self.problem or self.swaps < FEWEST or not apart:
            return None
        return (
            f"{IN_PART}: {self._seen}. Networks trained on the NELBO show "
            "less than 0.1; entropies and recovery carry an error of that kind."
        )

    @property
    def _seen(self) -> str:
        return (
            "when a site's own token is exchanged, the log-odds of the two tokens move by "
            f"{self.share:.2f} ({self.low:.2f} to {self.high:.2f}, {self.swaps} swaps) of what "
            "the posterior `full` has, where a leave-one-out law has 0"
        )


def own_token_share(denoiser: Any, tokens: ArrayLike | None = None, seed: int = 0) -> OwnToken:
    """How far the law of a site follows the site's own token; see the module.

    tokens : sequences (n, L) whose noisy copies are the contexts; random ones by default. Cost:
    the laws of 40 sequences, four at a time. Under pure erasures visible tokens have no law, and
    the share is NaN. Raises TokenRangeError for tokens that the denoiser cannot take.

    >>> from models.exact.empirical import EmpiricalDenoiser
    >>> stored = np.random.default_rng(0).integers(3, size=(500, 4))
    >>> abs(own_token_share(EmpiricalDenoiser(stored, 3)).share) < 1e-12
    True
    """
    rng, kind = np.random.default_rng(seed), channel_of(denoiser)
    size, rows = kind.vocab_size, np.arange(len(LEVELS))
    levels = np.array(LEVELS, np.float32)
    alpha = np.array([float(denoiser.schedule.alpha(t)) for t in LEVELS])
    beta = np.asarray(inverse_temperature(alpha, kind), np.float64)
    told = np.isfinite(beta) & (beta > LEAST_WEIGHT)
    given = None if tokens is None else check_tokens(tokens, size, denoiser.seq_len, "tokens")
    found = []
    for _ in range(CONTEXTS if told.any() else 0):
        clean = random_tokens(rng, denoiser, len(rows), given)
        x_t = noise(rng, clean, alpha[:, None], kind)
        shown = rng.integers(x_t.shape[1], size=len(rows))
        x_t[rows, shown] = clean[rows, shown]  # not all of a row may be masked
        sites = sites_of(denoiser, x_t.shape[1])
        before = law_of(denoiser, x_t, levels, sites)
        for _ in range(SITES):
            visible = x_t[:, sites] < size
            place = np.argmax(rng.random(visible.shape) * visible, axis=1)  # a visible one
            site = sites[place]
            seen = x_t[rows, site].astype(int)
            other = (seen + rng.integers(1, size, size=len(rows))) % size
            swapped = x_t.copy()
            swapped[rows, site] = other
            after = law_of(denoiser, swapped, levels, sites)
            a, b = (p[rows, place] for p in (before, after))
            with np.errstate(invalid="ignore"):  # -inf less -inf, where a swap says nothing
                moved = (b[rows, other] - b[rows, seen]) - (a[rows, other] - a[rows, seen])
                found.append((moved / (2 * beta))[told])
    ratios = np.sort(np.concatenate([*found, []]))
    ratios = ratios[~np.isnan(ratios)]
    n = len(ratios)
    if not n:
        return OwnToken(math.nan, math.nan, math.nan, 0)
    edge = max(int(n / 2 - 0.98 * math.sqrt(n)), 1)  # of the order statistics around the median
    return OwnToken(float(np.median(ratios)), float(ratios[edge - 1]), float(ratios[-edge]), n)


def clock_note(denoiser: Any, seed: int = 0) -> str | None:
    """What to know of a network of uniform noise that heeds the other tokens where they are noise
    and not where they are clean, as a sentence: total variation between its laws in two random
    contexts, mean over sites. Trained networks have .10 to .17 at t = 1 and .68 to .74 at 1e-5."""
    if channel_of(denoiser).mask_id is not None:
        return None
    pair = random_tokens(np.random.default_rng(seed), denoiser, 2)
    levels = np.array([1e-5, 1e-5, 1, 1], np.float32)
    sites = sites_of(denoiser, pair.shape[1])
    p = np.exp(law_of(denoiser, np.concatenate([pair, pair]), levels, sites))
    early, late = (float(np.abs(p[k] - p[k + 1]).sum(-1).mean() / 2) for k in (0, 2))
    if late < HEEDED or late < 2 * early:
        return None
    return (
        f"Another context moves the law by {late:.2f} (total variation) at t = 1, where it is all "
        f"noise, and by {early:.2f} at t = 1e-5: the network's clock seems to run the other way, "
        "or it is told another quantity than it learnt with."
    )


def random_tokens(
    rng: np.random.Generator, denoiser: Any, n: int, tokens: Tokens | None = None
) -> Tokens:
    """n sequences (n, L), of `tokens` or uniform, without masks."""
    size = int(denoiser.vocab_size)
    if tokens is not None:
        return tokens[rng.integers(len(tokens), size=n)]
    drawn = rng.integers(size, size=(n, denoiser.seq_len or LENGTH))
    return drawn.astype(token_dtype(size))


def sites_of(denoiser: Any, length: int) -> NDArray[np.intp]:
    """The sites that are looked at: all, or as many as `SEEN` numbers of a law have."""
    kept = min(length, max(1, SEEN // int(denoiser.vocab_size)))
    return np.unique(np.linspace(0, length - 1, kept).astype(np.intp))


def pieces(denoiser: Any, x_t: Tokens) -> list[slice]:
    """Sequences that are asked about at once: all, or few where a law is large, as one of
    V = 262,144 and L = 256 takes 268 MB: two, or one of a JAX network, which may hold copies."""
    large = x_t.shape[1] * int(denoiser.vocab_size) > LARGE
    step = (1 if isinstance(denoiser, eqx.Module) else 2) if large else len(x_t)
    return [slice(first, first + step) for first in range(0, len(x_t), step)]


def law_of(denoiser: Any, x_t: Tokens, t: Any, sites: NDArray[np.intp]) -> Any:
    """`log_loo` at these sites as the sampler and the probe ask for it, in NumPy: compiled for
    equinox modules, with tokens of the smallest type for others."""
    if isinstance(denoiser, eqx.Module) and len(sites) < x_t.shape[1]:
        places = np.add.outer(np.arange(len(x_t)) * x_t.shape[1], sites).ravel()
        law: Any = read_slices(denoiser, x_t, t, places, _as_it_is)
        return law.reshape(len(x_t), len(sites), -1)
    parts = pieces(denoiser, x_t)
    laws = (np.asarray(asked(denoiser, x_t[rows], t[rows])) for rows in parts)
    return np.concatenate([law[:, sites] for law in laws])


def _as_it_is(law: Any) -> Any:
    return law


def asked(denoiser: Any, x_t: Tokens, t: Any) -> Any:
    """What `log_loo` returns to the same question, as it is."""
    if isinstance(denoiser, eqx.Module):
        return _compiled(denoiser, jnp.asarray(x_t, jnp.int32), jnp.asarray(t, jnp.float32))
    return denoiser.log_loo(x_t, t)


@eqx.filter_jit
def _compiled(denoiser: Any, x_t: Any, t: Any) -> Any:
    return denoiser.log_loo(x_t, t)
