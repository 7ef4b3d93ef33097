"""Where the held-out loss should have its peak: four laws of K n, none with a constant of its own.

features     K n = p + d: as many noisy sequences as features, p = m w, and, with the pairwise
             field, the d = L (V - 1) columns of the linear map beside them; m is that of K_half of
             networks trained with fresh noise (`simulations.features_law`)
in time      the held-out error of the same theory at the time T / T_1, that study's T_1: with the
             field its peak is that of the linear map, K n = d; where it has none, none
rows         a site's logits are V rows over w hidden units and, with the field, the
             (L - 1) (V - 1) codes of the other sites: random tokens are separable up to the load
             alpha_c(V), counted over the sites that the loss scores
weights      as many logits scored as weights, K n share L (V - 1) = N
"""

from __future__ import annotations

import csv
import functools
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from am_theory.channel import LogLinear
from am_theory.conditional_likelihood import critical_load
from am_theory.random_feature_denoiser import training_errors
from simulations.features_law.config import LEVEL
from simulations.few_draws.config import Curve, DrawsConfig
from simulations.measure.feature_size import moments
from simulations.measure.peak import curve_peaks

Floats = NDArray[np.float64]
# of the fit of K_half with a common factor, 95 %: what `simulations.features_law` reports
FEATURES, FEATURES_INTERVAL, TIME = 6.21, (4.28, 50.6), 1.15e4
FEATURES_LAW, IN_TIME, ROWS, WEIGHTS = LAWS = ("features", "in time", "rows", "weights")
COMMITTED = Path(__file__).with_name("predictions.csv")
HEADER = ("law", "curve", "noisy", "low", "high")


@dataclass(frozen=True)
class Prediction:
    """K n at the peak by a law, with its 95 % interval where a constant of it has one (else the
    value itself); NaN where the law has no peak."""

    value: float
    low: float
    high: float


def share_scored(seq_len: int) -> float:
    """Share of the sites that the `loo` loss scores, in the mean over its levels t = u^2: the
    resampled ones, or one alone where fewer than one is expected."""
    u = (np.arange(10_000) + 0.5) / 10_000
    return float(np.where(u**2 * seq_len < 1, 1 / seq_len, u**2).mean())


def weights(config: DrawsConfig, curve: Curve) -> int:
    """Weights of a network, those of the field that are never read (its own site) left out."""
    from models.networks.mlp import tensor_shapes

    shapes = tensor_shapes(config.vocab_size, config.seq_len, curve.width, 1)
    kept = {name: s for name, s in shapes.items() if curve.pair or not name.startswith("pair")}
    own = config.seq_len * config.vocab_size**2 * curve.pair
    return sum(math.prod(shape) for shape in kept.values()) - own


@functools.lru_cache(maxsize=256)
def peak_in_time(
    seq_len: int, vocab_size: int, n_features: float, time: float, draws: int
) -> float:
    """K n at the peak of the held-out error without the field, NaN where there is none."""
    alpha = float(LogLinear().alpha(LEVEL))
    noisy = np.geomspace(max(0.05 * n_features, draws), 8 * n_features, 60)
    place = (n_features, seq_len, vocab_size, alpha, time)
    found = training_errors(noisy / draws, *place, activation=moments(alpha), draws=draws)
    peak = float(curve_peaks(noisy, found.heldout[None])[0][0])
    return peak if math.isfinite(peak) else math.nan


def predict(law: str, config: DrawsConfig, curve: Curve) -> Prediction:
    """K n at the peak of a curve of finitely many draws by a law."""
    length, vocab = config.seq_len, config.vocab_size
    linear = length * (vocab - 1) * curve.pair
    if law == FEATURES_LAW:
        ends = (m * curve.width + linear for m in (FEATURES, *FEATURES_INTERVAL))
        return Prediction(*ends)
    if law == IN_TIME:
        place = (length, vocab, FEATURES * curve.width, curve.steps / TIME, curve.draws)
        value = float(linear) if curve.pair else peak_in_time(*place)
    elif law == ROWS:
        inputs = curve.width + (length - 1) * (vocab - 1) * curve.pair
        value = critical_load(vocab) * inputs / share_scored(length)
    else:
        value = weights(config, curve) / (share_scored(length) * length * (vocab - 1))
    return Prediction(value, value, value)


Table = dict[tuple[str, str], Prediction]


def predictions(config: DrawsConfig, curves: Sequence[Curve]) -> Table:
    """All laws at all curves of finitely many draws."""
    finite = [curve for curve in curves if curve.draws]
    return {(law, c.name): predict(law, config, c) for law in LAWS for c in finite}


def to_csv(table: Table) -> str:
    """Predictions by law and name of the curve, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for (law, name), one in table.items():
        writer.writerow([law, name, *(f"{v:.1f}" for v in (one.value, one.low, one.high))])
    return text.getvalue()


def committed(path: Path = COMMITTED) -> Table:
    """The predictions that were written before the curves of the preset `small` were measured."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["law"], row["curve"]): Prediction(*(float(row[name]) for name in HEADER[2:]))
        for row in rows
    }
