"""The report: the answer, the table of predictions, the laws, what the theory does not say."""

from __future__ import annotations

import math

import numpy as np

from simulations.features_law.analysis import FeaturesAnalysis, Score
from simulations.features_law.config import FeaturesConfig, Point
from simulations.features_law.laws import CLOSED, HEADLINE, LAWS, UNSCALED
from simulations.features_law.predictions import Prediction, to_csv
from simulations.features_law.sizes import DEFINITIONS, NAMES
from simulations.measure.tables import markdown, number, section, with_spread
from simulations.results.report import Report

RIVALS = ("power of w, T", "power of N, T", "least of N, T")
LEAST = 5  # points that a bootstrap over points needs before it may choose
OVERTURN = (
    "It would be overturned by more widths and seeds (preset `paper`). The theory knows no noise "
    "of steps: the presets `slower` (half the rate from width 512 on) and `batch` (128) have less."
)


def answer(analysis: FeaturesAnalysis) -> str:
    """The first line: how well the theory predicted, against the best rival."""
    scores = {score.law: score for score in analysis.scores}
    if not scores:
        fits = analysis.fits
        if not fits:
            return "**Nothing can be said yet**: too few points have their K_half on the grid of K."
        return (
            "**Predictions alone; the part held back is not measured.** On the fitted part the "
            f"theory is off by rms {fits[HEADLINE].rms:.3f} of ln K_half."
        )
    best, ours = min((scores[name] for name in RIVALS), key=lambda s: s.rms), scores[HEADLINE]
    points = len(analysis.judged)
    if points < LEAST:
        said = f"{points} points held back are too few to choose between laws"
    elif best.excess_low > 0:
        said = "The theory of random features predicts trained networks better than its rivals"
    elif best.excess_high < 0:
        said = "A rival predicts trained networks better than the theory of random features"
    else:
        said = "Theory and best rival are not told apart by the points held back"
    return (
        f"**{said}; the theory's intervals hold {_held(analysis, HEADLINE)} of {points}**: "
        f"ln K_half is off by rms {_rms(ours)} by the theory (m, T_1, a common factor), by "
        f"{_rms(best)} by the best rival ({best.law}, {_held(analysis, best.law)} of {points} "
        f"held); the difference is {_excess(best)}."
    )


def _held(analysis: FeaturesAnalysis, law: str) -> int:
    """How many measured points are within a law's intervals."""
    return sum(
        verdict(
            analysis.table[law, point.name],
            float(np.exp(analysis.sizes[point].log_half.mean())),
        )
        == "held"
        for point in analysis.judged
    )


def _rms(score: Score) -> str:
    return with_spread(score.rms, score.low, score.high)


def _excess(score: Score) -> str:
    return with_spread(score.excess, score.excess_low, score.excess_high)


