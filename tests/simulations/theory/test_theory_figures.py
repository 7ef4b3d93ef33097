"""The command that draws the theory: arrays, both pictures, and curves that obey the bound."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from simulations.results.files import read_dataset
from simulations.theory import command
from simulations.theory import curves as theory_curves
from tests.helpers import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulations.theory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", sorted(theory_curves.CURVES))
@pytest.mark.slow
def test_every_picture_comes_with_its_arrays(tmp_path, name):
    done = run(name, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    data = read_dataset(tmp_path / f"{name}.nc")
    assert data.attrs["toolkit_version"] and len(data.data_vars) >= 3
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"{name}.{suffix}").stat().st_size > 10_000


@pytest.mark.slow
def test_no_basin_passes_the_shannon_bound_of_its_size():
    data = theory_curves.basin_curves()
    for panel, length in (("V = 2, L = 256", 256), ("V = 4, L = 64", 64)):
        bound = data[f"{panel}: Shannon bound, L = {length} (MAP)"].values
        for name in data.data_vars:
            if name.startswith(panel):
                radius = data[name].values
                shown = np.isfinite(radius)
                assert shown.any() and (radius[shown] <= bound[shown] + 1e-6).all(), name


def test_transition_lines_are_in_order():
    data = theory_curves.phase_diagram_curves()
    assert (data["T_M"] < data["T_g"]).all()
    below = data["T_c"].dropna("load")
    assert (below < data["T_M"].sel(load=below["load"])).all()


def test_linear_curves_meet_at_their_size():
    data = theory_curves.linear_curves()
    gap = data["all train"] - data["all test"]
    stop = data.attrs["K* recovery_gap"]
    assert (gap.sel(train_size=data["train_size"] > stop) < 0.01).all()
    assert (gap.sel(train_size=data["train_size"] < stop) > 0.01).all()


def test_capacities_end_under_the_clean_bound():
    data = theory_curves.capacity_curves()
    for panel in ("V = 2", "V = 32"):
        bound = data[f"{panel}: Shannon bound, clean query"]
        for name in data.data_vars:
            if name.startswith(f"{panel}:"):
                assert (data[name].fillna(0) <= bound + 1e-9).all()


def test_an_unknown_picture_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["theory", "basin", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2 and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "below")
    monkeypatch.setattr(sys, "argv", ["theory", "linear", "--out", out])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("theory: ") and said.count("\n") == 1
