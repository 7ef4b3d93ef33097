"""The tables of the methods: what is measured, with which settings, by which run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from paper import tex
from paper.sources import RUNS, Found, Results

HASH_DIGITS = 10


def opened(results: Results) -> list[Found]:
    """All runs that are there."""
    return [results.open(name) for name in results.there(RUNS)]


def settings(results: Results) -> str:
    """Every setting of every run."""
    rows = [[found.run.name, "; ".join(_flat(found.config.as_dict()))] for found in opened(results)]
    caption = (
        r"Settings of all runs, by the names that the commands' \texttt{-{}-help} explains; "
        r"\texttt{training} in front of those of the optimizer."
    )
    columns = "l" + tex.wrapped("135mm")
    return tex.table("settings", caption, columns, ["run", "settings"], rows, "scriptsize", True)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            name = tex.escape(f"{prefix}{key}".replace("_", " "))
            yield rf"\emph{{{name}}} {tex.escape(_value(value))}"


def _value(value: Any) -> str:
    """A setting in words.

    >>> _value((16, 64)), _value(((4, 16, 0.5), (2, 32, 0.5))), _value(True), _value(1000)
    ('16, 64', '(4, 16, 0.5), (2, 32, 0.5)', 'yes', '1000')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        words = (f"({_value(v)})" if isinstance(v, (tuple, list)) else _value(v) for v in value)
        return ", ".join(words) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def runs(results: Results) -> str:
    """Command, hash, commit and time of every results folder."""
    rows = []
    for found in opened(results):
        attrs = found.data.attrs
        seeds = getattr(found.config, "seeds", getattr(found.config, "sets", 0))
        rows.append(
            [
                found.run.name,
                tex.typewriter(found.command),
                rf"\texttt{{{attrs['config_hash'][:HASH_DIGITS]}}}",
                rf"\texttt{{{attrs['commit'][:HASH_DIGITS]}}}",
                str(seeds),
                f"{cell_seconds(found) / 60:.0f}",
            ]
        )
    hosts = sorted({found.data.attrs["host_class"] for found in opened(results)})
    caption = (
        "Runs behind the appendix: command, hash of the configuration, commit at which the results "
        "were merged, seeds (sets of patterns for basins and capacity), and processor time of all "
        f"cells in minutes, one thread each, on {tex.escape('; '.join(hosts))}."
    )
    columns = f"l{tex.wrapped('70mm')}llrr"
    header = ["run", "command", "configuration", "commit", "seeds", "minutes"]
    return tex.table("runs", caption, columns, header, rows, "scriptsize")


def cell_seconds(found: Found) -> float:
    """Seconds that the cells of a run took, all together."""
    total = 0.0
    for path in sorted((found.folder / "cells").glob("*.nc")):
        with h5py.File(path) as cell:
            total += float(np.ravel(cell.attrs["wall_time_s"])[0])
    return total


def estimators(results: Results) -> str:
    """What each measured quantity is."""
    config = results.open("markov").config
    rows = [
        [
            "corruption",
            r"at level $t$ a token is kept with probability $\alpha_t$, else redrawn uniformly "
            "(perhaps to itself)",
        ],
        ["corrupted recovery", "of the tokens that the channel changed, the share restored"],
        ["all-token recovery", "of all tokens, the share that is right"],
        ["damage", "of the unchanged tokens, the share broken"],
        [
            "retrieval (nearest)",
            "the query is strictly nearer to the output, in Hamming distance, than every stored "
            "sequence other than itself; ties count by their share",
        ],
        ["entropy", r"mean over tokens of the entropy of the named law, \texttt{loo} or "
         r"\texttt{full}, in nats"],
        [
            "calibration gap",
            r"on held-out sequences, mean of $-\log\texttt{loo}(x_0^i)$ less the \texttt{loo} "
            "entropy; 0 for a calibrated law",
        ],
        [
            "NELBO",
            rf"diffusion term of the bound from $t_0={config.nelbo_start:g}$ to 1, nats a token",
        ],
        [
            "basin radius",
            "largest $t$ at which a criterion holds for at least the share "
            f"{config.threshold:g}; isotonic fit, linear between levels, censored values said",
        ],
        [
            r"$K_{1/2}$",
            "the train minus held-out gap of recovery falls to half its value at the smallest $K$",
        ],
        [r"$K_{\rm conv}$", f"that gap stays below {config.tolerance:g} from here on"],
        [
            r"$K_H$ (entropy)",
            r"the mean \texttt{loo} entropy at $t=10^{-5}$ passes half of the source's value",
        ],
        [
            r"$K_H$ (vanishing)",
            "the share of tokens with a vanishing entropy passes half-way from 1 to the source's",
        ],
        [
            "$d'$",
            "difference of two models' mean sequence entropies over the root of the mean of their "
            "variances over sequences",
        ],
        [
            "memorized, spurious, novel",
            "of a generated sequence: within the stated Hamming distance of a stored one; else of "
            "another generated one; else of neither",
        ],
    ]  # fmt: skip
    caption = "What is measured. Shares pool the tokens of all sequences."
    columns = "l" + tex.wrapped("115mm")
    return tex.table("estimators", caption, columns, ["quantity", "definition"], rows)
