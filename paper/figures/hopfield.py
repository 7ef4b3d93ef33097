"""Memories with couplings: the phase diagram of Hopfield, and how loads grow with size."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from paper import style, tex
from paper.sources import Results
from simulations.capacity.config import FAMILIES, LABELS, critical_load, retrieval_overlap
from simulations.theory.curves import capacity_curves, phase_diagram_curves

RUNS = ()
SHORT = {
    "max margin (pseudo-likelihood)": "pseudo-likelihood",
    "exponential, b = 1, clean query": "exponential, clean",
    "exponential, b = 1, alpha = 0.5": r"exponential, $\alpha=0.5$",
    "Shannon bound, alpha = 0.5": r"Shannon, $\alpha=0.5$",
    "Shannon bound, clean query": "Shannon, clean",
    "linear denoiser, alpha = 0.5, half recovery": r"linear denoiser, $\alpha=0.5$",
}

GROWTH: dict[str, dict[str, Any]] = {
    "Hopfield": {"color": style.BLUE, "ls": "-"},
    "Potts-Hopfield": {"color": style.BLUE, "ls": "-"},
    "pseudo-inverse": {"color": style.PURPLE, "ls": (0, (6, 1))},
    "max margin": {"color": style.GREEN, "ls": "-."},
    "dense, n = 3": {"color": style.ORANGE, "ls": (0, (1, 1))},
    "dense, n = 4": {"color": style.ORANGE, "ls": (0, (3, 1, 1, 1))},
    "exponential": {"color": style.VERMILION, "ls": (0, (5, 1, 1, 1, 1, 1))},
    "linear denoiser": {"color": style.SKY, "ls": "--"},
    "Shannon": {"color": style.BLACK, "ls": "-", "lw": 1.5},
    "Shannon, clean": {"color": style.BLACK, "ls": "--", "lw": 1.5},
}


def draw(results: Results) -> tuple[Any, str]:
    """The figure and its caption; theory alone, no saved results."""
    phases, loads = phase_diagram_curves(), capacity_curves()
    figure, axes = style.figure(2, 2, 5.9)
    _phases(axes[0, 0], phases)
    _overlaps(axes[0, 1])
    panels: dict[str, list[Any]] = {}
    for variable in loads.data_vars.values():
        panels.setdefault(variable.attrs["panel"], []).append(variable)
    for axis, variables in zip(axes[1], panels.values(), strict=True):
        _growth(axis, loads, variables)
    style.titles(
        axes.flat,
        ["Hopfield network, phases", "overlap up to the critical load"]
        + [f"growth with size, ${name}$" for name in panels],
    )
    attrs = phases.attrs
    return figure, "\n".join(
        [
            r"\textbf{Memories with couplings, theory alone.} (a) Replica-symmetric phase diagram "
            "of the Hopfield network. Below $T_M$ stored patterns are metastable, below $T_c$ they "
            "are the ground state; $T_g=1+\\sqrt{P/N}$. At $T=0$ retrieval ends at "
            f"$P/N={tex.number(attrs['critical_load'], 4)}$, and patterns are the ground state up "
            f"to {tex.number(attrs['ground_state_load'], 4)}.",
            "(b) Overlap of the retrieval state with the pattern, on the way to the critical load "
            f"({_loads()}; patterns per site, for the dense memory per site squared).",
            f"(c), (d) Logarithm of the number of sequences that a memory of $N$ neurons holds, "
            f"${'$ and $'.join(panels)}$: couplings in pairs give a number in proportion to $N$, "
            "higher orders a higher power, exponential memories a constant number of nats a token. "
            "Black: Shannon's bound, which holds at the same corruption of the query; loads of "
            "memories with couplings are those of large $N$ and clean queries.",
        ]
    )


def _phases(axis: Any, data: xr.Dataset) -> None:
    load = data["load"].values
    axis.plot(load, data["T_g"], color=style.GREY, ls="--")
    axis.plot(load, data["T_M"], color=style.BLUE)
    axis.plot(load, data["T_c"], color=style.VERMILION, ls="-.")
    axis.fill_between(load, 0, data["T_M"], color="0.9", lw=0)
    axis.fill_between(load, 0, data["T_c"].fillna(0), color="0.75", lw=0)
    for text, place in (
        ("paramagnet", (0.045, 1.40)),
        ("spin glass", (0.072, 0.80)),
        ("metastable", (0.052, 0.24)),
        ("ground\nstate", (0.003, 0.20)),
    ):
        axis.annotate(text, place, fontsize=8)
    axis.annotate("$T_g$", (0.125, 1.22), color=style.GREY)
    axis.annotate("$T_M$", (0.078, 0.47), color=style.BLUE)
    axis.annotate("$T_c$", (0.028, 0.55), color=style.VERMILION)
    axis.set(xlim=(0, 0.145), ylim=(0, 1.55), xticks=[0, 0.05, 0.1])
    axis.set_xlabel("load $P/N$ (patterns per neuron)")
    axis.set_ylabel("temperature $T$")


def _overlaps(axis: Any) -> None:
    loads = np.linspace(0.02, 1, 100)
    for family, colour, line in zip(FAMILIES, style.COLOURS, style.LINES, strict=False):
        overlap = retrieval_overlap(family, loads * (1 - 1e-12))
        axis.plot(loads, overlap, color=colour, ls=line, label=LABELS[family])
        axis.plot(loads[-1], overlap[-1], "o", color=colour, ms=3, clip_on=False)
    axis.set(xlim=(0, 1), ylim=(0.6, 1.01))
    axis.set_xlabel("load / critical load")
    axis.set_ylabel("overlap with the pattern")
    axis.legend(loc="lower left")


def _loads() -> str:
    return ", ".join(f"{LABELS[f]}: {tex.number(critical_load(f), 4)}" for f in FAMILIES)


def _growth(axis: Any, data: xr.Dataset, variables: list[Any]) -> None:
    for variable in variables:
        axis.plot(data["size"], variable, label=_name(variable), **GROWTH[_family(variable)])
    axis.set_yscale("log")
    axis.set_ylim(0.5, None)
    style.log_ticks(axis, "x", [10, 100, 1000])
    style.log_ticks(axis, "y", [1, 10, 100, 1000])
    axis.set_xlabel("neurons or tokens $N$")
    axis.set_ylabel(r"$\log K$ at capacity (nats)")
    axis.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2)


def _family(variable: Any) -> str:
    """The family that a curve belongs to: one look in both panels."""
    name = variable.name.partition(": ")[2]
    if name.startswith("Shannon"):
        return "Shannon, clean" if "clean" in name else "Shannon"
    found: str = next(family for family in GROWTH if name.startswith(family))
    return found


def _name(variable: Any) -> str:
    name = variable.name.partition(": ")[2]
    return SHORT.get(name, name)
