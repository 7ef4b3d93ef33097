"""One kernel for uniform, absorbing and hybrid noise: its steps, its rates, and their order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import (
    Derivation,
    equation,
    require,
    require_equal,
    vanishes,
)

__all__ = ["garbling", "hybrid_rates", "one_kernel", "reverse_step"]

V, a, u, r, s_a, s_u = sp.symbols("V alpha u r alpha_s u_s", positive=True)
B, s = sp.symbols("B s", positive=True)
MASK = "mask"
REST = "any other value"


class Rates(NamedTuple):
    """Probabilities that a token is kept, redrawn uniformly, masked."""

    keep: Expr
    redraw: Expr
    mask: Expr


NOW = Rates(a, u, 1 - a - u)
BEFORE = Rates(s_a, s_u, 1 - s_a - s_u)
AFTER = Rates(r * s_a, u, 1 - r * s_a - u)
HYBRID = Rates(1 / (1 + B * s + s**2), B * s / (1 + B * s + s**2), s**2 / (1 + B * s + s**2))


def kernel(rates: Rates, z: object, x: object, size: Expr = V) -> Expr:
    """q(z | x) for a value or mask z; x is a value, or the mask that a step of the chain starts
    from."""
    return rates.keep * int(z == x) + (rates.mask if z == MASK else rates.redraw / size)


def step(before: Rates, after: Rates) -> Rates:
    """Kept share of a step, and what comes in besides."""
    kept = sp.cancel(after.keep / before.keep)
    fresh = (now - kept * old for old, now in zip(before[1:], after[1:], strict=True))
    return Rates(kept, *fresh)


def over_tokens(term: Callable[[str], Expr], *named: str) -> Expr:
    """Sum over the mask and all V values, of which those not named have the same term."""
    values = set(named) - {MASK}
    return sum(map(term, values)) + (V - len(values)) * term(REST) + term(MASK)


def _through(first: Rates, then: Callable[[object, object], Expr], z: str) -> Expr:
    """Probability of z by way of any token k; then(z, k) is that of the second step."""
    return over_tokens(lambda k: kernel(first, k, "x") * then(z, k), "x", z)


def one_kernel() -> Derivation:
    """Prove that noise is erasure and then a uniform channel, and that its steps compose."""
    visible = 1 - NOW.mask
    kept = NOW.keep / visible
    for same in (True, False):
        scrambled = visible * (kept * int(same) + (1 - kept) / V)
        z = "x" if same else "y"
        require_equal(scrambled, kernel(NOW, z, "x"), f"erase, then scramble: match {same}")
    require_equal(over_tokens(lambda z: kernel(NOW, z, "x"), "x"), sp.Integer(1), "sum of the law")
    made = step(BEFORE, AFTER)
    require_equal(sum(made), sp.Integer(1), "what is kept and what comes in")
    for z in ("x", "y", MASK):
        path = _through(BEFORE, lambda z, k: kernel(made, z, k), z)
        require_equal(path, kernel(AFTER, z, "x"), f"two steps end in {z}")
    return Derivation(
        "Uniform, absorbing and hybrid noise are one kernel",
        (
            r"Let a token be kept with probability $a=\alpha$, redrawn uniformly among $V$ values "
            r"with probability $u$, masked with probability $m=1-a-u$: $q(z\mid x)=a1[z{=}x]+u/V$ "
            r"for a value $z$ and $q(\mathrm{mask}\mid x)=m$. Uniform noise has $m=0$, absorbing "
            r"noise $u=0$.",
            r"This is an erasure with probability $m$ and then the uniform channel with kept "
            r"fraction $a/(1-m)$, for $z=x$ and $z\ne x$: \[ (1-m)\Big[\frac a{1-m}1[z{=}x]"
            r"+\frac1V\Big(1-\frac a{1-m}\Big)\Big]=a1[z{=}x]+\frac uV. \]",
            r"From time $s$ to the noisier $t$ a token, masked or not, is kept with probability "
            r"$r=\alpha_t/\alpha_s$, and $\rho_z=\nu_t(z)-r\nu_s(z)$ comes in besides, where "
            r"$\nu(z)=u/V$ for a value and $\nu(\mathrm{mask})=m$; $r+\sum_z\rho_z=1$. Summed over "
            r"all $x_s$ the steps compose, for $z=x_0$, any other value and the mask: "
            r"\[ \sum_k(r1[z{=}k]+\rho_z)\,q_s(k\mid x_0)=q_t(z\mid x_0). \]",
            r"A step exists where $\rho_z\ge0$, that is where $u/\alpha$ and $m/\alpha$ do not "
            r"fall on the way. For uniform and absorbing noise the one that is not zero is "
            r"$1/\alpha-1$.",
        ),
    )


def hybrid_rates() -> Derivation:
    """Prove the rates of hybrid noise in one variable, its clock, influx and small-noise limit."""
    t, p = s**2 / (1 + s**2), sp.Symbol("p", positive=True)
    noise = B * s / (1 + s**2)  # B sqrt(t (1 - t))
    require_equal(noise**2, B**2 * t * (1 - t), "square of the noise")
    for fate, clock in zip(HYBRID, ((1 - t), noise, t), strict=True):
        require_equal(fate, clock / (1 + noise), "rates on GIDD's clock")
    require_equal(sum(HYBRID), sp.Integer(1), "the three rates")
    keep = HYBRID.keep
    fresh = sp.cancel(-(keep**2) * sp.diff(HYBRID.redraw / keep, s) / sp.diff(keep, s))
    influx = equation(
        "The redrawn share of what comes in as $\\alpha$ falls lies between 0 and 1:",
        r"f=-\alpha^2\frac{d(u/\alpha)}{d\alpha}",
        fresh,
        B / (B + 2 * s),
    )
    require_equal(HYBRID.redraw.subs({s: 1, B: 2 * p / (1 - p)}), p, "u at t = 1/2")
    pull = (keep * B) ** 2
    root = keep * (B + 2 * s)
    require_equal(root**2, pull + 4 * keep * (1 - keep), "the root in the inverse of the clock")
    inverse = 2 * (1 - keep) ** 2 / (2 * (1 - keep) + pull + keep * B * root)
    require_equal(inverse, t, "time at a kept fraction")
    small = sp.limit(sp.cancel(HYBRID.redraw / (1 - keep)), s, 0, "+")
    require_equal(small, sp.Integer(1), "redrawn share of small noise")
    large = sp.limit(sp.cancel(HYBRID.mask / (1 - keep)), s, sp.oo)
    require_equal(large, sp.Integer(1), "masked share of large noise")
    return Derivation(
        "Hybrid noise in one variable",
        (
            r"With $s=\sqrt{t/(1-t)}$ and $B=2p/(1-p)$ the rates of GIDD (arXiv:2503.04482, "
            r"$\gamma=1$) on its clock $t$ are \[ \alpha=\frac1{1+Bs+s^2},\qquad "
            r"\frac u\alpha=Bs,\qquad\frac m\alpha=s^2, \] both ratios growing with $s$, so that "
            r"the steps of the chain exist. At $t=\frac12$, $u=p$.",
            influx,
            r"Since $(\alpha B)^2+4\alpha(1-\alpha)=\alpha^2(B+2s)^2$ is a square, the clock at a "
            r"kept fraction is \[ t=\frac{2(1-\alpha)^2}{2(1-\alpha)+(\alpha B)^2"
            r"+\alpha B\sqrt{(\alpha B)^2+4\alpha(1-\alpha)}}. \]",
            r"As $s\to0$, $u/(1-\alpha)\to1$: small hybrid noise is uniform. As $s\to\infty$, "
            r"$m/(1-\alpha)\to1$: large hybrid noise is absorbing.",
        ),
    )


def reverse_step() -> Derivation:
    """Prove the posterior of every channel, its mixture form, and that loo makes it exact."""
    made = step(BEFORE, AFTER)
    law = {"z": sp.Symbol("x_z"), "y": sp.Symbol("x_y"), MASK: sp.Integer(0)}
    for z in ("z", MASK):
        total = r * (s_a * law[z] + kernel(BEFORE, z, None)) + kernel(made, z, None)
        require_equal(total, AFTER.keep * law[z] + kernel(AFTER, z, None), f"normalizer at {z}")
        stay = r * (s_a * law[z] + kernel(BEFORE, z, None))
        draw, fresh, mask = (kernel(made, z, None) * rate for rate in BEFORE)
        for y in {"y", MASK, z}:
            dense = kernel(made, z, y) * (s_a * law[y] + kernel(BEFORE, y, None))
            mixed = stay * int(y == z) + draw * law[y] + (mask if y == MASK else fresh / V)
            require_equal(dense, mixed, f"mixture at {z}, {y}")
        require_equal(stay + draw + fresh + mask, total, f"the four weights at {z}")
    erased = {s_u: 0, u: 0}
    hidden, revealed = AFTER.mask, kernel(made, MASK, None) * s_a  # of a masked token
    reveal = sp.cancel((revealed / hidden).subs(erased))
    require_equal(reveal, (s_a - r * s_a) / (1 - r * s_a), "unmasking probability")
    require_equal(kernel(made, "z", "y").subs(erased), sp.Integer(0), "nothing else becomes z")
    for seen in product(("0", MASK), repeat=2):
        _exact_with_loo(seen)
    return Derivation(
        "The reverse step of every channel and its mixture form",
        (
            r"Bayes' rule gives, with a law $x$ over the $V$ values in the place of the clean "
            r"token and $x_{\mathrm{mask}}=0$, $p(x_s{=}y\mid x_t{=}z)\propto(r1[y{=}z]+\rho_z)"
            r"\left(\alpha_sx_y+\nu_s(y)\right)$, of sum $\alpha_tx_z+\nu_t(z)$.",
            r"This needs no array over $V$: stay at $z$, a draw from $x$, a uniform "
            r"draw and the mask have weights in the ratio \[ r[\alpha_sx_z+\nu_s(z)]"
            r":\rho_z\alpha_s:\rho_zu_s:\rho_zm_s. \]",
            r"For absorbing noise a visible token never changes and a masked one is drawn from "
            r"$x$ with probability $(\alpha_s-\alpha_t)/(1-\alpha_t)$, else stays masked.",
            r"With $x=\mathrm{loo}_v=p(x_0^i{=}v\mid x_t^{\setminus i})$ the step is the exact "
            r"$p(x_s^i\mid x_t)$: an identity of polynomials in the rates and all probabilities of "
            r"a free law for $V=L=2$, with each of the two tokens visible or masked.",
        ),
    )


def _exact_with_loo(seen: tuple[str, ...]) -> None:
    """Site 0 of x_t = seen, up to names of the values; before normalizing."""
    n, made = sp.Integer(2), step(BEFORE, AFTER)
    law = {x: sp.Symbol("p_" + "".join(x), positive=True) for x in product("01", repeat=2)}
    told = {x: p * kernel(AFTER, seen[1], x[1], n) for x, p in law.items()}
    loo = {v: sum(p for x, p in told.items() if x[0] == v) for v in "01"} | {MASK: sp.Integer(0)}
    for k in (*"01", MASK):
        back = kernel(made, seen[0], k, n)
        exact = sum(p * kernel(BEFORE, k, x[0], n) * back for x, p in told.items())
        plug = back * (s_a * loo[k] + kernel(BEFORE, k, None, n) * sum(told.values()))
        require_equal(exact, plug, f"x_t = {seen}, x_s = {k}")


def filled(rates: Rates, z: object, k: object) -> Expr:
    """Probability that a token k becomes z, where masks alone are redrawn."""
    return kernel(rates, z, None) if k == MASK else sp.Integer(int(z == k))


def _garbles(
    first: Rates, change: Callable[[object, object], Expr], last: Rates, claim: str
) -> None:
    """Check that tokens of one channel, changed knowing nothing else, are those of another."""
    for z in ("x", "y", MASK):
        path = _through(first, change, z)
        require_equal(path, kernel(last, z, "x"), f"{claim}, any V, at {z}")
    for size in (2, 3):
        tokens = (*range(size), MASK)
        channel, result = (
            sp.Matrix([[kernel(rates, z, x) for z in tokens] for x in tokens[:-1]])
            for rates in (first, last)
        )
        garble = sp.Matrix([[change(z, k) for z in tokens] for k in tokens])
        ones = sp.ones(size + 1, 1)
        for gap in (*(channel * garble - result), *(garble * ones - ones)):
            require(vanishes(gap.subs(V, size)), f"{claim}: matrices at V = {size}")


def garbling() -> Derivation:
    """Prove that hybrid noise is garbled absorbing noise, and uniform noise garbled hybrid."""
    erased, uniform = Rates(a, sp.Integer(0), 1 - a), Rates(a, 1 - a, sp.Integer(0))
    share = u / (1 - a)
    some = Rates(sp.Integer(1), share, 1 - share)
    each = Rates(sp.Integer(1), sp.Integer(1), sp.Integer(0))
    lower = sp.Symbol("alpha'", positive=True)
    less = Rates(lower / a, sp.Integer(0), 1 - lower / a)
    thinned = Rates(lower, sp.Integer(0), 1 - lower)
    _garbles(erased, lambda z, k: filled(some, z, k), NOW, "absorbing to hybrid")
    _garbles(NOW, lambda z, k: filled(each, z, k), uniform, "hybrid to uniform")
    _garbles(
        erased,
        lambda z, k: sp.Integer(int(z == MASK)) if k == MASK else kernel(less, z, k),
        thinned,
        "absorbing to less of it",
    )
    return Derivation(
        "Absorbing noise tells more than hybrid noise, and that more than uniform noise",
        (
            r"At one kept fraction $\alpha$: replace each mask of the absorbing channel by a "
            r"uniform value with probability $g=u/(1-\alpha)$. The result is the hybrid channel, "
            r"\[ \alpha1[z{=}x]+(1-\alpha)\frac gV=\alpha1[z{=}x]+\frac uV,\qquad "
            r"(1-\alpha)(1-g)=m. \]",
            r"Replace all masks of the hybrid channel: $\alpha1[z{=}x]+\frac uV+\frac mV$ is the "
            r"uniform channel. Mask a visible token of the absorbing channel with probability "
            r"$1-\alpha'/\alpha$: it is the absorbing channel at $\alpha'$.",
            r"Each is one channel times a stochastic matrix that knows nothing of $x$, checked "
            r"entry by entry for any $V$, and as a product of matrices at $V=2$ and $3$. Hence "
            r"(Blackwell) the mean of any convex function of the posterior is ordered absorbing "
            r"$\ge$ hybrid $\ge$ uniform, for every source: best retrieval and recovery, posterior "
            r"draws of them, information, and less entropy.",
        ),
    )
