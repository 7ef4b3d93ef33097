"""The training loss of every channel, and what it is for erasures."""

from __future__ import annotations

from itertools import combinations

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import Derivation, equation, require_equal

__all__ = ["absorbing", "information_rate", "masked_count", "rate_forms"]

V, B, s, a = sp.symbols("V B s alpha", positive=True)
KEEP = 1 / (1 + B * s + s**2)  # hybrid noise, as channels.hybrid_rates
REDRAW, MASKED, FRESH = B * s * KEEP, s**2 * KEEP, B / (B + 2 * s)


def term(true: Expr, model: Expr) -> Expr:
    """r [e^D - 1 - D] for the ratios r = q_y / q_z of the truth and r e^D of the model."""
    return model - true - true * (sp.log(model) - sp.log(true))


def rate_forms() -> Derivation:
    """Prove that the loss of a short step is a sum of jumps, and its divergence form."""
    e, jump, guess = sp.symbols("epsilon lambda mu", positive=True)
    stay, move = 1 - e * jump, e * jump
    short = stay * sp.log(stay / (1 - e * guess)) + move * sp.log(jump / guess)
    require_equal(sp.diff(short, e).subs(e, 0), term(jump, guess), "divergence of a short step")
    before, noise = sp.Symbol("alpha_s", positive=True), sp.Function("nu")
    come = noise(a) - a / before * noise(before)
    flow = equation(
        r"Let $\nu(z)$ be the probability that noise makes $z$. As $\alpha$ falls, noise comes "
        r"into $z$ at the rate",
        r"g_z=\left.\frac{\partial\rho_z}{\partial\alpha_s}\right|_{\alpha_s=\alpha}",
        sp.diff(come, before).subs(before, a).doit(),
        noise(a) / a - sp.diff(noise(a), a),
    )
    require_equal((1 - a) / a - sp.diff(1 - a, a), 1 / a, "all influx")
    q_z, p_z, q_y, p_y, KL = sp.symbols("q_z p_z q_y p_y KL", positive=True)
    one = term(q_y / q_z, p_y / p_z)
    split = p_y / p_z - q_y / q_z + q_y / q_z * (sp.log(q_y / p_y) - sp.log(q_z / p_z))
    require_equal(one, split, "one summand")
    others = KL - q_z * sp.log(q_z / p_z)  # sum over y != z of q_y log(q_y / p_y)
    summed = (1 - p_z) / p_z - (1 - q_z) / q_z + (others - (1 - q_z) * sp.log(q_z / p_z)) / q_z
    spread = q_z / p_z - 1 - sp.log(q_z / p_z)
    require_equal(summed, (KL + spread) / q_z, "sum over y, any number of values")
    return Derivation(
        "The loss of every channel, as a sum and as divergences",
        (
            r"A short step of length $\epsilon$ leaves $z$ for $y$ with probability "
            r"$\epsilon\lambda_y$, in the model $\epsilon\mu_y$. Its divergence is, to first "
            r"order, $\epsilon\sum_y[\mu_y-\lambda_y-\lambda_y\log(\mu_y/\lambda_y)]$.",
            flow,
            r"so that $\sum_zg_z=1/\alpha$. With $q=q(\cdot\mid x_0)$ and "
            r"$p=q(\cdot\mid x_\theta)$ Bayes' rule has $\lambda_y=g_zq_y/q_z$ and "
            r"$\mu_y=g_zp_y/p_z$, and the loss per unit of $-\alpha$ is "
            r"\[ \ell=g_z\sum_{y\ne z}\frac{q_y}{q_z}\left[e^{D_y}-1-D_y\right],"
            r"\qquad e^{D_y}=\frac{p_y/p_z}{q_y/q_z}. \]",
            r"As $q$ and $p$ have sum 1, this is \[ \ell=\frac{g_z}{q_z}\left[\mathrm{KL}(q\|p)"
            r"+\frac{q_z}{p_z}-1-\log\frac{q_z}{p_z}\right], \] a Kullback-Leibler and an "
            r"Itakura-Saito divergence, for any number of values.",
        ),
    )


