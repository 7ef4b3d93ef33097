"""The script behind every make target: who is refused, and when nothing is done."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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


def test_a_stamp_that_agrees_means_nothing_to_do(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "STAMP", str(tmp_path / "stamp"))
    monkeypatch.delenv("PYTHON", raising=False)
    (tmp_path / "stamp").write_text(script.wanted_stamp() + " 3.12.1\n")
    calls = []
    monkeypatch.setattr(script.subprocess, "check_call", calls.append)
    script.main()
    assert calls == []


def test_the_lock_is_hashed_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][\w.\-]*==", lock, flags=re.M)
    assert len(pins) > 30
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock
    assert "index-url" not in lock
    assert not re.search(r"^torch==", lock, flags=re.M)
