"""Numbers of the text on the laws of the transition size, with their verdicts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper import tex
from paper.quantity import MISSING, Number, adder, plain, ranged
from paper.sources import Results

LAWS_FILE = Path(__file__).parents[2] / "simulations" / "scaling" / "medium.csv"
LAWS_COMMAND = "python -m simulations.scaling --preset medium"

Law = Mapping[str, Any]
Words = tuple[str, str, str]  # of a law: its group, in its statement, in its quantity

#: Laws that only the preset `medium` has; its verdicts are part of the repository.
LARGE: dict[str, Words] = {
    "hierarchy.all": ("hierarchy", "m^depth alone", "K_learned"),
    "hierarchy.all.half": ("hierarchy", "m^depth alone", "K_half"),
    "hierarchy.depth": ("hierarchy", "varying depth at m = 2", "K_learned"),
    "hierarchy.rules": ("hierarchy", "varying m at depth = 3", "K_learned"),
    "draws.peak": ("noise draws", "sits at the capacity", "K_peak"),
    "draws.height": ("noise draws", "shrinks", "height"),
    "draws.fresh": ("noise draws", "fresh noise", "height"),
}


def scaling_numbers(results: Results) -> list[Number]:
    """Counts of verdicts, bits a parameter, and the slope and verdict of every law in the text."""
    run = results.open("scaling")
    laws, add = run.summary["laws"], adder("scaling", run.command)
    found = _settings(add, run.summary)
    for key, words in _laws().items():
        found += _law(key, pick(laws, words), run.command)
    large = laws if run.preset == "medium" else read_laws(LAWS_FILE)
    for key, words in LARGE.items():
        found += _law(key, pick(large, words), LAWS_COMMAND)
    return [*found, _linear_limit(add, run.summary)]


def _settings(add: Any, summary: Mapping[str, Any]) -> list[Number]:
    config, laws = summary["configuration"], summary["laws"]
    bits = summary["bits_per_parameter"]
    counts = sorted({one["parameters"] for one in bits["iid"]})
    found = [
        add("laws", plain(len(laws), 0), "statements that were given a verdict"),
        add("seeds", plain(config["seeds"], 0), "seeds of a condition"),
        add("fewest", plain(min(config["step_counts"]), 0), "smallest number of training steps T"),
        add("most", plain(max(config["step_counts"]), 0), "largest T"),
        add("networks", plain(len(counts), 0), "numbers of parameters N"),
        add("smallest", plain(counts[0], 0), "smallest N"),
        add("largest", plain(counts[-1], 0), "largest N"),
    ]
    for key, word in (
        ("supported", "supported"),
        ("unsupported", "not supported"),
        ("undecided", "not decidable"),
    ):
        number = sum(law["verdict"].startswith(word) for law in laws)
        found.append(add(key, plain(number, 0), f"statements that are {word}"))
    for end, count in (("smallest", counts[0]), ("largest", counts[-1])):
        for source in ("iid", "markov"):
            one = next(b for b in bits[source] if b["parameters"] == count)
            text = ranged(one["bits"], one["low"], one["high"])
            what = f"largest over K of the bits a parameter, {source}, N = {count}"
            found.append(add(f"bits.{source}.{end}", text, what))
    return found


def _linear_limit(add: Any, summary: Mapping[str, Any]) -> Number:
    rows = (row for row in summary["linear"] if row["what"].startswith("V = 4"))
    row = next((row for row in rows if "to infinity" in row["what"]), None)
    text = MISSING
    if row is not None:
        ends = row["low"] + row["predicted"], row["high"] + row["predicted"]
        text = ranged(row["simulated"], *ends, digits=4)
    limit: Number = add("linear.limit", text, "K* / d of the linear denoiser, V = 4, L to infinity")
    return limit


def _laws() -> dict[str, Words]:
    """Of each law in the text that every preset has: its words."""
    keys: dict[str, Words] = {}
    for source in ("iid", "markov"):
        for size, word in (
            ("memory", "K_M(recovery)"),
            ("generalization", "K_G(recovery)"),
            ("recovery", "K_half(recovery)"),
            ("entropy", "K_H(entropy)"),
        ):
            for key, group, statement in (
                ("parameters", "parameters", f"number of parameters N ({source}"),
                ("few", "parameters", f"proportional to N at fewer steps ({source}"),
                ("steps.large", "steps", f"time binds ({source}, N = "),
                ("steps.small", "steps", f"at capacity ({source}, N = "),
            ):
                keys[f"{source}.{key}.{size}"] = (group, statement, word)
        keys[f"{source}.information"] = (
            "parameters",
            f"most proportional to N ({source}",
            "max_K",
        )
        keys[f"{source}.collapse"] = ("collapse", f"({source}", "eta")
    return keys | {f"linear.{v}": ("linear", f"(V = {v})", "log d") for v in (2, 4, 8)}


def read_laws(path: Path) -> list[dict[str, Any]]:
    """The laws of a table as the command `scaling` writes it."""
    numeric = ("predicted", "rival", "estimate", "low", "high")
    with path.open(newline="") as file:
        return [
            {**row, **{name: float(row[name]) for name in numeric}} for row in csv.DictReader(file)
        ]


def pick(laws: Sequence[Law], words: Words) -> Law | None:
    """The law with these words: over all T, and of the linear denoiser over its largest sizes."""
    found = list(_matching(laws, words))
    if not found:
        return None
    return found[-1] if words[0] == "linear" else found[0]


def _matching(laws: Sequence[Law], words: Words) -> Iterator[Law]:
    group, statement, quantity = words
    for law in laws:
        part = "first two" in law["quantity"] or "last two" in law["quantity"]
        here = law["group"] == group and not part
        if here and statement in law["statement"] and quantity in law["quantity"]:
            yield law


def _law(key: str, law: Law | None, command: str) -> list[Number]:
    name = f"law.{key}"
    if law is None:
        absent = "not among the laws of this run"
        return [
            Number(name, MISSING, absent, command),
            Number(f"{name}.verdict", MISSING, absent, command),
        ]
    what = f"{law['statement']}: {law['quantity']}"
    text = ranged(law["estimate"], law["low"], law["high"], 3 if law["group"] == "linear" else 2)
    verdict = tex.escape(str(law["verdict"]))
    return [
        Number(name, text, what, command),
        Number(f"{name}.verdict", verdict, f"verdict on: {what}", command),
    ]
