"""What the study of rows tells: the verdict on the conjecture first."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from simulations.measure.tables import check_table, markdown, number, section, with_spread
from simulations.results.report import Report
from simulations.rows.analysis import LOSSES, RowsAnalysis
from simulations.rows.config import case_name
from simulations.rows.drops import carried_networks
from simulations.rows.means import Mean
from simulations.rows.networks import LEVEL

LAWS = {
    "entropy": "entropy",
    "product": "entropy, share times line",
    "held": "share of rows right",
}


def told(mean: Mean, digits: int = 3) -> str:
    return with_spread(mean.value, mean.low, mean.high, digits)


def verdict(analysis: RowsAnalysis) -> str:
    """The first line: whether the entropy drops where rows stop being separable."""
    drops = "; ".join(f"V = {v}: {told(ratio)}" for v, ratio in analysis.carried.items())
    limits = "; ".join(
        f"V = {f.vocab_size}: {told(f.pooled, 2)} against {f.theory:.3f}" for f in analysis.limits
    )
    ends = "; ".join(
        f"V = {vocab}: {number(found[-1])}" for vocab, found in analysis.predicted.items()
    )
    config = analysis.config
    return (
        "**That the entropy transition of a conditional-likelihood memory is where its rows stop "
        f"being separable is {analysis.verdict}.** Load at which the entropy of training sequences "
        f"drops at ridge {config.judged:g}, over that of theory, carried to infinite L: "
        f"{drops}. In theory the drop goes to the critical load as the ridge vanishes (at ridge "
        f"{config.ridges[-1]:g}, over the critical load, straight between these loads: {ends}). "
        f"Largest separable K over (L - 1) (V - 1), against the critical load of theory: {limits}."
    )


def network_verdict(analysis: RowsAnalysis) -> str:
    """Whether networks of a pairwise field drop where theory says."""
    words = []
    for alone, which in ((True, "trained at one level"), (False, "trained at all levels")):
        found = carried_networks(analysis.networks, alone)
        levels = "; ".join(f"t = {level:g}: {told(mean)}" for level, mean in found.items())
        words.append(f"{which}: {analysis.network_verdict(alone)} ({levels})")
    return (
        "**That the entropy of networks of a pairwise field alone drops under noise where the "
        "theory of one level says:** " + "; ".join(words) + ". Load of the drop over that of "
        "theory, carried to infinite L."
    )


def _length_lines(analysis: RowsAnalysis) -> list[str]:
    table = [
        [
            f"V={vocab_size}, {LAWS[law]}",
            told(found.centre),
            told(found.exponent),
            number(found.best),
            number(found.predicted),
            number(found.alone),
        ]
        for (vocab_size, law), found in analysis.collapses.items()
    ]
    text = (
        f"At ridge {min(analysis.config.ridges):g} all lengths on one curve of (load - x_c) "
        "(L - 1)^e, load in units of the critical one: a polynomial for the entropy, a Gaussian "
        "law for the share of rows that put every training token right; and, chosen afterwards, "
        "for the entropy the share that does not, times a line in load. Residuals in standard "
        "errors, rms: of the best, of x_c = 1 and e = 1/2, and of e = 0, load alone. Theory: "
        "e = 1/2, and x_c = 1 for the share."
    )
    header = ["", "x_c", "e", "residual", "predicted", "load alone"]
    return [*section("Collapse", text), *markdown(header, table)]


def _network_lines(analysis: RowsAnalysis) -> list[str]:
    table = [
        [
            f"L={drop.seq_len}",
            "this level" if drop.alone else "all levels",
            f"{drop.level:g}",
            told(drop.measured),
            number(drop.predicted),
            told(drop.ratio),
        ]
        for drop in analysis.networks
    ]
    for alone, words in ((True, "this level"), (False, "all levels")):
        for level, mean in carried_networks(analysis.networks, alone).items():
            table.append(["infinite L", words, f"{level:g}", "", "", told(mean)])
    text = (
        f"V = 2, AdamW, {analysis.config.steps} steps: loads in units of the critical one at which "
        f"the entropy of training sequences under noise is {LEVEL:g} log 2. Theory is that of "
        "couplings fitted at the level alone."
    )
    header = ["", "trained at", "t", "drop", "drop, theory", "ratio"]
    return [*section("Networks of a pairwise field", text), *markdown(header, table)]


def _more_lines(analysis: RowsAnalysis) -> list[str]:
    gains = [[f"V={vocab_size}", told(mean), "1"] for vocab_size, mean in analysis.gains]
    chains = [
        [f"flip {chain.flip:g}, L={length}", told(mean), number(chain.theory, 4), "2"]
        for chain in analysis.chains
        for length, mean in chain.lengths
    ]
    return [
        *section(
            "Biases",
            "What biases add to the largest separable K, over the critical load, on the same "
            "sequences. One input more adds 1: at V = 2 by Cover's theorem, at others at large L.",
        ),
        *markdown(["", "simulated", "one input"], gains),
        *section(
            "Chains",
            "Largest K over L - 1 at which the middle site's row puts all targets right, of chains "
            "of two tokens that differ from the one before with a chance `flip`.",
        ),
        *markdown(["", "simulated", "theory, infinite L", "independent tokens"], chains),
    ]


def _separable_lines(analysis: RowsAnalysis) -> list[str]:
    table = [
        [case_name(case), told(mean), number(found.theory, 4)]
        for found in analysis.limits
        for case, mean in found.cases
    ]
    table += [
        [f"V={found.vocab_size}, {words}", told(mean), number(found.theory, 4)]
        for found in analysis.limits
        for words, mean in (("all L", found.pooled), ("on a line in 1 / (L - 1)", found.limit))
    ]
    text = (
        "Largest K at which some row puts all targets right (linear programs), over "
        "(L - 1) (V - 1); mean over independent rows. At V = 2 the mean is 2 at every L."
    )
    header = ["case", "simulated", "theory, infinite L"]
    return [*section("Separable rows", text), *markdown(header, table)]


def _drop_lines(analysis: RowsAnalysis) -> list[str]:
    table = [
        [
            case_name(drop.case),
            f"{drop.ridge:g}",
            told(drop.measured),
            number(drop.predicted),
            told(drop.ratio),
            f"{drop.peak:g}",
        ]
        for drop in analysis.drops
    ]
    text = (
        f"Loads in units of the critical one at which the entropy of training sequences is "
        f"{LEVEL:g} log V, no noise; a dash: not on the grid. Last column: where, on the grid, the "
        "held-out loss is largest."
    )
    header = ["case", "ridge", "drop", "drop, theory", "ratio", "held-out peak"]
    return [*section("Where entropy drops", text), *markdown(header, table)]


def _training_lines(analysis: RowsAnalysis) -> list[str]:
    largest = max(analysis.config.sizes)
    table = [
        [
            f"{p.alpha:g}",
            f"{p.load:g}",
            *(
                text
                for name in LOSSES
                for text in (told(p.simulated[name]), number(p.predicted[name]))
            ),
        ]
        for p in analysis.points
        if p.size == largest
    ]
    header = ["alpha", "load", "train", "theory", "held-out", "theory"]
    lines = section(
        "Rows under fresh noise",
        f"V = 2, {largest} inputs: losses in nats a token, on noise drawn anew; mean over "
        f"{analysis.config.rows} independent rows.",
    )
    trend = [
        [
            f"{alpha:g}",
            str(size),
            *(
                f"{value:+.4f} ± {half:.4f}"
                for value, half in (deviation(analysis, alpha, size, name) for name in LOSSES)
            ),
        ]
        for alpha in analysis.config.alphas
        for size in analysis.config.sizes
    ]
    text = "Simulation less theory in nats a token, mean over loads, with its 95 % interval:"
    header_trend = ["alpha", "inputs", "train", "held-out"]
    return [*lines, *markdown(header, table), text, "", *markdown(header_trend, trend)]


def deviation(analysis: RowsAnalysis, alpha: float, size: int, name: str) -> tuple[float, float]:
    """Mean over loads of simulation less theory, and half of its interval."""
    mine = [p for p in analysis.points if (p.alpha, p.size) == (alpha, size)]
    gaps = [p.simulated[name].value - p.predicted[name] for p in mine]
    halves = [p.simulated[name].error for p in mine]
    return float(np.mean(gaps)), float(np.sqrt(np.square(halves).sum()) / len(halves))


def report(analysis: RowsAnalysis) -> Report:
    """What the study tells."""
    first, second = verdict(analysis), network_verdict(analysis)
    lines = [
        first,
        "",
        second,
        "",
        *_drop_lines(analysis),
        *_length_lines(analysis),
        *_network_lines(analysis),
        *_separable_lines(analysis),
        *_more_lines(analysis),
        *_training_lines(analysis),
        *section("Exact at every size", "`--check` ends with status 1 beyond 5 standard errors."),
        *check_table(analysis.checks),
    ]
    summary = {
        "verdict": analysis.verdict,
        "drops": [asdict(drop) for drop in analysis.drops],
        "separable": [asdict(limit) for limit in analysis.limits],
        "biases": {str(vocab): asdict(mean) for vocab, mean in analysis.gains},
        "chains": [asdict(chain) for chain in analysis.chains],
        "collapses": {
            f"V={vocab_size}, {name}": asdict(found)
            for (vocab_size, name), found in analysis.collapses.items()
        },
        "networks": [asdict(drop) for drop in analysis.networks],
        "network_verdicts": {
            name: analysis.network_verdict(alone)
            for name, alone in (("one level", True), ("all levels", False))
        },
        "training": [asdict(point) for point in analysis.points],
    }
    return Report(
        "Rows of conditional likelihood", lines, summary, [first, second], analysis.checks
    )
