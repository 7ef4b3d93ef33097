"""Analytic predictions for associative memories and discrete diffusion models.

Formulas only: numbers in, numbers out, with no sampling, no training and no plotting.

- `channel`: noise schedules, the uniform, absorbing and hybrid channels, posterior, information,
  training loss.
- `empirical`: the optimal denoiser of stored random sequences, at finite size, and Shannon's bound.
- `erasures`: the same where the channel masks tokens instead of redrawing them.
- `compare`: kept fractions of the absorbing and the uniform channel that correspond.
- `hopfield`, `neurodynamics`, `potts`, `dense`, `pseudolikelihood`, `random_features`: memories.
- `conditional_likelihood`: rows trained under fresh noise, and how many patterns they separate.
- `linear`: a learned denoiser solved in closed form. `random_feature_denoiser`: one with a
  nonlinear layer, trained for a while. `scaling`: laws for a network's transition.
- `staircase`: kernels on tokens by degree, that of a network before training, and what follows.
- `membership`: what tells a stored sequence from another one, and how well it can be told.
- `extraction`: how many draws reproduce a sequence, from its source or from a store.
- `derivations`: proofs by SymPy, with their steps in LaTeX.

`python -m am_theory list` shows every function; README.md beside this file has the table.

Submodules load on first use, so ``import am_theory`` itself costs next to nothing.
"""

import importlib
from types import ModuleType

__all__ = [
    "channel",
    "compare",
    "conditional_likelihood",
    "dense",
    "empirical",
    "erasures",
    "extraction",
    "hopfield",
    "linear",
    "membership",
    "neurodynamics",
    "potts",
    "pseudolikelihood",
    "random_feature_denoiser",
    "random_features",
    "scaling",
    "staircase",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
