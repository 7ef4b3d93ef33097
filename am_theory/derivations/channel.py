"""The uniform channel: Bayes posterior, leave-one-out theorem, and the training loss.

Long because the appendix prints one section from it, whose steps build on each other.
"""

from __future__ import annotations

from itertools import product

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import (
    Derivation,
    display,
    equation,
    require,
    require_equal,
)

__all__ = [
    "leave_one_out",
    "nelbo_information",
    "nelbo_minimiser",
    "nelbo_published_form",
    "nelbo_small_noise",
    "nelbo_uniform",
    "posterior",
]

V, a, s, r = sp.symbols("V alpha alpha_s r", positive=True)
b = sp.Symbol("beta", positive=True)
ODDS = V * a / (1 - a)


def kernel(alpha: Expr, same: bool | int, size: Expr) -> Expr:
    """q(y | x) of the channel, for y = x or not."""
    return alpha * int(same) + (1 - alpha) / size


def posterior() -> Derivation:
    """Prove the law of x_s given x_t and x_0, its limits, and the mixture that samples it."""
    for same in (True, False):  # sum over k = x_s: the values x_t and x_0, and all the others
        if same:
            total = kernel(r, 1, V) * kernel(s, 1, V) + (V - 1) * kernel(r, 0, V) * kernel(s, 0, V)
        else:
            total = kernel(r, 1, V) * kernel(s, 0, V) + kernel(r, 0, V) * kernel(s, 1, V)
            total += (V - 2) * kernel(r, 0, V) * kernel(s, 0, V)
        require_equal(total, kernel(r * s, same, V), "two channels make one, r alpha_s = alpha_t")
        at_truth = kernel(r, same, V) * kernel(s, 1, V) / kernel(r * s, same, V)
        require_equal(at_truth.subs(s, 1), sp.Integer(1), "at s = 0 the law is a point mass on x_0")
        at_noisy = kernel(r, 1, V) * kernel(s, same, V) / kernel(r * s, same, V)
        require_equal(at_noisy.subs(r, 1), sp.Integer(1), "at s = t it is a point mass on x_t")
    x_k, x_z = sp.symbols("x_k x_z", nonnegative=True)
    total = r * (s * x_z + (1 - s) / V) + (1 - r) / V
    stay = r * (s * x_z + (1 - s) / V) / total
    draw, fresh = (1 - r) * s / V / total, (1 - r) * (1 - s) / V / total
    for hit, law in ((1, x_z), (0, x_k)):
        dense = kernel(r, hit, V) * (s * law + (1 - s) / V) / total
        require_equal(dense, stay * hit + draw * law + fresh / V, "the kernel is a mixture")
    require_equal(stay + draw + fresh, sp.Integer(1), "the three weights add up to one")
    z, x = (r"1[k=x_t]", r"1[k=x_0]")
    return Derivation(
        "Posterior of the uniform channel and its mixture form",
        (
            r"Let $q(x_t{=}k\mid x_0{=}j)=\alpha_t1[k{=}j]+(1-\alpha_t)/V$ and "
            r"$r=\alpha_t/\alpha_s$. Steps of the channel compose, for both values of "
            r"$1[x_t{=}x_0]$: $\sum_kq(x_t\mid x_s{=}k)\,q(x_s{=}k\mid x_0)=q(x_t\mid x_0)$.",
            rf"Bayes' rule gives \[ q(x_s{{=}}k\mid x_t,x_0)=\frac{{(r\,{z}+\frac{{1-r}}V)"
            rf"(\alpha_s{x}+\frac{{1-\alpha_s}}V)}}{{\alpha_t1[x_t=x_0]+\frac{{1-\alpha_t}}V}}, \] "
            r"a point mass on $x_0$ at $\alpha_s=1$ and on $x_t$ at $r=1$.",
            equation(
                "With a law $x$ in the place of the clean token, the normalizer is linear in $x$:",
                r"\sum_k(\cdot)",
                total,
                r * s * x_z + (1 - r * s) / V,
            ),
            r"The kernel is a mixture of staying at $x_t$, a draw from $x$, and a uniform draw, "
            rf"with weights in the ratio \[ {sp.latex(r * (s * x_z + (1 - s) / V))}:"
            rf"{sp.latex((1 - r) * s / V)}:{sp.latex((1 - r) * (1 - s) / V)}. \]",
        ),
    )


