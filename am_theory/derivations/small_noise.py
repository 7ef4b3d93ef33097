"""What the exact denoiser tells of a token as the noise vanishes: one limit for all channels."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from typing import Any, TypeAlias

import sympy as sp

from am_theory.derivations._proof import Derivation, display, require, require_equal

__all__ = ["loo_entropy"]

V, a = sp.symbols("V alpha", positive=True)
MASK = "mask"
Law: TypeAlias = dict[tuple[Any, ...], Fraction]
LAWS = {  # integer weights of the sequences of (V, L) = (2, 3): a free one, one with zeros
    "all sequences": (5, 1, 2, 7, 3, 3, 1, 8),
    "some forbidden": (4, 0, 0, 3, 0, 2, 1, 0),
}
CASES = tuple(product(LAWS, (1, 3, 9)))  # of them, with the power of 1 / 10 that 1 - alpha is


def loo_entropy() -> Derivation:
    """Prove the common limit of the loo entropy as the noise vanishes, with its two bounds."""
    for length in range(2, 7):
        rest = length - 1
        altered = 1 - a**rest
        slack = (1 - a) * sum(1 - a**k for k in range(rest))
        require_equal(rest * (1 - a) - altered, slack, f"union bound at L = {length}")
        weights = [sp.binomial(rest, k) * a**k * (1 - a) ** (rest - k) for k in range(length)]
        h = sp.symbols(f"h:{length}")  # mean entropy given k of the other tokens
        gap = sum(w * x for w, x in zip(weights, h, strict=True)) - h[rest]
        above = sum(w * (x - h[rest]) for w, x in zip(weights[:-1], h[:-1], strict=True))
        require_equal(gap, above, "gap under erasures")
        require_equal(sum(weights[:-1]), altered, "its weights")
    q = sp.Symbol("pi", positive=True)
    cost = q * sp.log(V) - q * sp.log(q) - (1 - q) * sp.log(1 - q)
    limit = sp.limit(cost, q, 0, "+")
    require_equal(limit, sp.Integer(0), "the bounds vanish with the noise")
    with localcontext() as digits:
        digits.prec = 50
        beyond = {key: _bounds_hold(key[0], 1 / Fraction(10) ** key[1]) for key in CASES}
    require(
        beyond["some forbidden", 9],
        "uniform noise needs the term h_2 where sequences are forbidden",
    )
    return Derivation(
        "One limit of the leave-one-out entropy for all channels",
        (
            r"Let $E$ say whether any other token of $x_t$ was not kept, "
            r"$\pi=P(E)=1-\alpha^{L-1}$, and $h=H(X_i\mid X_{\setminus i})$. Then "
            r"\[ 0\le(L-1)(1-\alpha)-\pi=(1-\alpha)\sum_{k<L-1}(1-\alpha^k), \] "
            r"checked up to $L=6$.",
            r"By data processing $H(X_i\mid X_t^{\setminus i})\ge h$. Erasures that leave $S$ "
            r"visible have probability $\alpha^{|S|}(1-\alpha)^{L-1-|S|}$ for every sequence, so "
            r"that the excess is \[ \sum_{S\ne\setminus i}\alpha^{|S|}(1-\alpha)^{L-1-|S|}"
            r"\left[H(X_i\mid X_S)-h\right]\le\pi\log V. \]",
            r"Under the other channels $x_t$ does not show $E$. As $E$ does not depend on $X$ and "
            r"$x_t^{\setminus i}=X_{\setminus i}$ without it, $H(X_i\mid X_t^{\setminus i})\le "
            r"H(X_i\mid X_t^{\setminus i},E)+I(X_i;E\mid X_t^{\setminus i})\le h+\pi\log V+h_2(\pi)"
            r"$.",
            display(
                r"Both bounds vanish as $\alpha\to1$:",
                r"\lim_{\pi\to0}\left[\pi\log V+h_2(\pi)\right]",
                limit,
            ),
            r"For two laws with $V=2$, $L=3$ all entropies were enumerated under the three "
            r"channels: the bounds and each step hold at $1-\alpha=10^{-1},10^{-3},10^{-9}$, and "
            r"the excess of uniform noise passes $\pi\log V$ where sequences are forbidden.",
        ),
        "entropies of two laws of three binary tokens under the three channels",
    )


def _decimal(p: Fraction) -> Decimal:
    return Decimal(p.numerator) / p.denominator


def _entropy(joint: Law) -> Decimal:
    """Entropy in nats of a law given by its exact probabilities."""
    parts = [_decimal(p) for p in joint.values() if p]
    return -sum((p * p.ln() for p in parts), Decimal(0))


def _marginal(joint: Law, *axes: int) -> Law:
    found: Law = {}
    for outcome, p in joint.items():
        key = tuple(outcome[i] for i in axes)
        found[key] = found.get(key, Fraction(0)) + p
    return found


def _bounds_hold(name: str, noise: Fraction) -> bool:
    """Check a law at 1 - alpha = noise; tell whether the uniform channel, the last, needs h_2."""
    sequences = list(product((0, 1), repeat=3))
    kept = 1 - noise
    for redrawn in (Fraction(0), Fraction(1, 3), Fraction(1)):
        rates = (kept, noise * redrawn, noise * (1 - redrawn))
        joint: Law = {}  # clean token, the others, the noisy others, E
        for x, weight in zip(sequences, LAWS[name], strict=True):
            for fates in product(("keep", 0, 1, MASK), repeat=2):
                each = {"keep": rates[0], 0: rates[1] / 2, 1: rates[1] / 2, MASK: rates[2]}
                p = Fraction(weight, sum(LAWS[name])) * each[fates[0]] * each[fates[1]]
                seen = tuple(x[i + 1] if f == "keep" else f for i, f in enumerate(fates))
                key = (x[0], x[1:], seen, fates != ("keep", "keep"))
                joint[key] = joint.get(key, Fraction(0)) + p

        def given(*known: int, joint: Law = joint) -> Decimal:
            return _entropy(_marginal(joint, 0, *known)) - _entropy(_marginal(joint, *known))

        clean, loo, told = given(1), given(2), given(2, 3)
        flag = _marginal(joint, 3)
        for outcome, p in _marginal(joint, 0, 1, 3).items():
            source = _marginal(joint, 0, 1)[outcome[:2]]
            require(p == source * flag[(outcome[2],)], "E does not depend on the sequence")
        altered = flag[(True,)]
        require(altered == 1 - kept**2, "probability of E")
        ceiling = _decimal(altered) * Decimal(2).ln()
        claim, tiny = f"{name}, noise {noise}, redrawn share {redrawn}", Decimal("1e-30")
        require(loo - clean >= -tiny, f"data processing, {claim}")
        require(loo - told <= _entropy(flag) + tiny, f"cost of E, {claim}")
        require(told - clean <= ceiling + tiny, f"excess given E, {claim}")
        if redrawn == 0:
            require(abs(loo - told) <= tiny, f"erasures show E, {claim}")
    return loo - clean > ceiling
