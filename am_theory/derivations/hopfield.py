"""The Hopfield family at zero temperature: one equation, its maximum, and the Potts model."""

from __future__ import annotations

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import (
    Derivation,
    display,
    equation,
    require,
    require_equal,
)

__all__ = ["ags_capacity", "ags_reduction", "mixture_of_one", "potts_at_two"]

y, z, A = sp.symbols("y z A", real=True)
load = sp.Symbol("alpha", positive=True)
G = sp.erf(y) / y - 2 / sp.sqrt(sp.pi) * sp.exp(-(y**2))


def normal(x: Expr) -> Expr:
    """Standard normal density."""
    return sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)


def cdf(x: Expr) -> Expr:
    """Standard normal distribution function."""
    return (1 + sp.erf(x / sp.sqrt(2))) / 2


def ags_reduction() -> Derivation:
    """Prove that the zero-temperature saddle point is one equation, y = m / sqrt(2 load r)."""
    m, C = sp.symbols("m C", positive=True)
    Y = sp.Symbol("y", positive=True)
    r = 1 / (1 - C) ** 2
    root = m / Y * (1 - C)  # sqrt(2 load), from y = m / sqrt(2 load r)
    by_r = root**2 / 2 * r
    require_equal(m**2 / (2 * by_r), Y**2, "definition of y")
    slope = sp.sqrt(2 / sp.pi) / sp.sqrt(m**2 / (2 * Y**2)) * sp.exp(-(Y**2))  # C, by load r above
    step = equation(
        r"With $\alpha r=m^2/2y^2$ the susceptibility is",
        r"C=\sqrt{\frac2{\pi\alpha r}}\,e^{-y^2}",
        slope,
        2 * Y * sp.exp(-(Y**2)) / (sp.sqrt(sp.pi) * m),
    )
    right = (m / Y * (1 - slope)).subs(m, sp.erf(Y))
    require_equal(right, G.subs(y, Y), "the closed equation")
    return Derivation(
        "The zero-temperature Hopfield saddle point is one equation",
        (
            r"The equations are $m=\mathrm{erf}(y)$, $y=m/\sqrt{2\alpha r}$, "
            r"$C=\sqrt{2/(\pi\alpha r)}\,e^{-y^2}$, $r=(1-C)^{-2}$; hence "
            r"$\sqrt{2\alpha}=\frac my(1-C)$.",
            step,
            display("Together,", r"\sqrt{2\alpha}=G(y)", G),
        ),
    )


def ags_capacity() -> Derivation:
    """Prove that G has one maximum, and give the capacity it sets to 30 digits."""
    slope = sp.simplify(y**2 * sp.diff(G, y))
    bend = 8 / sp.sqrt(sp.pi) * y**2 * (1 - y**2) * sp.exp(-(y**2))
    step = equation(
        r"The slope of $G$ has the sign of $h=y^2G'$, for which $h(0)=0$, "
        r"$h(\infty)=-1$ and",
        r"h'(y)",
        sp.diff(slope, y),
        bend,
    )
    require_equal(sp.limit(slope, y, 0), sp.Integer(0), "h(0)")
    require_equal(sp.limit(slope, y, sp.oo), sp.Integer(-1), "h at infinity")
    require_equal(sp.limit(G, y, 0), sp.Integer(0), "G(0)")
    require_equal(sp.limit(G, y, sp.oo), sp.Integer(0), "G at infinity")
    peak = sp.nsolve(slope, y, 1.5, prec=50)
    require(abs(slope.subs(y, peak).evalf(45)) < sp.Float("1e-40"), "root of h")
    require(sp.diff(slope, y).subs(y, peak).evalf(30) < 0, "h falls there")
    capacity = (G.subs(y, peak) ** 2 / 2).evalf(40)
    for side in (sp.Rational(1, 10**10), -sp.Rational(1, 10**10)):
        beside = (G.subs(y, peak + side) ** 2 / 2).evalf(40)
        require(beside < capacity, "the capacity is a maximum")
    return Derivation(
        "The Hopfield capacity is the maximum of the one equation",
        (
            step,
            r"So $h$ rises from 0 up to $y=1$ and falls to $-1$ beyond: $G$, which vanishes at "
            r"both ends, has a single maximum. For $\alpha<\alpha_c=\frac12\max G^2$ there are two "
            r"roots, the retrieval state being the one beyond the maximum; for $\alpha>\alpha_c$ "
            r"there is none.",
            rf"\[ y_c={peak.round(20)},\quad m_c={sp.erf(peak).evalf(40).round(20)},\quad "
            rf"\alpha_c={capacity.round(20)} \]",
        ),
        numeric="the position of the maximum, by SymPy's root search in 50-digit arithmetic",
    )


