"""Numbers do not depend on what the environment says to JAX and numba."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.surroundings.ambient import JAX, disregard, missing_device

OTHERS = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_TRANSFER_GUARD": "disallow",
    "NUMBA_DISABLE_JIT": "1",
}


def python(code: str, **environment: str) -> str:
    """What a process prints whose environment has these settings."""
    kept = {name: v for name, v in os.environ.items() if name not in OTHERS}
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_defaults_are_those_of_jax() -> None:
    code = (
        f"import jax, json; print(json.dumps({{n: getattr(jax.config, n) for n in {list(JAX)}}}))"
    )
    assert json.loads(python(code)) == JAX


@pytest.mark.parametrize("early", [True, False])
def test_draws_are_the_same_under_any_setting(early: bool) -> None:
    first = "import jax" if early else "pass"
    code = (
        f"{first}\nfrom models.surroundings.ambient import disregard\nleft = disregard()\n"
        "import jax, jax.numpy as jnp\nx = jax.random.normal(jax.random.key(0), (3, 4))\n"
        "print(len(left), x.dtype, (x + jnp.ones(4)).tolist())"
    )
    plain, other = python(code), python(code, **OTHERS)
    assert plain.startswith("0 float32") and other.startswith(f"{len(OTHERS)} float32")
    assert plain.split()[1:] == other.split()[1:]


def test_what_was_there_is_named_and_gone() -> None:
    environment = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu", "HOME": "/home/a"}
    assert disregard(environment, loaded=()) == ["JAX_ENABLE_X64=1"]
    assert environment == {"JAX_PLATFORMS": "cpu", "HOME": "/home/a"}
    assert disregard(environment, loaded=()) == []


def test_a_device_that_is_not_there_is_a_sentence() -> None:
    assert missing_device("cpu") is None and missing_device("") is None
    found = str(missing_device("nonsense"))
    assert "no device of the kind nonsense" in found and "JAX_PLATFORMS=cpu" in found


def test_commands_say_what_they_leave_out(tmp_path: Path) -> None:
    environment = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "nonsense"}
    told = subprocess.run(
        [sys.executable, "-m", "models.training", "--out", str(tmp_path), "--data", "iid"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2 and len(told.stderr.splitlines()) == 2
    assert "train: JAX_ENABLE_X64=1 of the environment is not taken over" in told.stderr
    assert "train: JAX finds no device of the kind nonsense here" in told.stderr


@pytest.mark.slow
def test_a_network_is_the_same_under_any_setting(tmp_path: Path) -> None:
    digests = []
    for name, environment in (("plain", {}), ("other", OTHERS)):
        words = (
            f"--preset mini --data iid --train-size 32 --steps 2 --batch 8 --out {tmp_path / name}"
        )
        subprocess.run(
            [sys.executable, "-m", "models.training", *words.split()],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
        )
        digests.append((tmp_path / name / "model.safetensors").read_bytes())
    assert digests[0] == digests[1]
