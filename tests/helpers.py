"""Comparison and data helpers that every test uses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# Relative and absolute tolerance of a short computation, by the coarser dtype of the two sides.
TOLERANCE = {
    np.dtype(np.float64): (1e-11, 1e-13),
    np.dtype(np.float32): (2e-5, 2e-6),
}


def assert_close(actual, expected, *, rtol: float | None = None, atol: float | None = None) -> None:
    """Compare to the tolerance of the coarser floating dtype, with shapes equal.

    `rtol` and `atol` override the table where a test knows its own error, and says why.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    single = np.dtype(np.float32) in (actual.dtype, expected.dtype)
    table = TOLERANCE[np.dtype(np.float32 if single else np.float64)]
    np.testing.assert_allclose(
        actual,
        expected,
        rtol=table[0] if rtol is None else rtol,
        atol=table[1] if atol is None else atol,
    )


def assert_digits(actual: float, printed: str) -> None:
    """Compare to a printed number: equal to within one half of its last digit."""
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    half = 0.5 * 10.0**-decimals
    gap = abs(float(actual) - float(printed))
    assert gap <= half * (1 + 1e-6), f"got {actual!r}, printed {printed}"


def within_standard_errors(samples, expected: float, count: float = 5.0) -> None:
    """Check that the mean of independent samples lies within `count` standard errors."""
    samples = np.asarray(samples, dtype=float)
    error = samples.std(ddof=1) / np.sqrt(samples.size)
    assert error > 0, "the samples do not vary, so their mean has no measurable error"
    score = (samples.mean() - expected) / error
    assert abs(score) < count, (
        f"mean {samples.mean():.6g} is {score:.2f} errors from {expected:.6g}"
    )


def shared(path: str) -> Path:
    """Return a file of the data folder beside the repository, or skip the test without it."""
    file = ROOT.parent / "shared" / path
    if not file.exists():
        pytest.skip(f"reference data {path!r} is not beside this checkout (in ../shared)")
    return file


def assert_drawn(figure: str, name: str, folder: Path, config, **others) -> None:
    """Check that a figure of the appendix is drawn from a run of any configuration, not of a preset
    alone. `name` is the run's in `paper.sources`, `others` stands for further runs."""
    from paper.drawing import SUFFIXES, draw_one
    from paper.sources import RUNS, Found
    from simulations.results.files import read_dataset

    run = dataclasses.replace(RUNS[name], folder=folder.name)
    data = read_dataset(run.data_file(folder.parent, "smoke"))
    opened = {name: Found(run, "smoke", folder.parent, config, data), **others}
    build = folder.parent / "drawn"
    build.mkdir(exist_ok=True)
    draw_one(SimpleNamespace(open=opened.__getitem__, has=opened.__contains__), build, figure)
    for suffix in SUFFIXES:
        assert (build / f"fig_{figure}{suffix}").stat().st_size > 0


def open_stated(path, *args, **keywords):
    """`open_released` of a uniform-state network, stated where the file does not say."""
    from models.released.released import open_released
    from models.released.stated import Stated

    keywords.setdefault("stated", Stated(channel="uniform", law="loo", time="sigma"))
    return open_released(path, *args, **keywords)
