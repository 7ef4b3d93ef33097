"""The examples of the READMEs run and print what they claim."""

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from paper.readme import PAGES, ROOT
from simulations.results.files import read_dataset

EXAMPLES = {}
for page in PAGES:
    for name, code in re.findall(
        r"<!-- example: (\w+) -->\n```python\n(.*?)```", page.read_text(), flags=re.S
    ):
        assert name not in EXAMPLES, f"two examples are named {name}"
        EXAMPLES[name] = code


def run(name):
    """The names that the code of an example leaves."""
    names = {"__name__": "example"}
    exec(compile(EXAMPLES[name], f"example {name}", "exec"), names)
    return names


def test_every_example_has_a_test():
    elsewhere = {"torch"}  # tests/peers/test_torch_adapter.py
    here = Path(__file__).read_text()
    tested = set(re.findall(r'(?:(?<!\.)\brun\(|EXAMPLES\[)"(\w+)"', here))
    assert set(EXAMPLES) == tested | elsewhere


def test_every_block_of_python_is_an_example_or_a_doctest():
    for page in PAGES:
        blocks = re.findall(r"(.*)\n```python\n(...)", page.read_text())
        assert all(">>>" in code or "<!-- example" in mark for mark, code in blocks), page


def test_the_library_example_agrees_with_theory(capsys):
    run("library")
    lines = dict(line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines()[:3])
    recovered, exact = float(lines["recovered"]), float(lines["exact theory"])
    # 500 sequences; recovery of a sequence lies in [0, 1], so its standard deviation is below 1/2
    assert abs(recovered - exact) < 5 * 0.5 / 500**0.5
    assert 0 < float(lines["basin radius"]) < 1


def test_the_denoiser_example_conforms_and_generates_its_law(capsys):
    run("denoiser")
    first = capsys.readouterr().out.splitlines()[0]
    shares = [float(word) for word in first.strip("[]").split()]
    for share, wanted in zip(shares, (0.4, 0.3, 0.2, 0.1), strict=True):
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / 6000) ** 0.5


def test_the_memory_example_restores_what_theory_says_it_can(capsys):
    run("memory")
    overlap, restored = (line.split() for line in capsys.readouterr().out.splitlines())
    # load 0.04 from overlap 0.7: far inside the basin, m = 0.9999994 at the fixed point
    assert float(overlap[1]) > 0.999
    # no rule beats MAP, which loses 3.4e-4 here
    assert float(restored[2]) > 0.99


def test_the_transformer_example_memorizes_and_comes_back(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = run("transformer")
    assert float(capsys.readouterr().out.split()[-1]) > 0.9
    law = names["again"].log_loo(names["x_t"], 0.3)
    np.testing.assert_array_equal(law, names["trained"].model.log_loo(names["x_t"], 0.3))


def test_the_probe_example_says_that_the_memorizer_memorizes(capsys):
    names = run("probe")
    label, sentence = capsys.readouterr().out.splitlines()
    assert label == "memorizing" and sentence.startswith("M = 1.00")
    assert isinstance(names["result"].data, xr.Dataset)


def test_the_mpi_example_names_what_there_is(monkeypatch, tmp_path):
    """mpi4py is not here: its executor is stood in for, the launcher is told of every cell."""
    asked = {}
    monkeypatch.setitem(sys.modules, "mpi4py", type(sys)("mpi4py"))
    futures = type(sys)("mpi4py.futures")
    futures.MPIPoolExecutor = object
    monkeypatch.setitem(sys.modules, "mpi4py.futures", futures)
    monkeypatch.setattr(
        "simulations.sweep.run.run_sweep",
        lambda cells, compute, out, key, **options: asked.update(cells=cells, out=out, **options),
    )
    monkeypatch.setattr("os.environ", {})
    exec(compile(EXAMPLES["mpi"], "example mpi", "exec"), {"__name__": "__main__"})
    assert asked["workers"] == 3 and asked["executor_factory"] is object
    assert len(asked["cells"]) > 1 and str(asked["out"]) == "results/linear_curves/smoke"


@pytest.mark.slow
def test_the_notebook_example_gives_data_analysis_and_a_figure(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = run("notebook")
    assert "error" in capsys.readouterr().out
    found, axes = names["found"], names["axes"]
    assert found.config.seeds == 4 and found.data.sizes["seed"] == 4
    assert found.analysis.checks
    assert all(axis.lines or axis.containers for axis in axes.flat)
    plt.close(names["figure"])


STUDY_LINES = 40


def test_the_study_example_has_no_more_lines_than_promised():
    code = [line for line in EXAMPLES["study"].splitlines() if line.strip()]
    assert len(code) <= STUDY_LINES


@pytest.fixture
def example_study(tmp_path):
    """The example as a module of its own on the path of a fresh interpreter: (folder, runner)."""
    (tmp_path / "reverse_steps.py").write_text(EXAMPLES["study"])
    path = f"{tmp_path}:{ROOT}"

    def python(*words):
        ran = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return tmp_path, python


@pytest.mark.slow
def test_the_study_example_is_a_command_that_plans_runs_and_resumes(example_study):
    folder, python = example_study
    command = ("-m", "reverse_steps", "--preset", "smoke")
    assert "3 cells, 0 done" in python(*command, "--dry-run")
    assert not (folder / "results").exists()
    assert "were already there" not in python(*command)
    out = folder / "results" / "reverse_steps" / "smoke"
    assert "3 of 3 cells were already there" in python(*command)
    names = {path.name for path in out.iterdir()}
    assert {"report.md", "summary.json", "reverse_steps.png", "reverse_steps.nc"} <= names
    assert "| steps | tokens | sequences |" in (out / "report.md").read_text()
    data = read_dataset(out / "reverse_steps.nc")
    assert list(data["steps"]) == [1, 4, 16]
    # a token is restored as often by one exact draw as by many; a sequence is not
    assert abs(data["tokens"][0] - data["tokens"][-1]) < 5 * 0.5 / 200**0.5
    assert data["sequences"][0] < data["sequences"][-1]


@pytest.mark.slow
def test_the_study_example_is_a_call_that_gives_data_and_figure(example_study):
    _, python = example_study
    code = """
import json
import matplotlib.pyplot as plt
from reverse_steps import STUDY

if __name__ == "__main__":
    found = STUDY.run("smoke", out="few", steps=(1, 2))
    figure, axis = plt.subplots()
    assert found.draw(axis) is figure and axis.lines
    print(json.dumps([found.data["steps"].values.tolist(), found.config.train_size]))
"""
    (example_study[0] / "call.py").write_text(code)
    assert json.loads(python("call.py")) == [[1, 2], 200]


FILES = [
    (str(page.relative_to(ROOT)), name)
    for page in PAGES
    for name in sorted(set(re.findall(r"`([\w/]+\.py)`", page.read_text())))
]


@pytest.mark.parametrize("page, name", FILES)
def test_files_named_in_a_readme_exist(page, name):
    folders = (ROOT, (ROOT / page).parent, ROOT / "simulations", ROOT / "simulations" / "novelty")
    given = name == "reverse_steps.py"  # by the reader
    assert given or any((folder / name).exists() for folder in folders)
