"""Rows of V logits that see fresh noise, alike for all tokens: the numbers (private).

The equations of `am_theory.conditional_likelihood.rows` with averages over standard normal numbers,
one a logit, by a fixed scrambled net of Sobol. A softmax under Gaussian noise of deviation s is
the law of the largest of V numbers m_v + s g + Gumbel: one integral over its value, exact in g.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from am_theory._inputs import Floats
from am_theory._roots import root

_DRAWS, _NOISY_DRAWS = 13, 10  # log2 of the points of the net, without and with noise
_EXACT, _NOISY = 1e-11, 1e-7  # accuracy of slopes: that of the averages, without and with noise
_STEP = 0.4  # of the largest value, in units of the wider of noise and Gumbel law
_REACH = 8.5


class _Averages(NamedTuple):
    """Of logits (batch, V) over noise: -log p_0 (batch,), p (batch, V), cov of tokens (., V, V)."""

    loss: Floats
    law: Floats
    bend: Floats


def _averages(mean: Floats, spread: float) -> _Averages:
    """E of loss, law and its derivative at logits mean + spread g."""
    top = mean.max(axis=1, keepdims=True)
    if spread == 0:
        e = np.exp(mean - top)
        total = e.sum(axis=1, keepdims=True)
        law = e / total
        bend = law[:, :, None] * (np.eye(mean.shape[1]) - law[:, None, :])
        return _Averages((top + np.log(total) - mean[:, :1])[:, 0], law, bend)
    width = max(1.0, spread)
    nodes = np.arange(-_REACH * spread - 5, _REACH * spread + 32, _STEP * width)
    value = top + nodes  # (batch, T)
    step = _STEP / width
    g = np.arange(-_REACH, _REACH + step / 2, step)
    weights = np.exp(-(g**2) / 2) * (step / np.sqrt(2 * np.pi))
    fine = np.arange(nodes[0], nodes[-1] + (top - mean).max() + 0.1, 0.02 * width)
    fall = np.exp(-np.minimum(fine[:, None] - spread * g, 700.0).clip(-700))
    below = np.exp(-fall) @ weights
    density = (np.exp(-fall) * fall) @ weights
    at = value[:, None, :] - mean[:, :, None]  # (batch, V, T)
    place = (at - fine[0]) / (fine[1] - fine[0])
    index = np.clip(place.astype(int), 0, len(fine) - 2)
    slope = np.gradient(density, fine)
    h = fine[1] - fine[0]
    big = _hermite(below, density, h, index, place - index)
    small = _hermite(density, slope, h, index, place - index)
    ratio = np.where(big > 1e-13, small / np.maximum(big, 1e-13), 0.0)
    together = big.prod(axis=1)[:, None, :] * (nodes[1] - nodes[0])
    law = (together * ratio).sum(axis=2)
    cross = np.einsum("bt,bvt,bwt->bvw", together[:, 0], ratio, ratio)
    diagonal = np.arange(mean.shape[1])
    cross[:, diagonal, diagonal] = 0.0
    bend = -cross
    bend[:, diagonal, diagonal] = cross.sum(axis=2)
    largest = (together * ratio * value[:, None, :]).sum(axis=(1, 2))
    return _Averages(largest - np.euler_gamma - mean[:, 0], law, bend)


def _hermite(f: Floats, d: Floats, h: float, i: Floats, t: Floats) -> Floats:
    """Cubic of values f and slopes d at nodes of step h, at place i + t."""
    a, b, c, e = f[i], f[i + 1], h * d[i], h * d[i + 1]
    return a + t * (c + t * (3 * (b - a) - 2 * c - e + t * (2 * (a - b) + c + e)))


@lru_cache(maxsize=8)
def _net(vocab_size: int, log_count: int) -> Floats:
    """Standard normal numbers (2^log_count, V)."""
    from scipy.stats.qmc import Sobol

    return np.asarray(ndtri(Sobol(vocab_size, rng=2604).random_base2(log_count)))


class _Problem(NamedTuple):
    load: float
    alpha: float
    ridge: float
    vocab_size: int

    @property
    def lost(self) -> float:
        return (1 - self.alpha) * (1 + self.alpha)

    @property
    def net(self) -> Floats:
        return _net(self.vocab_size, _NOISY_DRAWS if self.alpha < 1 else _DRAWS)

    def averages(self, m: Floats, q: float) -> _Averages:
        return _averages(self.alpha * m, float(np.sqrt(self.lost * q / 2)))

    def proximal(self, q: float, chi: float, start: Floats) -> tuple[Floats, _Averages]:
        """Logits m = sqrt(q / 2) z - (chi / 2) grad l(m), by Newton's method with halved steps."""
        v, c = np.sqrt(q / 2) * self.net, chi / 2
        own, eye = np.eye(self.vocab_size)[0], np.eye(self.vocab_size)
        accuracy = _NOISY if self.alpha < 1 else _EXACT

        def value(m: Floats, found: _Averages) -> Floats:
            return np.asarray(((m - v) ** 2).sum(axis=1) / (2 * c) + found.loss)

        m = start + (v - start).mean(axis=1, keepdims=True)  # as slopes have none
        found = self.averages(m, q)
        now = value(m, found)
        for _ in range(100):
            slope = (m - v) / c + self.alpha * (found.law - own)
            if np.abs(slope).max() < accuracy:
                break
            bend = eye / c + self.alpha**2 * found.bend
            move = np.linalg.solve(bend, slope[..., None])[..., 0]
            size = np.ones(len(m))
            for _ in range(20):
                tried = m - size[:, None] * move
                there = self.averages(tried, q)
                new = value(tried, there)
                worse = new > now + accuracy * (1 + np.abs(now))
                if not worse.any():
                    break
                size[worse] /= 2
            m, found, now = tried, there, new
        return m, found

    def sides(self, q: float, chi: float, start: Floats) -> tuple[Floats, float, float, Floats]:
        """Logarithms of the sides' ratio (chi, q); loss, noise ridge and the logits."""
        m, found = self.proximal(q, chi, start)
        n, a = self.vocab_size - 1, self.alpha
        own = self.load * self.lost * float(found.bend.trace(axis1=1, axis2=2).mean()) / (2 * n)
        bends = a**2 * np.linalg.eigvalsh(found.bend) / 2
        bend = self.load * float((bends / (1 + chi * bends)).sum(axis=1).mean()) / n
        excess = ((found.law - np.eye(n + 1)[0]) ** 2).sum(axis=1)
        push = self.load * a**2 * float(excess.mean()) / (2 * n)
        logs = np.log([chi * (self.ridge + own + bend), chi**2 * push / q])
        return logs, float(found.loss.mean()), own, m


