"""The denoiser protocol, and a check of anyone's own denoiser against it.

A denoiser returns the leave-one-out law: for each site i the distribution of the
clean token given the noisy tokens of all *other* sites. It is what the reverse
kernel and the NELBO take; the token posterior `full` follows from it by the
channel (`log_full`), here and nowhere else.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from am_theory import channel
from models.errors import DenoiserContractError

PROBES = 16  # values of a site's own token, in the check


@runtime_checkable
class Denoiser(Protocol):
    """What samplers, losses and measures ask of a model.

    `log_loo(x_t, t)` takes tokens (batch, L) and a noise level, a scalar or
    (batch,), in [0, 1]; it returns log p(x_0^i = v | x_t without site i), shape
    (batch, L, V), each row normalized, -inf allowed.
    `seq_len` is None for a model that takes any length. A model of another noise than the
    uniform has an attribute `channel`, a record of `am_theory.channels`: masked sites then hold
    the token V, and under a channel that does not redraw the rows of visible sites are the point
    mass on their token (`certain_where_visible`).
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def seq_len(self) -> int | None: ...

    @property
    def schedule(self) -> Any: ...

    def log_loo(self, x_t: Any, t: Any) -> Any: ...


def channel_of(denoiser: Any) -> channel.Channel:
    """The channel that a denoiser undoes: its attribute `channel`, uniform where it has none.

    Raises ValueError where that has another number of values than the denoiser.
    """
    found: channel.Channel = channel.channel_iv(
        getattr(denoiser, "channel", None), int(denoiser.vocab_size)
    )
    return found


def certain_where_visible(log_law: Any, x_t: Any, noise: channel.Channel) -> Any:
    """Laws (..., V) with the point mass on x_t wherever the channel leaves no doubt: at visible
    tokens of one that does not redraw. Those rows of `log_loo` are a convention, no leave-one-out
    law: that takes a pass with the site masked."""
    if noise.redraws:
        return log_law
    if isinstance(log_law, np.ndarray):  # visible rows alone, in place of passes over all
        law, place = log_law.copy(), np.nonzero(x_t != noise.mask_id)
        law[place] = -np.inf
        law[(*place, x_t[place])] = 0.0
        return law
    xp = log_law.__array_namespace__()
    own = xp.arange(log_law.shape[-1]) == x_t[..., None]
    fact = xp.where(own, xp.zeros_like(log_law), -xp.inf)
    return xp.where((x_t != noise.mask_id)[..., None], fact, log_law)


def log_full(denoiser: Denoiser, x_t: Any, t: Any) -> Any:
    """Token posterior log p(x_0^i | x_t), shape (batch, L, V), of any denoiser.

    full_v is proportional to loo_v times the channel's likelihood of x_t^i given v.
    """
    return channel.full_from_loo(
        denoiser.log_loo(x_t, t), x_t, denoiser.schedule.alpha(t), channel_of(denoiser)
    )


