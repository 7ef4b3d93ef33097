"""The linear denoiser: its ridge form, its errors on an iid source, and their limits."""

from __future__ import annotations

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import Derivation, display, equation, require, require_equal

__all__ = ["errors_on_an_iid_source", "limits", "noise_of_uniform_marginals", "ridge_form"]

a, c, g, V, k = sp.symbols("a c gamma V kappa", positive=True)
C_OF_A = (1 - a**2) / a**2
ROOT = sp.sqrt((c + g - 1) ** 2 + 4 * c)
KAPPA = (c + g - 1 + ROOT) / 2
# In the variable kappa the load gamma, the resolvent m_1 and d kappa / dc at fixed load:
LOAD = (k - c) * (1 + k) / k
RESOLVENT = k / (c * (1 + k))
SLOPE = (1 + k) / (2 * k + 1 - c - LOAD)


def noise_of_uniform_marginals() -> Derivation:
    """Prove that channel noise on uniform tokens is a multiple of the centring projector."""
    p, w = a + (1 - a) / V, (1 - a) / V
    # Mean over the clean token of diag(law) - law law^T, times V, entry by entry.
    same = V * (1 / V - (p**2 + (V - 1) * w**2) / V)
    other = -V * (2 * p * w + (V - 2) * w**2) / V
    on = equation("", r"N_{vv}", same, (1 - a**2) * (1 - 1 / V))
    off = equation("", r"N_{vv'}", other, -(1 - a**2) / V)
    require_equal(same + (V - 1) * other, sp.Integer(0), "rows add up to zero")
    return Derivation(
        "Channel noise on uniform tokens is white",
        (
            r"Encode a token as $u=\sqrt V(e_x-1/V)$. Given the clean token the noisy one has law "
            r"$p=ae_x+(1-a)/V$, mean encoding $au$ and covariance $V[\mathrm{diag}(p)-pp^\top]$. "
            r"For uniform clean tokens its mean has the entries",
            on,
            off,
            r"that is $N=(1-a^2)\Pi$ with $\Pi=1-\frac1V\mathbf 1\mathbf 1^\top$.",
        ),
    )


def ridge_form() -> Derivation:
    """Prove the least-squares denoiser for any covariance of two coordinates, and its ridge."""
    W = sp.Matrix(2, 2, sp.symbols("w_11 w_12 w_21 w_22", real=True))
    s11, s12, s22, n1 = sp.symbols("s_11 s_12 s_22 n", real=True)
    n12, n22 = sp.symbols("n_12 n_22", real=True)
    S, N = sp.Matrix([[s11, s12], [s12, s22]]), sp.Matrix([[n1, n12], [n12, n22]])
    risk = (S - 2 * a * W * S + W * (a**2 * S + N) * W.T).trace()
    best = a * S * (a**2 * S + N).inv()
    slope = sp.Matrix(2, 2, [sp.diff(risk, entry) for entry in W])
    require_equal_matrix(slope, -2 * a * S + 2 * W * (a**2 * S + N), "slope of the risk")
    require_equal_matrix(best * (a**2 * S + N), a * S, "stationary point")
    white = best.subs({n1: 1 - a**2, n12: 0, n22: 1 - a**2})
    ridge = S * (S + C_OF_A * sp.eye(2)).inv() / a
    require_equal_matrix(white, ridge, "white noise is a ridge")
    return Derivation(
        "Noise is a ridge for the linear denoiser",
        (
            r"With $\langle\tilde u\mid u\rangle=au$ and noise covariance $N$ the risk "
            r"$\langle|u-W\tilde u|^2\rangle$ is $\mathrm{tr}[\hat\Sigma-2aW\hat\Sigma"
            r"+W(a^2\hat\Sigma+N)W^\top]$, convex in $W$, with slope "
            r"$-2a\hat\Sigma+2W(a^2\hat\Sigma+N)$.",
            r"The minimum is $W=a\hat\Sigma(a^2\hat\Sigma+N)^{-1}$.",
            display(
                r"For $N=(1-a^2)\Pi$ it is $W=\frac1a\hat\Sigma(\hat\Sigma+c)^{-1}$, a ridge of "
                "strength",
                "c",
                C_OF_A,
            ),
            r"Slope and inverse were checked for free symmetric $2\times2$ matrices.",
        ),
    )


def require_equal_matrix(left: sp.Matrix, right: sp.Matrix, claim: str) -> None:
    for x, y in zip(left, right, strict=True):
        require_equal(x, y, claim)


