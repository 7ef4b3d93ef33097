"""Figures to files: one PDF, one PNG and one caption each, the same bytes every time."""

from __future__ import annotations

import os
import re
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from paper import style
from paper.sources import Results
from simulations.results.files import write_text

# Two lanes of about the same length; figures that read the same runs are in one.
LANES = (
    (
        "transition",
        "entropy_probe",
        "transition_iid",
        "empirical",
        "basins",
        "capacity",
        "linear",
    ),
    ("plateaus", "trajectory", "scaling", "novelty", "channels", "calibration", "hopfield"),
)
FIGURES = tuple(name for lane in LANES for name in lane)
GALLERY = ("transition", "basins", "trajectory", "scaling")
GALLERY_DPI = 110
SUFFIXES = (".pdf", ".png", "_caption.tex")


def module_of(name: str) -> Any:
    """The module of a figure: RUNS it reads, and `draw`."""
    return import_module(f"paper.figures.{name}")


def draw_figures(results: Results, build: Path, names: tuple[str, ...]) -> None:
    """Draw these figures to `build`, two processes side by side where there are two cores."""
    lanes = [[name for name in lane if name in names] for lane in LANES]
    lanes = [lane for lane in lanes if lane]
    if len(lanes) < 2 or (os.cpu_count() or 1) < 2:
        _draw_lane(results.root, results.stage, build, [name for lane in lanes for name in lane])
        return
    with ProcessPoolExecutor(len(lanes), mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_draw_lane, results.root, results.stage, build, lane) for lane in lanes]
        for job in jobs:
            job.result()


def _draw_lane(root: Path, stage: str, build: Path, names: list[str]) -> None:
    results = Results(root, stage)
    for name in names:
        draw_one(results, build, name)


def draw_one(results: Results, build: Path, name: str) -> None:
    """Draw one figure to `build`/fig_<name> with SUFFIXES."""
    with plt.style.context(style.STYLE, after_reset=True):
        figure, caption = module_of(name).draw(results)
        stem = build / f"fig_{name}"
        figure.savefig(f"{stem}.pdf", metadata={"CreationDate": None, "ModDate": None})
        figure.savefig(f"{stem}.png", metadata={"Software": None})
        if name in GALLERY:
            figure.savefig(f"{stem}_small.png", dpi=GALLERY_DPI, metadata={"Software": None})
        plt.close(figure)
    write_text(tidy(caption) + "\n", Path(f"{stem}_caption.tex"))


def tidy(caption: str) -> str:
    r"""A caption whose thousands look the same inside and outside of formulas.

    >>> tidy("$K=4,096$ of 16,384")
    '$K=4{,}096$ of 16{,}384'
    """
    return re.sub(r"(?<=\d),(?=\d{3})", "{,}", caption)
