"""Numbers of the text on trained networks: both ends, transition sizes and basins by K."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paper import tex
from paper.quantity import MISSING, Number, adder, estimate, plain, ranged
from paper.sources import Results

LEVEL = 0.25  # noise level of the headline numbers
LOW_LEVEL = 0.1  # where trained networks restore more corrupted tokens than the exact denoiser
PHASES = ("markov", "iid", "dit")
Z_95 = 1.959964  # standard errors to an end of a 95 % interval


def phase_numbers(results: Results) -> list[Number]:
    """Both ends, transition sizes and basin radii of every phase diagram that was made."""
    return [number for name in results.there(PHASES) for number in _phase(results, name)]


def radius(found: Mapping[str, Any] | None, levels: Sequence[float], digits: int = 2) -> str:
    """A basin radius with its interval; what lies beyond the levels is printed as a bound.

    >>> radius({"status": "ok", "value": 0.5, "low": "-inf", "high": 0.61}, [0.1, 0.9])
    '0.50 [\\\\ensuremath{<}0.1, 0.61]'
    """
    if found is None or found["status"] == "undefined":
        return MISSING
    words = [_within(float(found[end]), levels, digits) for end in ("value", "low", "high")]
    if math.isinf(float(found["value"])):
        return words[0]
    return f"{words[0]} [{words[1]}, {words[2]}]"


def _within(value: float, levels: Sequence[float], digits: int) -> str:
    if math.isinf(value):
        sign, end = (">", max(levels)) if value > 0 else ("<", min(levels))
        return rf"\ensuremath{{{sign}}}{end:g}"
    return tex.number(value, digits)


def gap(row: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Simulated less predicted of a row of theory against simulation, with its interval.

    >>> gap({"simulated": 0.5, "predicted": 0.25, "low": 0.2, "high": 0.3}, 2), gap(None)
    ('0.25 [0.20, 0.30]', 'n/a')
    """
    if row is None:
        return MISSING
    return ranged(row["simulated"] - row["predicted"], row["low"], row["high"], digits)


def largest_gap(rows: Sequence[Mapping[str, Any]], digits: int = 3) -> tuple[str, str]:
    """The largest distance of simulated from predicted among rows, and where it is."""
    worst = max(rows, key=lambda row: abs(row["simulated"] - row["predicted"]), default=None)
    return gap(worst, digits), "nowhere in this run" if worst is None else worst["what"]


def _phase(results: Results, name: str) -> list[Number]:
    run = results.open(name)
    summary, add = run.summary, adder(name, run.command)
    config = summary["configuration"]
    settings = {
        "level.low": (min(config["levels"]), 2, "smallest noise level"),
        "level.high": (max(config["levels"]), 2, "largest noise level"),
        "first": (config["train_sizes"][0], 0, "smallest K"),
        "last": (config["train_sizes"][-1], 0, "largest K"),
        "seeds": (config["seeds"], 0, "seeds"),
        "queries": (config["queries"], 0, "corrupted sequences per split and level"),
        "vocab": (config["vocab_size"], 0, "V"),
        "length": (config["seq_len"], 0, "L"),
        "training": (config["training"]["steps"], 0, "optimizer steps of a network"),
        "log.vocab": (math.log(config["vocab_size"]), 3, "log V, nats"),
    }
    found = [add(key, plain(value, n), what) for key, (value, n, what) in settings.items()]
    found += _ends(add, summary) + _orders(add, summary) + _sizes(add, summary)
    found += _cells_of_entropy(add, run)
    found += _radii(add, summary)
    return found + _gaps(add, summary) + _entropies(add, summary) + _checks(add, summary)


