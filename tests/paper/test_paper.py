"""The appendix: results that are missing or stale are refused, the rest is drawn as it is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from paper import build, disagreements, document, drawing, manifest, style, tex
from paper.build import Options, RefusedError
from paper.disagreements import Comparison
from paper.sources import RUNS, Results, StaleResultsError, differences
from paper.tables import results as tables
from simulations.results.files import write_dataset
from tests.helpers import ROOT


def write_run(root, name="capacity", preset="smoke", summary=None, **attrs):
    """Results of a run as today's code would sign them; `attrs` overrides what is signed."""
    run = RUNS[name]
    config = run.config(preset)
    signed = {
        "config_hash": run.study.configuration_hash(config),
        "configuration": json.dumps(config.as_dict()),
        "commit": "abc",
        "host_class": "a machine",
        "content_digest": "0",
    }
    data = xr.Dataset({"x": ("n", np.arange(3.0))}, attrs=signed | attrs)
    run.place(root, preset).mkdir(parents=True, exist_ok=True)
    write_dataset(data, run.data_file(root, preset))
    if summary is not None:
        (run.place(root, preset) / "summary.json").write_text(json.dumps(summary))


# what results are taken


def test_current_results_are_taken(tmp_path):
    write_run(tmp_path)
    found = Results(tmp_path, "smoke").open("capacity")
    assert found.preset == "smoke"
    assert found.data["x"].size == 3


@pytest.mark.parametrize("name", RUNS)
def test_every_run_names_its_command_when_missing(tmp_path, name):
    run = RUNS[name]
    with pytest.raises(StaleResultsError) as caught:
        Results(tmp_path).open(name)
    assert f"python {run.study.command} --preset small" in str(caught.value)
    assert all(word in str(caught.value) for word in run.options)
    assert f"--out {run.place(tmp_path, 'small')}" in str(caught.value)


def test_the_default_folder_needs_no_out():
    assert RUNS["iid"].command(Path("results"), "small") == (
        "python -m simulations.phase_diagram --preset small --source iid"
    )


def test_results_of_another_configuration_are_refused(tmp_path):
    write_run(tmp_path, config_hash="0" * 16)
    with pytest.raises(StaleResultsError, match=r"another configuration.* now .*--preset smoke"):
        Results(tmp_path, "smoke").open("capacity")


def test_settings_outside_the_hash_are_compared_too(tmp_path):
    config = RUNS["capacity"].config("smoke").as_dict() | {"sets": 99}
    write_run(tmp_path, configuration=json.dumps(config))
    with pytest.raises(StaleResultsError, match="other values of sets"):
        Results(tmp_path, "smoke").open("capacity")


def test_differences_sees_lists_as_tuples_and_keys_on_one_side():
    assert differences('{"a": [1, [2]], "b": 1}', {"a": (1, (2,)), "c": 1}) == ["b", "c"]


def test_problems_lists_every_run_that_cannot_be_drawn_but_not_absent_optional_ones(tmp_path):
    write_run(tmp_path)
    found = Results(tmp_path, "smoke").problems(["capacity", "linear", "basins", "dit"])
    assert len(found) == 2
    assert "linear_curves" in found[0] and "basins" in found[1]


def test_a_stale_optional_run_is_refused(tmp_path):
    write_run(tmp_path, "dit", config_hash="0" * 16)
    assert len(Results(tmp_path, "smoke").problems(["dit"])) == 1


def test_a_larger_run_is_taken_in_place_of_small_where_it_is_there(tmp_path):
    assert Results(tmp_path).preset_of("scaling") == "small"
    RUNS["scaling"].data_file(tmp_path, "medium").parent.mkdir(parents=True)
    RUNS["scaling"].data_file(tmp_path, "medium").touch()
    assert Results(tmp_path).preset_of("scaling") == "medium"
    assert Results(tmp_path, "smoke").preset_of("scaling") == "smoke"


def test_a_command_without_the_stage_s_preset_gives_its_small_one(tmp_path):
    assert Results(tmp_path, "paper").preset_of("basins") == "small"
    assert Results(tmp_path, "paper").preset_of("markov") == "paper"


def test_a_summary_that_cannot_be_read_names_the_command(tmp_path):
    write_run(tmp_path)
    with pytest.raises(StaleResultsError, match=r"summary.json cannot be read.*--preset smoke"):
        _ = Results(tmp_path, "smoke").open("capacity").summary


