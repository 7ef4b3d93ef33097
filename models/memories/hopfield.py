"""The Hopfield memory: N spins of -1 and +1, K stored patterns, symmetric couplings.

    E(s) = -1/2 sum_{i != j} J_ij s_i s_j,   h_i = sum_{j != i} J_ij s_j
    hebb:            J = X^T X / N
    pseudo-inverse:  J = X^T (X X^T)^-1 X, the projection on the stored patterns

with X (K, N) the patterns; the diagonal of J is dropped in both rules. Sources: Hopfield
1982 (PNAS 79, 2554); Kanter and Sompolinsky 1987 (PRA 35, 380).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import NumbaInsideJitError
from models.exact._kernels import in_parallel
from models.memories import _memory_kernels as kernels
from models.memories.retrieval import Memory, Sweep, refuse_empty
from models.memory_size import refuse_beyond_memory
from models.tokens import Tokens, check_tokens, is_tracer

Spins = NDArray[np.int8]
Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]

DENSE_BYTES = 2**30  # largest coupling matrix that is made
EXACT_IN_FLOAT32 = 2**24  # integers below it, and so all sums of K N signs, are exact


@dataclass(frozen=True, eq=False)
class HopfieldMemory(Memory):
    """Stored patterns and their couplings; made by `store`.

    J = unit (A^T A - diag) with A = `factor` (R, N). Integers where the rule is Hebb's, so
    that fields are exact; for the pseudo-inverse A is an orthonormal basis of the patterns.
    `couplings` is A^T A without its diagonal in the dense form, None in the pattern form. A
    field whose size is below `margin` is a tie, on which a spin stays. Duplicates count in
    Hebb's rule. Retrieval: s_i <- sign h_i; a sweep costs a query N^2 (dense form) or 2 N K.

    >>> memory = store([[1, 1, -1, -1, 1], [1, -1, 1, -1, -1]])
    >>> memory.retrieve([[1, 1, -1, -1, -1]]).states.tolist()
    [[1, 1, -1, -1, 1]]
    """

    patterns: Spins
    rule: str
    factor: Reals
    diagonal: Reals
    couplings: Reals | None
    unit: float
    margin: float

    @property
    def form(self) -> str:
        """ "dense" where the (N, N) couplings are held, else "patterns"."""
        return "patterns" if self.couplings is None else "dense"

    def fields(self, states: ArrayLike) -> Floats:
        """h_i = sum_{j != i} J_ij s_j of states (batch, N), (batch, N)."""
        return self.unit * self._fields(check_spins(states, self.seq_len, "states")).astype(float)

    def energy(self, states: ArrayLike) -> Floats:
        """E = -1/2 sum_{i != j} J_ij s_i s_j of states (batch, N), (batch,)."""
        spins = check_spins(states, self.seq_len, "states").astype(self.factor.dtype)
        projection = (spins @ self.factor.T).astype(float)
        own = float(self.diagonal.sum(dtype=float))
        total: Floats = -0.5 * self.unit * ((projection**2).sum(1) - own)
        return total

    def overlap(self, states: ArrayLike) -> Floats:
        """m = sum_i xi_i s_i / N of each state with each pattern, (batch, K), in [-1, 1]."""
        spins = check_spins(states, self.seq_len, "states").astype(np.float32)
        total: Floats = (spins @ self.patterns.T.astype(np.float32)).astype(float) / self.seq_len
        return total

    def checked(self, states: ArrayLike, name: str) -> Spins:
        return check_spins(states, self.seq_len, name)

    def sweep(self, sequential: bool, sites: NDArray[np.int64]) -> Sweep:
        if sequential:
            return lambda states: self._sweep(states, np.zeros(states.shape), sites)
        return lambda states: kernels.signs(self._fields(states), states, self.margin)

    def heat_bath(
        self, rng: np.random.Generator, query: ArrayLike, temperature: float, sweeps: int
    ) -> Spins:
        """States (batch, N) after `sweeps` sequential heat-bath sweeps at `temperature`.

        P(s_i = +1) = 1 / (1 + exp(-2 h_i / T)), which keeps the law exp(-E / T). The
        temperature is in units of the energy: a single stored pattern orders below T = 1.
        """
        spins = check_spins(query, self.seq_len, "query")
        if not 0 < temperature < np.inf:
            raise ValueError(
                f"`temperature` must be positive and finite; got {temperature}. At temperature "
                "zero use `retrieve`."
            )
        if int(sweeps) != sweeps or sweeps < 0:
            raise ValueError(f"`sweeps` must be a non-negative integer; got {sweeps}.")
        sites = np.arange(self.seq_len)
        for _ in range(int(sweeps)):
            uniforms = rng.random(spins.shape)
            with np.errstate(divide="ignore"):
                logit = np.log(uniforms) - np.log1p(-uniforms)
            spins = self._sweep(spins, 0.5 * temperature / self.unit * logit, sites)
        return spins

    def _fields(self, spins: Spins) -> Reals:
        """Fields in units of `unit`."""
        states = spins.astype(self.factor.dtype)
        if self.couplings is not None:
            return states @ self.couplings
        return (states @ self.factor.T) @ self.factor - self.diagonal * states

    def _sweep(self, spins: Spins, levels: Floats, order: NDArray[np.int64]) -> Spins:
        """One sequential sweep: each spin up where its field is above its level."""
        states = spins.astype(self.factor.dtype)
        if self.couplings is not None:
            rows = [spins, states @ self.couplings, levels]
            rest = [self.couplings, order, self.margin]
            return in_parallel(kernels.spin_sweep_dense, len(spins), rows, rest)
        rows = [spins, states @ self.factor.T, levels]
        columns = np.ascontiguousarray(self.factor.T)
        rest = [columns, self.diagonal, order, self.margin]
        return in_parallel(kernels.spin_sweep_patterns, len(spins), rows, rest)


def store(
    patterns: ArrayLike,
    *,
    rule: Literal["hebb", "pseudo-inverse"] = "hebb",
    form: Literal["auto", "dense", "patterns"] = "auto",
) -> HopfieldMemory:
    """A memory of `patterns` (K, N), integers -1 and +1; duplicates are allowed.

    Form "dense" holds the couplings, (N, N); "patterns" computes fields through the K
    patterns and never makes them; both give the same states. "auto" takes the cheaper:
    dense where N <= 2 K and the couplings fit in a gibibyte.

    Under the pseudo-inverse rule patterns of rank N leave no field at all, so that every
    state is fixed; independent patterns of any number below N are fixed points.

    Raises ValueError for entries other than -1 and +1, for K = 0, and for a dense form
    beyond a gibibyte, whose size the message gives.
    """
    spins = check_spins(patterns, None, "patterns")
    refuse_empty(spins)
    train_size, seq_len = spins.shape
    refuse_beyond_memory(
        (8.0 if rule == "hebb" else 40.0) * spins.size,
        f"a memory of {train_size} patterns of {seq_len} spins",
        "store fewer patterns",
    )
    if rule == "hebb":
        exact = np.float32 if train_size * seq_len < EXACT_IN_FLOAT32 else np.float64
        factor: Reals = spins.astype(exact)
        unit, margin = 1 / seq_len, 0.0
    elif rule == "pseudo-inverse":
        _, scale, basis = np.linalg.svd(spins.astype(float), full_matrices=False)
        rank = int((scale > scale[0] * max(spins.shape) * np.finfo(float).eps).sum())
        factor = np.ascontiguousarray(basis[:rank])
        unit, margin = 1.0, 1e-9
    else:
        raise ValueError(f"`rule` must be 'hebb' or 'pseudo-inverse'; got {rule!r}.")
    size = seq_len**2 * factor.itemsize
    if form not in ("auto", "dense", "patterns"):
        raise ValueError(f"`form` must be 'auto', 'dense' or 'patterns'; got {form!r}.")
    if form == "dense" and size > DENSE_BYTES:
        raise ValueError(
            f"`form='dense'` would hold {seq_len} x {seq_len} couplings, {size / 2**30:.1f} GiB; "
            "use form='patterns', which gives the same states."
        )
    couplings = None
    if form == "dense" or (form == "auto" and seq_len <= 2 * len(factor) and size <= DENSE_BYTES):
        couplings = factor.T @ factor
        np.fill_diagonal(couplings, 0)
    diagonal = (factor * factor).sum(0)
    return HopfieldMemory(spins, rule, factor, diagonal, couplings, unit, margin)


def check_spins(states: ArrayLike, seq_len: int | None, name: str) -> Spins:
    """Integers -1 and +1 of shape (batch, N), as int8."""
    if is_tracer(states):
        raise NumbaInsideJitError(
            f"`{name}` is a JAX tracer: the memory runs on concrete arrays. Call it outside "
            "jax.jit, vmap and grad."
        )
    spins = np.asarray(states)
    if spins.dtype.kind not in "iu":
        raise ValueError(
            f"`{name}` must hold integers -1 and +1; got dtype {spins.dtype}. Convert exact "
            "values with `.astype(np.int8)`."
        )
    if spins.ndim != 2 or spins.shape[1] < 1:
        raise ValueError(
            f"`{name}` must have shape (batch, N); got {spins.shape}. A single state goes in as "
            "`s[None, :]`."
        )
    if seq_len is not None and spins.shape[1] != seq_len:
        raise ValueError(
            f"`{name}` has states of {spins.shape[1]} spins; this memory holds patterns of "
            f"{seq_len}."
        )
    wrong = spins[np.abs(spins.astype(np.int64)) != 1]
    if wrong.size:
        raise ValueError(
            f"`{name}` holds the value {wrong[0]}; allowed are -1 and +1. Tokens 0 and 1 become "
            "spins with `spins_from_tokens`."
        )
    return np.ascontiguousarray(spins, dtype=np.int8)


def spins_from_tokens(tokens: ArrayLike) -> Spins:
    """Tokens 0 and 1, (batch, N), as spins -1 and +1."""
    binary = check_tokens(tokens, 2, name="tokens")
    return 2 * binary.astype(np.int8) - np.int8(1)


def tokens_from_spins(spins: ArrayLike) -> Tokens:
    """Spins -1 and +1, (batch, N), as tokens 0 and 1."""
    return (check_spins(spins, None, "spins") > 0).astype(np.uint8)