def _joint(size: int, length: int) -> dict[tuple[int, ...], Expr]:
    """A law of the clean sequence with a free symbol for each sequence."""
    return {
        x: sp.Symbol("p_" + "".join(map(str, x)), positive=True)
        for x in product(range(size), repeat=length)
    }


def leave_one_out() -> Derivation:
    """Prove that the plug-in kernel is exact for loo, and equal to the mixture over full."""
    for size, length in ((3, 2), (2, 3)):
        _leave_one_out_at(size, length)
    return Derivation(
        "The reverse kernel is exact for the leave-one-out law",
        (
            r"Take any law $p(x_0)$ of the clean sequence; up to names of the tokens $x_t$ is zero "
            r"at all sites. Let $\mathrm{loo}_v=p(x_0^i{=}v\mid x_t^{\setminus i})$ and "
            r"$e_v=\alpha_t1[v{=}x_t^i]+(1-\alpha_t)/V$.",
            r"The noise of a site is independent of all else given its clean token, so that "
            r"\[ p(x_s^i{=}k\mid x_t)\propto q(x_t^i\mid x_s^i{=}k)"
            r"\left[\alpha_s\mathrm{loo}_k+\frac{1-\alpha_s}V\right], \] "
            r"the kernel with $\mathrm{loo}$ plugged in.",
            r"Further $\mathrm{full}_v=p(x_0^i{=}v\mid x_t)\propto\mathrm{loo}_v\,e_v$, and "
            r"\[ p(x_s^i\mid x_t)=\sum_v\mathrm{full}_v\,q(x_s^i\mid x_t^i,x_0^i{=}v). \]",
            r"Both identities hold as polynomials in $\alpha_s$, $r$ and all probabilities of a "
            r"free law for $(V,L)=(3,2)$ and $(2,3)$. The kernel with $\mathrm{full}$ plugged in "
            r"is another law.",
        ),
    )


def _leave_one_out_at(size: int, length: int) -> None:
    law, n = _joint(size, length), sp.Integer(size)
    rest, exact = [sp.Integer(0)] * size, [sp.Integer(0)] * size
    for x, p in law.items():
        evidence = sp.prod([kernel(r * s, y == 0, n) for y in x[1:]])
        rest[x[0]] += p * evidence
        for k in range(size):  # sum over clean sequences, each with its own path through x_s
            exact[k] += p * evidence * kernel(s, k == x[0], n) * kernel(r, k == 0, n)
    total = sum(rest)
    plug = [kernel(r, k == 0, n) * (s * rest[k] + (1 - s) / n * total) for k in range(size)]
    through = [  # q(x_t = 0 | x_0 = v), summed over x_s
        sum(kernel(r, k == 0, n) * kernel(s, k == v, n) for k in range(size)) for v in range(size)
    ]
    full = [rest[v] * through[v] for v in range(size)]
    mixed = [
        sum(
            full[v] * kernel(r, k == 0, n) * kernel(s, k == v, n) / kernel(r * s, v == 0, n)
            for v in range(size)
        )
        for k in range(size)
    ]
    wrong = [kernel(r, k == 0, n) * (s * full[k] + (1 - s) / n * sum(full)) for k in range(size)]
    claim = f"V = {size}, L = {length}"
    for k in range(size):
        require_equal(exact[k], plug[k], f"plug-in kernel, {claim}")  # before normalizing
        require_equal(exact[k], mixed[k], f"mixture over full, {claim}")
    numbers = {p: sp.Rational(i + 1, 50) for i, p in enumerate(law.values())}
    point = numbers | {s: sp.Rational(3, 4), r: sp.Rational(1, 2)}
    gap = (exact[0] * sum(wrong) - wrong[0] * sum(exact)).subs(point)
    require(gap != 0, f"full plugged in differs, {claim}")


def _stable_sum(kept: bool, X_z: Expr, logs: dict[str, Expr]) -> Expr:
    """sum_(y != z) e^w (e^D - 1 - D), with X_y = 1 + odds x_y summing to V + odds.

    `logs`: l_z = log X_z, l_m = log X at the true token, T = the sum of log X_y over all other y.
    """
    ratios = (V + ODDS - X_z) / X_z  # of e^(w + D) = X_y / X_z
    if kept:
        weight = 1 / (1 + ODDS)
        return ratios - weight * (V - 1) - weight * (logs["T"] + (V - 1) * (b - logs["z"]))
    at_truth = (1 + ODDS) * (1 + logs["m"] - logs["z"] - b)
    return ratios - at_truth - (V - 2) - (logs["T"] - (V - 2) * logs["z"])