def test_every_run_has_a_configuration_and_a_hash_of_each_preset():
    for run in RUNS.values():
        hashes = [
            run.study.configuration_hash(run.config(run.wanted(stage)))
            for stage in ("smoke", "small")
        ]
        assert len(set(hashes)) == len(hashes)


# the command


def test_missing_results_end_with_sentences_and_status_2(tmp_path, monkeypatch, capsys):
    words = ["--results", str(tmp_path / "none"), "--out", str(tmp_path), "--only", "capacity"]
    monkeypatch.setattr(sys, "argv", ["paper.build", *words])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("paper: There is no ")
    assert "python -m simulations.capacity --preset small --out" in lines[0]
    assert "make paper-full" in lines[1]
    assert not (tmp_path / "build").exists()


def test_an_unknown_figure_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(RefusedError, match=r"no figure or table 'nosuch'.*transition.*laws"):
        build.build(Options(out=tmp_path, only=("nosuch",)))


def test_full_runs_what_is_missing_and_nothing_else(tmp_path, monkeypatch):
    write_run(tmp_path, "capacity")
    asked = []

    def run(words, **_):
        asked.append(words[1:])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(build.subprocess, "run", run)
    options = Options(preset="smoke", results=tmp_path)
    build.make_results(options, ["capacity", "linear", "dit"])
    assert [words[1] for words in asked] == ["simulations.linear_curves"]
    assert asked[0][2:4] == ["--preset", "smoke"]
    asked.clear()
    build.make_results(Options(preset="smoke", results=tmp_path, transformer=True), ["dit"])
    assert asked[0][1:6] == ["simulations.phase_diagram", "--preset", "smoke", "--model", "dit"]


def test_a_command_that_fails_stops_full_and_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        build.subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 3)
    )
    with pytest.raises(RefusedError, match=r"simulations.linear_curves.* ended with status 3"):
        build.make_results(Options(preset="smoke", results=tmp_path), ["linear", "capacity"])


def test_figures_and_tables_read_runs_that_there_are():
    for name in drawing.FIGURES:
        assert set(drawing.module_of(name).RUNS) <= set(RUNS)
    for runs, _ in tables.TABLES.values():
        assert set(runs) <= set(RUNS)


def test_the_text_shows_every_figure_and_table_once():
    text = "".join(path.read_text() for path in sorted((ROOT / "paper").rglob("*.tex")))
    for name in drawing.FIGURES:
        assert text.count(rf"\paperfigure{{{name}}}") == 1, name
    for name in tables.TABLES:
        assert text.count(rf"\papertable{{{name}}}") == 1, name


# drawing


class Stub:
    RUNS = ()

    @staticmethod
    def draw(results):
        figure, axes = style.figure(1, 1, 2)
        axes[0, 0].plot([1, 2], [3, 4], label="$K$")
        axes[0, 0].legend()
        return figure, "$K=4,096$"


def test_figures_have_the_same_bytes_every_time_and_embedded_fonts(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "module_of", lambda name: Stub)
    seen = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        drawing.draw_one(Results(tmp_path), folder, "transition")
        seen.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert seen[0] == seen[1]
    pdf = seen[0]["fig_transition.pdf"]
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    assert seen[0]["fig_transition_caption.tex"] == b"$K=4{,}096$\n"
    assert "fig_transition_small.png" in seen[0]


def test_lanes_hold_every_figure_module_once():
    modules = {path.stem for path in (ROOT / "paper" / "figures").glob("[!_]*.py")}
    assert sorted(drawing.FIGURES) == sorted(modules)
    assert set(drawing.GALLERY) <= modules


def test_error_bars_never_point_the_wrong_way():
    found = style.bars([1.0, 2.0, 3.0], [0.5, np.nan, 3.5], [2.0, np.inf, 4.0])
    np.testing.assert_allclose(found, [[0.5, 0, 0], [1.0, 0, 1.0]])


@pytest.mark.parametrize("sizes", [(16, 16384), (8, 512), (64,), (1, 10**6)])
def test_the_axis_of_sizes_has_few_ticks_from_the_smallest_on(sizes):
    with style.plt.rc_context(style.STYLE):
        figure, axes = style.figure(1, 1, 2)
        style.size_axis(axes[0, 0], sizes)
        ticks = axes[0, 0].xaxis.get_majorticklocs()
        style.plt.close(figure)
    assert ticks[0] == sizes[0]
    assert len(ticks) <= 6