def absorbing() -> Derivation:
    """Prove that the hybrid loss tends to the cross-entropy of masked tokens."""
    x_m, x_y, x_w = sp.symbols("x_m x_y x_w", positive=True)  # the true token, two others
    law = {"m": x_m, "y": x_y, "w": x_w}
    true = {v: KEEP * int(v == "m") + REDRAW / V for v in law} | {"mask": MASKED}
    model = {v: KEEP * x + REDRAW / V for v, x in law.items()} | {"mask": MASKED}
    into = dict.fromkeys(law, FRESH / (V * KEEP)) | {"mask": (1 - FRESH) / KEEP}

    def limit(z: str, y: str) -> Expr:
        """Limit of the mean of a summand: probability of z times the rate."""
        ratio = term(true[y] / true[z], model[y] / model[z])
        return sp.limit(sp.expand_log(true[z] * into[z] * ratio, force=True), B, 0, "+")

    masked = sp.limit(MASKED, B, 0)
    require_equal(sp.limit(KEEP, B, 0), 1 - masked, "hybrid noise without redraws")
    for z, y in (("m", "y"), ("m", "mask"), ("y", "m"), ("y", "w"), ("y", "mask")):
        require_equal(limit(z, y), sp.Integer(0), f"no loss at a visible token: {z}, {y}")
    own, other = limit("mask", "m") / masked, limit("mask", "y") / masked
    require_equal(own, (x_m - 1 - sp.log(x_m)) / masked, "the true token")
    require_equal(other, x_y / masked, "another one")
    require_equal(own + (1 - x_m) / masked, -sp.log(x_m) / masked, "their sum")
    return Derivation(
        "The loss of absorbing noise is the cross-entropy of masked tokens",
        (
            r"Take hybrid noise with $B\to0$ at fixed $s$: then $u\to0$, $f\to0$, $m\to1-\alpha$. "
            r"The mean over $z$ of the loss weighs a summand by $q_z$. For visible $z$, the true "
            r"token or another one, each weighted summand tends to 0.",
            r"At the mask $p_z=q_z$. The summand of the true token $y=x_0$ tends to "
            r"$[x_{x_0}-1-\log x_{x_0}]/(1-\alpha)$ and that of every other value, whose $q_y$ "
            r"vanishes, to $x_y/(1-\alpha)$: these must not be left out.",
            r"As $x_\theta$ has sum 1, the loss per unit of $-\alpha$ is "
            r"\[ \ell=\frac{1[x_t=\mathrm{mask}]}{1-\alpha}\left(-\log x_\theta(x_0)\right), \] "
            r"the form of MDLM (arXiv:2406.07524), with $-\dot\alpha$ as a factor for a rate in "
            r"$t$.",
        ),
    )


def _subsets(length: int) -> list[frozenset[int]]:
    sites = range(length)
    return [frozenset(c) for k in range(length + 1) for c in combinations(sites, k)]


def chance(seen: int, sites: int) -> Expr:
    """Probability that of some tokens those of a set of `seen` are the visible ones."""
    return a**seen * (1 - a) ** (sites - seen)


def _symbols(length: int, name: str) -> dict[frozenset[int], Expr]:
    """A free symbol for each set of visible tokens, zero for the empty one."""
    found = {v: sp.Symbol(name + "".join(map(str, sorted(v)))) for v in _subsets(length)}
    return found | {frozenset(): sp.Integer(0)}


