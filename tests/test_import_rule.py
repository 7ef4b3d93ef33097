"""Theory predicts, models act, simulations measure, paper draws: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

OURS = {"am_theory", "models", "simulations", "paper", "tests"}
DRAWING = {"matplotlib"}
CLUSTER = {"dask", "dask_jobqueue", "distributed"}  # of simulations, in `cluster.py` alone
COMMAND = {"tyro", "tensorboardX"}  # of models, in `*_command.py` alone
ALLOWED = {
    "am_theory": {"numpy", "scipy", "sympy", "am_theory"},
    "models": {
        "numpy",
        "scipy",
        "jax",
        "jaxtyping",
        "equinox",
        "optax",
        "numba",
        "safetensors",
        "am_theory",
        "models",
    },
    "simulations": {
        "numpy",
        "scipy",
        "xarray",
        "h5netcdf",
        "h5py",
        "rich",
        "tyro",
        "jax",
        "equinox",
        "matplotlib",
        "am_theory",
        "models",
        "simulations",
    },
    "paper": {
        "numpy",
        "scipy",
        "xarray",
        "h5py",
        "tyro",
        "matplotlib",
        "am_theory",
        "models",
        "simulations",
        "paper",
    },
}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(package: str, path: Path) -> set[str]:
    bad = set()
    for name in imports_of(path):
        top = name.split(".")[0]
        allowed = ALLOWED[package] | (COMMAND if path.stem.endswith("_command") else set())
        if (package, path.name) == ("simulations", "cluster.py"):
            allowed |= CLUSTER
        if top not in allowed and top not in sys.stdlib_module_names:
            bad.add(name)
        if package == "models" and top == "am_theory" and not name.startswith("am_theory.channel"):
            bad.add(name)
        if package == "simulations" and top in DRAWING and not path.name.endswith("figures.py"):
            bad.add(name)
    return bad


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_they_may(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert {str(f): v for f in files if (v := violations(package, f))} == {}


def test_the_rule_notices_a_violation(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("from am_theory import empirical\nimport matplotlib.pyplot\nimport torch\n")
    assert violations("models", bad) == {"am_theory.empirical", "matplotlib.pyplot", "torch"}
    assert "matplotlib.pyplot" in violations("simulations", bad)


def test_channel_alone_is_what_models_take_from_theory(tmp_path):
    good = tmp_path / "good.py"
    good.write_text("from am_theory import channel\nfrom am_theory.channel import capacity\n")
    assert violations("models", good) == set()


@pytest.mark.slow
def test_the_wheel_carries_am_theory_alone_and_imports_without_jax(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "site"
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        archive.extractall(target)
    assert {top for top in tops if not top.endswith(".dist-info")} == {"am_theory"}
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "from am_theory import channel, empirical\n"
        "import am_theory; print(am_theory.__file__)\n"
        "print(round(empirical.critical_alpha(0.3, 4), 8))\n"
        "assert not {'models', 'simulations', 'numba', 'matplotlib'} & set(sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(target) in ran.stdout
    assert "0.48932304" in ran.stdout
