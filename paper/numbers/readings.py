"""Numbers of the text on what trained networks tell: entropy, novelty, the probe; deviations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paper import tex
from paper.captions import share_words
from paper.numbers.networks import Z_95
from paper.quantity import MISSING, Number, adder, estimate, own, plain, ranged
from paper.sources import RUNS, Results
from simulations.measure.checks import MAX_Z
from simulations.probe.calibration.judgement import EVERYTHING
from simulations.probe.judge.verdict import ORDER_BOUNDS

BASES = {"both": "held-out and own", "own": "own"}
GROUPS = {"all": EVERYTHING, "wrong": "wrong text", "text": "text"}


def entropy_numbers(results: Results) -> list[Number]:
    """Which noise level separates a memorizer from a generalizer, predicted and measured."""
    run = results.open("entropy")
    summary, add = run.summary, adder("entropy", run.command)
    config = summary["configuration"]
    sizes = config["train_sizes"]

    found = [
        add("first", plain(sizes[0], 0), "K of the memorizer"),
        add("middle", plain(sizes[1], 0), "K in between"),
        add("last", plain(sizes[-1], 0), "K of the generalizer"),
        add("seeds", plain(config["seeds"], 0), "seeds"),
        add("sequences", plain(config["sequences"], 0), "sequences of a kind and seed"),
    ]
    for name, size in (("first", sizes[0]), ("middle", sizes[1])):
        level, error = summary["collapse_level_and_standard_error"][str(size)]
        text = ranged(level, level - Z_95 * error, level + Z_95 * error)
        found.append(add(f"{name}.collapse", text, f"noise level where log K = I, K = {size}"))
        for law in ("loo", "full"):
            for kind in ("predicted", "measured"):
                found += _separation(add, summary, name, size, law, kind)
    for name, size in (("first", sizes[0]), ("middle", sizes[1])):
        held = summary["separations"].get(f"measured, heldout, K={size}, loo", {})
        text = estimate(held.get("d_prime_at_1e-5"), 2)
        what = f"d' at t = 1e-5 on the same held-out sequences, loo, K = {size}"
        found.append(add(f"heldout.{name}", text, what))
    return found


def _separation(
    add: Any, summary: Mapping[str, Any], name: str, size: int, law: str, kind: str
) -> list[Number]:
    separation = summary["separations"].get(f"{kind}, generated, K={size}, {law}", {})
    place, what = f"{name}.{law}.{kind}", f"{kind}, generated, K = {size}, {law}"
    return [
        add(f"{place}.level", estimate(separation.get("t_star"), 2), f"best level, {what}"),
        add(f"{place}.best", estimate(separation.get("d_prime_at_t_star"), 2), f"d' there, {what}"),
        add(
            f"{place}.small",
            estimate(separation.get("d_prime_at_1e-5"), 2),
            f"d' at t = 1e-5, {what}",
        ),
    ]


def channel_numbers(results: Results) -> list[Number]:
    """Sizes of the transition under each kind of noise at equal information, and their ratios."""
    run = results.open("channels")
    summary, add = run.summary, adder("channels", run.command)
    level = summary["headline_level"]
    predictions = summary["predictions"]
    told = summary["information"]["uniform"][level]
    held = sum(one["verdict"] == "supported" for one in predictions)
    found = [
        add("seeds", plain(summary["seeds"], 0), "seeds"),
        add("information", plain(told, 2), "I(x_0; x_t) of the headline level, nats a token"),
        add("law", plain(summary["law_entropy"], 3), "entropy of the source, nats a token"),
        add("supported", plain(held, 0), "predictions on the order of the channels supported"),
        add("predictions", plain(len(predictions), 0), "predictions on the order of the channels"),
    ]
    for channel, sizes in summary["sizes"].items():
        at = plain(summary["levels"][channel][level], 3)
        found.append(add(f"{channel}.level", at, f"the level t, {channel}"))
        for name, key in (
            ("KG", f"K_G level {level}"),
            ("KM", f"K_M level {level}"),
            ("KH", "K_H"),
        ):
            text = estimate(sizes.get(key), 0)
            found.append(add(f"{channel}.{name}", text, f"{key.split()[0]}, {channel} noise"))
    for name, key in (
        ("KG", f"K_G level {level}"),
        ("KM", f"K_M level {level}"),
        ("KH", "K_H level -1"),
    ):
        text = estimate(summary["ratios"].get(key), 2)
        found.append(add(f"ratio.{name}", text, f"{key.split()[0]}, absorbing over uniform"))
    return found


def novelty_numbers(results: Results) -> list[Number]:
    """Classes of generated sequences: where they pass one half, and what was found."""
    run = results.open("novelty")
    summary, add = run.summary, adder("novelty", run.command)
    config = summary["configuration"]
    distance = summary["headline_distance"]

    found = [
        add("distance", plain(distance, 0), "Hamming distance of the headline"),
        add("sequences", plain(config["sequences"], 0), "sequences generated by each network"),
        add("seeds", plain(config["seeds"], 0), "seeds"),
        add(
            "entropy", plain(summary["source"]["entropy"], 3), "entropy of the source, nats a token"
        ),
    ]
    for name in ("memorized", "novel"):
        size = summary["passages"].get(f"{name}, d = {distance}")
        found.append(add(f"{name}.half", estimate(size, 0), f"K where {name} passes one half"))
    for key, words in FINDINGS.items():
        finding = next((f for f in summary["findings"] if words in f["claim"]), None)
        found += _finding(add, key, finding)
    return found


FINDINGS = {
    "beyond": "spurious sequences beyond chance, most at",
    "largest": "largest of the three classes",
    "attractors": "effective number of unstored states",
    "splices": "join the head and tail",
    "worse": "less probable than the source's own",
    "worse.denoiser": "less probable than those of its exact denoiser",
    "early": "where they become the majority, are worse",
}


def _finding(add: Any, key: str, finding: Mapping[str, Any] | None) -> list[Number]:
    if finding is None:
        words = [MISSING] * 3
        claim = "not among the findings"
    else:
        claim = finding["claim"]
        size = re.search(r"K = (\d[\d,]*\d)", claim)
        value = ranged(finding["value"], finding["low"], finding["high"])
        words = [value, tex.escape(finding["verdict"]), size.group(1) if size else MISSING]
    return [
        add(key, words[0], claim),
        add(f"{key}.verdict", words[1], f"verdict on: {claim}"),
        add(f"{key}.size", words[2], f"K of: {claim}"),
    ]


def calibration_numbers(results: Results) -> list[Number]:
    """How often the probe's verdict without training data is right, families left out."""
    run = results.open("calibration")
    summary, add = run.summary, adder("probe", run.command)
    low, high = ORDER_BOUNDS
    found = [
        add("families", plain(len(summary.get("families", ())), 0), "families of networks"),
        add("bound.low", plain(low, 2), "share memorized up to which a model generalizes"),
        add("bound.high", plain(high, 2), "share memorized from which a model memorizes"),
    ]
    for basis, law in BASES.items():
        scores = {score["group"]: score for score in summary.get("scores", {}).get(law, ())}
        for group, name in GROUPS.items():
            key, what = f"{basis}.{group}", f"{law}, {name}"
            found += _score_numbers(add, key, what, scores.get(name))
        by_share = summary.get("found_by_share", {}).get(law, ())
        for word, k in (("least", 0), ("most", -1)):
            pair = (by_share[k]["found"], by_share[k]["n"]) if by_share else (0, 0)
            what = f"called memorizing, of those that memorize {word}, {law}"
            found.append(add(f"{basis}.{word}", _share(*pair), what))
    return found


