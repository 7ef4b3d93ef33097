"""How long it takes to verify and to merge a large folder, and how much memory.

    python -m simulations.engine_scale.merge --cells 100000

Writes a sweep's folder of made-up cells, and runs the commands on it. A cell is a few hundred
numbers with all attributes that a worker gives; some dozens are made by `dataset_bytes`, the others
are their bytes with another name, time and number.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import tyro
import xarray as xr

from simulations.results.cells import coordinates_text
from simulations.results.contents import Contents, read_contents
from simulations.results.files import _SEAL_SIZE, _seal, dataset_bytes, prepare_folder
from simulations.results.manifest import NAME, Entry, Log, Manifest, entry_of
from simulations.results.provenance import provenance

CONFIG_HASH = "0123456789abcdef"
_FIRST = 1_000_000  # so that all names have as many digits
_MARK = -7.6543219876543e-11  # a number to be replaced
_TIME = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Arguments:
    """Measure verify and merge on a folder of made-up cells.

    Args:
        cells: how many.
        out: where to write them; default a temporary folder, removed at the end.
    """

    cells: int = 10_000
    out: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= 9_000_000:
            raise ValueError(f"`cells` must be 1 to 9,000,000; got {self.cells}.")


def name_of(k: int) -> str:
    """The name of the k-th cell."""
    return f"K{_FIRST + k}-seed0"


def write_cells(folder: Path, count: int, templates: int = 32) -> None:
    """Write a finished sweep of `count` cells with its manifest. Raises ResultsError."""
    prepare_folder(folder)
    names = tuple(name_of(k) for k in range(count))
    Manifest(CONFIG_HASH, names).write(folder)
    made = [_template(k) for k in range(min(templates, count))]
    with closing(Log(folder)) as log:
        for k, name in enumerate(names):
            raw, entry = _cell(*made[k % len(made)], k)
            (folder / "cells" / f"{name}.nc").write_bytes(raw)
            log.add(entry)


def _template(k: int) -> tuple[bytes, Contents]:
    """The bytes and the contents of one made-up cell."""
    rng = np.random.default_rng(k)
    counts = rng.integers(0, 17, (1, 3, 40)).astype("u1")
    ds = xr.Dataset(
        {
            "recovered": (("train_size", "t", "sample"), counts, {"units": "tokens"}),
            "entropy": (("train_size", "t"), rng.normal(size=(1, 3)), {"units": "nats"}),
            "gap": ((), _MARK, {"units": "nats"}),
        },
        {"train_size": [int(2 ** (k % 12))], "t": [0.1, 0.25, 0.5]},
        {
            **provenance(),
            "start_time": _TIME,
            "config_hash": CONFIG_HASH,
            "cell": name_of(0),
            "cell_coordinates": coordinates_text({"index": _FIRST, "seed": 0}),
            "wall_time_s": 1.0 + float(rng.random()),
            "peak_rss_mb": 200.0 + float(rng.random()),
        },
    )
    raw = dataset_bytes(ds)
    return raw, read_contents(memoryview(raw), Path(name_of(0)))


def _cell(raw: bytes, contents: Contents, k: int) -> tuple[bytes, Entry]:
    """The file of the k-th cell and its entry: a template with other words and one other number."""
    gap = float(np.sin(k))
    old, new = str(_FIRST), str(_FIRST + k)
    moment = datetime.fromisoformat(_TIME) + timedelta(seconds=k % (28 * 86400))
    attrs: dict[str, Any] = {
        **contents.attrs,
        "cell": name_of(k),
        "cell_coordinates": contents.attrs["cell_coordinates"].replace(old, new),
        "start_time": moment.isoformat(),
    }
    number = replace(contents.variables["gap"], values=np.array(gap))
    digest = Contents({**contents.variables, "gap": number}, attrs).digest()
    body = raw[:-_SEAL_SIZE]
    for before, after in (
        (old.encode(), new.encode()),
        (_TIME.encode(), attrs["start_time"].encode()),
        (np.array(_MARK).tobytes(), np.array(gap).tobytes()),
        (contents.attrs["content_digest"].encode(), digest.encode()),
    ):
        body = body.replace(before, after)
    whole = body + _seal(body)
    return whole, entry_of(attrs, whole)


def main() -> None:
    """Entry point."""
    arguments = tyro.cli(Arguments, description=__doc__)
    with ExitStack() as stack:
        folder = arguments.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if (folder / NAME).exists():
            print(f"taking the cells that are in {folder}")
        else:
            begun = time.monotonic()
            write_cells(folder, arguments.cells)
            spent = time.monotonic() - begun
            print(f"{arguments.cells:,} cells written in {spent:.0f} s", flush=True)
        for word in ("merge", "verify", "show"):
            begun = time.monotonic()
            command = [sys.executable, "-m", "simulations.results", word, str(folder)]
            status = subprocess.run(command).returncode
            print(f"{word}: status {status}, {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
