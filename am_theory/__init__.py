"""Analytic predictions for associative memories and uniform-state discrete diffusion models.

Formulas only: numbers in, numbers out, with no sampling, no training and no plotting.

- `am_theory.channel`: noise schedules, the uniform channel, its posterior and training loss.
- `am_theory.empirical`: the optimal denoiser of stored random sequences, at finite size.

Submodules load on first use, so ``import am_theory`` itself costs next to nothing.
"""

import importlib
from types import ModuleType

__all__ = [
    "channel",
    "dense",
    "empirical",
    "hopfield",
    "linear",
    "neurodynamics",
    "potts",
    "pseudolikelihood",
    "random_features",
    "scaling",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
