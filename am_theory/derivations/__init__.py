"""Proofs of the identities that the formulas of this library rest on, with steps in LaTeX.

Each function proves one statement when it is called, by SymPy or by enumeration, raises
`DerivationError` if an identity does not hold, and returns a `Derivation`: a title and the steps as
LaTeX paragraphs for an appendix. `ALL` names them. Importing this package loads SymPy; nothing else
in the library does.

>>> from am_theory.derivations import ALL
>>> print(ALL["channel.posterior"]().title)
Posterior of the uniform channel and its mixture form
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from am_theory.derivations import (
    channel,
    channels,
    erasures,
    hopfield,
    linear,
    loss,
    memory,
    random_feature_denoiser,
    small_noise,
)
from am_theory.derivations._proof import Derivation, DerivationError

__all__ = [
    "ALL",
    "Derivation",
    "DerivationError",
    "channel",
    "channels",
    "erasures",
    "hopfield",
    "linear",
    "loss",
    "memory",
    "random_feature_denoiser",
    "small_noise",
]


def _registry(*modules: ModuleType) -> dict[str, Callable[[], Derivation]]:
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
    }


ALL: dict[str, Callable[[], Derivation]] = _registry(
    channel,
    channels,
    loss,
    small_noise,
    memory,
    erasures,
    hopfield,
    linear,
    random_feature_denoiser,
)
