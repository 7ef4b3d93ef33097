"""SciPy's solvers, loaded at their first call (private).

scipy.optimize takes longer to import than everything else of this library together.
"""

from __future__ import annotations

from typing import Any


def brentq(*args: Any, **options: Any) -> Any:
    """scipy.optimize.brentq."""
    from scipy import optimize

    return optimize.brentq(*args, **options)


def minimize_scalar(*args: Any, **options: Any) -> Any:
    """scipy.optimize.minimize_scalar."""
    from scipy import optimize

    return optimize.minimize_scalar(*args, **options)


def root(*args: Any, **options: Any) -> Any:
    """scipy.optimize.root."""
    from scipy import optimize

    return optimize.root(*args, **options)


def quad(*args: Any, **options: Any) -> Any:
    """scipy.integrate.quad."""
    from scipy import integrate

    return integrate.quad(*args, **options)
