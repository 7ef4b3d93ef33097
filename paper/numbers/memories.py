"""Numbers of the text on memories and the linear denoiser, from saved results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper.numbers.networks import largest_gap, radius
from paper.quantity import MISSING, Number, adder, plain, ranged
from paper.sources import Results

MEMORIES = {
    "hopfield": "Hopfield",
    "inverse": "pseudo-inverse",
    "potts": "Potts",
    "pseudo": "pseudo-likelihood",
    "dense": "dense, n = 3",
    "exponential": "exponential",
    "trained": "trained UDDM",
    "draw": "empirical, one draw",
    "map": "empirical, MAP",
}
LOOKED_UP = ("draw", "map")  # their radius is that of the nearest stored sequence
FAMILIES = {  # the name in the report, and that in the analysis
    "hopfield": ("Hopfield", "hopfield"),
    "potts.3": ("Potts, q = 3", "potts3"),
    "potts.4": ("Potts, q = 4", "potts4"),
    "potts.8": ("Potts, q = 8", "potts8"),
    "dense": ("dense, n = 3", "dense3"),
    "cover": ("pseudo-likelihood", ""),
}
#: Predictions for many neurons that the text names: memory, and words of the theory.
PREDICTED = {
    "hopfield": ("Hopfield", "Amari-Maginu"),
    "dense": ("dense, n = 3", "saddle point"),
    "inverse": ("pseudo-inverse", "one step"),
    "exponential": ("exponential", "one step"),
}


def basin_numbers(results: Results) -> list[Number]:
    """Radii of every memory at one K, beside the Shannon radius, for both vocabularies."""
    run = results.open("basins")
    summary, add = run.summary, adder("basins", run.command)
    config, points = summary["configuration"], summary["points"]
    trained = config["trained_sizes"]
    size = trained[min(1, len(trained) - 1)]

    found = [
        add("size", plain(size, 0), "K of the radii in the text"),
        add("sets", plain(config["sets"], 0), "sets of sequences"),
        add("binary.length", plain(config["binary_len"], 0), "L at V = 2"),
        add("tokens.vocab", plain(config["vocab_size"], 0), "V of the other panel"),
        add("tokens.length", plain(config["token_len"], 0), "L of the other panel"),
    ]
    for panel, vocab in (("binary", 2), ("tokens", config["vocab_size"])):
        here = [p for p in points if p["vocab_size"] == vocab and p["train_size"] == size]
        mine = {point["memory"]: point for point in here}
        for key, name in MEMORIES.items():
            if name not in mine:
                continue
            criterion = "nearest" if key in LOOKED_UP else "exact"
            text = radius(mine[name]["radii"][criterion], config["levels"])
            what = f"radius ({criterion}) of {name}, V = {vocab}, K = {size}"
            found.append(add(f"{panel}.{key}", text, what))
        bound = next((point["shannon"] for point in mine.values()), None)
        what = f"Shannon radius, V = {vocab}, K = {size}"
        found.append(add(f"{panel}.shannon", plain(bound, 2), what))
    found += _predictions(add, points, config["levels"])
    exact, bounds = summary["exact_checks"], summary["bound_checks"]
    worst = max((abs(check["z"]) for check in exact), default=None)
    known = [p for p in points if p["memory"].startswith("empirical")]
    outside = sum(point["verdict"] != "agree" for point in known)
    return [
        *found,
        add("known", plain(len(known), 0), "radii of the empirical denoiser, exact ones known"),
        add("known.outside", plain(outside, 0), "of them outside of their 95 % interval"),
        add("exact", plain(len(exact), 0), "rates compared with exact formulas"),
        add("exact.worst", plain(worst, 2), "largest |z| of them"),
        add("bounds", plain(bounds["comparisons"], 0), "comparisons with MAP decoding"),
        add("bounds.worst", plain(bounds["largest_z"], 2), "largest z above it"),
    ]


def _predictions(
    add: Any, points: Sequence[Mapping[str, Any]], levels: Sequence[float]
) -> list[Number]:
    """At V = 2: the largest distance of a radius from each prediction for many neurons."""
    found = []
    for key, (memory, theory) in PREDICTED.items():
        mine = [
            p
            for p in points
            if p["memory"] == memory and p["vocab_size"] == 2 and theory in p["theory"]
            if p["verdict"] != "–" and p["radii"][p["criterion"]]["status"] == "ok"
        ]
        one = max(mine, key=_distance, default=None)
        place = f"{memory} at V = 2, K of the largest distance from: {theory}"
        measured = MISSING if one is None else radius(one["radii"][one["criterion"]], levels)
        predicted = None if one is None else one["predicted"]
        size = None if one is None else one["train_size"]
        found += [
            add(f"{key}.predicted.size", plain(size, 0), f"K, {place}"),
            add(f"{key}.predicted", plain(predicted, 2), f"radius by theory, {place}"),
            add(f"{key}.measured", measured, f"radius, {place}"),
        ]
    return found


def _distance(point: Mapping[str, Any]) -> float:
    return abs(float(point["radii"][point["criterion"]]["value"]) - float(point["predicted"]))


def capacity_numbers(results: Results) -> list[Number]:
    """Critical loads carried on to infinite size, with the span of both finite-size forms."""
    run = results.open("capacity")
    summary, add = run.summary, adder("capacity", run.command)
    strict = run.analysis.strict

    found = []
    for key, (name, family) in FAMILIES.items():
        load = summary["critical_loads"][name]
        digits = 4 if load["theory"] < 1 else 3
        value = load["limits"][load["form"]]["value"]
        low, high = load["interval"]
        text = ranged(value, low, high, digits)
        what = f"critical load of {name}, {load['form']}; interval of all forms"
        found.append(add(key, text, what))
        if family:
            one = strict[family]
            low, high = one.span
            text = ranged(one.limits[one.best].value, low, high, digits)
            what = f"the same of {name}, threshold at the end of the branch"
            found.append(add(f"{key}.strict", text, what))
    exact = summary["exact_checks"]
    worst = max((abs(check["z"]) for check in exact), default=None)
    return [
        *found,
        add("sets", plain(summary["configuration"]["sets"], 0), "sets of patterns"),
        add("exact", plain(len(exact), 0), "exact comparisons"),
        add("exact.worst", plain(worst, 2), "largest |z| of them"),
        *_other_gaps(add, summary["theory_against_simulation"]),
    ]


def _other_gaps(add: Any, rows: Sequence[Mapping[str, Any]]) -> list[Number]:
    """Largest distance from theory of the rows that are no critical loads, by their kind."""
    kinds = {
        "structured.feature": lambda what: what.startswith("structured") and "feature" in what,
        "structured.unseen": lambda what: what.startswith("structured") and "unseen" in what,
        "other": lambda what: not what.startswith("critical load"),
    }
    found = []
    for key, wanted in kinds.items():
        text, where = largest_gap([row for row in rows if wanted(row["what"])])
        found.append(add(key, text, f"largest gap to theory, {where}"))
    return found


def linear_numbers(results: Results) -> list[Number]:
    """The transition of the linear denoiser and how deviations fall with d = L (V - 1)."""
    run = results.open("linear")
    summary, add = run.summary, adder("curves", run.command)
    config = summary["configuration"]

    found = [add("seeds", plain(config["seeds"], 0), "training sets of a point")]
    cases = [case for case in config["cases"] if case[0] == 4]
    for end, case in (("short", cases[0]), ("long", cases[-1])):
        label = f"V = {case[0]}, L = {case[1]}, α = {case[2]:g}"
        plain_label = label.replace("α", "alpha")
        size = summary["finite_size"][label]
        deviation, error = size["deviation"]["error"], size["error"]["error"]
        what = f"root mean square of simulated less predicted error, {plain_label}"
        product = plain(size["dimension"] * deviation, 2)
        found += [
            add(f"{end}.length", plain(case[1], 0), f"L, {plain_label}"),
            add(f"{end}.deviation", plain(deviation, 4), what),
            add(f"{end}.error", plain(error, 4), f"that of standard errors, {plain_label}"),
            add(f"{end}.product", product, f"d times the deviation, {plain_label}"),
        ]
        for crossing in summary["crossings"][label]:
            found += _crossing(add, end, crossing, plain_label)
    return found + _agreement(add, summary)


def _crossing(add: Any, end: str, crossing: Mapping[str, Any], label: str) -> list[Number]:
    """The first of the three criteria: half of the corrupted training tokens restored."""
    if not crossing["what"].startswith("corrupted train recovery"):
        return []
    text = ranged(crossing["simulated"], crossing["low"], crossing["high"])
    what = f"{crossing['what']}, {label}"
    return [
        add(f"{end}.crossing", text, f"K / d where {what}"),
        add(f"{end}.grid", plain(crossing["on_grid"]), f"theory on the same grid, {what}"),
    ]


def _agreement(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    """Points with the theory of infinite size in their interval, and exact checks."""
    rows = summary["theory_against_simulation"]
    parts = {"": "", "draws.": "one draw", "time.": "training time"}
    of = {key: [r for r in rows if r["what"].startswith(part)] for key, part in parts.items()}
    found = []
    for key, mine in of.items():
        agreed, what = sum(row["verdict"] == "agree" for row in mine), parts[key] or "all kinds"
        found += [
            add(f"{key}rows", plain(len(mine), 0), f"points compared with theory, {what}"),
            add(f"{key}agree", plain(agreed, 0), f"points that agree with theory, {what}"),
        ]
    text, where = largest_gap(of["time."], digits=4)
    exact = summary["exact_checks"]
    largest = max((abs(check["z"]) for check in exact), default=None)
    return [
        *found,
        add("time.largest", text, f"largest gap to theory, {where}"),
        add("exact", plain(len(exact), 0), "comparisons exact at every size"),
        add("exact.worst", plain(largest, 2), "largest |z| of them"),
    ]
