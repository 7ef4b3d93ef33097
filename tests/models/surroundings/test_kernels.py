"""Machine code of kernels: never of older sources, never damaged, never needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import models.surroundings.kernels as kernels

INNER = """
from models.surroundings.kernels import compiled

@compiled()
def inner(x):
    return x + {}
"""
OUTER = """
from models.exact._inner_kernels import inner
from models.surroundings.kernels import compiled

@compiled(nogil=True)
def outer(x):
    return 10 * inner(x)
"""
ASK = """
import sys
from models.exact._outer_kernels import outer
from models.surroundings.kernels import place
found = outer(1)
print(found, sum(outer.stats.cache_hits.values()), place())
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package with two kernels, one of which calls the other, of two files."""
    package = tmp_path / "tree" / "models"
    shutil.copytree(
        Path(kernels.__file__).parent,
        package / "surroundings",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (package / "exact").mkdir()
    for folder in (package, package / "exact"):
        (folder / "__init__.py").touch()
    (package / "exact/_inner_kernels.py").write_text(INNER.format(1))
    (package / "exact/_outer_kernels.py").write_text(OUTER)
    return package.parent


def ask(tree: Path, **environment: str) -> list[str]:
    """What the outer kernel gives, how often its code was found, and where code is kept."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    told = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tree,
        env={**kept, "PYTHONPATH": str(tree), "HOME": str(tree / "home"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout.split()


def test_code_of_a_kernel_follows_every_file_that_it_calls(tree: Path) -> None:
    value, hits, first = ask(tree)
    assert (value, hits) == ("20", "0") and first.startswith(str(tree))
    assert ask(tree)[:2] == ["20", "1"]
    (tree / "models/exact/_inner_kernels.py").write_text(INNER.format(4))
    value, hits, second = ask(tree)
    assert (value, hits) == ("50", "0")
    assert second != first and not Path(first).exists()  # old code does not pile up


@pytest.mark.parametrize("left", [0, 0.5])
def test_code_cut_short_is_made_anew(tree: Path, left: float) -> None:
    files = list(Path(ask(tree)[2]).rglob("*.nb[ic]"))
    assert len(files) == 4
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[: int(left * len(content))].rstrip(b"."))
    assert ask(tree)[:2] == ["20", "0"]
    assert ask(tree)[:2] == ["20", "1"]


def test_kernels_need_no_place_and_no_setting(tree: Path) -> None:
    there = tree / "elsewhere"
    assert ask(tree, NUMBA_CACHE_DIR=str(there))[2].startswith(str(there))
    shutil.rmtree(tree / "models/surroundings/__pycache__", ignore_errors=True)
    (tree / "models/surroundings/__pycache__").touch()  # where nothing can be written
    assert ask(tree, PYTHONDONTWRITEBYTECODE="1")[2].startswith(str(tree / "home"))
    (tree / "home").rename(tree / "gone")
    (tree / "home").touch()
    kept = {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_DISABLE_JIT": "1"}
    assert ask(tree, **kept, NUMBA_THREADING_LAYER="tbb") == ["20", "0", "None"]


def test_the_state_is_that_of_our_kernels() -> None:
    place = kernels.place()
    assert place is not None and place.endswith(kernels.state()) and len(kernels.state()) == 16
    found = {path.name for path in Path(kernels.__file__).parents[1].rglob(kernels.SOURCES)}
    assert {"_hamming_kernels.py", "_kernels.py", "_chain_kernels.py"} <= found