def mixture_of_one() -> Derivation:
    """Prove that the equation of symmetric mixtures is that of one pattern at n = 1."""
    S = (1, -1)
    mean = sum(v * sp.erf(y * v) for v in S) / 2
    spread = sum(sp.exp(-(y**2) * v**2) for v in S) / sp.Integer(2)
    right = mean / y - 2 / sp.sqrt(sp.pi) * spread
    require_equal(right, G, "n = 1")
    return Derivation(
        "A mixture of one pattern is a retrieval state",
        (
            r"Mixtures of $n$ patterns with $S=\sum_{k\le n}\pm1$ solve $\sqrt{2\alpha}="
            r"\frac{\langle S\,\mathrm{erf}(yS)\rangle}{ny}-\frac2{\sqrt\pi}\langle "
            r"e^{-y^2S^2}\rangle$.",
            display("At $n=1$ the right side is", "G(y)", right),
        ),
    )


def potts_at_two() -> Derivation:
    """Prove that the Potts equation at q = 2 and A = 2 y is the Hopfield equation."""
    product = sp.integrate(normal(z) * normal(z + A), (z, -sp.oo, sp.oo))
    step = equation(
        "All integrals follow from",
        r"\int Dz\,\phi(z+A)",
        product,
        sp.exp(-(A**2) / 4) / (2 * sp.sqrt(sp.pi)),
    )
    require_equal(sp.diff(cdf(z), z), normal(z), "density and distribution")
    require_equal(cdf(z) + cdf(-z), sp.Integer(1), "symmetry, so that p_c(0) = 1/2")
    right = cdf(A / sp.sqrt(2))  # p_c: its value at 0 and its slope in A agree with the integral
    require_equal(right.subs(A, 0), sp.Rational(1, 2), "value at A = 0")
    require_equal(sp.diff(right, A), product, "slope of p_c in A")
    # By parts, -phi' = z phi: int Dz z Phi(z + A) = int Dz phi(z + A), and the same with -A.
    require_equal(sp.diff(-normal(z), z), z * normal(z), "by parts")
    amplification = product + product.subs(A, -A)
    equation_at_two = (2 * right - 1) / A - amplification
    require_equal(2 * equation_at_two.subs(A, 2 * y), G, "Potts at q = 2")
    return Derivation(
        "The Potts memory with two states is the Hopfield memory",
        (
            r"At zero temperature the Potts memory with $q$ states solves "
            r"$\sqrt{\alpha\frac{q-1}q}=\frac{qp_c-1}A-\mathcal E$ with "
            r"$p_c=\int Dz\,\Phi(z+A)^{q-1}$ and $\mathcal E=\int Dz\,z\Phi(z+A)^{q-1}"
            r"+(q-1)\int Dz\,z\Phi(z-A)\Phi(z)^{q-2}$.",
            step,
            r"At $q=2$ the slope of $p_c$ in $A$ is this integral and $p_c(0)=\frac12$, so "
            r"$p_c=\Phi(A/\sqrt2)$; by parts both terms of $\mathcal E$ equal it as well, "
            r"$\mathcal E=e^{-A^2/4}/\sqrt\pi$.",
            r"With $A=2y$: $\sqrt{\alpha/2}=\frac{\mathrm{erf}(y)}{2y}-\frac{e^{-y^2}}{\sqrt\pi}$, "
            r"which is $\sqrt{2\alpha}=G(y)$.",
        ),
    )