def errors_on_an_iid_source() -> Derivation:
    """Prove the errors in terms of the resolvent, and the resolvent of an iid source."""
    s = sp.Symbol("s", positive=True)
    w, variance = s / (s + c) / a, a**2 * c  # eigenvalue of W, and 1 - a^2
    train = s * (1 - a * w) ** 2 + variance * w**2
    test = (1 - a * w) ** 2 + variance * w**2
    r1, r2 = 1 / (s + c), 1 / (s + c) ** 2
    require_equal(train, c * (1 - c * r1), "train error of a mode")
    require_equal(test, c**2 * r2 + c * (1 - 2 * c * r1 + c**2 * r2), "test error of a mode")
    require_equal(KAPPA**2 + KAPPA, c * (1 + KAPPA) + g * KAPPA, "closed form of kappa")
    require_equal(2 * KAPPA + 1 - c - g, ROOT, "denominator of the slope of kappa")
    slope = (1 + (c + g + 1) / ROOT) / 2
    require_equal(slope * ROOT, 1 + KAPPA, "slope of kappa, from its equation")
    # From here on kappa is the variable, gamma = (kappa - c)(1 + kappa) / kappa.
    require_equal(RESOLVENT * (c + 1 - LOAD + LOAD * c * RESOLVENT), sp.Integer(1), "resolvent")
    by_parts = SLOPE / (c * (1 + k) ** 2) - k / (c**2 * (1 + k))
    require_equal(total_slope(RESOLVENT), by_parts, "slope of the resolvent")
    return Derivation(
        "Train and test errors of the linear denoiser",
        (
            r"A mode with sample variance $s$ has $aw=s/(s+c)$. Its train error "
            r"$s(1-aw)^2+(1-a^2)w^2$ is $c[1-c/(s+c)]$, and its test error, the true variance "
            r"being 1, is $c^2/(s+c)^2+c\,s^2/(s+c)^2$. With $m_1=\langle(s+c)^{-1}\rangle$ and "
            r"$m_2=-\partial_cm_1$ \[ E_{\rm train}=c(1-cm_1),\qquad "
            r"E_{\rm test}=c^2m_2+c(1-2cm_1+c^2m_2). \]",
            display(
                r"For an iid source and $\gamma=d/K$ the Marchenko-Pastur resolvent, "
                r"$m_1(c+1-\gamma+\gamma cm_1)=1$, is $m_1=\kappa/[c(1+\kappa)]$ with "
                r"$\kappa=c+\gamma\kappa/(1+\kappa)$,",
                r"\kappa",
                KAPPA,
            ),
        ),
    )


def total_slope(expr: Expr) -> Expr:
    """d/dc at fixed gamma of an expression in kappa and c."""
    return sp.diff(expr, c) + sp.diff(expr, k) * SLOPE


def limits() -> Derivation:
    """Prove the limits of many and of few sequences, and the scale at which the errors meet."""
    m2 = -total_slope(RESOLVENT)
    train = sp.cancel(c * (1 - c * RESOLVENT))
    test = sp.cancel(c**2 * m2 + c * (1 - 2 * c * RESOLVENT + c**2 * m2))
    first = {}
    for name, error, sign in (("train", train, -1), ("test", test, 1)):
        first[name] = sign * a**2 * (1 - a**2) ** 2
        by_load = sp.diff(error, k) / sp.diff(LOAD, k)
        require_equal(LOAD.subs(k, c), sp.Integer(0), "gamma vanishes at kappa = c")
        require_equal(error.subs(k, c).subs(c, C_OF_A), 1 - a**2, f"many sequences, {name}")
        require_equal(by_load.subs(k, c).subs(c, C_OF_A), first[name], f"first order, {name}")
        few = sp.limit(error, k, sp.oo)
        require_equal(few, sp.Integer(name == "test"), f"few sequences, {name}")
    eta, square = sp.symbols("eta A", positive=True)
    scale = (first["test"] - first["train"]) / eta  # K / d = 1 / gamma at a gap eta
    peak = sp.solve(sp.diff(scale.subs(a, sp.sqrt(square)), square), square)
    require(set(peak) == {sp.Rational(1, 3), sp.Integer(1)}, "largest at a^2 = 1/3, zero at 1")
    above = sp.limit((test - 1) * LOAD, k, sp.oo)
    require_equal(above.subs(c, C_OF_A), (1 - 2 * a**2) / a**2, "side of the approach to 1")
    return Derivation(
        "Many and few training sequences in the linear denoiser",
        (
            r"For $\gamma=d/K\to0$ both errors tend to $1-a^2$, "
            r"$E=(1-a^2)\mp\gamma\,a^2(1-a^2)^2+O(\gamma^2)$ with the lower sign for the test "
            r"error.",
            equation(
                r"To this order they differ by $\eta$ at",
                r"\frac{K^*}d",
                scale,
                2 * a**2 * (1 - a**2) ** 2 / eta,
            ),
            r"which is largest at $a^2=\frac13$.",
            display(
                r"For $\gamma\to\infty$ the train error vanishes and the test error tends to 1, "
                r"$E_{\rm test}-1\simeq e\,K/d$ with",
                "e",
                above,
            ),
            r"that is from above for $a^2<\frac12$ and from below for $a^2>\frac12$.",
        ),
    )
