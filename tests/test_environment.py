"""The script behind every make target: who is refused, and when nothing is done."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("environment", ROOT / ".ci" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 1), (3, 10, 13), (3, 14, 0)])
def test_a_wrong_python_is_told_so_in_one_sentence(script, version):
    message = script.complaint(version, True)
    assert "3.11, 3.12 or 3.13" in message
    assert f"Python {version[0]}.{version[1]}" in message
    assert "PYTHON=python3.12 make test" in message
    assert "\n" not in message


def test_a_missing_venv_module_names_the_package_to_install(script):
    assert "apt install python3.12-venv" in script.complaint((3, 12, 1), False)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 0)])
def test_supported_pythons_are_taken(script, version):
    assert script.complaint(version, True) is None


def test_without_ensurepip_the_script_stops_with_the_sentence(tmp_path):
    (tmp_path / "ensurepip.py").write_text("raise ImportError\n")
    copy = tmp_path / "checkout" / ".ci"
    copy.mkdir(parents=True)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / "checkout" / name).write_text("x")
    (copy / "environment.py").write_text((ROOT / ".ci" / "environment.py").read_text())
    ran = subprocess.run(
        [sys.executable, str(copy / "environment.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "no working venv module" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "checkout" / ".venv").exists()


@pytest.fixture
def checkout(script, tmp_path, monkeypatch):
    """The script in a folder with its requirements alone; commands are recorded, not run."""
    for name in ("requirements.lock", *script.EXTRAS.values(), "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(script, "ROOT", str(tmp_path))
    monkeypatch.delenv("PYTHON", raising=False)
    calls = []

    def record(command):
        calls.append(command)
        if command[1:3] == ["-m", "venv"]:
            Path(command[3]).mkdir()

    monkeypatch.setattr(script.subprocess, "check_call", record)
    return tmp_path, calls


@pytest.mark.parametrize(("kind", "name"), [("core", ".venv"), ("bench", ".venv-bench")])
def test_an_environment_is_made_once_and_again_when_its_requirements_change(
    script, checkout, kind, name
):
    root, calls = checkout
    script.main(kind)
    made = list(calls)
    assert made[0] == [sys.executable, "-m", "venv", str(root / name)]
    assert made[1][-3:] == ["--require-hashes", "-r", str(root / "requirements.lock")]
    assert [path.name for path in root.glob(".venv*")] == [name]
    script.main(kind)
    assert calls == made
    for file in ("requirements.lock", *script.EXTRAS.values()):
        calls.clear()
        with open(root / file, "a") as handle:
            handle.write("# changed\n")
        script.main(kind)
        assert bool(calls) == (file in ("requirements.lock", script.EXTRAS.get(kind)))


def test_peers_are_constrained_by_every_pin_of_the_lock(script, checkout):
    root, calls = checkout
    script.main("bench")
    constraints = root / ".venv-bench" / "lock-pins.txt"
    (peers,) = (call for call in calls if str(root / "requirements-bench.txt") in call)
    assert peers[-4:] == ["-c", str(constraints), "-r", str(root / "requirements-bench.txt")]
    pins = constraints.read_text().splitlines()
    lock = (ROOT / "requirements.lock").read_text()
    assert [pin.split()[0] for pin in pins] == re.findall(r"^[a-z0-9][\w.\-]*==\S+", lock, re.M)
    assert not any("hash" in pin or "\\" in pin for pin in pins)
    assert "colorama==0.4.6 ; os_name == 'nt' or sys_platform == 'win32'" in pins


def test_the_documentation_tools_see_the_packages_of_the_core(script, checkout, monkeypatch):
    root, calls = checkout

    def packages(command):
        (root / "packages").mkdir(exist_ok=True)
        return f"{root / 'packages'}\n".encode()

    monkeypatch.setattr(script.subprocess, "check_output", packages)
    script.main("docs")
    assert calls[0] == [sys.executable, "-m", "venv", str(root / ".venv-docs")]
    assert calls[1][-3:] == ["--no-deps", "-r", str(root / "requirements-docs.txt")]
    paths = (root / "packages" / "core.pth").read_text().splitlines()
    assert paths == [str(root), str(root / "packages")]
    made = list(calls)
    script.main("docs")
    assert calls == made


def test_an_unknown_environment_is_refused_in_one_sentence():
    ran = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "environment.py"), "gpu"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert ran.stderr.strip() == "No environment is named 'gpu'; there are: bench, core, docs."


def test_the_lock_is_hashed_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][\w.\-]*==", lock, flags=re.M)
    assert len(pins) > 30
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock
    assert "index-url" not in lock
    assert not re.search(r"^torch==", lock, flags=re.M)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("bench", {"dynamax", "faiss-cpu", "hmmlearn", "torch"}),
        ("docs", {"mkdocs-material", "mkdocstrings-python", "ziamath"}),
    ],
)
def test_extras_are_pinned_apart_from_the_lock_and_name_no_index(script, kind, wanted):
    text = (ROOT / script.EXTRAS[kind]).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    names = [re.fullmatch(r"([a-z0-9\-]+)==[\w.]+", line)[1] for line in lines]
    assert names == sorted(set(names))
    assert wanted <= set(names)
    assert not {"numpy", "jax", "scipy"} & set(names)
    assert "://" not in text
