"""What every study promises, whatever it measures: presets, refusals, resume, equality, figures."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
import xarray as xr
from rich.console import Console

from simulations.console.errors import UserError
from simulations.console.later import Later
from simulations.plots import save
from simulations.results.cells import Cell
from simulations.results.content import content_digest
from simulations.results.files import read_dataset
from tests.helpers import ROOT
from tests.simulations.registry import STUDIES

every_study = pytest.mark.parametrize("name", STUDIES)


def refusal(name, words, out, capsys) -> str:
    """What the command of a study says to bad words; nothing may have been written."""
    study = STUDIES[name].study
    chosen = words if "--preset" in words else ["--preset", "smoke", *words]
    with pytest.raises((SystemExit, UserError)) as stopped:
        study.execute([*chosen, "--out", str(out)], Console())
    assert not out.exists()
    if isinstance(stopped.value, UserError):
        assert stopped.value.status == 2
        return str(stopped.value)
    assert stopped.value.code == 2
    return " ".join(capsys.readouterr().err.replace("│", " ").split())


# what it is made of


@every_study
def test_every_function_of_a_study_is_there(name):
    study = STUDIES[name].study
    for part in dataclasses.fields(study):
        function = getattr(study, part.name)
        if isinstance(function, Later):
            assert callable(function.load()), part.name


@every_study
def test_every_preset_gives_cells_of_one_kind_each(name):
    study = STUDIES[name].study
    for preset in study.presets:
        config = study.preset(preset)
        assert study.configuration_hash(config)
        cells = study.cells(config)
        assert all(isinstance(cell, Cell) for cell in cells)
        assert len({cell.name for cell in cells}) == len(cells) > 0
        assert min(study.cost(config, cell) for cell in cells) > 0
        assert min(study.size(config, cell) for cell in cells) > 0
        assert json.loads(json.dumps(config.as_dict()))


@every_study
def test_the_hash_changes_with_the_seed_and_with_the_numerics(name):
    study = STUDIES[name].study
    config = study.preset("smoke")
    other = dataclasses.replace(config, root_seed=config.root_seed + 1)
    key = next(iter(study.numerics), name)
    newer = dataclasses.replace(study, numerics={**study.numerics, key: 1 + 10 * len(name)})
    hashes = {study.configuration_hash(config), study.configuration_hash(other)}
    assert len(hashes | {newer.configuration_hash(config)}) == 3


# its command line


@every_study
def test_the_default_is_the_small_preset_and_every_setting_can_be_overridden(name):
    study = STUDIES[name].study
    assert study.parse([]).config == study.preset("small")
    parsed = study.parse(["--preset", "smoke", "--root-seed", "77", "--workers", "3"])
    assert parsed.config == dataclasses.replace(study.preset("smoke"), root_seed=77)
    assert parsed.engine.workers == 3


@every_study
@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ("--preset huge", "there is no preset 'huge'; choose smoke"),
        ("--workers 0", "`workers` must be at least 1"),
        ("--cluster nowhere", "address of a Dask scheduler"),
        ("--root-seed one", "root-seed"),
    ],
)
def test_bad_words_get_one_sentence(name, words, fragment, tmp_path, capsys):
    assert fragment in refusal(name, words.split(), tmp_path / "out", capsys)


@pytest.mark.parametrize(
    ("name", "words", "fragment"),
    [(name, *bad) for name, case in STUDIES.items() for bad in case.refused],
)
def test_bad_settings_get_one_sentence(name, words, fragment, tmp_path, capsys):
    assert fragment in refusal(name, words.split(), tmp_path / "out", capsys)


@pytest.mark.parametrize(
    ("name", "choice"), [(n, c) for n, case in STUDIES.items() for c in case.study.choices]
)
def test_a_choice_that_is_not_there_is_refused(name, choice, tmp_path, capsys):
    said = refusal(name, [f"--{choice}", "books"], tmp_path / "out", capsys)
    assert f"there is no {choice} 'books'; choose" in said


@every_study
def test_a_folder_below_a_file_is_refused(name, tmp_path):
    (tmp_path / "file").write_text("")
    words = ["--preset", "smoke", "--out", str(tmp_path / "file" / "out")]
    with pytest.raises(UserError, match="regular file"):
        STUDIES[name].study.execute(words, Console(quiet=True))


@every_study
def test_a_dry_run_tells_cells_time_and_disk_and_writes_nothing(name, tmp_path, capsys):
    words = ["--preset", "smoke", "--dry-run", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        STUDIES[name].study.execute(words, Console())
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "to compute" in said and "disk:" in said
    assert not list(tmp_path.iterdir())


@every_study
def test_the_command_of_a_study_is_there_and_says_what_it_is(name):
    study = STUDIES[name].study
    command = [sys.executable, *study.command.split(), "--help"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    assert " ".join(study.about.strip().splitlines()[0].split()) in said
    assert all(preset in said for preset in study.presets)


# its runs


def digests(out):
    return {path.name: content_digest(read_dataset(path)) for path in (out / "cells").glob("*.nc")}


@pytest.mark.slow
@every_study
def test_a_run_writes_what_is_promised_and_a_second_one_computes_nothing(name, tiny_run, capsys):
    study, out = STUDIES[name].study, tiny_run(name)
    names = {path.name for path in out.iterdir()}
    assert {"cells", "report.md", "summary.json", f"{name}.nc", f"{name}.png"} <= names
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]
    with xr.open_dataset(out / f"{name}.nc", engine="h5netcdf") as data:
        assert data.attrs["title"] == (study.title or name)
        assert {"config_hash", "commit", "numpy_version", "configuration"} <= set(data.attrs)
    report = (out / "report.md").read_text()
    assert f"![figure]({name}.png)" in report and report.splitlines()[0].endswith("preset smoke")
    assert "## Provenance" in report and "host_class" in report
    summary = json.loads((out / "summary.json").read_text())
    assert summary["configuration"]["root_seed"] == study.preset("smoke").root_seed
    assert summary.get("exact_failures", []) == []
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert study.execute([*words_of(name), "--out", str(out)], Console()) == 0
    assert f"{len(before)} of {len(before)} cells were already there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == before


@pytest.mark.slow
@every_study
def test_another_configuration_is_refused_and_nothing_is_changed(name, tiny_run):
    out = tiny_run(name)
    before = sorted(path.name for path in out.rglob("*"))
    with pytest.raises(UserError, match="another configuration"):
        words = [*words_of(name), "--root-seed", "7", "--out", str(out)]
        STUDIES[name].study.execute(words, Console(quiet=True))
    assert sorted(path.name for path in out.rglob("*")) == before


@pytest.mark.slow
@every_study
def test_from_python_a_study_gives_data_analysis_and_a_figure_on_given_axes(name, tiny_run):
    study, out = STUDIES[name].study, tiny_run(name)
    config = study.settle(study.parse(words_of(name)))
    found = study.run("smoke", out=out, workers=1, **overrides(study, config))
    assert isinstance(found.data, xr.Dataset) and found.config == config
    xr.testing.assert_identical(
        found.data.drop_attrs(deep=False),
        read_dataset(out / f"{name}.nc").drop_attrs(deep=False),
    )
    own = found.draw()
    shape = own.axes[0].get_subplotspec().get_gridspec().get_geometry()
    figure, axes = plt.subplots(*shape, figsize=(4, 4))
    assert found.draw(axes) is figure and figure.axes[0].has_data()
    save(figure, out.parent / f"{name}-given")
    plt.close(own)


def overrides(study, config):
    """The settings in which a configuration differs from the smoke preset."""
    base = study.preset("smoke")
    names = [part.name for part in dataclasses.fields(config)]
    return {n: getattr(config, n) for n in names if getattr(config, n) != getattr(base, n)}


def words_of(name):
    return ["--preset", "smoke", *STUDIES[name].tiny.split(), "--workers", "1"]


@pytest.mark.slow
def test_a_report_is_written_even_if_the_figure_fails(tmp_path):
    def draw(*_):
        raise RuntimeError("no figure today")

    study = dataclasses.replace(STUDIES["linear_curves"].study, draw=draw)
    with pytest.raises(RuntimeError, match="no figure today"):
        study.execute([*words_of("linear_curves"), "--out", str(tmp_path / "run")], Console())
    assert (tmp_path / "run/report.md").read_text().startswith("# ")
    assert json.loads((tmp_path / "run/summary.json").read_text())


# what it refuses before anything is computed


def test_a_study_without_a_module_or_a_way_to_merge_is_refused_at_once(tmp_path):
    study = STUDIES["capacity"].study
    lost = dataclasses.replace(study, report=Later("simulations.capacity.reports", "report"))
    with pytest.raises(UserError, match=r"has no module simulations\.capacity\.reports: write it"):
        lost.run("smoke", out=tmp_path / "run")
    unmerged = dataclasses.replace(study, merge=None)
    with pytest.raises(UserError, match="cells of kind, size are not joined by themselves"):
        unmerged.run("smoke", out=tmp_path / "run")
    with pytest.raises(UserError, match="there is no setting 'sedes'; choose"):
        study.run("smoke", out=tmp_path / "run", sedes=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from simulations.linear_curves.study import STUDY\n"
        f"STUDY.run('smoke', out={str(tmp_path / 'run')!r})\n"
    )
    for words, stdin in (([str(script)], None), (["-"], script.read_text())):
        ran = subprocess.run(
            [sys.executable, *words], input=stdin, cwd=ROOT, capture_output=True, text=True
        )
        assert ran.returncode == 1
        last = ran.stderr.strip().splitlines()[-1]
        assert "anew" in last and 'under `if __name__ == "__main__":`' in last
        assert not list((tmp_path / "run" / "cells").glob("*.nc"))