def _score_numbers(add: Any, key: str, what: str, score: Any) -> list[Number]:
    """Numbers of one group of networks; a dash each where there are none."""
    there = score is not None
    labels = score["labels"] if there else {}
    truths = labels.get("truths", (0, 0, 0))
    shares = {
        "memorizing": (labels.get("found", 0), truths[2]),
        "generalizing": (labels.get("cleared", 0), truths[0]),
        "withheld": (labels.get("withheld", 0), labels.get("n", 0)),
    }
    found = [add(f"{key}.{k}", _share(*pair), f"{k}, {what}") for k, pair in shares.items()]
    for k in ("n", "opposite", "silent"):
        found.append(add(f"{key}.{k}", plain(labels[k], 0) if there else MISSING, f"{k}, {what}"))
    for k in ("log_score", "entropy_alone", "ranked", "ece"):
        value = ranged(*score[k][:3]) if there else MISSING
        found.append(add(f"{key}.{k.replace('_', '.')}", value, f"{k}, {what}"))
    return found


def _share(hits: int, total: int) -> str:
    return f"{hits} of {total} ({share_words(hits, total)})" if total else MISSING


COMPARED = ("markov", "iid", "dit", "capacity", "linear", "entropy", "basins", "scaling")
CHECKED = ("markov", "iid", "dit", "capacity", "linear", "entropy", "basins", "novelty")
ROWS = {"basins": "points", "scaling": "linear"}  # where rows are not under the usual name
NO_VERDICT = ("no interval", "–")


