"""Tiny runs of every study, each made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.simulations.registry import STUDIES


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The results folder of a study's tiniest run, by the name of the study."""
    made: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in made:
            out = tmp_path_factory.mktemp(name) / "run"
            study, tiny = STUDIES[name].study, STUDIES[name].tiny
            check = ["--check"] * study.checked
            words = ["--preset", "smoke", *tiny.split(), *check, "--out", str(out)]
            assert study.execute(words, Console(quiet=True)) == 0
            made[name] = out
        return made[name]

    return run
