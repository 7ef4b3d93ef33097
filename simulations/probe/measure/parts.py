"""Parts of a probe that are finished, kept in files so that an interrupted probe goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from simulations.console.progress import Reporter
from simulations.results.files import (
    DamagedFileError,
    ResultsError,
    prepare_folder,
    read_dataset,
    remove_temporaries,
    write_dataset,
)
from simulations.sweep.lock import locked

Follow = Callable[[Mapping[str, float]], Reporter]
FINGERPRINT_GAP = 1e-2  # of probabilities of one model, computed on two machines


@dataclass(frozen=True)
class SavedParts:
    """Finished parts as files of `folder`/cells, all of one `config_hash`."""

    folder: Path
    config_hash: str

    @classmethod
    @contextmanager
    def open(cls, folder: Path, config_hash: str) -> Iterator[SavedParts]:
        """The parts in a folder, held for this process.

        Raises ResultsError, one sentence, where the folder holds another probe, is in use or
        cannot be written to.
        """
        prepare_folder(folder)
        with locked(folder):
            remove_temporaries(folder)
            remove_temporaries(folder / "cells", of_living=True)
            found = cls(folder, config_hash)
            for path in sorted((folder / "cells").glob("*.nc")):
                found._read(path)
            yield found

    def get(self, name: str) -> xr.Dataset | None:
        """A finished part, None where there is none."""
        path = self._path(name)
        return self._read(path) if path.exists() else None

    def holds(self, name: str) -> bool:
        """Whether a part is finished; damaged ones were removed when the folder was opened."""
        return self._path(name).exists()

    def put(self, name: str, part: xr.Dataset) -> None:
        """Keep a finished part, whole."""
        write_dataset(part.assign_attrs(config_hash=self.config_hash), self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / "cells" / f"{name}.nc"

    def _read(self, path: Path) -> xr.Dataset | None:
        try:
            part = read_dataset(path)
        except DamagedFileError:  # it is computed again
            with suppress(OSError):
                path.unlink()
            return None
        if part.attrs.get("config_hash") != self.config_hash:
            raise ResultsError(
                f"{self.folder} holds the results of another probe (other settings, data or "
                "version): choose another folder with --out, or remove this one."
            )
        return part


class Parts:
    """Computes parts by name, or takes them from `saved`, and tells a reporter."""

    def __init__(self, saved: SavedParts | None) -> None:
        self.saved = saved
        self.reporter: Reporter | None = None

    def tick(self) -> None:
        """A block is done: let the time left pass."""
        if self.reporter is not None:
            self.reporter.tick()

    def has(self, name: str) -> bool:
        return self.saved is not None and self.saved.holds(name)

    def run(self, name: str, compute: Callable[[], xr.Dataset]) -> xr.Dataset:
        """The part `name`."""
        found = None if self.saved is None else self.saved.get(name)
        if found is not None:
            return found
        started = time.monotonic()
        if self.reporter is not None:
            self.reporter.started(name)
        part = compute()
        if self.saved is not None:
            self.saved.put(name, part)
        if self.reporter is not None:
            self.reporter.finished(name, time.monotonic() - started)
        return part

    def check_model(self, law: Any) -> None:
        """Raise ResultsError where parts of another model are kept; `law`: its fingerprint."""
        if self.saved is None:
            return
        mine = xr.Dataset({"law": (("site", "value"), np.asarray(law, np.float32))})
        kept = self.saved.get("model")
        if kept is None:
            self.saved.put("model", mine)
            return
        shapes = kept["law"].shape == mine["law"].shape
        if not shapes or np.abs(kept["law"].values - mine["law"].values).max() > FINGERPRINT_GAP:
            raise ResultsError(
                f"{self.saved.folder} holds the results of another model: choose another folder "
                "with --out, or remove this one."
            )