def deviation_numbers(results: Results) -> list[Number]:
    """Of every run: how many comparisons with theory there are, and how many deviate."""
    found = []
    for run in results.there(COMPARED):
        summary, command = results.open(run).summary, results.open(run).command
        rows = summary[ROWS.get(run, "theory_against_simulation")]
        given = [row["verdict"] for row in rows if row["verdict"] not in NO_VERDICT]
        deviate = sum(verdict != "agree" for verdict in given)
        found += [
            Number(f"deviate.{run}", plain(deviate, 0), f"{run}: rows that deviate", command),
            Number(f"compared.{run}", plain(len(given), 0), f"{run}: rows in all", command),
        ]
    return [*found, *_exact_numbers(results)]


def _exact_numbers(results: Results) -> list[Number]:
    """All comparisons with predictions that are exact at every size, over all runs."""
    runs = results.there(CHECKED)
    checks = [check for run in runs for check in results.open(run).summary["exact_checks"]]
    scores = [abs(float(check["z"])) for check in checks]
    failed = sum(score > MAX_Z for score in scores)
    return [
        own("exact.count", plain(len(scores), 0), f"exact comparisons of {', '.join(runs)}"),
        own("exact.worst", plain(max(scores, default=None), 2), "largest |z| of them"),
        own("exact.failed", plain(failed, 0), f"of them beyond {MAX_Z:g} standard errors"),
    ]


def method_numbers(results: Results) -> list[Number]:
    """Commands, versions and settings that all runs share."""
    found = [
        Number(
            f"command.{name}",
            tex.typewriter(command),
            f"command of the run {name}",
            command,
        )
        for name, run in RUNS.items()
        if (command := run.command(Path("results"), results.preset_of(name)))
    ]
    markov = results.open("markov")
    summary, add = markov.summary, adder("method", markov.command)
    config, made = summary["configuration"], summary["provenance"]
    texts = {
        "root": (plain(config["root_seed"], 0).replace(",", ""), "root of all random numbers"),
        "replicates": (plain(config["replicates"], 0), "bootstrap replicates"),
        "steps": (plain(config["n_steps"], 0), "reverse steps of the ancestral decoder"),
        "sets": (plain(config["pattern_sets"], 0), "sets of sequences in the exact checks"),
        "host": (tex.escape(made["host_class"]), "machine that made the phase diagram"),
        "python": (made["python_version"], "Python of that run"),
        "jax": (made["jax_version"], "JAX of that run"),
    }
    found += [add(k, text, w) for k, (text, w) in texts.items()]
    limit = "from simulations.measure.checks import MAX_Z; print(MAX_Z)"
    what = "standard errors beyond which an exact check fails"
    return [*found, Number("method.z", plain(MAX_Z, 0), what, f"python -c '{limit}'")]
