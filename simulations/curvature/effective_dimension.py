"""Takeuchi's effective dimension of a fitted model: gap of the loss times K, from one curvature.

A model with parameters theta is fitted to K sequences by the mean of a loss l(theta; x), averaged
over the noise of x. If its minimum is regular and K large, the gap of *another* mean loss m (that
of one noise level; m = l gives Takeuchi's formula) between unseen and fitted sequences is

    E[m_test - m_train] = d_eff / K,    d_eff = tr(C H^-1),

C = Cov over sequences of (grad m, grad l), each averaged over the noise, H the Hessian of E l,
here Gauss-Newton's J^T (d^2 l / d output^2) J. For training that has not come to its end, H^-1 is
another function of H: `flow`.

Nothing of the size of H is formed. Sequences come in blocks; a block of m has balanced random
signs s (half of them +1), and with b = sum_k s_k grad l_k, c = sum_k s_k grad m_k

    E_s[c^T F(H) b] / m = tr(C F(H)), C the unbiased sample covariance,

so that one product serves m sequences, no mean has to be subtracted, and blocks are independent.
Where the two gradients see independent noise, the noise of neither adds to C: a few draws a
sequence do. F(H) b comes of one Lanczos run from b for all F. Directions that change no output
(the common shift of a site's logits, ...) are orthogonal to every gradient and to all products
with H: the run never meets them, and H^-1 is the pseudo-inverse.

Sources: K. Takeuchi, Suri Kagaku 153, 12 (1976); M. F. Hutchinson, Commun. Stat. Simul. 19, 433
(1990); G. H. Golub and G. Meurant, Matrices, Moments and Quadrature (2010).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Filter = Callable[[Floats], Floats]
Product = Callable[[Any], Any]

SMALLEST = 1e-6  # of the largest eigenvalue: below it products in single precision are rounding
END = 1e-5  # of the start: a remainder below it ends a Lanczos run


@dataclass(frozen=True)
class Objective:
    """A loss as a function of a model's outputs.

    output(theta, inputs) -> z, any shape; losses(z, inputs) -> (n,), a loss for each row of inputs,
    convex in z.
    """

    output: Callable[[Any, Any], Any]
    losses: Callable[[Any, Any], Any]

    def __call__(self, theta: Any, inputs: Any) -> Any:
        """Losses (n,) of the rows of `inputs`."""
        return self.losses(self.output(theta, inputs), inputs)

    def gradient(self, theta: Any, inputs: Any, weights: Any) -> Any:
        """sum_n weights_n grad l_n, (p,)."""
        return jax.grad(lambda at: jnp.sum(weights * self(at, inputs)))(theta)

    def curvature(self, theta: Any, inputs: Any, vector: Any) -> Any:
        """The mean over rows of J^T (d^2 l / dz^2) J, times a vector (p,)."""

        def slope(z: Any) -> Any:
            return jax.grad(lambda at: jnp.mean(self.losses(at, inputs)))(z)

        z, pull = jax.vjp(lambda at: self.output(at, inputs), theta)
        # J v as the transpose of J^T: forward mode knows no rules of gradients that a network has
        (moved,) = jax.linear_transpose(pull, z)((vector,))
        _, bent = jax.jvp(slope, (z,), (moved,))
        return pull(bent)[0]


def balanced_signs(rng: np.random.Generator, blocks: int, size: int) -> Floats:
    """Signs (blocks, size), half of each row +1 and half -1 in random order; `size` is even.

    >>> balanced_signs(np.random.default_rng(0), 3, 4).sum(1).tolist()
    [0.0, 0.0, 0.0]
    """
    if size < 2 or size % 2:
        raise ValueError(f"`size` must be an even number of sequences; got {size}.")
    half = np.repeat([1.0, -1.0], size // 2)
    return rng.permuted(np.tile(half, (blocks, 1)), axis=1)


def inverse(damping: float = 0.0) -> Filter:
    """The filter of a minimum: 1 / (h + damping).

    >>> inverse(1.0)(np.array([1.0, 3.0])).tolist()
    [0.5, 0.25]
    """
    return lambda h: 1 / (h + damping)


def flow(time: float, decay: float = 0.0) -> Filter:
    """The filter of gradient flow for a time: (1 - e^(-(h + decay) time)) / (h + decay).

    What training has not yet learnt does not count: the filter of an eigenvalue far below 1 / time
    is the time itself. time : learning rate times steps; decay : weight decay.

    >>> flow(2.0)(np.array([1e-9])).round(6).tolist()
    [2.0]
    """
    return lambda h: -np.expm1(-(h + decay) * time) / (h + decay)


@dataclass(frozen=True, eq=False)
class Krylov:
    """Lanczos runs from one start each: basis (runs, steps, p), orthonormal rows, and the
    tridiagonal matrices (runs, steps, steps) that are H in these; `norms` (runs,) of the starts.
    Of a run that ended early the rows left over are 0."""

    basis: Floats
    projected: Floats
    norms: Floats
    lengths: NDArray[np.int64]

    def shortened(self, steps: int) -> Krylov:
        """The same runs, ended after so many steps: what is not yet converged, changes."""
        lengths = np.minimum(self.lengths, steps)
        kept = self.projected[:, :steps, :steps]
        return Krylov(self.basis[:, :steps], kept, self.norms, lengths)

    def applied(self, function: Filter) -> Floats:
        """F(H) b of every start b, (runs, p).

        Exact for polynomials F below the number of steps. Eigenvalues below SMALLEST times the
        largest are rounding and are left out.
        """
        out = np.zeros((len(self.basis), self.basis.shape[2]))
        for run, steps in enumerate(self.lengths):
            h, modes = np.linalg.eigh(self.projected[run, :steps, :steps])
            kept = h > SMALLEST * h[-1]
            weights = modes[:, kept] @ (function(h[kept]) * modes[0, kept])
            out[run] = self.norms[run] * (weights @ self.basis[run, :steps])
        return out


def lanczos(product: Product, starts: Floats, steps: int) -> Krylov:
    """Lanczos runs from the rows of `starts` (runs, p), reorthogonalised in double precision.

    product : (runs, p) -> (runs, p), the symmetric matrix times each row. Cost steps products and
    2 steps^2 p multiplications a run; memory steps p numbers a run. Raises ValueError where a start
    is 0.
    """
    runs, size = starts.shape
    steps = min(steps, size)
    norms = np.linalg.norm(starts, axis=1)
    if not np.all(norms > 0):
        raise ValueError("a start of Lanczos is 0: the gradient vanishes for every sequence.")
    basis, projected = np.zeros((runs, steps, size)), np.zeros((runs, steps, steps))
    lengths = np.full(runs, steps)
    going = np.ones(runs, bool)
    basis[:, 0] = starts / norms[:, None]
    for k in range(steps):
        new = np.asarray(product(basis[:, k]), np.float64)
        before = np.linalg.norm(new, axis=1)
        projected[going, k, k] = (basis[:, k] * new).sum(1)[going]
        for _ in range(2):
            seen = basis[:, : k + 1]
            new -= np.einsum("rk,rkp->rp", np.einsum("rkp,rp->rk", seen, new), seen)
        rest = np.linalg.norm(new, axis=1)
        ended = going & (rest <= END * np.maximum(before, 1e-300))
        lengths[ended] = k + 1
        going &= ~ended
        if k + 1 == steps or not going.any():
            break
        projected[going, k, k + 1] = projected[going, k + 1, k] = rest[going]
        basis[going, k + 1] = new[going] / rest[going, None]
    return Krylov(basis, projected, norms, lengths)


def traces(found: Krylov, gradients: Floats, function: Filter, size: int) -> Floats:
    """tr(C F(H)) by block: c^T F(H) b / size for the rows of `gradients` (..., runs, p)."""
    return np.asarray((gradients * found.applied(function)).sum(-1) / size)
