"""Pictures of the theory alone, drawn from the arrays of `curves`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import xarray as xr

from simulations.phase.figure import STYLE, save

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033", "#1a1a1a", "#8a8a8a")


def _phase_diagram(figure: Any, data: xr.Dataset) -> None:
    axis = figure.subplots()
    load = data["load"].values
    axis.plot(load, data["T_g"], color=COLOURS[7], ls="--")
    axis.plot(load, data["T_M"], color=COLOURS[0])
    axis.plot(load, data["T_c"], color=COLOURS[1], ls="-.")
    axis.fill_between(load, 0, data["T_M"], color=COLOURS[0], alpha=0.12, lw=0)
    axis.fill_between(load, 0, data["T_c"].fillna(0), color=COLOURS[1], alpha=0.15, lw=0)
    for text, place in (
        ("paramagnet", (0.06, 1.38)),
        ("spin glass", (0.085, 0.85)),
        ("retrieval, metastable", (0.055, 0.31)),
        ("retrieval,\nground state", (0.003, 0.28)),
    ):
        axis.annotate(text, place)
    axis.annotate("$T_g = 1 + \\sqrt{\\mathrm{load}}$", (0.1, 1.24), color="#555555")
    axis.annotate("$T_M$", (0.075, 0.45), color=COLOURS[0])
    axis.annotate("$T_c$", (0.026, 0.56), color=COLOURS[1])
    for key, ha in (("critical_load", "right"), ("ground_state_load", "left")):
        axis.annotate(f"{data.attrs[key]:.4f}", (data.attrs[key], 0.015), ha=ha, fontsize=7.5)
    axis.set(xlim=(0, 0.145), ylim=(0, 1.5))
    axis.set_xlabel("load P / N (patterns per neuron)")
    axis.set_ylabel("temperature T")
    axis.set_title("Hopfield network, replica-symmetric phase diagram", loc="left")


def _panels(data: xr.Dataset) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for variable in data.data_vars.values():
        found.setdefault(variable.attrs["panel"], []).append(variable)
    return found


def _line_style(name: str) -> dict[str, Any]:
    if "Shannon" in name:
        return {
            "color": "black",
            "lw": 2,
            "ls": "--" if "infinity" in name or "clean" in name else "-",
        }
    return {"ls": ":"} if "one step" in name else {}


def _curves(axis: Any, variables: list[Any]) -> None:
    """Every curve of a panel; bounds in black, one-step curves dotted."""
    axis.set_prop_cycle(color=COLOURS[:6])
    for variable in variables:
        name = variable.name.partition(": ")[2]
        x = variable[variable.dims[0]]
        axis.plot(x, variable, label=name, **{"lw": 1.5, **_line_style(name)})
    axis.set_title(variables[0].attrs["panel"], loc="left")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)


def _capacity(figure: Any, data: xr.Dataset) -> None:
    for axis, variables in zip(figure.subplots(1, 2), _panels(data).values(), strict=True):
        _curves(axis, variables)
        axis.set(xscale="log", yscale="log", ylim=(0.1, None))
        axis.set_xlabel("neurons or tokens N")
        axis.set_ylabel("log K at capacity (nats)")
    figure.suptitle("How many sequences a memory holds: power laws against exponentials")


def _basins(figure: Any, data: xr.Dataset) -> None:
    for axis, variables in zip(figure.subplots(1, 2), _panels(data).values(), strict=True):
        _curves(axis, variables)
        axis.set(xscale="log", ylim=(0, 1.02))
        axis.set_xlabel("load ln K / L (nats per token)")
        axis.set_ylabel("basin radius, noise level t")
    figure.suptitle(
        "How far a memory repairs: basins against the Shannon bound (finite L: exact retrieval "
        f"with probability {data.attrs['threshold']:g})"
    )
    figure.supxlabel(data.attrs["validity"], fontsize=8, x=0.01, ha="left")


def _linear(figure: Any, data: xr.Dataset) -> None:
    left, right = figure.subplots(1, 2)
    size = data["train_size"]
    for colour, tokens in zip(COLOURS, ("all", "corrupted"), strict=False):
        for split, style in (("train", "-"), ("test", "--")):
            label = f"{tokens} tokens, {'train' if split == 'train' else 'held-out'}"
            left.plot(size, data[f"{tokens} {split}"], color=colour, ls=style, label=label)
    for split, style in (("train", "-"), ("heldout", "--")):
        label = "train" if split == "train" else "held-out"
        right.plot(size, data[f"error {split}"], color=COLOURS[4], ls=style, label=label)
    right.axhline(1 - data.attrs["alpha"] ** 2, color="grey", lw=1, label="limit 1 - alpha^2")
    marks = {
        "corrupted_recovery": (left, 0.9, "half of the corrupted recovered"),
        "recovery_gap": (left, 0.78, "recovery gap 0.01"),
        "error_gap": (right, 0.3, "error gap 0.05"),
    }
    for criterion, (axis, height, words) in marks.items():
        stop = data.attrs[f"K* {criterion}"]
        axis.axvline(stop, color="black", lw=0.8, ls=":")
        axis.annotate(
            f"K* = {stop:.0f}: {words}",
            (stop, height),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
        )
    left.set_ylabel("tokens recovered")
    right.set_ylabel("squared error per effective dimension")
    for axis in (left, right):
        axis.set(xscale="log")
        axis.set_xlabel("training-set size K (sequences)")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    figure.suptitle(
        f"Linear denoiser, iid source: V = {data.attrs['vocab_size']}, "
        f"L = {data.attrs['seq_len']}, alpha = {data.attrs['alpha']:g}"
    )


DRAW: dict[str, tuple[Callable[[Any, xr.Dataset], None], tuple[float, float]]] = {
    "phase-diagram": (_phase_diagram, (6.4, 4.6)),
    "capacity": (_capacity, (11.5, 6.2)),
    "basins": (_basins, (11.5, 6.2)),
    "linear": (_linear, (11.5, 5.0)),
}


def draw_theory(name: str, data: xr.Dataset, stem: Path) -> None:
    """Write the picture of the arrays `data` to `stem`.png and `stem`.pdf."""
    draw, size = DRAW[name]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=size, layout="constrained")
        draw(figure, data)
        save(figure, stem)
