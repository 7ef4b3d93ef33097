"""The report: the answer, every peak beside its predictions, the laws, what n and time do."""

from __future__ import annotations

import math

import numpy as np

from simulations.few_draws.analysis import FITTED, READ, DrawsAnalysis, Peak
from simulations.few_draws.config import Curve
from simulations.few_draws.laws import FEATURES_LAW, LAWS, Prediction
from simulations.measure.tables import markdown, number, section, with_spread
from simulations.results.report import Report
from simulations.scaling.sizes import student_interval

LEAST = 5  # curves that a bootstrap over curves needs before it may choose
OVERTURN = (
    "It would be overturned by a peak that stays at its K when n changes, or, among the laws of "
    "K n, by widths beyond these and by networks trained to the end: here the number of steps is "
    "fixed, and the place of the peak depends on it."
)


def finite_curves(analysis: DrawsAnalysis) -> list[Curve]:
    """Curves of finitely many draws."""
    return [curve for curve in analysis.peaks if curve.draws]


def answer(analysis: DrawsAnalysis) -> str:
    """The first line: whether the peak is at K n = p + d, against the best rival."""
    scores = {score.law: score for score in analysis.scores}
    if FEATURES_LAW not in scores:
        return "**Nothing can be said yet**: no curve has its peak on the grid in every seed."
    ours = scores[FEATURES_LAW]
    held = sum(
        verdict(analysis.table[FEATURES_LAW, c.name], place(analysis, c)) == "held"
        for c in finite_curves(analysis)
    )
    ends = [law.estimate for law in analysis.slopes if law.group == "noise draws"]
    ends = [value for value in ends if np.isfinite(value)]
    along = f"K_peak goes as n^{min(ends):.2f} to n^{max(ends):.2f}" if ends else "n was not varied"
    if ours.curves < LEAST:
        said = f"{ours.curves} curves with a peak are too few to choose between laws"
    elif ours.low <= math.log(1.1):
        said = "The held-out loss of few noise draws peaks where K n is the number of features"
    else:
        said = "The held-out loss of few noise draws does not peak at the number of features"
        if ends and max(ends) < -0.5:
            said = (
                "The held-out loss of few noise draws peaks at a nearly fixed K n, but not at the "
                "number of features"
            )
    best = min(scores.values(), key=lambda score: score.rms)
    return (
        f"**{said}: ln K n is off by rms {with_spread(ours.rms, ours.low, ours.high)} from p + d** "
        f"(measured over predicted {ours.ratio:.2f} in the mean; {held} of {ours.curves} in its "
        f"wide interval); {along}. The nearest law without a constant is that of {best.law} "
        f"({with_spread(best.rms, best.low, best.high)}, ratio {best.ratio:.2f})."
    )


def place(analysis: DrawsAnalysis, curve: Curve) -> float:
    """K n at the peak, NaN unless every seed has one."""
    return analysis.place(curve)[0]


def verdict(prediction: Prediction, measured: float) -> str:
    """Whether a measured place is within a prediction's interval.

    >>> verdict(Prediction(100.0, 90.0, 110.0), 105.0)
    'held'
    """
    if not math.isfinite(measured):
        return "no peak"
    return "held" if prediction.low <= measured <= prediction.high else "missed"


