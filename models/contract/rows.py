"""Are these rows of log-probabilities? If not, what are they, and how do they become such?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract.attributes import Refused

SAME = 1e-3  # probabilities that differ by less are the same
NEAR = 0.01  # of a sum that shows what numbers are
BASES = {2: "2", 10: "10"}

Floats = NDArray[np.floating[Any]]


def kind_iv(law: Any) -> None:
    """Refuse what is no NumPy or JAX array of enough digits."""
    kind = f"{type(law).__module__}.{type(law).__name__}".removeprefix("builtins.")
    if not hasattr(law, "__array_namespace__"):
        what = ": end it with .detach().cpu().float().numpy()" if hasattr(law, "detach") else ""
        if hasattr(law, "logits"):
            what = ": take its .logits, and their log_softmax"
        raise Refused(f"log_loo returned a {kind}; it must return one NumPy or JAX array{what}.")
    if str(law.dtype) not in ("float32", "float64"):
        raise Refused(
            f"log_loo returned numbers of type {law.dtype}; they must be float32 or float64: take "
            "the log_softmax in float32, since sums over a vocabulary lose their digits before."
        )


def rows_iv(law: Floats, at: str) -> None:
    """Refuse rows (..., V) that are no log-probabilities; `at`: of which level, "" for any."""
    if np.isnan(law).any():
        raise Refused(
            f"log_loo returned NaN{at}" + ("; is it 0 times infinity, or log 0?" if at else ".")
        )
    if np.isposinf(law).any():
        raise Refused(f"log_loo returned infinity{at}; a log-probability is at most 0.")
    sums = _sums(law)
    if np.abs(sums - 1).max() > SAME:
        raise Refused(
            f"exp(log_loo) sums to between {sums.min():.4g} and {sums.max():.4g} over the "
            f"vocabulary; expected 1. {_cause(law, sums)}"
        )


def _sums(law: Floats, base: float = math.e) -> Floats:
    with np.errstate(over="ignore"):  # of logits
        sums: Floats = np.exp(law * math.log(base)).sum(-1, dtype=np.float64)
    return sums


def _cause(law: Floats, sums: Floats) -> str:
    """What rows that do not sum to 1 are, and how they become a law."""
    few = few_bits(law)
    if few and np.abs(sums - 1).max() < 0.1:
        return (
            f"Its numbers have the digits of {few} alone, too few for a log_softmax: take it in "
            "float32, as in logits.float().log_softmax(-1)."
        )
    if law.min() >= 0 and np.abs(law.sum(-1) - 1).max() < NEAR:
        return "These are probabilities: take their logarithm."
    if law.min() >= 0 and np.abs(_sums(-law) - 1).max() < NEAR:
        return "These are minus log-probabilities: change the sign."
    for base, name in BASES.items():
        if np.abs(_sums(law, base) - 1).max() < NEAR:
            return f"These are logarithms to the base {name}: multiply them by log {name}."
    return "If these are logits, apply log_softmax over the last axis."


def few_bits(law: Floats) -> str | None:
    """The narrow type whose numbers alone occur in a law, if there is one."""
    numbers = np.float32(law[np.isfinite(law) & (law != 0)])
    if not numbers.size:
        return None
    if not (numbers.view(np.uint32) & 0xFFFF).any():
        return "bfloat16"
    with np.errstate(over="ignore"):
        return "float16" if np.array_equal(np.float32(np.float16(numbers)), numbers) else None
