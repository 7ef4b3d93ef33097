"""The random-feature denoiser: resolvent, fluctuations, the free and the fitted skip, its size."""

from __future__ import annotations

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import Derivation, display, equation, require_equal

__all__ = ["fitted_skip", "fluctuations", "full_skip", "resolvent", "transition_size"]

a, k, psi, K1, K2, n, lam = sp.symbols("a k psi kappa_1 kappa_2 n lambda", positive=True)
kappa, omega = sp.symbols("kappa omega", positive=True)
t, flat, h = sp.symbols("t theta_3 h", positive=True)
C_OF_A = (1 - a**2) / a**2
KAPPA_STAR = (2 - a**2) / (1 - a**2)
C_1 = a**2 * (2 - a**2) / 2
C_2 = (2 - a**2) * omega * (1 - a**2) / (omega * (1 - a**2) + 2 - a**2)


def resolvent() -> Derivation:
    """Prove the trace of the resolvent on an iid source, its slope, and two-point symmetry."""
    features = h * (flat + t / (1 + h * t))  # psi, as a function of h
    beta = flat + t * (1 - features)
    require_equal(
        beta**2 + 4 * features * flat * t,
        (2 * features / h - beta) ** 2,
        "the root of the discriminant is rational in h",
    )
    T, T3, U, U3 = sp.symbols("T T_3 U U_3", positive=True)
    at_fixed_features = -(sp.diff(features, t) * T + sp.diff(features, flat) * T3) / sp.diff(
        features, h
    )
    slope = -(h * T3 + h * T / (1 + h * t) ** 2) / (flat + t / (1 + h * t) ** 2)
    require_equal(at_fixed_features, slope, "slope of h")

    def pair(line: Expr, rest: Expr, other: Expr, other_rest: Expr) -> Expr:
        by_h = slope.subs({T: other, T3: other_rest}, simultaneous=True)
        return -line * (by_h - h**2 * other) / (1 + h * t) ** 2 - rest * by_h

    require_equal(pair(T, T3, U, U3), pair(U, U3, T, T3), "two-point function is symmetric")
    own = T * h / (1 + h * t) + T3 * h
    require_equal(pair(T, T3, t, flat), own, "the inverse itself gives the one-point function")
    return Derivation(
        "Resolvent of random weights on an iid source",
        (
            r"For weights $F$ of $p=\psi d$ rows and $\theta=t\,FF^\top+\theta_3$ let "
            r"$h=\mathrm{tr}\,\theta^{-1}/d$, with $h[\theta_3+t/(1+ht)]=\psi$. This quadratic has "
            r"the root",
            display("", "h", 2 * psi / (sp.Symbol("beta") + sp.Symbol("R"))),
            r"with $\beta=\theta_3+t(1-\psi)$ and $R^2=\beta^2+4\psi\theta_3t$.",
            display(
                r"As $T\,FF^\top+T_3$ is added to $\theta$, $h$ changes by",
                r"\partial_Th",
                slope,
            ),
            r"and $[T,U]=\mathrm{tr}\,T\theta^{-1}U\theta^{-1}/d=-T\,\partial_UG-T_3\,\partial_Uh$ "
            r"with $G=h/(1+ht)$ is symmetric; $[T,\theta]$ is $[T]=TG+T_3h$.",
        ),
    )


class _Fluctuations:
    """The two linear equations of the errors, with one-point functions from the kappas.

    M is the covariance between sequences and R / n; x = [M, R], j_M = [M, 1], j_R = [R, 1].
    """

    x, j_M, j_R, rho_m, rho_n = sp.symbols("x j_M j_R rho_m rho_n", positive=True)
    nu = (1 - 1 / n) / K2
    mu = 1 / (n * K1) + nu
    # [T] = [T, M] / kappa_1 + nu [T, R] + lambda [T, 1], with [M] = k (kappa_1 - 1) and
    # [R] = k n (kappa_2 - 1).
    MM = K1 * (k * (K1 - 1) - nu * x - lam * j_M)
    RR = (k * n * (K2 - 1) - x / K1 - lam * j_R) / nu
    by_sequence = (MM / (k * K1**2), x / (k * K1**2), j_M / (k * K1**2))  # of M, R, 1
    draws = (1 - 1 / n) / n / (k * K2**2)
    by_draw = (draws * x, draws * RR, draws * j_R)
    rho = rho_m + rho_n / n
    ridge_m, ridge_r = lam * j_M / (k * K1), lam * j_R / (k * n * K2)
    keep_m = 1 / K1 + nu * x / (k * K1) + ridge_m
    keep_r = 1 / K2 + x / (k * n * K1 * K2) + ridge_r
    determinant = (1 / K1 + ridge_m) * keep_r + nu * x / (k * K1) * (1 / K2 + ridge_r)
    # c_m + n_0 / n and n_0, both times the determinant
    both = rho * keep_r + by_draw[0] * rho_n
    noise = rho_n * keep_m + by_sequence[1] * rho


