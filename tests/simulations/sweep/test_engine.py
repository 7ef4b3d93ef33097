"""Where a sweep computes, and what a dry run says of it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.console.units import format_bytes
from simulations.results.cells import Cell
from simulations.sweep import cluster
from simulations.sweep.cluster import ClusterError, Jobs, RunningCluster, SlurmCluster
from simulations.sweep.engine import Engine, makespan, plan
from simulations.sweep.pool import process_pool
from tests.helpers import ROOT
from tests.simulations.sweep.test_sweep import swept
from tests.stub_cells import CONFIG_HASH, grid


def best_schedule(costs: list[int], workers: int) -> int:
    """The shortest time of all ways to share the cells out."""
    ways = itertools.product(range(workers), repeat=len(costs))
    return min(
        max(sum(c for c, w in zip(costs, way, strict=True) if w == k) for k in range(workers))
        for way in ways
    )


@given(st.lists(st.integers(1, 20), max_size=6), st.integers(1, 3))
def test_makespan_is_near_the_best_schedule(costs, workers):
    found, best = makespan(costs, workers), best_schedule(costs, workers)
    assert max([sum(costs) / workers, *costs]) <= found or not costs
    assert best <= found <= best * (4 / 3 - 1 / (3 * workers)) + 1e-12


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=20))
def test_makespan_of_one_worker_is_the_sum_and_of_many_the_longest(costs):
    assert makespan(costs, 1) == pytest.approx(sum(costs))
    assert makespan(costs, len(costs)) == max(costs)
    assert makespan(costs, 1000 * len(costs)) == max(costs)


def seconds(cell: Cell) -> float:
    return float(cell.coordinates["train_size"])


def test_plan_before_and_after_cells_are_done(tmp_path):
    out = tmp_path / "run"
    before = plan(Engine(workers=2), grid(), out, CONFIG_HASH, seconds, lambda cell: 1e6)
    assert before.startswith("6 cells, 0 done, 6 to compute\ntime: 1 min 03 s of one core, the")
    assert "longest cell 32 s" in before and "by the cost model alone" in before
    assert "32 s on 2 workers" in before and "disk: 6 MB" in before
    assert not out.exists()
    swept(out, cells=grid(2))
    after = plan(Engine(workers=1), grid(), out, CONFIG_HASH, seconds, lambda cell: 1e6)
    assert "6 cells, 2 done, 4 to compute" in after and "scaled by the 2 cells" in after
    sizes = [path.stat().st_size for path in (out / "cells").glob("*.nc")]
    assert f"beside {format_bytes(sum(sizes))} there" in after
    assert f"disk: {format_bytes(2 * sum(sizes))}" in after


def test_plan_counts_cells_for_gpus_and_shows_the_job():
    cells = [*grid(2), Cell("g", {"train_size": 1, "seed": 0}, gpu=True)]
    engine = Engine(slurm="partition=long,time=02:00:00,gpus=1,jobs=3")
    said = plan(engine, cells, Path("absent"), CONFIG_HASH, seconds, lambda cell: 10.0)
    assert "3 to compute, 1 of them on a GPU" in said and "on 3 workers" in said
    assert "#SBATCH -p long" in said


def test_the_job_script():
    words = "partition=long, time=24:00:00,memory=8GB,account=physics,jobs=50,gpus=1"
    script = Jobs.parse(words, 2).script()
    for line in ("-p long", "-A physics", "-n 1", "--cpus-per-task=1", "--mem=8G", "-t 24:00:00",
                 "--gpus=1"):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert f"export {name}='1'\n" in script
    assert "export JAX_PLATFORMS='cuda'" in script and "JAX_PLATFORMS='cpu'" not in script
    worker = script.splitlines()[-1] or script.splitlines()[-2]
    assert worker.startswith(f"{sys.executable} -m distributed.cli.dask_worker")
    assert "--nthreads 1" in worker and "--nworkers" not in worker
    assert "--resources GPU=1" in worker
    plain = Jobs.parse("", 4)
    assert plain.jobs == 4
    assert "--gpus" not in plain.script() and "--resources" not in plain.script()
    assert "export JAX_PLATFORMS='cpu'" in plain.script()
    shell = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert shell.returncode == 0, shell.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": 0}, "`workers` must be at least 1; got 0"),
        ({"cluster": "tcp://a:1", "slurm": ""}, "exclude each other"),
        ({"cluster": "localhost:8786"}, "like tcp://host:8786; got localhost:8786"),
        ({"slurm": "time=tomorrow"}, "got tomorrow"),
        ({"slurm": "jobs=none"}, "`jobs` of --slurm must be a positive number; got none"),
        ({"slurm": "memory=8"}, "like 4GB"),
        ({"slurm": "nodes=2"}, "got 'nodes=2'"),
        ({"slurm": "partition=a b"}, "got 'partition=a b'"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Engine(**settings)


def test_each_engine_has_its_factory():
    assert Engine().factory(print) is process_pool
    assert isinstance(Engine(cluster="tcp://a:1").factory(print), RunningCluster)
    assert isinstance(Engine(slurm="").factory(print), SlurmCluster)


def test_no_slurm_on_this_machine(monkeypatch):
    monkeypatch.setattr(cluster.shutil, "which", lambda name: None)
    with pytest.raises(ClusterError, match="no sbatch on this machine"):
        SlurmCluster(Jobs.parse("", 1), print)(1)


def test_ctrl_c_stays_the_launchers_own_when_slurm_jobs_are_made():
    code = (
        "import signal; from simulations.sweep.cluster import Jobs; "
        "before = signal.getsignal(signal.SIGINT); Jobs.parse('', 1).script(); "
        "assert signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    for make in (RunningCluster("tcp://a:1", print), SlurmCluster(Jobs.parse("", 1), print)):
        with pytest.raises(ClusterError, match=r"install it with: pip install 'am-theory\[cluster"):
            make(1)


def test_a_dry_run_of_a_command(tmp_path):
    command = [sys.executable, "-m", "simulations.linear_curves", "--preset", "smoke", "--dry-run"]
    ran = subprocess.run(
        [*command, "--out", str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "to compute" in ran.stdout and "disk:" in ran.stdout
    assert not list(tmp_path.iterdir())