def contract_problems(denoiser: Any, seed: int = 0) -> list[str]:
    """Everything found wrong with `denoiser`, as sentences; empty when it conforms."""
    problems = [
        f"it has no attribute `{name}`."
        for name in ("log_loo", "vocab_size", "seq_len", "schedule")
        if not hasattr(denoiser, name)
    ]
    if problems:
        return problems
    vocab_size, seq_len = denoiser.vocab_size, denoiser.seq_len or 6
    if not isinstance(vocab_size, int | np.integer) or vocab_size < 2:
        return [f"`vocab_size` must be an integer of at least 2; got {vocab_size!r}."]
    try:
        noise = channel_of(denoiser)
    except ValueError as error:
        return [str(error)]
    rng = np.random.default_rng(seed)
    x_t = rng.integers(vocab_size, size=(4, seq_len))
    if noise.mask_id is not None:
        x_t = np.where(rng.random(x_t.shape) < 0.5, noise.mask_id, x_t)
    levels = np.array([0.1, 0.3, 0.6, 0.9], dtype=np.float32)
    try:
        batched = np.asarray(denoiser.log_loo(x_t, levels), dtype=np.float64)
        single = np.asarray(denoiser.log_loo(x_t, 0.3), dtype=np.float64)
    except Exception as error:  # a stranger's code: any failure is a finding
        return [f"log_loo(x_t, t) raised {type(error).__name__}: {error}"]
    expected = (4, seq_len, vocab_size)
    if batched.shape != expected:
        return [
            f"log_loo returned shape {batched.shape}; expected (batch, L, V) = {expected}."
            + (" The last axis must be the vocabulary." if batched.ndim == 3 else "")
        ]
    if np.isnan(batched).any() or np.isnan(single).any():
        return ["log_loo returned NaN."]
    with np.errstate(over="ignore"):  # of logits
        row_sums = np.exp(batched).sum(-1)
    if np.abs(row_sums - 1).max() > 1e-3:
        return [
            f"exp(log_loo) sums to between {row_sums.min():.4g} and {row_sums.max():.4g} over the "
            "vocabulary; expected 1. If these are logits, apply log_softmax over the last axis."
        ]
    if np.abs(np.exp(batched[1]) - np.exp(single[1])).max() > 1e-3:
        problems.append("a scalar t and the same t given as (batch,) return different laws.")
    try:
        again = np.asarray(denoiser.log_loo(x_t, levels), dtype=np.float64)
        alone = np.asarray(denoiser.log_loo(x_t[1:2], levels[1:2]), dtype=np.float64)
    except Exception as error:
        return [*problems, f"log_loo failed on a batch of one: {type(error).__name__}: {error}"]
    if np.abs(np.exp(again) - np.exp(batched)).max() > 1e-3:
        problems.append("the same input gives different laws: switch dropout off.")
    if np.abs(np.exp(alone[0]) - np.exp(batched[1])).max() > 1e-3:
        problems.append("a sequence's law depends on the other sequences of its batch.")
    if noise.redraws:
        clean = np.where(x_t == noise.mask_id, 0, x_t)
        return problems + _own_token_problems(denoiser, clean, int(vocab_size))
    law = certain_where_visible(batched, x_t, noise)
    if np.abs(np.exp(law) - np.exp(batched)).max() > 1e-3:
        problems.append(
            "its channel leaves no doubt of a visible token, but the law of one is not the point "
            "mass on it: pass the laws through models.denoiser.certain_where_visible."
        )
    return problems


def _own_token_problems(denoiser: Any, x_t: Any, vocab_size: int) -> list[str]:
    """Detect a `full` law sold as `loo`: it follows its own token as t goes to 0."""
    t = 1e-4
    site = x_t.shape[1] // 2
    # The same context with several values of the own token: a loo law hardly moves. One at a time,
    # since the laws of all values of a large vocabulary would be V^2 L numbers.
    values = np.unique(np.linspace(0, vocab_size - 1, PROBES).astype(int))
    own = np.empty(len(values))
    for k, value in enumerate(values):
        probe = x_t[:1].copy()
        probe[:, site] = value
        try:
            own[k] = np.exp(
                np.asarray(denoiser.log_loo(probe, t), dtype=np.float64)[0, site, value]
            )
        except Exception as error:
            return [f"log_loo failed at t = {t}: {type(error).__name__}: {error}"]
    if own.min() > 0.9:
        return [
            f"at t = {t} the law of a site is at least {own.min():.2f} on whatever token that site "
            "holds, so it is the posterior `full`, not the leave-one-out law. "
            "Convert it with am_theory.channel.loo_from_full."
        ]
    return []


def check_denoiser(denoiser: Any) -> None:
    """Raise DenoiserContractError, in words, unless `denoiser` keeps the protocol."""
    problems = contract_problems(denoiser)
    if problems:
        raise DenoiserContractError(
            f"{type(denoiser).__name__} is not a Denoiser: " + " Also: ".join(problems)
        )
