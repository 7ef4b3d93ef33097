"""What a cap on the logits, or few bits for them, leave of the leave-one-out law (private).

`models.conversions` names these functions.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from am_theory.channel import inverse_temperature

BITS = {"bfloat16": 8, "float16": 11}  # of a significand, the hidden one counted

Array = Any


def logit_cap_entropy_floor(cap: float, vocab_size: int, alpha: Array) -> Array:
    """Return the least entropy of a law peaked at the visible token, from logits within [-c, c].

    H = log(1 + e) + e / (1 + e) (2 c - beta),   e = (V - 1) exp(beta - 2 c),
    for a network that puts out the token posterior: loo takes beta from the logit of x_t, and what
    is left, 2 c - beta above the others, is all that the cap allows.

    Parameters
    ----------
    cap : number > 0, the cap c of the logits; 30 in DiffusionGemma.
    vocab_size : int, V >= 2.
    alpha : number or array in [0, 1]; probability that a token is kept.

    Returns
    -------
    Shape of `alpha`, in [0, log V].

    Raises
    ------
    ValueError for an argument out of range.

    Notes
    -----
    Where it is not small, the entropy of `loo` on training sequences cannot vanish, whatever the
    network has memorized.

    Unit: nats per token.

    Source: derived in tests/models/test_conversions.py, from the explicit law.

    >>> round(logit_cap_entropy_floor(15, 262144, 0.5), 4)
    0.1184
    """
    _cap_iv(cap)
    margin = 2 * cap - np.asarray(inverse_temperature(alpha, vocab_size))
    log_e = np.log(vocab_size - 1) - margin
    value = np.logaddexp(0.0, log_e) + margin * np.exp(log_e - np.logaddexp(0.0, log_e))
    value = np.maximum(value, 0.0)
    return float(value) if np.ndim(value) == 0 else value


def bf16_error(cap: float) -> float:
    """Return the largest rounding error of a logit within [-c, c] held in bfloat16.

    eta = 2^(floor(log2 c) - 8), half a unit in the last of 8 bits; `loo` and `full` in logs are off
    by at most 2 eta, at every noise level. Convert after a cast to float32.

    Parameters
    ----------
    cap : number > 0, c.

    Returns
    -------
    float.

    Raises
    ------
    ValueError for a cap that is not above 0.

    Unit: nats.

    Source: IEEE 754 rounding to nearest with the 8 bits of bfloat16.

    >>> bf16_error(30), bf16_error(15)
    (0.0625, 0.03125)
    """
    _cap_iv(cap)
    return float(2.0 ** (np.floor(np.log2(cap)) - 8))


def readable(
    vocab_size: int,
    alpha: float,
    *,
    law: Literal["full", "loo"],
    cap: float | None = None,
    dtype: str = "float32",
) -> str:
    """What the form of logits leaves to be read of the leave-one-out law, in words.

    Parameters
    ----------
    vocab_size : int, V. alpha : number in [0, 1), the kept fraction.
    law : what the softmax of the logits is.
    cap : c for logits in [-c, c], None where there is no cap. dtype : of the logits, or of the
        matrix that makes them; rounded before it is capped, a logit is off by no more.

    Raises ValueError for a kept fraction outside of [0, 1) and a cap that is not above 0.

    Unit: nats.

    Source: `bf16_error`, `logit_cap_entropy_floor`. Last sentence: an excess loss l may move the
    logit of the visible token by sqrt(2 l / t), above 1/2 where t = 1 - alpha is below 8 l.

    >>> readable(262144, 0.99, law="full", cap=15)
    'Where the clean token is the visible one, entropies below 5.5 nats are not readable at a kept \
fraction of 0.99 with a cap of 15. Training that ends l nats a token above its least loss leaves \
the law of the visible token unreadable where fewer than 8 l of the tokens are redrawn.'
    """
    if not 0 <= alpha < 1:
        raise ValueError(f"`alpha` must lie in [0, 1); got {alpha!r}.")
    words = []
    if dtype in BITS:
        words.append(_rounding(BITS[dtype], dtype, cap))
    if cap is not None:
        full = law == "full"
        floor = logit_cap_entropy_floor(cap, vocab_size, alpha if full else 0.0)
        where = f"at a kept fraction of {alpha:g}" if full else "at any noise level"
        words.append(
            f"{'Where the clean token is the visible one, entropies' if full else 'Entropies'} "
            f"below {floor:.2g} nats are not readable {where} with a cap of {cap:g}."
        )
    if law == "full":
        words.append(
            "Training that ends l nats a token above its least loss leaves the law of the visible "
            "token unreadable where fewer than 8 l of the tokens are redrawn."
        )
    return " ".join(words) or f"Logits in {dtype} without a cap: their form limits nothing."


def _rounding(bits: int, dtype: str, cap: float | None) -> str:
    """How far off 16 bits may put a log-probability: twice the error of a logit."""
    if cap is None:
        return (
            f"Logits in {dtype}: log-probabilities may be off by 1/{2 ** (bits - 1)} of the "
            "largest logit."
        )
    error = 2 * bf16_error(cap) * 2.0 ** (BITS["bfloat16"] - bits)
    return (
        f"Logits in {dtype} with a cap of {cap:g}: log-probabilities may be off by {error:.2g} "
        f"nats, probabilities by a factor of {np.exp(error):.3g}."
    )


def _cap_iv(cap: float) -> None:
    if not (np.isfinite(cap) and cap > 0):
        raise ValueError(f"`cap` must be finite and above 0; got {cap!r}. It bounds the logits.")
