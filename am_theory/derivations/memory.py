"""The optimal denoiser of stored random sequences as a memory at the Nishimori temperature."""

from __future__ import annotations

import sympy as sp
from sympy import Expr

from am_theory.derivations._proof import Derivation, display, equation, require, require_equal

__all__ = [
    "condensation",
    "exponents",
    "gaussian_collapse",
    "memorizer_loss",
    "nishimori",
    "one_step_capacity",
]

V, a, b, kappa = sp.symbols("V alpha b kappa", positive=True)
p_1, w_1 = a + (1 - a) / V, (1 - a) / V  # probability of the true token, and of each other
BETA = sp.log(1 + V * a / (1 - a))
TILTED = sp.exp(b) / (sp.exp(b) + V - 1)  # match fraction of unrelated sequences, tilted by e^(bm)
FREE = sp.log(1 + (sp.exp(b) - 1) / V)  # log E e^(b 1[match])


def relative(x: Expr, p: Expr) -> Expr:
    """Binary relative entropy D(x || p)."""
    return x * sp.log(x / p) + (1 - x) * sp.log((1 - x) / (1 - p))


def nishimori() -> Derivation:
    """Prove that the posterior's inverse temperature is that of the Nishimori line."""
    ratio = equation(
        "A match with the query multiplies the likelihood of a stored sequence by",
        r"e^\beta=p_1/w",
        p_1 / w_1,
        sp.exp(BETA),
    )
    tilt = equation(
        r"The tilted fraction of matches of unrelated sequences at $b=\beta$ is that of the true "
        "one:",
        r"\frac{e^\beta}{e^\beta+V-1}",
        TILTED.subs(b, BETA),
        sp.simplify(p_1),
    )
    free = equation(
        "and their annealed free energy per site is",
        r"\log\Big(1+\frac{e^\beta-1}V\Big)",
        FREE.subs(b, BETA),
        -sp.log(1 - a),
    )
    m, L = sp.symbols("m L", positive=True)
    likelihood = m * sp.log(p_1) + (L - m) * sp.log(w_1)
    require_equal(likelihood, L * sp.log(w_1) + m * sp.log(p_1 / w_1), "likelihood in matches")
    return Derivation(
        "The posterior over stored sequences is at the Nishimori temperature",
        (
            r"With $p_1=\alpha+(1-\alpha)/V$ and $w=(1-\alpha)/V$ a sequence of $m_\mu$ matches "
            r"has likelihood $p_1^{m_\mu}w^{L-m_\mu}=w^Le^{\beta m_\mu}$, so that "
            r"$P(\mu\mid x_t)\propto e^{\beta m_\mu}$.",
            ratio,
            tilt,
            free,
            r"The model that weighs the sequences is the one that made the query: $\beta$ is the "
            r"Nishimori inverse temperature. An exchange of the true sequence and a posterior draw "
            r"gives $\langle w_{\rm true}\rangle=\langle\sum_\mu w_\mu^2\rangle$ and "
            r"$\langle\sum_\mu w_\mu m_\mu\rangle=Lp_1$.",
        ),
    )


def condensation() -> Derivation:
    """Prove that the random energy model freezes at beta exactly where kappa is the capacity."""
    require_equal(sp.diff(FREE, b), TILTED, "the free energy's slope is the match fraction")
    entropy = relative(TILTED, 1 / V)
    require_equal(b * TILTED - FREE, entropy, "Legendre transform")
    growth = sp.simplify(sp.diff(entropy, b) / (b * TILTED * (1 - TILTED)))
    require_equal(growth, sp.Integer(1), "D grows with b, so that the freezing point is unique")
    capacity = sp.log(V) + p_1 * sp.log(p_1) + (1 - p_1) * sp.log(w_1)
    require_equal(relative(p_1, 1 / V), capacity, "D(p_1 || 1/V) is the capacity")
    signal = BETA * p_1 - (kappa - sp.log(1 - a))
    require_equal(signal, capacity - kappa, "signal against noise")
    return Derivation(
        "Condensation, retrieval and capacity are one line",
        (
            r"Among $e^{\kappa L}$ unrelated sequences $e^{L[\kappa-D(x\|1/V)]}$ have a fraction "
            r"$x$ of matches. At inverse temperature $b$ the fraction "
            r"$x(b)=e^b/(e^b+V-1)$ dominates, with "
            r"$b\,x(b)-\log(1+\frac{e^b-1}V)=D(x(b)\|\tfrac1V)$,",
            r"until $D(x(b)\|1/V)=\kappa$, where the model freezes; as "
            r"$\frac d{db}D(x(b)\|\frac1V)=b\,x(b)(1-x(b))>0$, this is one point.",
            display(
                r"At $b=\beta$, where $x(\beta)=p_1$, it freezes at $\kappa=D(p_1\|1/V)=C$,",
                "C",
                capacity,
            ),
            r"The signal of the true sequence exceeds the free energy of the others by "
            r"$\beta p_1-[\kappa-\log(1-\alpha)]=C-\kappa$: it wins for $\kappa<C$ and loses for "
            r"$\kappa>C$, on the same line.",
        ),
    )


