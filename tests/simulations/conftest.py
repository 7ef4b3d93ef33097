"""Tiny runs of every study, each made once a session by whichever test process needs it first."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from tests.simulations.registry import STUDIES


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The results folder of a study's tiniest run, by the name of the study.

    Processes of one session share the run; each has a copy of its own, as tests run it again.
    """
    own, made = tmp_path_factory.getbasetemp(), dict[str, Path]()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def run(name: str) -> Path:
        if name not in made:
            first = shared / "tiny-runs" / name
            first.parent.mkdir(exist_ok=True)
            with open(first.with_suffix(".lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not first.exists():
                    unfinished = tmp_path_factory.mktemp(name) / "run"
                    execute(name, unfinished)
                    shutil.copytree(unfinished, first.with_suffix(".copy"))
                    first.with_suffix(".copy").rename(first)
            made[name] = tmp_path_factory.mktemp(name) / "run"
            shutil.copytree(first, made[name])
        return made[name]

    return run


def execute(name: str, out: Path) -> None:
    """Make the tiniest run of a study."""
    study, tiny = STUDIES[name].study, STUDIES[name].tiny
    words = ["--preset", "smoke", *tiny.split(), *["--check"] * study.checked, "--out", str(out)]
    assert study.execute(words, Console(quiet=True)) == 0
