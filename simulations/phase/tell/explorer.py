"""explorer.html: a run as a page in which K, t, denoiser and reading are chosen by hand.

One file that opens from disk, without a network: a content security policy allows its one script
and its one style by their hashes, and forbids all addresses. The data are embedded as JSON in which
no text can end the script; the page writes them as text only, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from importlib import resources
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from simulations.measure.bootstrap import interval
from simulations.measure.names import SMALL_LEVEL
from simulations.measure.order import Ratio
from simulations.measure.transition import Curve, Estimate
from simulations.phase.analysis import SUMMARY_EPSILON, Analysis, Rate
from simulations.phase.cells import RESTORED
from simulations.phase.config import Config
from simulations.phase.order import ACTORS, READINGS, Orders, rate_of

DIGITS = 4  # significant ones, of every number in the page
TITLES = {
    "trained": "trained network",
    "nelbo": "network trained by NELBO",
    "pairwise": "pseudo-likelihood memory",
}
ENDS = {"memorizer": "empirical", "law": "population"}
EXAMPLE_ROWS = ("noisy", "restored", "nearest", "attractor")
UNITS = {"entropy": "nats a token", "log loss": "nats a token"}  # of the other readings: none

Floats = NDArray[np.float64]


def explorer_page(analysis: Analysis, orders: Orders) -> str:
    """The HTML of the page, some hundred kB at the sizes of the preset small."""
    data = explorer_data(analysis, orders)
    folder = resources.files("simulations.phase.tell")
    style, script = (
        folder.joinpath(f"explorer.{end}").read_text(encoding="utf-8") for end in ("css", "js")
    )
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "POLICY": policy,
        "STYLE": style,
        "SCRIPT": script,
        "DATA": script_safe(data),
        "RUN": html.escape(run_in_words(data["about"])),
    }
    page = folder.joinpath("explorer.html").read_text(encoding="utf-8")
    return re.sub("@@([A-Z]+)@@", lambda found: parts[found[1]], page)  # once: parts are not read


def script_safe(data: Any) -> str:
    """JSON that may stand in a script element, whatever its strings are.

    >>> script_safe({"a": "</script><!--"})
    '{"a":"\\\\u003c/script>\\\\u003c!--"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def run_in_words(about: dict[str, Any]) -> str:
    """Which run this is, of the entry `about` of `explorer_data`."""
    sizes, seeds = about["train_sizes"], about["seeds"]
    return (
        f"source {about['source']}, V = {about['vocab_size']} tokens, sequences of "
        f"L = {about['seq_len']}, K from {sizes[0]:,} to {sizes[-1]:,}, "
        f"{seeds} seed{'s' if seeds > 1 else ''}; a token that is lost is {about['fate']}"
    )


def explorer_data(analysis: Analysis, orders: Orders) -> dict[str, Any]:
    """What the page shows, as plain containers; numbers with DIGITS significant digits.

    about : the run. denoisers, readings : the choices. curves : by denoiser, by reading, and by
    level of that reading. cells : by denoiser, what belongs to K alone. information : t,
    I(x_0; x_t) in nats a sequence, its standard error. examples : tokens, by split.

    A band is a list over K of [estimate, low, high] (95 %), or None where there is no number. A
    size is {value, low, high, status, relative}, "below" or "above" where it leaves the grid of K.
    """
    config = analysis.config
    names = [name for name in ACTORS if name in analysis.denoisers]
    return {
        "about": {
            "source": config.source,
            "vocab_size": config.vocab_size,
            "seq_len": config.seq_len,
            "train_sizes": analysis.train_sizes,
            "levels": list(config.levels),
            "seeds": config.seeds,
            "queries": config.queries,
            "channel": config.channel,
            "fate": config.fate,
            "relative": "population" not in analysis.denoisers,
            "small_level": SMALL_LEVEL,
            "epsilon": SUMMARY_EPSILON,
        },
        "denoisers": [_denoiser(analysis, name) for name in names],
        "readings": [
            {
                "name": reading,
                "unit": UNITS.get(reading, ""),
                "levels": levels_of(analysis, reading),
                "chance": _digits(_chance(reading, config)),
            }
            for reading in READINGS
        ],
        "information": [
            [_digits(t), _digits(nats), _digits(error)]
            for t, (nats, error) in sorted(analysis.information.items())
        ],
        "curves": {
            name: {
                reading: [
                    _point(analysis, orders, name, reading, t) for t in levels_of(analysis, reading)
                ]
                for reading in READINGS
            }
            for name in names
        },
        "cells": {name: _cells(analysis, name) for name in names},
        "examples": {split: _examples(analysis.data, split) for split in RESTORED},
    }


def levels_of(analysis: Analysis, reading: str) -> list[float]:
    """The noise levels at which a reading of READINGS has order parameters, increasing."""
    if reading == "single-token recovery":
        return [SMALL_LEVEL]
    levels = list(analysis.config.levels)
    return levels if READINGS[reading][1] else [SMALL_LEVEL, *levels]


def _denoiser(analysis: Analysis, name: str) -> dict[str, Any]:
    entropy = analysis.law("entropy", name, "loo", "train")
    return {
        "name": name,
        "title": TITLES[name],
        "measured": (~np.isnan(entropy.estimate[:, 0])).tolist(),
        "seeds": len(entropy.per_seed),
        "method": entropy.method,
    }