def one_step_capacity() -> Derivation:
    """Prove the one-step capacity of the exponential memory and that b_N is the least optimum."""
    p = sp.Symbol("p", positive=True)
    load = b * p - FREE
    require_equal(sp.diff(load, b), p - TILTED, "slope in b")
    require_equal(sp.diff(TILTED, b), TILTED * (1 - TILTED), "the slope falls with b")
    b_N = sp.log(p * (V - 1) / (1 - p))
    require_equal(TILTED.subs(b, b_N), p, "the slope vanishes at b_N")
    require_equal(load.subs(b, b_N), relative(p, 1 / V), "value at b_N")
    require_equal(
        b_N.subs(p, p_1), sp.log(sp.simplify(p_1 / w_1)), "b_N of the channel's match fraction"
    )
    return Derivation(
        "One step of the exponential memory reaches capacity from the matched temperature on",
        (
            r"For $b$ below the freezing point a query with match fraction $p$ is retrieved if "
            r"$bp>\kappa+\log(1+\frac{e^b-1}V)$, that is up to "
            r"$\kappa(b,p)=bp-\log(1+\frac{e^b-1}V)$.",
            r"This is concave, $\partial_b\kappa=p-x(b)$ with $x'=x(1-x)>0$, and stationary where "
            r"$x(b)=p$, at $b_N=\log\frac{p(V-1)}{1-p}$, with value $D(p\|1/V)$.",
            r"For $b>b_N$ the others freeze before they win, at the largest match fraction "
            r"present, $D(x\|1/V)=\kappa$: retrieval holds while $x<p$, up to the same "
            r"$D(p\|1/V)$.",
            r"At $p=p_1$, $b_N=\beta$ and the value is the capacity.",
        ),
    )


def exponents() -> Derivation:
    """Prove the closed forms of the random-coding, strong-converse and true-weight exponents."""
    p, w, n, rho = sp.symbols("p w n rho", positive=True)  # n = V - 1 wrong tokens, p + n w = 1
    s = 1 / (1 + rho)
    total = p**s + n * w**s
    gallager = rho * sp.log(n + 1) - (1 + rho) * sp.log(total)
    log_x, log_y = s * sp.log(p) - sp.log(total), s * sp.log(w) - sp.log(total)  # y: one wrong one
    x = p**s / total
    to_uniform = sp.log(n + 1) + x * log_x + (1 - x) * log_y
    to_channel = x * (log_x - sp.log(p)) + (1 - x) * (log_y - sp.log(w))
    require_equal(sp.diff(gallager, rho), to_uniform, "slope of Gallager's function")
    require_equal(gallager - rho * to_uniform, to_channel, "Legendre transform")
    q = sp.sqrt(p) - sp.sqrt(w)
    norm = 1 - p - n * w  # zero
    squared = (sp.sqrt(p) + n * sp.sqrt(w)) ** 2 / (n + 1)
    gap = sp.expand(1 - squared - n / (n + 1) * q**2)
    require_equal(gap, sp.expand(norm), "E_0(1), up to the norm of the law")
    t = sp.Symbol("x", positive=True)
    cost = t * sp.log(t / p_1) + (1 - t) * sp.log((1 - t) / (1 - p_1)) - BETA * t
    best = p_1**2 / (p_1**2 + (V - 1) * w_1**2)
    require_equal(sp.diff(cost, t).subs(t, best), sp.Integer(0), "tilted match fraction")
    require(
        sp.simplify(sp.diff(cost, t, 2) * t * (1 - t)) == 1, "the cost is convex in the fraction"
    )
    least = -sp.log(1 - p_1 + p_1 * sp.exp(BETA))
    require_equal(cost.subs(t, best), least, "its least value")
    both = (1 - a) * (1 - p_1 + p_1 * sp.exp(BETA))
    require_equal(both, 1 + (V - 1) * a**2, "with the noise's free energy")
    return Derivation(
        "Exponents of retrieval in closed form",
        (
            r"Let $s=1/(1+\rho)$ and $p_s=p^s/[p^s+(V-1)w^s]$. Gallager's function has slope "
            r"$E_0'(\rho)=D(p_s\|\tfrac1V)$ and intercept $E_0-\rho E_0'=D(p_s\|p)$.",
            r"So where the maximum over $\rho$ is inside its range the exponent at load $\kappa$ "
            r"is $D(p_\kappa\|p)$ with $D(p_\kappa\|\tfrac1V)=\kappa$: the match fraction of the "
            r"channel that has capacity $\kappa$. This holds for $E_r$ ($s\ge\frac12$) and "
            r"for $E_{sc}$ ($s\ge1$, up to $\kappa=\log V$).",
            r"At $\rho=1$, $E_0(1)=-\log\left[1-\frac{V-1}V(\sqrt p-\sqrt w)^2\right]$.",
            display(
                r"The mean true weight costs $D(x\|p)+[\kappa-\log(1-\alpha)-\beta x]_+$. Without "
                "the bracket's edge the least cost is at",
                r"\tilde x=\frac{p^2}{p^2+(V-1)w^2}",
                sp.factor(best),
            ),
            r"and amounts to $\psi=\kappa-\log[1+(V-1)\alpha^2]$; before that, to $D(x^*\|p)$ at "
            r"the edge $x^*=p+(\kappa-C)/\beta$.",
        ),
    )