def fluctuations() -> Derivation:
    """Prove the errors in terms of positive sums, and the gap between train and held-out error."""
    f = _Fluctuations
    require_equal(1 - f.by_sequence[0], f.keep_m, "what a sequence keeps")
    require_equal(1 - f.by_draw[1], f.keep_r, "what a draw keeps")
    require_equal(
        f.keep_m * f.keep_r - f.by_sequence[1] * f.by_draw[0], f.determinant, "determinant"
    )
    c, n_0 = sp.symbols("c n_0")
    for own, part, other in ((f.rho, 0, f.both), (f.rho_n, 1, f.noise)):
        right = own * f.determinant + f.by_sequence[part] * f.both + f.by_draw[part] * f.noise
        require_equal(right, other, "equation of a fluctuation")
    theta = sp.Symbol("vartheta", positive=True)
    train = (1 - theta) ** 2 * (c - n_0 / n) + theta**2 * n_0 / n + n_0
    gap = equation(
        r"With $\vartheta=[S]/(k\kappa_1)$ and $c=c_m+n_0/n$ train and held-out error differ by",
        r"E_{\rm test}-E_{\rm train}",
        c - n_0 / n + n_0 - train,
        theta * (c * (2 - theta) - 2 * n_0 / n),
    )
    many = (theta * c * (2 - theta)).subs(theta, 1 - 1 / kappa)
    return Derivation(
        "Errors of the random-feature denoiser in positive sums",
        (
            r"The errors of a sequence's clean code and of its noise obey $c_m=\rho_m+V_S$ and "
            r"$n_0=\rho_n+V_R$, $V_T=w_m(T)c_m+w_n(T)n_0$. In $c=c_m+n_0/n$, with $M=S+R/n$, "
            r"$\nu=(1-1/n)/\kappa_2$ and $[T]=[T,M]/\kappa_1+\nu[T,R]+\lambda[T,1]$, the two "
            r"equations have no differences left:",
            equation(
                "of a sequence's own part there remains",
                r"1-w_m(M)",
                1 - f.by_sequence[0],
                f.keep_m,
            ),
            display("and the determinant of both equations is", r"\Delta", f.determinant),
            gap,
            equation(
                r"and for infinitely many draws, where $\vartheta=1-1/\kappa$ and $c=c_m$,",
                r"E_{\rm test}-E_{\rm train}",
                many,
                c * (1 - kappa**-2),
            ),
        ),
    )


def fitted_skip() -> Derivation:
    """Prove what training minimises, and that a fitted scalar skip leaves no mean map behind."""
    f = _Fluctuations
    seen = f.both / K1**2 + (1 - 1 / n) * f.noise / K2**2
    spread = f.by_sequence[2] * f.both + f.by_draw[2] * f.noise
    alone = f.rho_m / K1 + f.mu * f.rho_n
    require_equal(seen + lam * spread, alone * f.determinant, "loss of the mean map")
    # Mean map on an iid source: zeta its size, q = a_1^2 G, quadratic terms z^2 (s, r, i).
    b, q, mu = sp.symbols("b q mu", positive=True)
    s, r, i = sp.symbols("s r i", positive=True)
    zeta = (1 - b * a) * a / K1 - b * (1 - a**2) * mu
    m = 1 - b * a
    rho_m = m**2 - 2 * m * a * q * zeta + zeta**2 * s
    rho_n = b**2 * (1 - a**2) + 2 * b * (1 - a**2) * q * zeta + zeta**2 * r
    total = rho_m / K1 + mu * rho_n + lam * zeta**2 * i
    # <A theta A> is zeta times the gain, since A is zeta a_1 F^T / theta.
    consistent = {s: K1 * (q - mu * r - lam * i)}
    total = sp.expand(total.subs(consistent))
    best = a / (a**2 + K1 * mu * (1 - a**2))
    require_equal(zeta.subs(b, best), sp.Integer(0), "no mean map")
    require_equal(sp.diff(total, b).subs(b, best), sp.Integer(0), "stationary")
    require_equal(sp.diff(total, b, 2) / 2, _curvature(q, mu), "curvature")
    without = sp.cancel(total.subs(b, 0))
    gain = q * zeta.subs(b, 0)
    return Derivation(
        "A fitted skip leaves memory to the features",
        (
            display(
                "Error on the noise of training and penalty add up to those of the mean map alone,",
                r"E_{\rm seen}+\lambda V_1",
                alone,
            ),
            r"On an iid source the mean map is proportional to "
            r"$\zeta=(1-ba)a/\kappa_1-b(1-a^2)\mu$, and the loss is a parabola in $b$, least where "
            r"$\zeta$ vanishes:",
            display("", "b", best),
            r"The features then hold nothing but fluctuations, and $b$ is the whole gain.",
            equation(
                r"Without a skip and for $\mu=1$ the loss is, with the gain $g$,",
                r"\frac{1-ag}\kappa",
                without.subs(mu, 1),
                (1 - a * gain.subs(mu, 1)) / K1,
            ),
        ),
    )