def test_a_logarithmic_axis_with_nothing_on_it_is_drawn(tmp_path):
    with style.plt.rc_context(style.STYLE):
        figure, axes = style.figure(1, 1, 2)
        style.points(axes[0, 0], [1.0], [np.nan], [np.nan], [np.nan])
        for which in "xy":
            style.log_ticks(axes[0, 0], which)
        figure.savefig(tmp_path / "empty.pdf")
        style.plt.close(figure)


# tables and disagreements

ROW = {"what": "a", "simulated": 1.0, "predicted": 0.5, "low": 0.4, "high": 0.6}


def summary_of(*verdicts):
    return {"theory_against_simulation": [ROW | {"verdict": verdict} for verdict in verdicts]}


def test_only_rows_that_deviate_are_disagreements():
    rows = disagreements.comparisons("markov", summary_of("agree", "deviate", "no interval"))
    (group,) = disagreements.groups(rows)
    assert (len(group.rows), group.compared) == (1, 3)
    text = disagreements.as_csv(rows)
    assert text.splitlines()[1].startswith("markov,a,1,0.5,0.5,0.4,0.6,")
    assert len(text.splitlines()) == 2


def test_points_of_basins_are_compared_with_their_own_criterion():
    radii = {"exact": {"value": 0.3, "low": 0.2, "high": "inf"}, "nearest": {"value": "nan"}}
    point = {
        "memory": "Hopfield", "vocab_size": 2, "seq_len": 64, "train_size": 8,
        "radii": radii, "criterion": "exact", "predicted": 0.5, "verdict": "below it",
    }  # fmt: skip
    none = point | {"verdict": "–", "predicted": "nan"}
    (row,) = disagreements.comparisons("basins", {"points": [point, none]})
    assert (row.simulated, row.predicted, row.verdict) == (0.3, 0.5, "deviate")
    assert row.low == pytest.approx(-0.3)
    assert row.high == np.inf


@pytest.mark.parametrize(
    ("run", "what", "words"),
    [
        ("markov", "K=16: train, against empirical, corrupted recovery, argmax, t=0.5", "smallest"),
        ("iid", "K=9: train, against population, all-token recovery, argmax, t=1", "all tokens"),
        ("linear", "V=4 L=16 alpha=0.5 x=0.15: error, train", "errors of fits to all noise"),
        ("linear", "one draw, ridge=1 x=1: error, test", "one noise draw"),
        ("linear", "V=4 L=16 alpha=0.5 x=0.15: corrupted recovery, test", "token recovery"),
        ("entropy", "K=64 from K=16384, loo on train: t*", "separation"),
        ("entropy", "empirical K=64: loo entropy at t=0.5, own run against the channel on heldout",
         "held-out sequences"),
        ("entropy", "population: loo entropy at t=0.5, own run against the channel on heldout",
         "exact denoisers"),
        ("basins", "Potts, V = 8, L = 32, K = 4: radius", "other memories"),
        ("basins", "empirical, MAP, V = 2, L = 64, K = 6: radius", "empirical denoiser"),
    ],
)  # fmt: skip
def test_rows_find_their_cause(run, what, words):
    assert words in disagreements.cause_of(Comparison(what, 0, 0, 0, 0, "deviate", run)).words


def test_a_row_of_no_kind_has_no_known_cause():
    cause = disagreements.cause_of(Comparison("new", 0, 0, 0, 0, "deviate", "markov"))
    assert (cause.words, cause.why) == ("other", "Not known.")


def test_the_largest_difference_of_a_group_is_the_largest_finite_one():
    gaps = (0.1, -0.5, np.inf)
    rows = [Comparison("new", gap, 0.0, 0, 0, "deviate", "markov") for gap in gaps]
    (group,) = disagreements.groups(rows)
    assert group.largest.gap == -0.5