def nelbo_published_form() -> Derivation:
    """Prove that the sum of non-negative terms is the loss as published with Duo."""
    X_z = sp.Symbol("X_z", positive=True)
    logs = dict(zip("zmT", sp.symbols("l_z l_m T", real=True), strict=True))
    shift, zeta = sp.Symbol("c", real=True), (1 - a) / (V * a + 1 - a)  # c = log(1 - alpha)
    for kept in (True, False):
        others = logs["T"] if kept else logs["T"] + logs["m"]
        log_sum = V * shift + logs["z"] + others  # of log xbar_j, xbar = (1 - alpha) X
        observed = 1 - a + V * a * int(kept)
        first = V * (1 / observed - 1 / ((1 - a) * X_z))
        second = -(zeta if kept else 1) * (log_sum - V * (shift + logs["z"]))
        second += (V - 1) * zeta * -b if kept else b / zeta
        second -= 0 if kept else ODDS * (logs["m"] - logs["z"])
        require_equal(
            _stable_sum(kept, X_z, logs), second - first, f"loss at z = x_0: {kept}, any V"
        )
    return Derivation(
        "The stable form of the loss equals the published one",
        (
            r"Let $o=V\alpha/(1-\alpha)$, $\beta=\log(1+o)$, $X_y=1+o\,x_\theta(y)$, so that "
            r"$\sum_yX_y=V+o$, and $z=x_t$, $m=x_0$. The loss is $-\dot\alpha/(V\alpha)$ times "
            r"\[ S=\sum_{y\ne z}e^{w_y}\left[e^{D_y}-1-D_y\right],\quad "
            r"w_y=\beta(1[y{=}m]-1[z{=}m]),\quad e^{w_y+D_y}=X_y/X_z . \]",
            r"With $\bar x_y=(1-\alpha)X_y$ and $\zeta=(1-\alpha)/(V\alpha+1-\alpha)=e^{-\beta}$, "
            r"collecting terms gives for $z=m$ \[ S=\frac V{\bar x_z}-\frac V{V\alpha+1-\alpha}"
            r"-\zeta\Big[\sum_j\log\bar x_j-V\log\bar x_z\Big]+(V-1)\zeta\log\zeta \]",
            r"and for $z\ne m$ \[ S=\frac V{\bar x_z}-\frac V{1-\alpha}"
            r"-\Big[\sum_j\log\bar x_j-V\log\bar x_z\Big]-o\log\frac{\bar x_m}{\bar x_z}"
            r"-\frac1\zeta\log\zeta, \] which is equation 5 of Sahoo et al. 2025 "
            r"(arXiv:2506.10892).",
        ),
    )


def nelbo_minimiser() -> Derivation:
    """Prove that the mean loss is least for the leave-one-out law, and only there."""
    rho, true, p_y, p_z = sp.symbols("rho r_y p_y p_z", positive=True)
    w, D = sp.log(true), sp.log(rho / true)
    one = sp.exp(w) * (sp.exp(D) - 1 - D)
    step1 = equation(
        r"In the ratio $\rho_y=X_y/X_z$ of the model and $r_y=e^{w_y}$ of the truth a term is",
        r"e^{w_y}[e^{D_y}-1-D_y]",
        one,
        rho - true - true * sp.log(rho) + true * sp.log(true),
    )
    # Mean over v ~ loo of e_v(z) r_y(v), with r_y(v) = e_v(y) / e_v(z): the three kinds of v.
    weights = {"y": p_y, "z": p_z, "other": 1 - p_y - p_z}
    mean = sum(
        p * kernel(a, v == "z", V) * (kernel(a, v == "y", V) / kernel(a, v == "z", V))
        for v, p in weights.items()
    )
    norm = sum(p * kernel(a, v == "z", V) for v, p in weights.items())
    best = (1 + ODDS * p_y) / (1 + ODDS * p_z)
    step2 = equation(
        r"Given $x_t$ the clean token has law $\propto\mathrm{loo}_v\,e_v(z)$, so that the mean of "
        r"$r_y$ is the ratio of the leave-one-out law $p$ itself,",
        r"R_y=\langle r_y\rangle",
        mean / norm,
        sp.simplify(best),
    )
    R = sp.Symbol("R_y", positive=True)
    excess = (rho - R * sp.log(rho)) - (R - R * sp.log(R))
    h = sp.Symbol("h", positive=True)
    require_equal(excess.subs(rho, R * h), R * (h - 1 - sp.log(h)), "excess in h = rho / R")
    slope = sp.diff(excess, rho)
    require_equal(slope.subs(rho, R), sp.Integer(0), "stationary at rho = R")
    require(sp.simplify(sp.diff(slope, rho)).is_positive, "the excess is convex in rho")
    X_z, S, x = sp.symbols("X_z S x", positive=True)  # S: sum of rho over y != z
    require_equal((V + ODDS - X_z) / X_z, (V + ODDS) / X_z - 1, "sum of the ratios")
    solved = sp.solve(sp.Eq(S, (V + ODDS) / X_z - 1), X_z)
    require_equal(solved[0], (V + ODDS) / (1 + S), "X_z follows from the ratios")
    ratio = (1 + ODDS * x) / X_z
    require_equal(sp.solve(sp.Eq(rho, ratio), x)[0], (rho * X_z - 1) / ODDS, "and so does x")
    return Derivation(
        "The leave-one-out law minimizes the loss",
        (
            step1,
            step2,
            r"So the mean loss is a constant plus a positive factor times "
            r"\[ \sum_{y\ne z}\left[\rho_y-R_y-R_y\log\frac{\rho_y}{R_y}\right]\ge0, \] "
            r"convex in each $\rho_y$ and zero at $\rho_y=R_y$ alone.",
            r"The ratios determine the law: $X_z=(V+o)/(1+\sum_{y\ne z}\rho_y)$ and "
            r"$x_y=(\rho_yX_z-1)/o$. The minimum is at $x_\theta=p$ and nowhere else.",
        ),
    )