def information_rate() -> Derivation:
    """Prove the area theorem of erasures for a free table of entropies."""
    for length in range(1, 5):
        h = _symbols(length, "H")
        told = sum(chance(len(v), length) * h[v] for v in h)
        loo = sum(
            chance(len(v), length - 1) * (h[v | {i}] - h[v])
            for v in h
            for i in range(length)
            if i not in v
        )
        require_equal(sp.diff(told, a), loo, f"area theorem at L = {length}")
    return Derivation(
        "The loss of the exact denoiser of erasures is information",
        (
            r"With a set $S$ of visible tokens $x_t$ tells $I(x_0;x_t)=\sum_S\alpha^{|S|}"
            r"(1-\alpha)^{L-|S|}H(X_S)$. For any entropies $H(X_S)$, free symbols up to $L=4$, "
            r"\[ \frac{dI}{d\alpha}=\sum_i\sum_{S\not\ni i}\alpha^{|S|}(1-\alpha)^{L-1-|S|}"
            r"\left[H(X_{S\cup i})-H(X_S)\right]. \]",
            r"The bracket is the entropy $H(X_i\mid X_S)$ of the leave-one-out law at a masked "
            r"token, which is masked with probability $1-\alpha$: the right side is the mean loss "
            r"of the exact denoiser, whose integral is $I(\alpha_0)-I(\alpha_1)$ and $H(x_0)$ in "
            r"all (the area theorem of Ashikhmin, Kramer, ten Brink 2004).",
        ),
    )


def masked_count() -> Derivation:
    """Prove that the loss may be drawn by the number of masked tokens, and its value."""
    L, k = sp.symbols("L l", positive=True)
    choose = sp.gamma(L + 1) / (sp.gamma(k + 1) * sp.gamma(L - k + 1))
    beta = sp.gamma(k) * sp.gamma(L - k + 1) / sp.gamma(L + 1)
    product = equation(
        r"If tokens are masked with probability $t$ each, a set of $l$ of $L$ tokens is the masked "
        r"one with probability $t^l(1-t)^{L-l}$, and",
        r"\binom Ll\int_0^1t^{l-1}(1-t)^{L-l}\,dt=\binom Ll\mathrm B(l,L-l+1)",
        sp.gammasimp(choose * beta),
        1 / k,
    )
    t = sp.Symbol("t", positive=True)
    for length in range(1, 6):
        cost, log_p = _symbols(length, "c"), _symbols(length, "F")
        everything = frozenset(range(length))
        by_time, by_count, exact = sp.Integer(0), sp.Integer(0), sp.Integer(0)
        for hidden in set(cost) - {frozenset()}:
            n = len(hidden)
            weight = sp.integrate(sp.expand(t ** (n - 1) * (1 - t) ** (length - n)), (t, 0, 1))
            share = sp.Rational(length, n) / (length * sp.binomial(length, n))
            seen = everything - hidden
            by_time += weight * cost[hidden]
            by_count += share * cost[hidden]
            exact += share * sum(log_p[seen] - log_p[seen | {i}] for i in hidden)
        require_equal(by_time, by_count, f"two estimators at L = {length}")
        require_equal(exact, -log_p[everything], f"exact model at L = {length}")
    return Derivation(
        "The loss of erasures by the number of masked tokens",
        (
            product,
            r"so that for any cost $c(S)$ of a set $S$ of masked tokens, such as "
            r"$-\sum_{i\in S}\log x_\theta^i(x_0^i)$, \[ \int_0^1\frac{dt}t\,\mathrm E\,c(S_t)"
            r"=\mathrm E_{l\sim U\{1..L\}}\frac Ll\,\mathrm E_{|S|=l}\,c(S), \] with free symbols "
            r"up to $L=5$. The right side has weights of at most $L$.",
            r"If the model is exact, $-\log x_\theta^i=F(A)-F(A\cup i)$ with $F(A)=\log p(x_A)$ "
            r"and $A$ the visible tokens. Then the sum is $-F$ of all tokens, $-\log p(x_0)$ for "
            r"every sequence: free symbols $F$ with $F(\emptyset)=0$, up to $L=5$.",
        ),
    )