def _ends(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    """Corrupted recovery at both ends of K."""
    ends = {
        "first.trained": ("smallest K", "trained train"),
        "first.empirical": ("smallest K", "empirical train"),
        "first.heldout": ("smallest K", "trained heldout"),
        "last.trained": ("largest K", "trained heldout"),
        "last.train": ("largest K", "trained train"),
        "last.population": ("largest K", "population heldout"),
    }
    level, found = f"t={LEVEL:g}", []
    for key, (end, which) in ends.items():
        rates = summary["acceptance"][end]["recovery (estimate, low, high)"].get(level, {})
        rate = rates.get(f"corrupted recovery, {which}")
        text = MISSING if rate is None else ranged(*rate)
        found.append(add(key, text, f"corrupted recovery, ancestral, {level}, {end}, {which}"))
    return found


def _orders(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    """Where memory is lost and the law is found, of the network and of its companions."""
    orders, found = summary["order_parameters"], []
    zero = "t=1e-05"
    for key, title in (
        ("", "network"),
        ("nelbo.", "network, NELBO"),
        ("pairwise.", "pseudo-likelihood memory"),
    ):
        by_recovery = orders.get(f"{title}: recovery, t={LEVEL:g}", {})
        by_entropy = orders.get(f"{title}: entropy, {zero}", {})
        by_token = orders.get(f"{title}: single-token recovery, {zero}", {})
        ratio = summary["entropy_against_recovery"].get(title)
        tail = summary["tails"].get(f"{title}: t={LEVEL:g}")
        for name, record, digits, what in (
            ("memory", by_recovery.get("K_M"), 0, f"K_M by recovery, t={LEVEL:g}"),
            ("generalization", by_recovery.get("K_G"), 0, f"K_G by recovery, t={LEVEL:g}"),
            ("window", by_recovery.get("window K_M / K_G"), 2, f"K_M / K_G, t={LEVEL:g}"),
            ("memory.entropy", by_entropy.get("K_M"), 0, f"K_H: K_M by loo entropy, {zero}"),
            ("memory.token", by_token.get("K_M"), 0, f"K_M by single-token recovery, {zero}"),
            ("memory.ratio", ratio, 2, "K_M by single tokens over K_H"),
        ):
            found.append(add(f"{key}{name}", estimate(record, digits), f"{title}: {what}"))
        dimension = MISSING if tail is None else _tail_words(tail, "effective_dimension", "", 0)
        slope = MISSING if tail is None else _tail_words(tail, "slope", "slope_", 2)
        found.append(add(f"{key}tail", dimension, f"{title}: d_eff, t={LEVEL:g}"))
        found.append(add(f"{key}tail.slope", slope, f"{title}: slope of the tail, t={LEVEL:g}"))
    return found


def _cells_of_entropy(add: Any, run: Any) -> list[Number]:
    """Entropies that the README quotes: at K = 2,048, and of the NELBO's network at the last K."""
    analysis, found = run.analysis.analysis, []
    sizes = analysis.train_sizes
    middle = sizes.index(2048) if 2048 in sizes else len(sizes) // 2
    for key, denoiser, split, k in (
        ("middle.entropy", "trained", "train", middle),
        ("nelbo.last.entropy", "nelbo", "heldout", -1),
    ):
        text = MISSING
        if denoiser in analysis.denoisers:
            rate = analysis.law("entropy", denoiser, "loo", split)
            digits = 3 if denoiser == "trained" else 2
            text = ranged(rate.estimate[k, 0], rate.low[k, 0], rate.high[k, 0], digits)
        what = f"loo entropy at t=1e-5, nats a token: {denoiser}, {split}, K={sizes[k]}"
        found.append(add(key, text, what))
    return found


def _tail_words(tail: Mapping[str, Any], name: str, ends: str, digits: int) -> str:
    return ranged(tail[name], tail[f"{ends}low"], tail[f"{ends}high"], digits)


def _sizes(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    """Transition sizes, and the K up to which the optimal memorizer would keep its sequences."""
    levels = summary["configuration"]["levels"]
    level, low, high = (f"t={t:g}" for t in (LEVEL, min(levels), max(levels)))
    sizes = {
        "half.low": f"K_half corrupted recovery ancestral {low}",
        "half.high": f"K_half corrupted recovery ancestral {high}",
        "half": f"K_half corrupted recovery ancestral {level}",
        "converged": f"K_conv corrupted recovery ancestral {level}",
        "entropy.train": "K_H entropy loo train t=1e-05",
        "entropy.generated": "K_H entropy loo generated t=1e-05",
        "vanishing.train": "K_H vanishing loo train t=1e-05",
    }
    found = [
        add(key, estimate(summary["transition_sizes"].get(name), 0), name)
        for key, name in sizes.items()
    ]
    nats, error = summary["mutual_information"].get(level, (math.nan, math.nan))
    ends = nats - Z_95 * error, nats + Z_95 * error
    tens = [n / math.log(10) for n in (nats, *ends)]
    if math.isnan(nats):
        shown, power = MISSING, MISSING
    elif error == 0:  # independent tokens: in closed form
        shown, power = plain(nats, 1), rf"\ensuremath{{10^{{{tens[0]:.2f}}}}}"
    else:
        shown = ranged(nats, *ends, 1)
        power = rf"\ensuremath{{10^{{{tens[0]:.2f}}}\;[10^{{{tens[1]:.2f}}},10^{{{tens[2]:.2f}}}]}}"
    found.append(add("information", shown, f"I(x_0; x_t) at {level}, nats"))
    return [*found, add("memorizer", power, f"exp I(x_0; x_t) at {level}")]


def _radii(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    """Radii at both ends of K, and the largest one of held-out sequences with its K."""
    config, radii = summary["configuration"], summary["basin_radii"]
    sizes, levels = config["train_sizes"], config["levels"]
    found = []
    for denoiser, split, criterion in (
        ("trained", "train", "exact"),
        ("trained", "heldout", "exact"),
        ("population", "heldout", "exact"),
        ("trained", "heldout", "token_recovery"),
        ("population", "heldout", "token_recovery"),
    ):
        for end, size in (("first", sizes[0]), ("last", sizes[-1])):
            name = f"{denoiser} {split} {criterion} K={size}"
            key = f"radius.{denoiser}.{split}.{criterion.partition('_')[0]}.{end}"
            found.append(add(key, radius(radii.get(name), levels), f"basin radius, {name}"))
    held = {size: radii[f"trained heldout exact K={size}"] for size in sizes}
    inside = {k: r for k, r in held.items() if math.isfinite(float(r["value"]))}
    peak = max(inside, key=lambda size: float(inside[size]["value"]), default=None)
    what = "largest basin radius of held-out sequences (exact) over K"
    shown = MISSING if peak is None else radius(inside[peak], levels)
    found.append(add("radius.peak", shown, what))
    return [*found, add("radius.peak.size", plain(peak, 0), f"K of the {what}")]


def _gaps(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    """How far trained networks are from the exact denoisers, at the largest K and at worst."""
    rows = summary["theory_against_simulation"]
    last = summary["configuration"]["train_sizes"][-1]
    found = []
    for name, words in (("corrupted", "corrupted recovery"), ("all", "all-token recovery")):
        what = f"K={last}: heldout, against population, {words}, argmax, t={LOW_LEVEL:g}"
        row = next((r for r in rows if r["what"] == what), None)
        found.append(add(f"gap.{name}", gap(row), f"simulated less predicted, {what}"))
    shares = [row for row in rows if "recovery" in row["what"]]
    text, where = largest_gap(shares)
    what = f"largest difference of a recovered share from an exact denoiser's ({where})"
    return [*found, add("gap.largest", text, what)]


def _entropies(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    source = plain(summary["acceptance"].get("source loo entropy, nats a token"))
    what = "loo entropy of the source as t goes to 0, nats a token, exact"
    found = [add("source.loo", source, what)]
    for row in summary["theory_against_simulation"]:
        for split in ("train", "generated"):
            if f"loo entropy at t=1e-5 on {split}, against source" in row["what"]:
                shift = row["predicted"]
                text = ranged(row["simulated"], row["low"] + shift, row["high"] + shift)
                found.append(add(f"last.loo.{split}", text, row["what"]))
    return found


def _checks(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    exact, bounds = summary["exact_checks"], summary["bound_checks"]
    worst = max((abs(check["z"]) for check in exact), default=None)
    return [
        add("exact", plain(len(exact), 0), "comparisons with exact predictions"),
        add("exact.worst", plain(worst, 2), "largest |z| of them"),
        add("bounds", plain(bounds["comparisons"], 0), "comparisons with an exact bound"),
        add("bounds.worst", plain(bounds["largest_z"], 2), "largest z above the bound"),
    ]
