"""A denoiser at another inverse temperature: what dividing its logits by a temperature makes of it.

    log loo_beta = log_softmax(beta log loo),   beta = 1 / temperature,

of the leave-one-out law p(x_0^i | x_t without i). It is normalized, sees its own token no more than
the law that it is made from, and is no leave-one-out law of any data unless that was flatter or
steeper by as much. `tempered` makes the right kind for a denoiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from am_theory.channel import Channel, logsumexp
from models.noise import channel_of


class Tempered(eqx.Module):
    """A JAX denoiser at inverse temperature `beta`, an array, so that a grid of them compiles
    once."""

    denoiser: Any
    beta: Float[Array, ""]

    def __init__(self, denoiser: Any, beta: float) -> None:
        """Raises ValueError for a `beta` that is not positive and finite."""
        self.denoiser, self.beta = denoiser, jnp.float32(_beta_iv(beta))

    @property
    def vocab_size(self) -> int:
        return int(self.denoiser.vocab_size)

    @property
    def seq_len(self) -> int | None:
        length: int | None = self.denoiser.seq_len
        return length

    @property
    def schedule(self) -> Any:
        return self.denoiser.schedule

    @property
    def channel(self) -> Channel:
        """The noise that it undoes."""
        return channel_of(self.denoiser)

    def log_loo(self, x_t: Any, t: Any) -> Float[Array, "batch L V"]:
        """The law at `beta`, (batch, L, V); a point mass stays one."""
        law: Array = jax.nn.log_softmax(self.beta * self.denoiser.log_loo(x_t, t))
        return law


class TemperedReadout(Tempered):
    """`Tempered` of a network with a `trunk` and a `head`, whose large laws are read in slices."""

    def trunk(self, x_t: Any, t: Any) -> Any:
        """That of the network."""
        return self.denoiser.trunk(x_t, t)

    def head(self, hidden: Any, condition: Any) -> Any:
        """Its logits, times `beta`."""
        return self.beta * self.denoiser.head(hidden, condition)


@dataclass(frozen=True, eq=False)
class TemperedCall:
    """`Tempered` of a denoiser that takes and returns NumPy arrays."""

    denoiser: Any
    beta: float

    @property
    def vocab_size(self) -> int:
        return int(self.denoiser.vocab_size)

    @property
    def seq_len(self) -> int | None:
        length: int | None = self.denoiser.seq_len
        return length

    @property
    def schedule(self) -> Any:
        return self.denoiser.schedule

    @property
    def channel(self) -> Channel:
        """The noise that it undoes."""
        return channel_of(self.denoiser)

    def log_loo(self, x_t: Any, t: Any) -> Any:
        """The law at `beta`, (batch, L, V); a point mass stays one."""
        law = self.beta * np.asarray(self.denoiser.log_loo(x_t, t))
        law -= logsumexp(law)
        return law


def tempered(denoiser: Any, beta: float) -> Any:
    """`denoiser` at inverse temperature `beta`, 1 / temperature: `loo` to the power beta.

    Raises ValueError for a `beta` that is not positive and finite.

    >>> from models.exact.empirical import EmpiricalDenoiser
    >>> pair = EmpiricalDenoiser([[0, 1], [0, 0]], 2)
    >>> np.exp(tempered(pair, 2.0).log_loo([[0, 0]], 0.5))[0, 1].round(3).tolist()
    [0.5, 0.5]
    """
    if not isinstance(denoiser, eqx.Module):
        return TemperedCall(denoiser, _beta_iv(beta))
    kind: type[Tempered] = TemperedReadout if hasattr(denoiser, "head") else Tempered
    return kind(denoiser, beta)


def _beta_iv(beta: float) -> float:
    value = float(beta)
    if not 0 < value < math.inf:
        raise ValueError(f"`beta`, the inverse temperature, must be positive; got {beta}.")
    return value
