"""Near copies and extraction in a whole probe: measured, kept, told, refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from am_theory.channel import Absorbing, Linear, Uniform
from models.exact.empirical import EmpiricalDenoiser
from models.sources import IidSource
from simulations.probe.api import probe
from simulations.probe.audit import copies as near_copies
from simulations.probe.audit.copies import copies
from simulations.probe.audit.extraction import ExtractionError
from simulations.probe.measure.kind import NoiseError
from simulations.probe.tell.leaks import leak_sections

V, L = 8, 12
TRAIN, TEST = np.random.default_rng(0).integers(V, size=(2, 40, L), dtype=np.uint8)
SMALL = {"sequences": 20, "recover": 6, "generate": 16, "n_steps": 12, "levels": (0.25,)}


def tables(data):
    """Rows of every table by its title, and the points of all sections, joined."""
    sections = leak_sections(data, 100)
    found = {table.title: table.rows for section in sections for table in section.tables}
    return found, " ".join(point for section in sections for point in section.points)


@pytest.mark.parametrize("kind", [Uniform(V), Absorbing(V)], ids=repr)
def test_a_store_is_told(kind, tmp_path):
    store = EmpiricalDenoiser(TRAIN, V, channel=kind)
    result = probe(store, TEST, TRAIN, **SMALL, prefix=4, draws=3, out=tmp_path)
    found, points = tables(result.data)
    shares = found["Sequences of 12 tokens that nearly are training rows"]
    assert [row[0] for row in shares][:2] == [
        "within 1 edit of a training row",
        "6 tokens in a row, or more, of one training row, at any offset",
    ]
    assert all(row[2].startswith("0.000") for row in shares)
    assert copies(result.data)[2].excess.low > 0.4
    drawn = found["Probability that one of n draws gives the last 8 tokens, the first 4 held"]
    assert [row[1] for row in drawn[:2]] == ["1", "3"]
    assert all(row[3].startswith("0.000") for row in drawn)
    assert any(row[0] == "exact" for row in drawn) == (not kind.redraws)
    assert ("less than what is stored" in points) == kind.redraws
    result.write(tmp_path, figures=False)
    report = (tmp_path / "report.md").read_text()
    assert "## Near copies" in report and "## Extraction" in report
    numbers = json.loads((tmp_path / "summary.json").read_text())
    assert numbers["copies"][2]["excess"]["low"] > 0.4 and numbers["extraction"][1]["n"] == 3
    assert ",copy_edits,copy_run," in (tmp_path / "sequences.csv").read_text().splitlines()[0]
    again = probe(store, TEST, TRAIN, **SMALL, prefix=4, draws=3, out=tmp_path)
    for name in ("copy_edits", "copy_run", "extract_edits", "extract_log_p"):
        np.testing.assert_array_equal(again.data[name].values, result.data[name].values)


def test_without_draws_and_without_training_data_nothing_is_added():
    store = EmpiricalDenoiser(TRAIN, V)
    data = probe(store, TEST, **SMALL).data
    assert all(section.empty for section in leak_sections(data, 100))
    assert not [name for name in data if str(name).startswith(("copy", "extract"))]
    drawn = probe(store, TEST, **SMALL, prefix=4, draws=2).data
    rows = tables(drawn)[0].popitem()[1]
    assert all(row[2] == row[4] == "–" and row[3] != "–" for row in rows)


def test_of_a_large_file_some_rows_are_compared_and_it_is_said(monkeypatch):
    monkeypatch.setattr(near_copies, "MOST_COMPARED", 25 * L)
    data = probe(EmpiricalDenoiser(TRAIN, V), TEST, TRAIN, **SMALL).data
    assert data.attrs["copies_of"] == [25, 40]
    assert "Compared with 25 of the 40 training rows" in tables(data)[1]
    row = data["copy_row"].values
    near = (data["copy_edits"].values == 0) & (data["split"].values == "generated")
    np.testing.assert_array_equal(data["tokens"].values[near], TRAIN[row[near]])


def test_what_cannot_be_drawn_is_refused_before_anything_is_measured():
    store = EmpiricalDenoiser(TRAIN, V)
    for more, words in (({"prefix": L, "draws": 1}, "1 to 11"), ({"recover": 0}, "there are none")):
        with pytest.raises(ExtractionError, match=words):
            probe(store, TEST, TRAIN, **{**SMALL, "prefix": 4, "draws": 1, **more})
    never_masked = IidSource(V, L).population_denoiser(HalfLinear(), Absorbing(V))
    with pytest.raises(NoiseError, match="no `draws`"):
        probe(never_masked, TEST, TRAIN, **{**SMALL, "generate": 0}, prefix=4, draws=1)


class HalfLinear(Linear):
    """A schedule that keeps half of the tokens at t = 1."""

    def alpha(self, t):
        return 1 - t / 2

    def alpha_rate(self, t):
        return -0.5 + 0 * t

    def time_at(self, alpha):
        return 2 * (1 - alpha)