def size(value: float, low: float, high: float) -> str:
    """A count with its interval."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"


def _measured(analysis: DrawsAnalysis, curve: Curve, read: str) -> str:
    """K n at the peak, or in how many seeds it is where."""
    found = analysis.place(curve, read)
    if np.isfinite(found[0]):
        return size(*found)
    places = analysis.peaks[curve].places[read]
    kinds = {"none": np.isneginf(places), "above the grid": np.isposinf(places)}
    inside = np.isfinite(places)
    words = [f"{part.sum()} {word}" for word, part in kinds.items() if part.any()]
    return ", ".join(words + [f"{inside.sum()} on it"] * bool(inside.any()))


def _height(peak: Peak, read: str) -> str:
    """Height of a peak above the lowest point at smaller K, mean over seeds with its interval."""
    return with_spread(*student_interval(peak.heights[read]), digits=2)


def peak_table(analysis: DrawsAnalysis) -> list[str]:
    """Every curve: where its peak is, how high, and what the laws said."""
    header = ["curve", "K n at the peak of the log loss", "height, nats", "of the squared error"]
    header += ["height", "seen noise interpolated up to", *LAWS, "verdict on features"]
    rows = []
    for curve, peak in analysis.peaks.items():
        row = [curve.name, _measured(analysis, curve, READ[0]), _height(peak, READ[0])]
        row += [_measured(analysis, curve, READ[1]), _height(peak, READ[1])]
        row.append(size(*analysis.interpolated(curve)))
        for law in LAWS:
            one = analysis.table.get((law, curve.name))
            row.append(number(one.value, 0) if one else "–")
        one = analysis.table.get((FEATURES_LAW, curve.name))
        row.append(verdict(one, place(analysis, curve)) if one else "–")
        rows.append(row)
    return markdown(header, rows)


def law_table(analysis: DrawsAnalysis) -> list[str]:
    """Every law at the curves with a peak."""
    header = ["law", "curves", "rms of ln K n", "measured over predicted", "spread about it"]
    rows = [
        [
            score.law,
            str(score.curves),
            with_spread(score.rms, score.low, score.high),
            number(score.ratio, 2),
            number(score.deviation),
        ]
        for score in analysis.scores
    ]
    return markdown(header, rows)


def slope_table(analysis: DrawsAnalysis) -> list[str]:
    """How the peak goes with n and with the width."""
    rows = [
        [
            law.quantity,
            law.statement,
            str(law.points),
            with_spread(law.estimate, law.low, law.high),
            number(law.predicted, 2),
            law.verdict,
        ]
        for law in analysis.slopes
    ]
    return markdown(["slope", "at", "points", "measured", "predicted", "against 0"], rows)


def report(analysis: DrawsAnalysis) -> Report:
    """The report of a run."""
    config, first = analysis.config, answer(analysis)
    before = (
        "Predictions are those of `simulations/few_draws/predictions.csv`, written before these "
        "networks were trained."
        if analysis.written_before
        else "Predictions are made by this run: its networks are not those that were predicted."
    )
    scatter = analysis.scatter[READ[0]]
    lines = [
        first,
        "",
        OVERTURN,
        "",
        *section(
            "Every peak",
            before,
            "K n counts the noisy sequences that training ever sees; of fresh noise the table has "
            f"K. Loss and error are those of {config.queries:,} held-out sequences at t = 0.25 on "
            "noise of their own: log loss of the `loo` law, squared error per dimension of the "
            "`full` law. A peak is an inner point not below its neighbours, its height that above "
            "the lowest point at smaller K. Intervals of places are Student's with the scatter of "
            f"ln K n between seeds pooled over all curves, {number(scatter.deviation)} on "
            f"{scatter.freedom} degrees of freedom; those of heights are Student's over "
            f"{config.seeds} seeds. The seen noise is interpolated while the training loss is "
            f"below {FITTED:g} nats a token.",
        ),
        *peak_table(analysis),
        *section(
            "The laws",
            "Each without a constant of its own; at the curves with a peak in every seed. The last "
            "column is what one common factor would leave. `features`: K n = p + d (d with the "
            "pairwise field alone), p = 6.21 [4.28, 50.6] w by the K_half of networks under fresh "
            "noise. `in time`: the same theory at the time of training. `rows`: separable rows. "
            "`weights`: as many logits scored as weights.",
        ),
        *law_table(analysis),
        *section(
            "What moves the peak",
            "K_peak goes as 1 / n where noisy sequences are what counts, and stays where sequences "
            "are; K n goes with the width as p + d does, or not at all.",
        ),
        *slope_table(analysis),
    ]
    summary = {
        "peaks": {
            curve.name: {
                "noisy": peak.noisy.tolist(),
                "excess": {name: table.mean(0).tolist() for name, table in peak.excess.items()},
                "places": {name: values.tolist() for name, values in peak.places.items()},
                "heights": {name: values.tolist() for name, values in peak.heights.items()},
                "interpolated": peak.interpolated.tolist(),
            }
            for curve, peak in analysis.peaks.items()
        },
        "scores": {
            score.law: {"rms": score.rms, "low": score.low, "high": score.high}
            for score in analysis.scores
        },
        "slopes": {
            f"{law.quantity}, {law.statement}": [law.estimate, law.low, law.high]
            for law in analysis.slopes
        },
    }
    return Report("Few noise draws", lines, summary, [first])