def memorizer_loss() -> Derivation:
    """Prove that the loss of the optimal memorizer is the information about the stored index."""
    h = -p_1 * sp.log(p_1) - (1 - p_1) * sp.log(w_1)
    require_equal(sp.log(w_1) + BETA * p_1 + h, sp.Integer(0), "terms of one site")
    L, J, H = sp.symbols("L J H", positive=True)
    log_z = H + BETA * J  # E log Z = E H + beta E sum w m, since log w = beta m - log Z
    loss = -L * sp.log(w_1) + sp.log(sp.Symbol("K", positive=True)) - log_z - L * h
    expected = sp.log(sp.Symbol("K", positive=True)) - H + BETA * (L * p_1 - J)
    require_equal(loss, expected, "loss in terms of the posterior")
    return Derivation(
        "The training loss of the optimal memorizer is the information about its index",
        (
            r"An exact diffusion of the law $\hat p$ of $K$ stored sequences has from $t_0$ on the "
            r"loss $\mathrm{KL}(q(x_{t_0}\mid x_0)\|\hat p_{t_0})$, with "
            r"$\hat p_t(x)=w^LZ(x)/K$ and $Z=\sum_\mu e^{\beta m_\mu}$.",
            r"As $\log w_\mu=\beta m_\mu-\log Z$, $\langle\log Z\rangle=\langle H\rangle+\beta J$ "
            r"with $J$ the matches of a posterior draw, and per site $\log w+\beta p_1+h=0$. Hence "
            r"\[ \mathrm{NELBO}=\log K-\langle H\rangle+\beta(Lp_1-J). \]",
            r"For a stored sequence $J=Lp_1$ (Nishimori), so that the loss is "
            r"$I(\mu;x_t)=\log K-\langle H\rangle$; it tends to $\log K$ without noise.",
        ),
    )


def gaussian_collapse() -> Derivation:
    """Prove that collapse at log K = I gives the known time for Gaussian data."""
    t, n, d, sigma = sp.symbols("t n d sigma", positive=True)
    signal = sigma**2 * sp.exp(-2 * t) / (1 - sp.exp(-2 * t))  # ratio of variances, d times
    information = d / 2 * sp.log(1 + signal)
    collapse = sp.log(1 + sigma**2 / (n ** (2 / d) - 1)) / 2
    require_equal(sp.exp(2 * information / d).subs(t, collapse), n ** (2 / d), "I at t_C is log n")
    return Derivation(
        "Collapse of Gaussian diffusion is the same line",
        (
            r"For $n$ samples of a Gaussian source of variance $\sigma^2$ in $d$ dimensions and "
            r"$x_t=e^{-t}x_0+\sqrt{1-e^{-2t}}\,z$ the information is",
            display("", "I(x_0;x_t)", information),
            display(r"and $\log n=I$ is solved by", "t_C", collapse),
            r"the collapse time of Biroli, Bonnaire, de Bortoli, Mezard 2024 (arXiv:2402.18491).",
        ),
    )
