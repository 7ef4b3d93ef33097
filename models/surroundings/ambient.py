"""Settings that JAX and numba take from the environment: none that numbers depend on is taken over.

Some change every draw or rounding, some stop a program that is right. Commands and the workers of
a sweep compute under JAX's own defaults, whatever the environment says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Container, MutableMapping

JAX = {  # options of JAX, and the values that all numbers are made under
    "jax_default_matmul_precision": None,
    "jax_default_prng_impl": "threefry2x32",
    "jax_disable_jit": False,
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_random_seed_offset": 0,
    "jax_threefry_partitionable": True,
    "jax_transfer_guard": None,
}
NOT_TAKEN = "{}: {} of the environment is not taken over: numbers do not depend on it."
NUMBA = ("NUMBA_THREADING_LAYER", "NUMBA_DISABLE_JIT")


def disregard(
    environment: MutableMapping[str, str] = os.environ, loaded: Container[str] = sys.modules
) -> list[str]:
    """Take such settings out of the environment, and out of JAX where it is loaded.

    Returns those that were there, as NAME=value. For a process of one's own: what computes later
    in it, or is started by it, goes by the defaults.
    """
    names = [*(name.upper() for name in JAX), *NUMBA]
    found = [f"{name}={environment.pop(name)}" for name in names if name in environment]
    if "jax" in loaded:
        import jax

        for option in changed():
            jax.config.update(option, JAX[option])
    return found


def missing_device(asked: str | None = None) -> str | None:
    """A sentence where JAX cannot start the kind of device that is asked for, by JAX_PLATFORMS if
    not said, else None. A process of its own tries, which leaves a device to those that compute."""
    asked = os.environ.get("JAX_PLATFORMS", "") if asked is None else asked
    if asked in ("", "cpu"):
        return None
    tried = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, "JAX_PLATFORMS": asked},
        capture_output=True,
        check=False,
    )
    if tried.returncode == 0:
        return None
    return (
        f"JAX finds no device of the kind {asked} here (JAX_PLATFORMS={asked}); compute on the "
        "processor with JAX_PLATFORMS=cpu, or install JAX for that device."
    )


def changed() -> dict[str, object]:
    """Options of the JAX that is loaded that are not as numbers are made, with their values."""
    import jax

    now = {option: getattr(jax.config, option) for option in JAX}
    return {option: value for option, value in now.items() if value != JAX[option]}