def test_capacities_come_from_the_summary(tmp_path):
    limit = {"value": 0.14, "low": 0.13, "high": 0.15}
    one = {"theory": 0.1379, "sizes": [250, 500], "limits": {"1/N": limit}, "interval": [0.1, 0.2]}
    write_run(tmp_path, summary={"critical_loads": {"Potts, q = 3": one}})
    text = tables.capacities(Results(tmp_path, "smoke"))
    assert (
        "Potts, q = 3 & 0.1379 & 250 and 500 & -- & 0.140 [0.130, 0.150] & [0.100, 0.200]" in text
    )
    assert r"\label{tab:capacities}" in text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"value": 700.4, "low": 650, "high": 1234, "status": "ok"}, "700 [650, 1,234]"),
        ({"value": "inf", "low": 1, "high": "inf", "status": "above grid"}, "$>$"),
        ({"value": "-inf", "low": 1, "high": 2, "status": "below grid"}, "$<$"),
        ({"value": 5, "low": "nan", "high": 9, "status": "upper limit"}, r"$\le$ 9"),
        (None, "--"),
    ],
)
def test_transition_sizes_in_words(found, words):
    assert tables._size(found) == words


def test_tables_have_as_many_cells_in_every_row():
    text = tex.table("x", "words", "lr", ["a", "b"], [["1", "2"], ["3", "4"]])
    assert [line.count("&") for line in text.splitlines() if "&" in line] == [1, 1, 1]


def test_the_manifest_says_where_every_file_comes_from(tmp_path):
    write_run(tmp_path)
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "table_capacities.tex").write_text("x")
    results = Results(tmp_path, "smoke")
    manifest.write(results, folder, {"table_capacities.tex": ("capacity", "dit")})
    found = json.loads((folder / manifest.NAME).read_text())
    assert found["files"]["table_capacities.tex"]["runs"] == ["capacity"]
    run = found["runs"]["capacity"]
    assert run["commit"] == "abc"
    assert run["command"].startswith("python -m simulations.capacity --preset smoke")
    assert run["configuration"] == results.open("capacity").data.attrs["config_hash"]


# the document


def test_boxes_and_references_of_a_log():
    log = (
        "Overfull \\hbox (5.1pt too wide) in paragraph at lines 1--2\n"
        "Overfull \\vbox (4.9pt too high) has occurred while \\output is active\n"
        "LaTeX Warning: Reference `fig:x' on page 1 undefined on input line 3.\n"
        "Package natbib Warning: Citation `a' on page 1 undefined on input line 4.\n"
    )
    found = document.log_problems(log)
    assert len(found) == 3
    assert found[0] == "A box is 5.1 pt too wide, in paragraph at lines 1--2."
    assert "fig:x" in found[1] and "Citation `a'" in found[2]


FONTS = """\
name                                 type              encoding         emb sub uni object ID
------------------------------------ ----------------- ---------------- --- --- --- ---------
ABCDEF+LMRoman10-Regular             Type 1            Custom           yes yes no       4  0
Helvetica                            Type 1            Standard         no  no  no       5  0
"""


def test_fonts_that_are_not_embedded_are_named():
    assert document.fonts_missing(FONTS) == ["Font Helvetica is not embedded."]


def test_a_large_document_is_said(tmp_path, monkeypatch):
    path = tmp_path / "x.pdf"
    path.write_bytes(b"x" * 2000)
    assert document.size_problems(path) == []
    monkeypatch.setattr(document, "MAX_MEGABYTES", 0.001)
    assert "at most 0.001 are wanted" in document.size_problems(path)[0]


def test_without_latexmk_there_is_no_document_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(document.shutil, "which", lambda name: None)
    assert document.typeset(tmp_path) is None


@pytest.mark.slow
def test_a_figure_and_a_table_are_built_from_nothing_and_again(tmp_path):
    """One cheap run at smoke size, its figure and table; then both from what is there."""
    words = [sys.executable, "-m", "paper.build", "--preset", "smoke", "--full"]
    words += ["--results", str(tmp_path / "results"), "--out", str(tmp_path)]
    words += ["--only", "capacity", "capacities"]
    first = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("== python -m simulations.") == 1
    made = {path.name: path.read_bytes() for path in (tmp_path / "build").iterdir()}
    assert {"fig_capacity.pdf", "fig_capacity.png", "table_capacities.tex"} <= set(made)
    sets = RUNS["capacity"].config("smoke").sets
    assert f"{sets} sets of random patterns" in made["fig_capacity_caption.tex"].decode()
    shutil.rmtree(tmp_path / "build")
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert "simulations." not in again.stdout
    assert {path.name: path.read_bytes() for path in (tmp_path / "build").iterdir()} == made
