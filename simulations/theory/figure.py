"""Pictures of the theory alone, drawn from the arrays of `curves`."""

from __future__ import annotations

from typing import Any

import xarray as xr

from simulations.plots import panels

COLOURS = ("#0b6e99", "#d1495b", "#6a994e", "#c0861d", "#6d4c9f", "#5c4033", "#1a1a1a", "#8a8a8a")
BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}


@panels(1, 1, (6.4, 4.6))
def phase_diagram(axes: Any, data: xr.Dataset) -> tuple[str, str]:
    """Transition lines and phases of the Hopfield network."""
    axis, load = axes[0, 0], data["load"].values
    for name, number, style in (("T_g", 7, "--"), ("T_M", 0, "-"), ("T_c", 1, "-.")):
        axis.plot(load, data[name], color=COLOURS[number], ls=style)
    axis.fill_between(load, 0, data["T_M"], color=COLOURS[0], alpha=0.12, lw=0)
    axis.fill_between(load, 0, data["T_c"].fillna(0), color=COLOURS[1], alpha=0.15, lw=0)
    for text, place, colour in (
        ("paramagnet", (0.06, 1.38), "k"),
        ("spin glass", (0.085, 0.85), "k"),
        ("retrieval, metastable", (0.055, 0.31), "k"),
        ("retrieval,\nground state", (0.003, 0.28), "k"),
        ("$T_g = 1 + \\sqrt{\\mathrm{load}}$", (0.1, 1.24), "#555555"),
        ("$T_M$", (0.075, 0.45), COLOURS[0]),
        ("$T_c$", (0.026, 0.56), COLOURS[1]),
    ):
        axis.annotate(text, place, color=colour)
    for key, ha in (("critical_load", "right"), ("ground_state_load", "left")):
        axis.annotate(f"{data.attrs[key]:.4f}", (data.attrs[key], 0.015), ha=ha, fontsize=7.5)
    axis.set(xlim=(0, 0.145), ylim=(0, 1.5))
    axis.set(xlabel="load P / N (patterns per neuron)", ylabel="temperature T")
    axis.set_title("Hopfield network, replica-symmetric phase diagram", loc="left")
    return "", ""


def _line_style(name: str) -> dict[str, Any]:
    if "Shannon" in name:
        limit = "infinity" in name or "clean" in name
        return {"color": "black", "lw": 2, "ls": "--" if limit else "-"}
    return {"ls": ":"} if "one step" in name else {}


def _curves(axes: Any, data: xr.Dataset, **settings: Any) -> None:
    """Every curve of each panel; bounds in black, one-step curves dotted."""
    found: dict[str, list[Any]] = {}
    for variable in data.data_vars.values():
        found.setdefault(variable.attrs["panel"], []).append(variable)
    for axis, (panel, variables) in zip(axes.flat, found.items(), strict=True):
        axis.set_prop_cycle(color=COLOURS[:6])
        for variable in variables:
            name = variable.name.partition(": ")[2]
            x = variable[variable.dims[0]]
            axis.plot(x, variable, label=name, **{"lw": 1.5, **_line_style(name)})
        axis.set_title(panel, loc="left")
        axis.legend(ncols=1, **BELOW)
        axis.set(**settings)


@panels(1, 2, (11.5, 6.2), heading_size="large")
def capacity(axes: Any, data: xr.Dataset) -> tuple[str, str]:
    """Capacity of every family over the size, a panel each for two alphabets."""
    labels = {"xlabel": "neurons or tokens N", "ylabel": "log K at capacity (nats)"}
    _curves(axes, data, xscale="log", yscale="log", ylim=(0.1, None), **labels)
    return "How many sequences a memory holds: power laws against exponentials", ""


@panels(1, 2, (11.5, 6.2), heading_size="large")
def basins(axes: Any, data: xr.Dataset) -> tuple[str, str]:
    """Basin radius of every family over the load, a panel each for two alphabets."""
    labels = {"xlabel": "load ln K / L (nats per token)", "ylabel": "basin radius, noise level t"}
    _curves(axes, data, xscale="log", ylim=(0, 1.02), **labels)
    heading = (
        "How far a memory repairs: basins against the Shannon bound (finite L: exact retrieval "
        f"with probability {data.attrs['threshold']:g})"
    )
    return heading, data.attrs["validity"]


@panels(1, 2, (11.5, 5.0), heading_size="large")
def linear(axes: Any, data: xr.Dataset) -> tuple[str, str]:
    """Recovery and errors of the linear denoiser over K, with every K*."""
    left, right = axes.flat
    size = data["train_size"]
    for split, words, style in (("train", "train", "-"), ("heldout", "held-out", "--")):
        right.plot(size, data[f"error {split}"], color=COLOURS[4], ls=style, label=words)
    for colour, tokens in zip(COLOURS, ("all", "corrupted"), strict=False):
        for split, words, style in (("train", "train", "-"), ("test", "held-out", "--")):
            label = f"{tokens} tokens, {words}"
            left.plot(size, data[f"{tokens} {split}"], color=colour, ls=style, label=label)
    right.axhline(1 - data.attrs["alpha"] ** 2, color="grey", lw=1, label="limit 1 - alpha^2")
    for criterion, axis, height, words in (
        ("corrupted_recovery", left, 0.9, "half of the corrupted recovered"),
        ("recovery_gap", left, 0.78, "recovery gap 0.01"),
        ("error_gap", right, 0.3, "error gap 0.05"),
    ):
        stop = data.attrs[f"K* {criterion}"]
        axis.axvline(stop, color="black", lw=0.8, ls=":")
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        text = f"K* = {stop:.0f}: {words}"
        axis.annotate(text, (stop, height), xytext=(4, 0), fontsize=8, **where)
    left.set_ylabel("tokens recovered")
    right.set_ylabel("squared error per effective dimension")
    for axis in axes.flat:
        axis.set(xscale="log", xlabel="training-set size K (sequences)")
        axis.legend(ncols=2, **BELOW)
    place = "V = {vocab_size}, L = {seq_len}, alpha = {alpha:g}".format(**data.attrs)
    return f"Linear denoiser, iid source: {place}", ""


DRAW = {"phase-diagram": phase_diagram, "capacity": capacity, "basins": basins, "linear": linear}
