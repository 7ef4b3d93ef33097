"""Exact numbers of a small chain, by the enumeration of all its clean and noisy sequences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from am_theory import channel
from models.sources import MarkovSource
from paper.quantity import Number, own, plain

Floats = NDArray[np.float64]
Law = Literal["loo", "full", "uniform"]

CHAIN = ((0.7, 0.2, 0.1), (0.1, 0.6, 0.3), (0.25, 0.25, 0.5))
KEPT = (0.9, 0.1)  # from one kept fraction to the other
LEVEL = 0.5  # noise level of the recovered shares
NODES = 60  # of the quadrature over the kept fraction


def chain_numbers() -> list[Number]:
    """What is plugged into the NELBO, recovered shares and entropies of the three-token chain."""
    what = "of the three-token chain, L = 3, between alpha = 0.9 and 0.1, nats"
    nelbo = {law: nelbo_of_chain(law) for law in ("loo", "full", "uniform")}
    found = [
        own(f"nelbo.{law}", plain(value, 4), f"NELBO {what}, {law} plugged in")
        for law, value in nelbo.items()
    ]
    lost = plain(information_lost(), 4)
    found.append(own("nelbo.information", lost, f"information lost {what}"))
    for key, value in recovery_of_chain(LEVEL).items():
        what = f"share of tokens of the three-token chain, L = 4, t = {LEVEL:g}"
        found.append(own(f"plateau.{key}", plain(value, 4), f"{what}: {key}"))
    source, of = _source(4), "of the three-token chain, L = 4, nats a token"
    return [
        *found,
        own("chain.entropy", plain(source.entropy() / 4, 4), f"entropy {of}"),
        own("chain.loo", plain(source.loo_entropy(), 4), f"loo entropy as t goes to 0 {of}"),
    ]


def nelbo_of_chain(law: Law) -> float:
    """Diffusion term of the NELBO of the chain, L = 3, between the ends of `KEPT`, in nats.

    `law` is what stands for x_theta. Gauss-Legendre in the kept fraction.
    """
    high, low = KEPT
    x, w = np.polynomial.legendre.leggauss(NODES)
    alphas, weights = (high + low) / 2 + (high - low) / 2 * x, (high - low) / 2 * w
    nodes = zip(alphas, weights, strict=True)
    return sum(float(w) * _mean_rate(_pairs(3, float(alpha)), law) for alpha, w in nodes)


def information_lost() -> float:
    """Mutual information of the chain, L = 3, at the one end of `KEPT` less that at the other."""
    joint = np.exp(_source(3).log_prob(_states(3)))
    high, low = (float(channel.mutual_information(joint, 3, 3, alpha)) for alpha in KEPT)
    return high - low


def recovery_of_chain(t: float) -> dict[str, float]:
    """Shares of all and of the corrupted tokens that decoders of the exact `full` law restore.

    Of the chain with L = 4. `argmax` is the Bayes decision for a token, `draw` one posterior
    draw, `change` the most probable of the other tokens.
    """
    pairs = _pairs(4, float(channel.LogLinear().alpha(t)))
    full = np.exp(channel.full_from_loo(pairs.log_loo, pairs.states, pairs.alpha))
    seen = np.eye(3)[pairs.states]
    decided = np.eye(3)[full.argmax(-1)]
    changed = np.eye(3)[(full - 2 * seen).argmax(-1)]
    found = {}
    for name, law in (("argmax", decided), ("draw", full), ("change", changed)):
        right = np.einsum("ysv,xsv->xys", law, seen)  # of the clean x, from the noisy y
        bad = pairs.states[:, None] != pairs.states[None]
        weight = pairs.joint[..., None]
        found[f"{name}.all"] = float((weight * right).sum() / 4)
        found[f"{name}.corrupted"] = float((weight * right * bad).sum() / (weight * bad).sum())
    return found


@dataclass(frozen=True)
class _Pairs:
    """All sequences (n, L), the joint law (n, n) of clean and noisy ones, and `loo` (n, L, V)."""

    alpha: float
    states: NDArray[np.uint8]
    joint: Floats
    log_loo: Floats


@cache
def _pairs(length: int, alpha: float) -> _Pairs:
    source, states = _source(length), _states(length)
    same = states[:, None] == states[None]
    reach = np.where(same, alpha + (1 - alpha) / 3, (1 - alpha) / 3).prod(-1)
    denoiser = source.population_denoiser()
    t = float(denoiser.schedule.time_at(alpha))
    log_loo = np.asarray(denoiser.log_loo(states, t), dtype=float)
    return _Pairs(alpha, states, np.exp(source.log_prob(states))[:, None] * reach, log_loo)


def _mean_rate(pairs: _Pairs, law: Law) -> float:
    """Mean of the loss over clean and noisy sequences, summed over sites, per unit of -alpha."""
    laws = {
        "loo": pairs.log_loo,
        "full": channel.full_from_loo(pairs.log_loo, pairs.states, pairs.alpha),
        "uniform": np.full_like(pairs.log_loo, -np.log(3)),
    }
    n, length = pairs.states.shape
    clean, noisy = np.repeat(pairs.states, n, axis=0), np.tile(pairs.states, (n, 1))
    plugged = np.tile(laws[law], (n, 1, 1))
    rate = np.asarray(channel.nelbo_rate(plugged, noisy, clean, pairs.alpha, -1.0))
    return float(pairs.joint.reshape(-1) @ rate.reshape(-1, length).sum(axis=1))


def _source(length: int) -> MarkovSource:
    return MarkovSource(np.array(CHAIN), length)


def _states(length: int) -> NDArray[np.uint8]:
    return np.array(list(product(range(3), repeat=length)), dtype=np.uint8)