def _size(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"


def _predicted(one: Prediction) -> str:
    return _size(one.value, one.low, one.high)


def _censored(values: np.ndarray) -> str:
    """A size that not every seed has on the grid."""
    sides = {"above": np.isposinf(values), "below": np.isneginf(values), "?": np.isnan(values)}
    return "off the grid (" + ", ".join(f"{s.sum()} {w}" for w, s in sides.items() if s.any()) + ")"


def _measured(analysis: FeaturesAnalysis, point: Point, name: str = "half") -> str:
    """A size of a point: with its interval, as mean and seeds, or that it is off the grid."""
    if point not in analysis.sizes:
        return "not measured"
    values = analysis.sizes[point].by_seed[name]
    if not np.isfinite(values).all():
        return _censored(values)
    if name == "half":
        return _size(*analysis.interval(point))
    return f"{float(np.exp(np.log(values).mean())):,.0f} ({', '.join(f'{v:,.0f}' for v in values)})"


def verdict(prediction: Prediction, measured: float) -> str:
    """Whether a measured size is within a prediction's interval.

    >>> verdict(Prediction(100.0, 90.0, 110.0, 0.05), 105.0)
    'held'
    """
    if not math.isfinite(measured):
        return "–"
    return "held" if prediction.low <= measured <= prediction.high else "missed"


def prediction_table(analysis: FeaturesAnalysis) -> list[str]:
    """Predicted, measured, rival and verdict for every point held back."""
    rival = min(
        (s for s in analysis.scores if s.law in RIVALS),
        key=lambda score: score.rms,
        default=None,
    )
    shown = [HEADLINE, UNSCALED, CLOSED, rival.law if rival else RIVALS[0]]
    header = ["point", "measured K_half", *(w for name in shown for w in (name, "verdict"))]
    rows = []
    for point in analysis.held_back:
        if (HEADLINE, point.name) not in analysis.table:
            continue
        at = analysis.sizes.get(point)
        middle = float(np.exp(at.log_half.mean())) if point in analysis.judged and at else math.nan
        row = [point.name, _measured(analysis, point)]
        for law in shown:
            one = analysis.table[law, point.name]
            row += [_predicted(one), verdict(one, middle)]
        rows.append(row)
    return markdown(header, rows)


def _constants(analysis: FeaturesAnalysis, name: str) -> str:
    fit = analysis.fits[name]
    ends = np.exp(np.percentile(fit.replicates, [2.5, 97.5], axis=0))
    values = zip(LAWS[name].constants, np.exp(fit.constants), ends.T, strict=True)
    return ", ".join(f"{word} = {v:.3g} [{a:.3g}, {b:.3g}]" for word, v, (a, b) in values)


def law_table(analysis: FeaturesAnalysis) -> list[str]:
    """Every law: constants, rms on both parts, log-likelihood of the part held back."""
    scores = {score.law: score for score in analysis.scores}
    rows = []
    for name, fit in analysis.fits.items():
        score = scores.get(name)
        rows.append(
            [
                name,
                _constants(analysis, name),
                number(fit.rms),
                _rms(score) if score else "–",
                _excess(score) if score else "–",
                f"{score.bias:+.3f}" if score else "–",
                number(score.log_likelihood, 1) if score else "–",
            ]
        )
    header = ["law", "constants", "rms, fitted", "rms, held back", "less the theory's"]
    return markdown([*header, "bias, held back", "log-likelihood, held back"], rows)


def size_table(analysis: FeaturesAnalysis) -> list[str]:
    """Every measured size of every point."""
    header = ["point", *NAMES.values()]
    rows = [
        [point.name, *(_measured(analysis, point, name) for name in NAMES)]
        for point in analysis.sizes
    ]
    return markdown(header, rows)


def search_table(analysis: FeaturesAnalysis) -> list[str]:
    """The training loss of every network of the search, and the rate that is used there."""
    config = analysis.config
    rates = config.search_rates
    rows = [
        [
            *(f"{word:,}" for word in place),
            *(number(analysis.losses[(*place, rate)], 4) for rate in rates),
            _used(config, *place[:2]),
        ]
        for place in dict.fromkeys(at[:3] for at in analysis.losses)
    ]
    header = ["width", "steps", "K", *(f"rate {rate:g}" for rate in rates), "used"]
    return markdown(header, rows)


def _used(config: FeaturesConfig, width: int, steps: int) -> str:
    """The rates of a width: at these steps, or where none is measured there at all others."""
    at = config.rate_of
    same = {at[width, steps]} if (width, steps) in at else {at[p] for p in at if p[0] == width}
    return ", ".join(f"{rate:g}" for rate in sorted(same))


def report(analysis: FeaturesAnalysis) -> Report:
    """The report of a run."""
    first = answer(analysis)
    before = (
        "Predictions are those of `simulations/features_law/predictions.csv`, written before these "
        "points were measured."
        if analysis.written_before
        else "Predictions are those of this run's fitted part."
    )
    scatter = analysis.scatter
    lines = [
        first,
        "",
        OVERTURN,
        "",
        *section("Predicted and measured", before),
        *prediction_table(analysis),
        *section("The laws"),
        *law_table(analysis),
        *section(
            "Every size",
            f"Intervals are Student's with the scatter of ln K_half between seeds pooled over all "
            f"points, {number(scatter.deviation)} on {scatter.freedom} degrees of freedom; other "
            "sizes as mean (seeds). The theory speaks of K_half alone.",
        ),
        *size_table(analysis),
        *(f"* {NAMES[name]}: {words}." for name, words in DEFINITIONS.items()),
        "",
        *section(
            "Learning rates",
            "Training loss, mean over the last block of steps, iid, one seed.",
        ),
        *search_table(analysis),
    ]
    summary = {
        "scores": {
            score.law: {"rms": score.rms, "low": score.low, "high": score.high}
            for score in analysis.scores
        },
        "constants": {
            name: dict(zip(LAWS[name].constants, np.exp(fit.constants).tolist(), strict=True))
            for name, fit in analysis.fits.items()
        },
        "sizes": {
            point.name: {NAMES[k]: v.tolist() for k, v in one.by_seed.items()}
            for point, one in analysis.sizes.items()
        },
    }
    files = {"predictions.csv": to_csv(analysis.table)}
    return Report("Random features and trained networks", lines, summary, [first], files=files)
