"""The random-feature denoiser: ridge regression of stored sequences on features of their noise.

In the code u of `models.networks.linear_filter`, d = L (V - 1) numbers with |u_t|^2 = d exactly,

    u_hat = b u_t + A f,   f = phi(W u_t / sqrt(d)) - mean phi,   W (p, d) of independent normals,

A (d, p). The skip b is a given number, a fitted one, or a fitted matrix (d, d). A and a fitted
skip minimise the mean of |u - u_hat|^2 over the stored sequences and n noise draws of each, plus
ridge |A|^2. Gradient flow of half of this loss from A = 0, at fixed b, gives after time tau

    A(tau) = C H^-1 (1 - exp(-H tau)),   H = <f f^T> + ridge,   C = <(u - b u_t) f^T>,

and, where a matrix follows at its optimum, the same with the part of f that is no linear function
of u_t. One eigendecomposition (p, p) of H serves the fit and all times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh, pinvh
from scipy.special import log_softmax

from am_theory import channel
from models.memories.retrieval import check_patterns
from models.networks.feature_map import ACTIVATIONS, Activation, FeatureMap, features
from models.networks.linear_filter import blocks, encode, kept_fraction, token_code
from models.noise import noise
from models.streams import stream
from models.tokens import Tokens, check_level, check_tokens

Floats = NDArray[np.float64]
Skip = float | Literal["fit", "full"]
LIMIT = 2 * 2**30  # bytes a fit may take
KEPT = 8  # noise levels of which maps are kept
CALIBRATION = 512  # noisy training sequences that the law of the scores is measured on


class RandomFeatureDenoiser:
    """The random-feature denoiser of `patterns` (K, L), `draws` noise draws of each.

    W and the noise follow from `seed`, the same random numbers at all levels; `at(alpha)` is the
    map at one level, fitted when first asked for, to the noise `seen(alpha)`. Without a ridge,
    modes of the features that this noise does not show stay at 0, as gradient flow leaves them.

    `log_loo` is a *leave-one-out* law, of the scores that do not see their own token
    (`FeatureMap.scores`): on training sequences under fresh noise these are b_0 u + tau z with z
    close to normal, b_0 and tau^2 measured there over all sites, hence

        log p(v | score) = constant + (b_0 / tau^2) score . u_v,

    the posterior of *training* tokens: on other sequences it is surer than it has reason to be.
    What the map itself makes of the whole of x_t is `at(alpha).law(x_t)` and `.restore(x_t)`.
    """

    def __init__(
        self,
        patterns: ArrayLike,
        vocab_size: int,
        n_features: int,
        *,
        activation: Activation = "erf",
        ridge: float = 0.0,
        skip: Skip = 0.0,
        draws: int = 100,
        seed: int = 0,
        schedule: Any = channel.LogLinear(),
    ) -> None:
        self.patterns = check_patterns(patterns, vocab_size)
        self.vocab_size, self.schedule, self.seed = int(vocab_size), schedule, seed
        self.train_size, self.seq_len = self.patterns.shape
        self.dimension = self.seq_len * (self.vocab_size - 1)
        for name, count in (("n_features", n_features), ("draws", draws)):
            if int(count) != count or count < 1:
                raise ValueError(f"`{name}` must be an integer of at least 1; got {count}.")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {', '.join(ACTIVATIONS)}; got {activation!r}."
            )
        if not 0 <= ridge < np.inf:
            raise ValueError(f"`ridge` must be finite and not negative; got {ridge}.")
        if skip not in ("fit", "full") and (isinstance(skip, str) or not np.isfinite(skip)):
            raise ValueError(f'`skip` must be a number, "fit" or "full"; got {skip!r}.')
        self.n_features, self.draws = int(n_features), int(draws)
        self.activation, self.ridge, self.skip = activation, float(ridge), skip
        entries = 6 * (self.dimension + self.n_features) ** 2
        if 8 * entries > LIMIT:
            raise ValueError(
                f"the fit of {n_features} features in d = L (V - 1) = {self.dimension} dimensions "
                f"needs about {8 * entries / 2**30:.1f} GiB; at most {LIMIT // 2**30} are allowed. "
                "Use fewer features or shorter sequences."
            )
        shape = self.n_features, self.dimension
        rng = stream(seed, "random features", "weights")
        self.weights: Floats = rng.standard_normal(shape) / np.sqrt(self.dimension)
        self._kept: dict[float, FeatureMap] = {}
        self._sharpness: dict[float, float] = {}

    def at(self, alpha: float) -> FeatureMap:
        """The map at a kept fraction alpha in [0, 1]; 1 - alpha counts as 1e-6 at least.

        Cost n K (d + p)^2 + 10 p^3 multiplications.
        """
        kept = kept_fraction(alpha)
        found = self._kept.pop(kept, None) or self.flow(kept, [np.inf])[0]
        self._kept[kept] = found  # the last one used stands last
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return found

    def flow(self, alpha: float, times: ArrayLike) -> tuple[FeatureMap, ...]:
        """Maps after gradient flow from A = 0 for each time (n,) >= 0, inf allowed.

        Time is learning rate times steps for the loss (|u - u_hat|^2 + ridge |A|^2) / 2, averaged
        over sequences and draws. skip="fit" holds b at its value of infinite time throughout;
        skip="full" has B at its optimum for the A of each time.
        """
        tau = np.asarray(times, dtype=np.float64)
        if tau.ndim != 1 or not np.all(tau >= 0):
            raise ValueError(
                "`times` must be a list of times that are not negative (inf is allowed); got "
                f"{times!r}."
            )
        kept, d = kept_fraction(alpha), self.dimension
        square, cross = self._moments(kept)
        mixed, inner, target = square[:d, d:], square[d:, d:], cross[:, d:]
        if self.skip == "full":
            inverse = pinvh(square[:d, :d])
            target = target - cross[:, :d] @ inverse @ mixed
            inner = inner - mixed.T @ inverse @ mixed
        values, modes = eigh(inner)
        rates = np.maximum(values, 0) + self.ridge
        shown = rates > len(rates) * np.finfo(float).eps * rates[-1]
        rates, modes = rates[shown], modes[:, shown]
        rotated: Floats = target @ modes
        skip: float | Floats = 0.0
        if self.skip != "full":
            own = mixed @ modes
            skip = _best(cross, rotated, own, rates) if self.skip == "fit" else float(self.skip)
            rotated = rotated - skip * own
        maps = []
        for time in tau:
            readout: Floats = (rotated * (-np.expm1(-rates * time) / rates)) @ modes.T
            if self.skip == "full":
                skip = (cross[:, :d] - readout @ mixed.T) @ inverse
            maps.append(self._map(kept, readout, skip, square, cross))
        return tuple(maps)

    def seen(self, alpha: float) -> Tokens:
        """The noise that `at(alpha)` is fitted to, (draws, K, L)."""
        return np.stack(list(self._seen(kept_fraction(alpha))))

    def log_loo(self, x_t: ArrayLike, t: ArrayLike) -> Floats:
        """Leave-one-out law log p(x_0^i | x_t without i), (batch, L, V); see the class."""
        tokens = check_tokens(x_t, self.vocab_size, self.seq_len)
        alphas = np.asarray(self.schedule.alpha(check_level(t, len(tokens))))
        logits = np.empty((*tokens.shape, self.vocab_size))
        for alpha in np.unique(alphas):
            rows = np.flatnonzero(alphas == alpha)
            scores = self.at(alpha).scores(tokens[rows])
            logits[rows] = self.sharpness(alpha) * scores @ token_code(self.vocab_size).T
        law: Floats = log_softmax(logits, axis=-1)
        return law

    def sharpness(self, alpha: float) -> float:
        """b_0 / tau^2 of the law, measured on `CALIBRATION` noisy training sequences."""
        kept = kept_fraction(alpha)
        if kept not in self._sharpness:
            rng = stream(self.seed, "random features", "calibration")
            x_0 = np.resize(self.patterns, (max(self.train_size, CALIBRATION), self.seq_len))
            x_0 = x_0[rng.permutation(len(x_0))[:CALIBRATION]]
            scores = self.at(kept).scores(noise(rng, x_0, kept, self.vocab_size))
            u = encode(x_0, self.vocab_size).reshape(scores.shape)
            gain = float((scores * u).mean() / (u * u).mean())
            spread = float(((scores - gain * u) ** 2).mean())
            self._sharpness[kept] = gain / max(spread, np.finfo(float).eps)
        return self._sharpness[kept]

    def _seen(self, alpha: float) -> Iterator[Tokens]:
        rng = stream(self.seed, "random features", "noise")
        return (noise(rng, self.patterns, alpha, self.vocab_size) for _ in range(self.draws))

    def _moments(self, alpha: float) -> tuple[Floats, Floats]:
        """Means over sequences and draws, with x = (u_t, f): of x x^T and of u x^T."""
        width = self.dimension + self.n_features
        square, cross = np.zeros((width, width)), np.zeros((self.dimension, width))
        for x_t in self._seen(alpha):
            for part in blocks(self.train_size, width):
                u, u_t = (encode(x[part], self.vocab_size) for x in (self.patterns, x_t))
                x = np.hstack([u_t, features(self.activation, u_t @ self.weights.T)])
                square += x.T @ x
                cross += u.T @ x
        pairs = self.draws * self.train_size
        return square / pairs, cross / pairs

    def _map(
        self, alpha: float, readout: Floats, skip: float | Floats, square: Floats, cross: Floats
    ) -> FeatureMap:
        linear = skip if isinstance(skip, np.ndarray) else skip * np.eye(self.dimension)
        both = np.hstack([linear, readout])
        seen = 1 + (np.vdot(both @ square, both) - 2 * np.vdot(both, cross)) / self.dimension
        shape = self.vocab_size, self.seq_len, alpha, self.activation
        return FeatureMap(*shape, self.weights, readout, skip, float(seen))


def _best(cross: Floats, rotated: Floats, own: Floats, rates: Floats) -> float:
    """The b of the smallest loss: A follows it, so the loss is a parabola in b."""
    dimension = len(cross)
    left = dimension - float((own**2 / rates).sum())  # of |u_t|^2 that the features leave over
    if left < 1e-9 * dimension:
        raise ValueError(
            'skip="fit" has no single solution: on the drawn noise the features reproduce x_t '
            "itself. Take a larger `ridge`, more `draws`, fewer features, or a number."
        )
    return (float(np.trace(cross[:, :dimension])) - float((rotated * own / rates).sum())) / left