def _chance(reading: str, config: Config) -> float:
    """The reading of a uniform guess."""
    if reading in UNITS:
        return math.log(config.vocab_size)
    other, any_token = config.chance, 1 / config.vocab_size
    uniform = {"recovery": other, "best change": other, "single-token recovery": any_token}
    return uniform.get(reading, math.nan)


def _point(
    analysis: Analysis, orders: Orders, denoiser: str, reading: str, t: float
) -> dict[str, Any]:
    """One denoiser by one reading at one level: bands over K, and the sizes read off them."""
    found: dict[str, Any] = {
        split: _band(*rate_of(analysis, reading, denoiser, split, t)) for split in RESTORED
    }
    for end, name in ENDS.items():
        if name in analysis.denoisers:
            found[end] = {
                split: _band(*rate_of(analysis, reading, name, split, t, denoiser))
                for split in RESTORED
            }
    order = orders.orders.get((denoiser, reading, t))
    if order is not None:
        found["M"] = _curve_band(order.memory, analysis.train_sizes)
        found["G"] = _curve_band(order.generalization, analysis.train_sizes)
        found["K_M"], found["K_G"] = _size(order.k_memory), _size(order.k_generalization)
        found["window"] = _ratio(order.window)
    return found


def _band(rate: Rate, level: int) -> list[Any]:
    return _rows(*(column[:, level] for column in (rate.estimate, rate.low, rate.high)))


def _curve_band(curve: Curve, sizes: list[int]) -> list[Any]:
    """A curve, None at sizes that it lacks."""
    low, high = interval(curve.replicates)
    rows = _rows(curve.estimate, low, high)
    known = dict(zip(curve.train_sizes.astype(int).tolist(), rows, strict=True))
    return [known.get(size) for size in sizes]


def _rows(estimate: Floats, low: Floats, high: Floats) -> list[Any]:
    columns = zip(estimate, low, high, strict=True)
    return [None if np.isnan(row[0]) else [_digits(value) for value in row] for row in columns]


def _size(size: Estimate) -> dict[str, Any]:
    numbers = {name: _digits(getattr(size, name)) for name in ("value", "low", "high")}
    return {**numbers, "status": size.status, "relative": size.relative}


def _ratio(ratio: Ratio) -> list[Any] | None:
    row = [_digits(value) for value in (ratio.value, ratio.low, ratio.high)]
    return None if row[0] is None else row


def _digits(value: float) -> Any:
    """DIGITS significant digits; None for NaN, a word for what is beyond the grid.

    >>> [_digits(x) for x in (0.123456, 12345.6, float("nan"), float("-inf"))]
    [0.1235, 12350.0, None, 'below']
    """
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "above" if value > 0 else "below"
    return float(f"{value:.{DIGITS}g}")


def _cells(analysis: Analysis, denoiser: str) -> dict[str, Any]:
    """What belongs to K alone, of a denoiser and, from the same seeds, of the two exact ends."""
    columns = {"own": denoiser, **{e: n for e, n in ENDS.items() if n in analysis.denoisers}}
    below = f"fraction below {SUMMARY_EPSILON:g}"
    return {
        column: {
            "entropy": _band(analysis.law("entropy", name, "loo", "train", denoiser), 0),
            "vanishing": _band(analysis.law(below, name, "loo", "train", denoiser), 0),
            "fixed": {
                split: [
                    _digits(share)
                    for share in fixed_share(analysis.data, name, split, denoiser).tolist()
                ]
                for split in RESTORED
            },
        }
        for column, name in columns.items()
    }


def fixed_share(data: xr.Dataset, denoiser: str, split: str, beside: str = "") -> Floats:
    """(K,) share of the starts of a split that are fixed points of the map of `loo` at t = 1e-5.

    data : merged cells. beside : mean over the seeds of this denoiser, by default of the first.
    """
    order = ("train_size", "seed", "start")
    where = {"map": "loo", "split_start": split}
    names = (denoiser, beside or denoiser)
    kept, of_beside = (
        data["kept"].sel({**where, "denoiser": name}).transpose(*order).values for name in names
    )
    seeds = (of_beside >= 0).any(axis=(0, 2))
    share = np.where(kept >= 0, kept == data.sizes["position"], np.nan).mean(axis=2)
    return np.asarray(share[:, seeds].mean(axis=1))


def _examples(data: xr.Dataset, split: str) -> dict[str, Any]:
    """Sequences of seed 0: `clean` (K, example), others (K, t, example), each of L tokens; None
    where there is none."""
    part = data.sel(split_read=split).isel(seed=0)
    clean = part["example_clean"].transpose("train_size", "example", "position").values
    order = ("train_size", "t", "example", "position")
    others = {
        name: _tokens(part[f"example_{name}"].transpose(*order).values) for name in EXAMPLE_ROWS
    }
    return {"clean": _tokens(clean), **others}


def _tokens(table: NDArray[np.integer]) -> Any:
    """Nested lists of the rows of a table (..., L), None for a row that holds -1."""
    if table.ndim == 1:
        return None if (table < 0).any() else table.tolist()
    return [_tokens(row) for row in table]


def _hash(text: str) -> str:
    """The source expression of a content security policy that allows this text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