def solve(
    load: float, alpha: float, ridge: float, vocab_size: int, start: tuple[float, float]
) -> tuple[float, float, float, float, float]:
    """q, chi, loss, noise ridge and residual, from q and chi of fewer tokens at a like load: by
    damped iteration, then by Newton's method."""
    problem = _Problem(load, alpha, ridge, vocab_size)
    logits = np.zeros_like(problem.net)

    def sides(logs: Floats) -> Floats:
        nonlocal logits
        q, chi = (float(v) for v in np.exp(logs))
        found, _, _, logits = problem.sides(q, chi, logits)
        return found

    logs = np.log(start)
    for _ in range(40):
        response, growth = sides(logs)
        if max(abs(response), abs(growth)) < 0.02:
            break
        logs = logs + 0.6 * np.clip([growth - 2 * response, -response], -1.0, 1.0)
    found = root(sides, logs, method="hybr", tol=1e-9, options={"factor": 0.1})
    q, chi = (float(v) for v in np.exp(found.x))
    rest, loss, own, _ = problem.sides(q, chi, logits)
    return q, chi, loss, own, float(np.abs(rest).max())


def unseen_loss(q: float, vocab_size: int) -> float:
    """Loss on an unseen sequence, in nats: logits of variance q / 2, none of them favoured."""
    return float(_averages(np.zeros((1, vocab_size)), float(np.sqrt(q / 2))).loss[0])
