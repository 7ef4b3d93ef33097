"""Figures of a probe, drawn from its Statistics and the entropy histograms; computes no rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.measure.names import SPLITS
from simulations.plots import panels, save
from simulations.probe.judge.membership import Membership
from simulations.probe.judge.statistics import NAMES, Statistics
from simulations.probe.measure.dataset import split_rows
from simulations.probe.measure.estimate import Estimate
from simulations.probe.measure.kind import erases, small
from simulations.probe.tell.page import Picture
from simulations.probe.tell.sections import SHOWN_LEVEL

COLOURS = {"train": "#0b6e99", "heldout": "#d1495b", "generated": "#4f7f3a", "random": "#6b6b6b"}
MARKERS = {"train": "o", "heldout": "s", "generated": "^", "random": "D"}
DASHES = {"train": "-", "heldout": "--", "generated": "-.", "random": ":"}
MOST_LEVELS = 6  # panels of entropy distributions


def draw_all(data: xr.Dataset, found: Statistics, out: Path) -> list[Picture]:
    """Draw every figure for which there are numbers."""
    jobs = [
        (
            "recovery",
            "Recovery of corrupted tokens",
            "Share of the corrupted tokens restored, against the noise level t, by split. A "
            "memorizer restores train far better than held-out sequences.",
            _recovery,
        ),
        (
            "entropy_tokens",
            "Entropies of single tokens",
            "How the entropies of single tokens are distributed, a panel a level, by split. A "
            "memorizer has most tokens in the lowest bin, near 0.",
            None,
        ),
        (
            "entropy",
            "Conditional entropy against t",
            "Mean entropy of the loo law per token against the noise level t, by split. A "
            "memorizer's entropy vanishes at small t.",
            _entropy,
        ),
        (
            "calibration",
            "Calibration",
            "Log loss against entropy of the loo law, one marker a level. On the diagonal the "
            "model is as surprised as it expects; above it, confident and wrong.",
            _calibration,
        ),
        (
            "membership",
            "Membership",
            "True against false positive rate when a score is used to tell training from "
            "held-out sequences. The diagonal is guessing.",
            _membership,
        ),
    ]
    pictures = []
    for name, title, words, fill in jobs if found.membership else jobs[:-1]:
        picture = Picture(out / f"probe_{name}", title, words)
        save(_distributions(data) if fill is None else _single(fill, title, found), picture.stem)
        pictures.append(picture)
    return pictures


def _single(fill: Callable[[Any, Statistics], None], title: str, found: Statistics) -> Any:
    """A figure of one panel."""

    @panels(1, 1, (6.2, 5.0))
    def draw(axes: Any, found: Statistics) -> tuple[str, str]:
        fill(axes[0, 0], found)
        axes[0, 0].set_title(title, loc="left")
        return "", ""

    return draw(found)


def _points(axis: Any, x: Any, rows: list[Estimate], split: str, **style: Any) -> None:
    value, low, high = (np.array([getattr(r, k) for r in rows]) for k in ("value", "low", "high"))
    ends = np.nan_to_num([np.clip(value - low, 0, None), np.clip(high - value, 0, None)])
    style = {"ls": DASHES[split], "marker": MARKERS[split], "color": COLOURS[split], **style}
    axis.errorbar(x, value, ends, lw=1.2, elinewidth=1, capsize=2.5, ms=5, **style)


def _recovery(axis: Any, found: Statistics) -> None:
    """Levels side by side, splits beside one another; filled: reverse process, open: one shot."""
    levels = sorted({row.t for row in found.rates})
    for k, split in enumerate(SPLITS[:3]):
        for decoder, shift in (("ancestral", 0.0), ("best_change", 0.1)):
            rows = found.rate(split, decoder)
            if rows:
                full = decoder == "ancestral"
                style = {} if full else {"mfc": "white", "ls": "none"}
                one_shot = "most probable token" if found.erases else "best change"
                label = f"{NAMES[split]}, {'reverse process' if full else one_shot}"
                x = [levels.index(r.t) + 0.25 * (k - 1) + shift for r in rows]
                _points(axis, x, [r.recovery for r in rows], split, label=label, **style)
    axis.set_xticks(range(len(levels)), [f"{t:g}" for t in levels])
    axis.set_xlim(-0.5, len(levels) - 0.4)
    axis.set_ylim(-0.03, 1.03)
    axis.grid(axis="y", color="0.92")
    axis.set_xlabel("noise level t (steps of the axis are not to scale)")
    axis.set_ylabel("share of corrupted tokens restored")
    if levels and axis.get_legend_handles_labels()[0]:
        axis.figure.legend(loc="outside lower center", ncols=3)


def _entropy(axis: Any, found: Statistics) -> None:
    for split in SPLITS:
        rows = found.law(split, "loo")
        if rows:
            x = [r.t for r in rows]
            _points(axis, x, [r.entropy for r in rows], split, label=NAMES[split])
    axis.set_ylim(bottom=0)
    first = "as t → 0" if found.erases else "at 1e-5"
    axis.set_xlabel(f"noise level t (the first point is {first})")
    axis.set_ylabel("entropy of loo, nats a token")
    axis.figure.legend(loc="outside lower center", ncols=5)


def _calibration(axis: Any, found: Statistics) -> None:
    most = 0.0
    for split in SPLITS[:3]:
        rows = found.law(split, "loo")
        if not rows:
            continue
        x, loss = [r.entropy.value for r in rows], [r.log_loss for r in rows]
        most = max(most, *x, *(r.value for r in loss))
        _points(axis, x, loss, split, label=NAMES[split])
        axis.plot(x[0], loss[0].value, "o", mfc="none", ms=12, mec=COLOURS[split], mew=1)
    most, least = 1.08 * max(most, 0.1), "t → 0" if found.erases else "t = 1e-5"
    axis.plot([0, most], [0, most], color="0.55", lw=0.9, zorder=0, label="calibrated")
    axis.plot([], [], "o", mfc="none", ms=12, mec="0.3", ls="none", label=f"ring: {least}")
    axis.set_xlim(0 - 0.02 * most, most)
    axis.set_ylim(0 - 0.02 * most, most)
    axis.set_xlabel("entropy of loo, nats a token")
    axis.set_ylabel("log loss of loo, nats a token")
    axis.figure.legend(loc="outside lower center", ncols=5)


def _membership(axis: Any, found: Statistics) -> None:
    styles = ["-", "--", "-.", ":"]
    shades = ["#0b6e99", "#d1495b", "#4f7f3a", "#6d4c9f"]
    for k, row in enumerate(_few(found)):
        label = f"{row.score}\nAUC {row.auc.value:.3f} [{row.auc.low:.3f}, {row.auc.high:.3f}]"
        axis.plot(*row.roc, color=shades[k], ls=styles[k], lw=1.5, label=label)
    axis.plot([0, 1], [0, 1], color="0.6", lw=0.8, zorder=0)
    axis.set_aspect("equal")
    axis.set_xlabel("held-out sequences called members")
    axis.set_ylabel("training sequences called members")
    axis.figure.legend(loc="outside lower center", ncols=2)


def _few(found: Statistics) -> list[Membership]:
    """Loss, NELBO, and recovery by each decoder at the level next to 0.25."""
    rows = [row for row in found.membership if "recovery" not in row.score]
    levels = sorted({row.t for row in found.rates}, key=lambda t: abs(t - SHOWN_LEVEL))
    end = f", t = {levels[0]:g}"
    rows += [r for r in found.membership if "recovery" in r.score and r.score.endswith(end)]
    return rows[:4]


def _distributions(data: xr.Dataset) -> Any:
    """Entropies of single tokens, a panel a level; the first bin holds those that vanish."""
    edges, levels = data["bin_edge_low"].values, data["t_entropy"].values[:MOST_LEVELS]
    ends, rows = np.r_[edges, 2 * edges[-1] - edges[-2]], (len(levels) + 1) // 2

    @panels(rows, 2, (7.4, 2.3 * rows + 0.6), sharex=True)
    def draw(axes: Any, parts: dict[str, xr.Dataset]) -> tuple[str, str]:
        for axis, (k, t) in zip(axes.flat, enumerate(levels), strict=False):
            for split, part in parts.items():
                counts = part["entropy_histogram"].sel(law="loo").values[:, k].sum(0)
                if counts.sum():
                    share = np.r_[counts, counts[-1]] / counts.sum()
                    style = {"color": COLOURS[split], "ls": DASHES[split], "label": NAMES[split]}
                    axis.step(ends, share, where="post", lw=1.3, **style)
            axis.set_yscale("symlog", linthresh=1e-2)
            axis.set_ylim(0, 1.2)
            axis.set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
            axis.minorticks_off()
            axis.set_title(small(data) if erases(data) and not k else f"t = {t:g}", loc="left")
        for axis in axes.flat[len(levels) :]:
            axis.set_axis_off()
        for axis in axes.flat[max(0, len(levels) - 2) : len(levels)]:
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("entropy of loo at one token, nats")
        figure = axes[0, 0].figure
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4)
        figure.supylabel("share of tokens in a bin", fontsize=9)
        return "", ""

    return draw({split: split_rows(data, split) for split in SPLITS})
