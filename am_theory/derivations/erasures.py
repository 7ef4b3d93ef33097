"""Stored random sequences queried through erasures: the sequences that fit, and who finds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import TypeAlias

import sympy as sp
from sympy import Expr, Rational

from am_theory.derivations._proof import Derivation, display, equation, require, require_equal

__all__ = ["decoders", "fitting_sequences", "parallel_reveal", "token_entropy"]

K, q, a = sp.symbols("K q alpha", positive=True)
Sequence: TypeAlias = tuple[int, ...]
Store: TypeAlias = tuple[Sequence, ...]


def mean_inverse(size: Expr, fits: Expr) -> Expr:
    """E 1 / N for N = 1 + Bin(size - 1, fits)."""
    return (1 - (1 - fits) ** size) / (size * fits)


def _fitting_law(size: int, fits: Expr) -> list[tuple[int, Expr]]:
    """N = 1 + Bin(size - 1, fits): its values and their probabilities."""
    n = size - 1
    return [(1 + j, sp.binomial(n, j) * fits**j * (1 - fits) ** (n - j)) for j in range(size)]


def _stores(size: int, vocab_size: int, length: int) -> Iterator[Store]:
    yield from product(product(range(vocab_size), repeat=length), repeat=size)


def _fit(store: Store, seen: frozenset[int], query: Sequence) -> Store:
    return tuple(x for x in store if all(x[i] == query[i] for i in seen))


def _visible(length: int) -> list[frozenset[int]]:
    return [frozenset(i for i in range(length) if bits >> i & 1) for bits in range(2**length)]


def fitting_sequences() -> Derivation:
    """Prove the mean of 1 / N and of log N, and that N is 1 + Bin(K - 1, V^-n)."""
    z, e, n = sp.symbols("z s N", positive=True)
    primitive = (1 - q + q * z) ** K / (K * q)
    slope = sp.powsimp(sp.diff(primitive, z) * (1 - q + q * z) ** (1 - K))
    require_equal(slope, sp.Integer(1), "its derivative, any K")
    inverse = equation(
        r"The generating function is $\mathrm Ez^{N-1}=(1-q+qz)^{K-1}$, so that for any $K$",
        r"\mathrm E\frac1N=\int_0^1(1-q+qz)^{K-1}\,dz",
        primitive.subs(z, 1) - primitive.subs(z, 0),
        mean_inverse(K, q),
    )
    for size in range(1, 6):
        law = _fitting_law(size, q)
        require_equal(sum(p / m for m, p in law), mean_inverse(sp.Integer(size), q), "mean of 1/N")
        require_equal(sum(p * z ** (m - 1) for m, p in law), (1 - q + q * z) ** (size - 1), "E z^N")
    slope = sp.integrate(-sp.diff((sp.exp(-e) - sp.exp(-n * e)) / e, n), (e, 0, sp.oo))
    require_equal(-slope, 1 / n, "Frullani's integral has the slope of log N, and is 0 at N = 1")
    for size, vocab_size, length in ((3, 2, 2), (2, 3, 2), (2, 2, 3)):
        for seen in _visible(length):
            counts: Counter[int] = Counter()
            for store in _stores(size, vocab_size, length):
                counts[len(_fit(store, seen, store[0]))] += 1
            for m, p in _fitting_law(size, Rational(1, vocab_size ** len(seen))):
                share = Rational(counts[m], vocab_size ** (length * size))
                require_equal(share, p, f"law of N: {size, vocab_size, length}")
    return Derivation(
        "The stored sequences that fit an erased query",
        (
            r"$K$ sequences of $L$ tokens are uniform on $V$ values and independent. One of them "
            r"is sent through erasures that leave $n$ tokens visible. Any other fits them with "
            r"probability $q=V^{-n}$, so that $N=1+\mathrm{Bin}(K-1,q)$ fit, as the enumeration of "
            r"all stores with $(K,V,L)=(3,2,2)$, $(2,3,2)$, $(2,2,3)$ confirms.",
            inverse,
            r"Since $\int_0^\infty(e^{-s}-e^{-Ns})\frac{ds}s$ is 0 at $N=1$ and has the slope "
            r"$1/N$ it is $\log N$, and \[ \mathrm E\log N=G(q)=\int_0^\infty\frac{ds}s\,e^{-s}"
            r"\left[1-\left(1-q+qe^{-s}\right)^{K-1}\right]. \]",
        ),
    )


Decoder: TypeAlias = Callable[[Store, int], Counter[Sequence]]  # chance of each result


def _first(fit: Store, length: int) -> Counter[Sequence]:
    """The first of the sequences that fit."""
    return Counter({fit[0]: Rational(1)})


def _draw(fit: Store, length: int) -> Counter[Sequence]:
    """A posterior draw."""
    return Counter({x: Rational(c, len(fit)) for x, c in Counter(fit).items()})


def _reveal(fit: Store, length: int, *, greedy: bool) -> Counter[Sequence]:
    """Token after token, each drawn from its law given what is there: from left to right, or the
    most certain one first and its likeliest value."""
    unsure = [i for i in range(length) if len({x[i] for x in fit}) > 1]
    if not unsure:
        return Counter({fit[0]: Rational(1)})
    laws = {i: Counter(x[i] for x in fit) for i in unsure}
    site = max(unsure, key=lambda i: max(laws[i].values())) if greedy else unsure[0]
    chosen = laws[site].most_common(1) if greedy else laws[site].items()
    total = sum(c for _, c in chosen)
    found: Counter[Sequence] = Counter()
    for value, count in chosen:
        rest = tuple(x for x in fit if x[site] == value)
        for x, p in _reveal(rest, length, greedy=greedy).items():
            found[x] += p * Rational(count, total)
    return found


DECODERS: dict[str, Decoder] = {
    "a stored sequence that fits, the first one": _first,
    "a posterior draw": _draw,
    "tokens revealed one by one": lambda fit, length: _reveal(fit, length, greedy=False),
    "the most certain token first": lambda fit, length: _reveal(fit, length, greedy=True),
}


def decoders() -> Derivation:
    """Prove that all decoders which end in a fitting sequence retrieve alike, with the weight."""
    for size, vocab_size, length in ((2, 2, 2), (3, 2, 2), (2, 3, 2), (3, 2, 3)):
        expected = sum(
            a**n
            * (1 - a) ** (length - n)
            * sp.binomial(length, n)
            * mean_inverse(sp.Integer(size), Rational(1, vocab_size**n))
            for n in range(length + 1)
        )
        found = _retrieval(size, vocab_size, length)
        for name, value in found.items():
            require_equal(value, expected, f"{name}: {size, vocab_size, length}")
    return Derivation(
        "Every decoder that ends in a fitting sequence retrieves alike",
        (
            r"The likelihood of an erased query is $\alpha^n(1-\alpha)^{L-n}$ for each stored "
            r"sequence that fits and 0 for every other, so that the posterior is uniform on the "
            r"$N$ that fit, and the true one has weight $w=1/N$.",
            r"A decoder sees which sequences fit and not which of them is true. If it ends in one "
            r"of them it is right with probability $1/N$, whatever it does: \[ P=\mathrm Ew"
            r"=\mathrm E\frac1N=\sum_n\binom Ln\alpha^n(1-\alpha)^{L-n}\frac{1-(1-V^{-n})^K}"
            r"{KV^{-n}}. \]",
            r"Equal as polynomials in $\alpha$, by enumeration of all stores, erasures and queries "
            r"with $(K,V,L)=(2,2,2)$, $(3,2,2)$, $(2,3,2)$, $(3,2,3)$: the mean weight and the "
            r"retrieval by " + ", ".join(DECODERS) + ". Copies of a sequence share the success.",
        ),
    )


def _retrieval(size: int, vocab_size: int, length: int) -> dict[str, Expr]:
    """Mean weight of the true sequence, and chance that each decoder returns it."""
    found = dict.fromkeys(("weight", *DECODERS), sp.Integer(0))
    run = {name: cache(lambda fit, d=d: d(fit, length)) for name, d in DECODERS.items()}
    for seen in _visible(length):
        right = dict.fromkeys(found, sp.Integer(0))
        for store in _stores(size, vocab_size, length):
            copies = Counter(store)
            for truth in store:
                fit = _fit(store, seen, truth)
                right["weight"] += Rational(1, len(fit))
                for name, decode in run.items():
                    right[name] += Rational(decode(fit)[truth], copies[truth])
        chance = a ** len(seen) * (1 - a) ** (length - len(seen))
        for name, total in right.items():
            found[name] += chance * total / (size * vocab_size ** (length * size))
    return found


def token_entropy() -> Derivation:
    """Prove that the entropy of a masked token is a difference of mean posterior entropies."""
    for size, vocab_size, length in ((3, 2, 2), (2, 3, 2), (2, 2, 3)):
        for seen in _visible(length):
            for site in set(range(length)) - seen:
                _one_token(size, vocab_size, length, seen, site)
    G = sp.symbols("G:7")  # G(V^-n), n = 0, 1, ...
    for length in range(1, 7):
        telescope = sum(G[n] - G[n + 1] for n in range(length))
        require_equal(telescope, G[0] - G[length], f"sum over an order at L = {length}")
        weights = _binomial(length)
        told = G[0] - sum(w * g for w, g in zip(weights, G[: length + 1], strict=True))
        masked = sum(w * (G[n] - G[n + 1]) for n, w in enumerate(_binomial(length - 1)))
        require_equal(sp.diff(told, a), length * masked, f"slope of I at L = {length}")
    require_equal(sum(p * sp.log(m) for m, p in _fitting_law(4, sp.Integer(1))), sp.log(4), "n = 0")
    return Derivation(
        "The entropy of a masked token is a difference of posterior entropies",
        (
            r"For each store, summed over its $K$ sequences as queries, the chain rule reads "
            r"$\sum\log N=\sum[H(X_i\mid x_t)+\log N']$, where $N$ sequences fit, and $N'$ of "
            r"them once the masked token $i$ is visible too.",
            r"So the mean entropy of a masked token that sees $n$ others is \[ \mathrm EH(X_i\mid "
            r"x_t)=G(V^{-n})-G(V^{-n-1}), \] for every set of visible tokens in all stores with "
            r"$(K,V,L)=(3,2,2)$, $(2,3,2)$, $(2,2,3)$, coefficient by coefficient in $\log2$ and "
            r"$\log3$.",
            r"Along any order of the tokens these add up to $G(1)-G(V^{-L})=\log K-G(V^{-L})$. "
            r"With free symbols for $G(V^{-n})$, up to $L=6$, \[ \frac d{d\alpha}\left[\log K"
            r"-\mathrm E_{n\sim\mathrm{Bin}(L,\alpha)}G(V^{-n})\right]=L\,\mathrm E_{n\sim"
            r"\mathrm{Bin}(L-1,\alpha)}\left[G(V^{-n})-G(V^{-n-1})\right]. \]",
        ),
    )


def _binomial(sites: int) -> list[Expr]:
    return [sp.binomial(sites, n) * a**n * (1 - a) ** (sites - n) for n in range(sites + 1)]


def _one_token(size: int, vocab_size: int, length: int, seen: frozenset[int], site: int) -> None:
    """Chain rule store by store, and its mean over all stores."""
    total = sp.Integer(0)
    for store in _stores(size, vocab_size, length):
        unsure, left = sp.Integer(0), sp.Integer(0)
        for truth in store:
            fit = _fit(store, seen, truth)
            law = Counter(x[site] for x in fit).values()
            unsure -= sum(Rational(c, len(fit)) * (sp.log(c) - sp.log(len(fit))) for c in law)
            left += sp.log(len(fit)) - sp.log(len(_fit(store, seen | {site}, truth)))
        require(sp.expand(unsure - left) == 0, f"chain rule for {store}")
        total += unsure
    mean = total / (size * vocab_size ** (length * size))
    G = [
        sum(p * sp.log(m) for m, p in _fitting_law(size, Rational(1, vocab_size**n)))
        for n in (len(seen), len(seen) + 1)
    ]
    require_equal(mean, G[0] - G[1], f"mean entropy: {size, vocab_size, length}")


def parallel_reveal() -> Derivation:
    """Prove how often tokens revealed at once, or in rounds, stay on two stored sequences."""
    w, d = sp.Symbol("w", positive=True), sp.Symbol("d", positive=True, integer=True)
    for sites in range(1, 6):
        stay = sp.Integer(0)
        for drawn in product((0, 1), repeat=sites):
            if len(set(drawn)) == 1:
                stay += sp.prod([w if x else 1 - w for x in drawn])
        require_equal(stay, w**sites + (1 - w) ** sites, f"{sites} sites at once")
        require_equal(stay.subs(w, Rational(1, 2)), Rational(2) ** (1 - sites), "equal weights")
    half = (w**d + (1 - w) ** d).subs(w, Rational(1, 2))
    require_equal(sp.powsimp(half), 2 ** (1 - d), "any number of sites")
    stay = w**d + (1 - w) ** d
    require_equal(sp.diff(stay, w).subs(w, Rational(1, 2)), sp.Integer(0), "stationary at 1/2")
    bend = sp.powsimp(sp.diff(w**d, w, 2) * w ** (2 - d))
    require_equal(bend, d * (d - 1), "both terms are convex in the weight")
    return Derivation(
        "Tokens revealed at once can leave the store",
        (
            r"Let two stored sequences fit, with posterior weights $w$ and $1-w$, and differ in "
            r"$d$ masked tokens. Revealed at once, each is drawn from its own law, which has "
            r"the first sequence's token with probability $w$. All must agree: the result is "
            r"stored with probability $w^d+(1-w)^d$, by enumeration up to $d=5$.",
            display(
                r"It is convex in $w$. Fitting sequences are equally likely, at its least value,",
                r"\Big(\frac12\Big)^d+\Big(\frac12\Big)^d",
                2 ** (1 - d),
            ),
            r"One token at a time ($d=1$) never leaves the store; after the first of the $d$ "
            r"tokens the law of all others is certain.",
        ),
    )
