"""The tables of the appendix that hold findings: laws, transition sizes, capacities, verdicts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from paper import disagreements, tex
from paper.captions import estimate_words, share_words
from paper.figures.calibration import LAW, SIDES
from paper.sources import Results
from paper.tables.methods import estimators, runs, settings
from simulations.scaling.sizes import DEFINITIONS, SIZES

Table = tuple[tuple[str, ...], Callable[[Results], str]]
APART = r"\addlinespace[2pt] "  # between rows of several lines
SYMBOLS = {
    "K_M(recovery)": "$K_M$ (recovery)",
    "K_G(recovery)": "$K_G$ (recovery)",
    "K_half(recovery)": r"$K_{1/2}$ (recovery)",
    "K_half(best change)": r"$K_{1/2}$ (best change)",
    "K_H(entropy)": r"$K_H$ (entropy)",
    "K_learned": r"$K_{\rm learned}$",
    "K_half": r"$K_{1/2}$",
    "K_conv": r"$K_{\rm conv}$",
    "K_peak": r"$K_{\rm peak}$",
    "K_H": r"$K_H$",
    "m^depth": r"$m^{\rm depth}$",
    "max_K M": r"$\max_K M$",
    "K / N^eta": r"$K/N^\eta$",
    "exponent eta": r"exponent $\eta$",
    "K*": "$K^*$",
}


def words_of(text: str) -> str:
    r"""Words of a report as TeX, with sizes as symbols.

    >>> words_of("K* and m^depth, 5 %")
    '$K^*$ and $m^{\\rm depth}$, 5 \\%'
    """
    marks = {name: f"\x00{k}\x00" for k, name in enumerate(SYMBOLS)}
    for name, mark in marks.items():
        text = text.replace(name, mark)
    found = tex.escape(text)
    for name, mark in marks.items():
        found = found.replace(mark, SYMBOLS[name])
    return found


def laws(results: Results) -> str:
    """Every law of the transition size with its verdict."""
    found = results.open("scaling")
    sizes = "; ".join(f"{words_of(SIZES[name])}: {words_of(DEFINITIONS[name])}" for name in SIZES)
    statements = [""] + [law["statement"] for law in found.summary["laws"]]
    rows = [
        [
            APART + words_of(law["statement"]) if law["statement"] != before else "",
            words_of(law["quantity"]),
            _law_value(law["predicted"]),
            _law_value(law["rival"]),
            tex.interval(*_three(law, "estimate"), 2),
            law["verdict"].removesuffix(" at this size"),
        ]
        for law, before in zip(found.summary["laws"], statements, strict=False)
    ]
    caption = (
        f"All {len(rows)} laws as hypotheses. A law is supported if the interval holds its value "
        "and not that of its rival (the value if the law has no hold), not supported if the "
        "interval excludes its value. Estimates: means over "
        f"{tex.counted(found.config.seeds, 'seed')} (linear denoiser: {found.config.linear_sets} "
        rf"training sets), Student's 95\,\% intervals. Sizes: {sizes}. " + _made(found)
    )
    columns = "@{}" + tex.wrapped("40mm") + tex.wrapped("37mm") + "rrll@{}"
    header = ["law", "measured", "law", "rival", "estimate", "verdict"]
    return tex.table("laws", caption, columns, header, rows, "scriptsize", long=True)


def _made(found: Any) -> str:
    return tex.typewriter(found.command) + "."


def _three(row: Mapping[str, Any], first: str = "value") -> tuple[float, float, float]:
    """A number with its interval."""
    return float(row[first]), float(row["low"]), float(row["high"])


def _law_value(value: Any) -> str:
    return "$<0$" if float(value) == -math.inf else tex.number(float(value), 2)


def transitions(results: Results) -> str:
    """Transition sizes of the trained networks by every definition."""
    names = results.there(("markov", "iid", "dit"))
    titles = {"markov": "chain, MLP", "iid": "independent, MLP", "dit": "chain, transformer"}
    found = {name: results.open(name).summary["transition_sizes"] for name in names}
    keys = dict.fromkeys(key for sizes in found.values() for key in sizes)
    rows = [[_size_name(key), *(_size(found[name].get(key)) for name in names)] for key in keys]
    counts = {name: results.open(name).config.seeds for name in names}
    seeds = ", ".join(f"{titles[name]}: {tex.counted(k, 'seed')}" for name, k in counts.items())
    caption = (
        r"Transition sizes in training sequences, with 95\,\% intervals ("
        f"{seeds}; below five seeds these are held fixed). $<$, $>$: below or beyond the grid of "
        r"$K$; $\le$: an upper limit."
    )
    header = ["size, criterion, decoder or law", *(titles[name] for name in names)]
    return tex.table("transitions", caption, "l" * len(header), header, rows, long=True)


def _size_name(key: str) -> str:
    level = re.sub(r"t=(\S+)", _level, words_of(key))
    return level.replace("loo", r"\texttt{loo}")


def _level(found: re.Match[str]) -> str:
    value = float(found[1])
    return f"$t={tex.power(value) if value < 0.01 else f'{value:g}'}$"


def _size(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "--"
    value, low, high = _three(found)
    if math.isinf(value):
        return "$>$" if value > 0 else "$<$"
    if found["status"] == "upper limit":
        return rf"$\le$ {tex.number(high, 0)}"
    return tex.interval(value, low, high, 0)


def capacities(results: Results) -> str:
    """Critical loads by theory and by extrapolation."""
    found = results.open("capacity")
    rows = [
        [
            tex.escape(name),
            tex.number(one["theory"], 4),
            tex.listing([int(size) for size in one["sizes"]]),
            *(_limit(one["limits"].get(form)) for form in ("1/sqrt(N)", "1/N")),
            "[" + ", ".join(tex.number(float(end), 3) for end in one["interval"]) + "]",
        ]
        for name, one in found.summary["critical_loads"].items()
    ]
    caption = (
        "Critical loads: theory of infinite size, and limits of the half-loads under two forms of "
        rf"the correction, with 95\,\% intervals over {found.config.sets} sets of patterns. The "
        "last column holds both forms. " + _made(found)
    )
    header = ["memory", "theory", "sizes $N$", r"limit, $1/\sqrt N$", "limit, $1/N$", "both"]
    return tex.table("capacities", caption, "lrlrrr", header, rows, "scriptsize")


def _limit(limit: Mapping[str, Any] | None) -> str:
    return tex.interval(*_three(limit), 3) if limit else "--"


def calibration(results: Results) -> str:
    """How often the verdict without training data is right, by family left out."""
    found = results.open("calibration")
    rows = []
    for score in found.summary["scores"][LAW]:
        labels = score["labels"]
        cells = []
        for key, k in SIDES:
            total = labels["truths"][k]
            share = share_words(labels[key], total)
            cells.append(f"{labels[key]} of {total}: {share}" if total else "--")
        told = [estimate_words(score[k]) for k in ("log_score", "entropy_alone")]
        counts = [str(labels[k]) for k in ("opposite", "withheld")]
        rows.append([score["group"], *cells, *counts, *told])
    caption = (
        "The verdict without training data on families that its law was not fitted to: memorizing "
        "networks called so, generalizing networks called so (intervals: Wilson's, over "
        "networks), networks called the opposite and withheld, and the mean of $-\\log P$ of the "
        "true one of three classes, by the verdict's law and by entropy alone. " + _made(found)
    )
    header = ["family", "memorizing", "generalizing", "opposite", "withheld", "log score"]
    header.append("by entropy")
    return tex.table("calibration", caption, "lllrrll", header, rows, "tiny")


def deviations(results: Results) -> str:
    """Rows that deviate, by run and cause."""
    rows = []
    for group in disagreements.groups(disagreements.all_comparisons(results)):
        worst = group.largest
        size = tex.interval(worst.gap, worst.low, worst.high)
        rows.append(
            [
                APART + group.run,
                group.words,
                f"{len(group.rows)} of {group.compared}",
                rf"{size} \emph{{({tex.escape(worst.what)})}}",
                group.why,
            ]
        )
    caption = (
        "Comparisons of simulation with theory that deviate, grouped; the largest difference of "
        r"simulated less predicted in each group, with its 95\,\% interval; and the cause, where "
        r"known. \texttt{build/disagreements.csv} lists every row "
        r"(\texttt{python -m paper.disagreements})."
    )
    widths = ("28mm", "12mm", "42mm", "42mm")
    columns = "@{}l" + "".join(tex.wrapped(width) for width in widths) + "@{}"
    header = ["run", "comparison", "deviate", "largest difference", "cause"]
    return tex.table("disagreements", caption, columns, header, rows, "scriptsize", long=True)


TABLES: dict[str, Table] = {
    "laws": (("scaling",), laws),
    "transitions": (("markov", "iid", "dit"), transitions),
    "capacities": (("capacity",), capacities),
    "calibration": (("calibration",), calibration),
    "disagreements": (
        ("basins", "capacity", "linear", "markov", "iid", "dit", "entropy", "scaling", "novelty"),
        deviations,
    ),
    "estimators": (("markov",), estimators),
    "settings": ((), settings),
    "runs": ((), runs),
}