def nelbo_uniform() -> Derivation:
    """Prove that the uniform guess costs the derivative of the capacity."""
    p, w = kernel(a, 1, V), kernel(a, 0, V)

    def term(weight: Expr) -> Expr:  # D = -w for the uniform guess
        return weight * (1 / weight - 1 + sp.log(weight))

    cost = p * (V - 1) * term(w / p) + (V - 1) * w * (term(p / w) + (V - 2) * term(sp.Integer(1)))
    capacity = sp.log(V) + p * sp.log(p) + (V - 1) * w * sp.log(w)
    rate = (V - 1) / V * sp.log(p / w)
    require_equal(sp.diff(capacity, a), rate, "dC / d alpha")
    require_equal(cost / (V * a), rate, "mean loss of the uniform guess")
    return Derivation(
        "The uniform guess costs the difference of capacities",
        (
            r"For $x_\theta=1/V$ all $X_y$ are equal and $D_y=-w_y$. The mean over $x_t$, with "
            r"$p=\alpha+(1-\alpha)/V$ the probability of a match, is per token and unit of "
            r"$-\alpha$",
            display("", r"\langle\ell\rangle", (V - 1) / V * b),
            r"This is $dC/d\alpha$ for $C=\log V+p\log p+(1-p)\log\frac{1-p}{V-1}$, so that the "
            r"integral from $\alpha_1$ to $\alpha_0$ is $L[C(\alpha_0)-C(\alpha_1)]$ whatever the "
            r"schedule and the source.",
        ),
    )


def nelbo_information() -> Derivation:
    """Prove on free laws that the exact denoiser's loss is the derivative of the information."""
    for size, length in ((2, 2), (3, 2)):
        _information_at(size, length)
    return Derivation(
        "The loss of the exact denoiser is mutual information",
        (
            r"For $x_\theta=\mathrm{loo}$ the ratio of the model is one of noisy probabilities, "
            r"$X_y/X_z=p_t(x_t^{i\to y})/p_t(x_t)$, with site $i$ of $x_t$ set to $y$.",
            r"The mean of the loss over $x_0$ and $x_t$ then equals, coefficient by coefficient in "
            r"the logarithms of $p_t$, "
            r"\[ \frac d{d\alpha}\left[-\sum_xp_t(x)\log p_t(x)-L\,h\right]"
            r"=\frac d{d\alpha}I(x_0;x_t),\qquad h=\log V-C(\alpha), \]",
            r"checked for a free law with $(V,L)=(2,2)$ and $(3,2)$. Hence "
            r"$\int\langle\ell\rangle=I(x_0;x_{t_0})-I(x_0;x_{t_1})$ for every schedule.",
        ),
    )