def _curvature(q: Expr, mu: Expr) -> Expr:
    """Second derivative of the loss in the skip, halved: that of the residual of the noisy code."""
    level = a**2 / K1 + mu * (1 - a**2)
    return level - level**2 * q


def _full(level: Expr) -> tuple[Expr, Expr, Expr]:
    """Traces of a full skip at kappa = level over d: gain, and both parts of k (1 - 1 / kappa)."""
    gain = a / (a**2 + level * (1 - a**2))
    return gain, a * gain, psi * omega / (omega + level)


def full_skip() -> Derivation:
    """Prove the errors of a full skip without ridge on an iid source, infinitely many draws."""
    v_s, v_d = sp.symbols("v_s v_d", positive=True)
    G, H = 1 / (a**2 / kappa + 1 - a**2), psi / (v_s / kappa + v_d)
    gain, linear, nonlinear = _full(kappa)
    in_omega = {v_s: omega * v_d}
    size = equation(
        r"The linear part and the features have resolvents of their own, and",
        r"k\Bigl(1-\frac1\kappa\Bigr)",
        ((a**2 * G + v_s * H) / kappa).subs(in_omega),
        linear + nonlinear,
    )
    require_equal(a * G / kappa, gain, "gain")
    load = (linear + nonlinear) / (1 - 1 / kappa)
    SS = a**4 * G**2 + v_s**2 * H**2 / psi
    SR = a**2 * (1 - a**2) * G**2 + v_s * v_d * H**2 / psi
    freedom = linear**2 + nonlinear**2 / psi
    require_equal((SS / kappa**2).subs(in_omega), freedom, "degrees of freedom")
    SR = SR.subs(in_omega)
    require_equal(load - freedom, (load + SR) / kappa, "what a sequence keeps")
    # c_m = rho_m k / (k - df_2), so that c_m / kappa^2 + [S, R] c_m / (k kappa^2) = rho_m / kappa.
    rho_m, rho_n = (1 - a * gain) ** 2, (1 - a**2) * gain**2
    train = equation(
        r"With $c=(1-a^2)/a^2$ the train error $c_m/\kappa^2+n_0=\rho_m/\kappa+\rho_n$ is",
        r"E_{\rm train}",
        rho_m / kappa + rho_n,
        C_OF_A / (1 + C_OF_A * kappa),
    )
    require_equal((1 - a * gain) / kappa, C_OF_A / (1 + C_OF_A * kappa), "the loss of the mean map")
    return Derivation(
        "The random-feature denoiser with a full skip",
        (
            r"Let $\hat u=B\tilde u+Af$ with $B$ free, no ridge, infinitely many draws, "
            r"$\omega=v_s^2/v_d^2$, $k=K/d$ and $\psi=p/d$.",
            size,
            display(r"The gain is", "g", gain),
            r"$c_m=(1-ag)^2k/(k-\mathrm{df}_2)$ with "
            r"$\mathrm{df}_2=(ag)^2+\psi\omega^2/(\omega+\kappa)^2$, and $n_0=(1-a^2)g^2"
            r"+[S,R]\,c_m/(k\kappa^2)$.",
            train,
        ),
    )


def transition_size() -> Derivation:
    """Prove the size at which the train error of a full skip is half of its limit."""
    train = C_OF_A / (1 + C_OF_A * kappa)
    _, linear, nonlinear = _full(KAPPA_STAR)
    return Derivation(
        "Transition size of the random-feature denoiser",
        (
            r"With a full skip and no ridge the train error is $c/(1+c\kappa)$, for many sequences "
            r"($\kappa=1$) $1-a^2$.",
            equation("It is half of that at", r"\kappa^*", _half(train), KAPPA_STAR),
            equation(
                r"There $k(1-1/\kappa)$ gives $K^*=c_1d+c_2p$, with",
                "c_1",
                linear / (1 - 1 / KAPPA_STAR),
                C_1,
            ),
            equation("", "c_2", nonlinear / psi / (1 - 1 / KAPPA_STAR), C_2),
            r"so that the transition is linear in dimensions and in features.",
        ),
    )


def _half(train: Expr) -> Expr:
    """The kappa at which a train error is half of its value at kappa = 1."""
    (root,) = sp.solve(sp.numer(sp.together(train - train.subs(kappa, 1) / 2)), kappa)
    return root
