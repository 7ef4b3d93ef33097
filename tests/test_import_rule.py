"""Theory predicts, models act, simulations measure, paper draws: who may import whom.

Inside simulations a room imports itself and lower floors; nowhere do modules import in a circle.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

DRAWING = {"matplotlib"}
CLUSTER = {"dask", "dask_jobqueue", "distributed"}  # of simulations, in sweep/cluster.py alone
COMMAND = {"tyro", "tensorboardX"}  # of models, in training/command.py alone
ALLOWED = {
    "am_theory": "numpy scipy sympy am_theory",
    "models": "numpy scipy jax jaxtyping equinox optax numba safetensors am_theory models",
    "simulations": "numpy scipy xarray h5netcdf h5py rich tyro jax equinox matplotlib rapidfuzz "
    "am_theory models simulations",
    "paper": "numpy scipy xarray h5py tyro matplotlib am_theory models simulations paper",
}
FLOORS = ("console", "measure data", "results", "sweep", "plots", "trained study")
# a study may stand on another one where that is what it measures
ON = {
    ("scaling", "linear_curves"),
    ("features_law", "scaling"),
    *(("sharpness", study) for study in ("features_law", "linear_curves", "rows", "scaling")),
    ("few_draws", "features_law"),
    ("few_draws", "scaling"),
    ("engine_scale", "phase"),
    ("basins", "theory"),
    ("channels", "phase"),
    ("released", "probe"),
}
FULL = 16  # modules in a folder, but for am_theory
LONG = 300  # lines of a module that needs no reason


def modules(package: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports when it runs, at its head or inside functions."""
    found, tree = set(), ast.parse(path.read_text())
    tree.body = [node for node in tree.body if "TYPE_CHECKING" not in ast.dump(node)[:60]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(package: str, path: Path) -> set[str]:
    """Imports that a package may not have."""
    bad, allowed = set(), set(ALLOWED[package].split())
    place = "/".join(path.parts[-2:])
    if place == "training/command.py":
        allowed |= COMMAND
    if place == "sweep/cluster.py":
        allowed |= CLUSTER
    for name in imports_of(path):
        top = name.split(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names:
            bad.add(name)
        if package == "models" and top == "am_theory" and not name.startswith("am_theory.channel"):
            bad.add(name)
        drawn = path.stem in ("figure", "figures", "plots")
        if package == "simulations" and top in DRAWING and not drawn:
            bad.add(name)
    return bad


def floor(room: str) -> int:
    """The floor of a room of simulations, from 1; a study is on the one above all others."""
    for number, rooms in enumerate(FLOORS, 1):
        if room in rooms.split():
            return number
    return len(FLOORS) + 1


def graph(found: dict[str, Path]) -> dict[str, set[str]]:
    """The modules that each module imports, of those given."""
    edges = {}
    for name, path in found.items():
        wanted = imports_of(path)
        parents = {item.rpartition(".")[0] for item in wanted - set(found)}
        edges[name] = ((wanted | parents) & set(found)) - {name}
    return edges


def upward(edges: dict[str, set[str]]) -> list[str]:
    """Imports of simulations that do not go to the own room or a lower floor."""
    bad = []
    for name, targets in edges.items():
        for target in targets:
            here, there = (
                dotted.split(".")[1] if "." in dotted else "" for dotted in (name, target)
            )
            lower = floor(there) < floor(here) or here == there or (here, there) in ON
            if here and here != "phase_diagram" and not lower:
                bad.append(f"{name} -> {target}")
    return bad


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import themselves by way of others: what is left when leaves are taken off."""
    left = {name: set(targets) for name, targets in edges.items()}
    while leaves := {name for name, targets in left.items() if not targets}:
        left = {name: targets - leaves for name, targets in left.items() if name not in leaves}
    return sorted(left)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_they_may(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert {str(f): v for f in files if (v := violations(package, f))} == {}


def test_rooms_of_simulations_import_lower_floors_alone():
    assert upward(graph(modules(ROOT / "simulations"))) == []


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_no_modules_import_in_a_circle(package):
    assert circles(graph(modules(ROOT / package))) == []


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_rooms_and_modules_stay_small(package):
    folders: dict[Path, int] = {}
    for path in modules(ROOT / package).values():
        if path.name not in ("__init__.py", "__main__.py"):
            folders[path.parent] = folders.get(path.parent, 0) + 1
        lines = path.read_text().splitlines()
        assert len(lines) <= LONG or "Long because" in "\n".join(lines[:20]), f"{path} is long"
    full = {str(folder) for folder, count in folders.items() if count > FULL}
    assert full <= {str(ROOT / "am_theory")}


def test_the_rule_notices_a_violation(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("from am_theory import empirical\nimport matplotlib.pyplot\nimport torch\n")
    assert violations("models", bad) == {"am_theory.empirical", "matplotlib.pyplot", "torch"}
    assert "matplotlib.pyplot" in violations("simulations", bad)


def test_the_rule_notices_a_circle_and_a_way_up(tmp_path):
    house = tmp_path / "simulations"
    for name, text in {
        "measure/a.py": "from simulations.results.b import x\n",
        "results/b.py": "def f():\n    from simulations.measure import a\n",
        "results/c.py": "from simulations.measure.a import x\n",
        "novelty/d.py": "from simulations.entropy.e import x\nimport simulations.results.c\n",
        "entropy/e.py": "",
        "scaling/f.py": "from simulations.linear_curves import g\n",
        "linear_curves/g.py": "",
    }.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(text)
    edges = graph(modules(house))
    assert upward(edges) == [
        "simulations.measure.a -> simulations.results.b",
        "simulations.novelty.d -> simulations.entropy.e",
    ]
    assert {"simulations.measure.a", "simulations.results.b"} <= set(circles(edges))
    assert "simulations.scaling.f" not in circles(edges)


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