def _information_at(size: int, length: int) -> None:
    """All logarithms are symbols: log p_t(x) for each x, and beta for that of the true ratio."""
    law, n = _joint(size, length), sp.Integer(size)

    def path(x0: tuple[int, ...], x: tuple[int, ...]) -> Expr:
        return sp.prod([kernel(a, i == j, n) for i, j in zip(x0, x, strict=True)])

    noisy = {x: sum(p * path(x0, x) for x0, p in law.items()) for x in law}
    log = {x: sp.Symbol("l_" + "".join(map(str, x)), real=True) for x in law}
    mass = sum(law.values())
    require_equal(sum(noisy.values()), mass, "the noisy law has the same mass")
    # d/d alpha of -sum p_t log p_t; the mass is constant, so that the sum of p_t' drops out.
    rate = -sum(sp.diff(noisy[x], a) * log[x] for x in law) + length * (n - 1) / n * b * mass
    loss = sp.Integer(0)
    for x, site, y in product(law, range(length), range(size)):
        if y == x[site]:
            continue
        moved = (*x[:site], y, *x[site + 1 :])
        loss += noisy[moved]  # mean of the model's ratio p_t(moved) / p_t(x)
        for x0, p in law.items():
            weight = p * path(x0, moved)  # probability of x times the true ratio r_y
            log_true = b * ((y == x0[site]) - (x[site] == x0[site]))
            loss += weight * (log_true - 1 - log[moved] + log[x])
    require_equal(loss, n * a * rate, f"V = {size}, L = {length}")


def nelbo_small_noise() -> Derivation:
    """Prove the leading order of the mean loss as alpha -> 1, and that it is a proper score."""
    e = sp.Symbol("epsilon", positive=True)
    size = 3
    x = [*sp.symbols("x_0 x_1", positive=True)]
    x.append(1 - x[0] - x[1])
    n, noise = sp.Integer(size), {1: 1 - e + e / size, 0: e / size}
    bar = [e + n * (1 - e) * q for q in x]
    mean = sp.Integer(0)  # over z, for the clean token 0
    for z in range(size):
        for y in set(range(size)) - {z}:
            ratio, true = bar[y] / bar[z], noise[int(y == 0)] / noise[int(z == 0)]
            term = ratio - true - true * sp.log(ratio) + true * sp.log(true)
            mean += noise[int(z == 0)] * term / (n * (1 - e))
    floor = -sp.Rational(size - 1, size) * sp.log(e / size)
    gains = [x[y] / x[0] for y in (1, 2)]
    expected = sum(g + sp.log(g) - 1 for g in gains) / n
    # The only divergence is that of log(true) = -log(e / V) + O(e), times weights that tend to 1/V.
    limit = sp.limit(sp.expand_log(mean - floor, force=True), e, 0, "+")
    require_equal(limit, expected, "limit of the mean loss")
    p, q = sp.symbols("p q", positive=True)  # a pair of values: truth p_v, p_y against x_v, x_y
    t, u = sp.symbols("x_v x_y", positive=True)
    pair = p * (u / t + sp.log(u / t)) + q * (t / u + sp.log(t / u))
    require_equal(sp.diff(pair, u).subs({t: p, u: q}), sp.Integer(0), "stationary at the truth")
    h = sp.Symbol("h", positive=True)  # x_y / x_v = h q / p
    pair = pair.subs(u, h * q / p * t)
    require_equal(
        pair - pair.subs(h, 1),
        q * (h - 1 - sp.log(h)) + p * (1 / h - 1 + sp.log(h)),
        "excess of a pair",
    )
    return Derivation(
        "At small noise the loss scores the conditionals",
        (
            r"For $\alpha=1-\epsilon\to1$ only $z=x_0$, with $r_y\to\epsilon/V$, and one wrong "
            r"token, with probability $\epsilon/V$ and $r_{x_0}\to V/\epsilon$, contribute:",
            r"\[ \langle\ell\rangle\to\frac1V\sum_{y\ne v}\left[\frac{x_y}{x_v}"
            r"+\log\frac{x_y}{x_v}-1\right]-\frac{V-1}V\log\frac\epsilon V,\qquad v=x_0^i, \] "
            r"the limit being taken for $V=3$ and any law $x$.",
            r"Averaged over $v\sim p$, each pair $(v,y)$ with $x_y/x_v=h\,p_y/p_v$ has an excess "
            r"of $p_y(h-1-\log h)+p_v(h^{-1}-1+\log h)\ge0$ over its value at $x=p$: the loss is a "
            r"proper score, least at $x=p(x_0^i\mid x_0^{\setminus i})$.",
        ),
    )
