"""Small cells for the tests of sweeps, importable by worker processes; also a sweep to interrupt.

python stub_cells.py OUT SECONDS WORKERS runs six cells of that length and says what came out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.results.cells import Cell
from simulations.sweep.run import SweepInterrupted, run_sweep

CONFIG_HASH = "0123456789abcdef"


def grid(n: int = 6, **more: Any) -> list[Cell]:
    """Return n cells; `more` goes to the coordinates of each."""
    return [Cell(f"K{2**k:05d}-seed0", {"train_size": 2**k, "seed": 0, **more}) for k in range(n)]


def small(coordinates: dict[str, Any]) -> xr.Dataset:
    """Return numbers that depend on the coordinates alone."""
    rng = np.random.default_rng([coordinates["train_size"], coordinates["seed"]])
    counts = rng.integers(0, 17, (1, 3, 40)).astype("u1")
    return xr.Dataset(
        {
            "recovered": (("train_size", "t", "sample"), counts, {"units": "tokens"}),
            "entropy": (("train_size", "t"), rng.normal(size=(1, 3)), {"units": "nats"}),
        },
        coords={"train_size": [coordinates["train_size"]], "t": [0.1, 0.25, 0.5]},
    )


def slow(coordinates: dict[str, Any]) -> xr.Dataset:
    """Return the small cell after `seconds`."""
    time.sleep(coordinates["seconds"])
    return small(coordinates)


def failing(coordinates: dict[str, Any]) -> xr.Dataset:
    """Fail for train_size 4."""
    if coordinates["train_size"] == 4:
        raise FloatingPointError("NaN in training at step 17\nsecond line")
    return small(coordinates)


def dying(coordinates: dict[str, Any]) -> xr.Dataset:
    """Die like a process out of memory: for train_size 2 always, for 8 once per `marks` folder.

    These two wait for each other, so that both are at work when the first worker dies.
    """
    train_size = coordinates["train_size"]
    mark = Path(coordinates["marks"]) / f"{train_size}-{time.monotonic_ns()}"
    mark.touch()
    tries = {size: len(list(mark.parent.glob(f"{size}-*"))) for size in (2, 8)}
    if train_size == 2 or (train_size == 8 and tries[8] == 1):
        while not all(any(mark.parent.glob(f"{size}-*")) for size in tries):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return small(coordinates)


def surroundings(coordinates: dict[str, Any]) -> xr.Dataset:
    """Return the small cell with what a worker process sees of its environment."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC", "JAX_PLATFORMS", "XLA_FLAGS")
    seen = {name: os.environ.get(name, "") for name in names}
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return small(coordinates).assign_attrs(seen=json.dumps(seen), sigint_ignored=int(ignored))


def main() -> int:
    """Run a sweep of slow cells, as a script would."""
    out, seconds, workers = sys.argv[1:]
    try:
        outcome = run_sweep(
            grid(seconds=float(seconds)), slow, out, CONFIG_HASH, workers=int(workers)
        )
    except SweepInterrupted as stop:
        print(json.dumps({"stopped": str(stop), "jax": "jax" in sys.modules}), flush=True)
        return 130
    said = {"done": outcome.done, "skipped": outcome.skipped, "damaged": outcome.damaged}
    print(json.dumps({**said, "jax": "jax" in sys.modules}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
