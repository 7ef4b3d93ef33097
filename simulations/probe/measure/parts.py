"""Parts of a probe that are finished, kept in files so that an interrupted probe goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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

FINGERPRINT_GAP = 1e-2  # of probabilities of one model, computed on two machines


class Parts:
    """Computes parts by name, and tells `reporter` of them, where there is one.

    With a `folder` it keeps them in its cells/, all of one `config_hash`, and computes none of
    those that are `finished`.
    """

    def __init__(self, folder: Path | None = None, config_hash: str = "") -> None:
        self.folder, self.config_hash = folder, config_hash
        self.finished: set[str] = set()
        self.reporter: Reporter | None = None

    @classmethod
    @contextmanager
    def open(cls, folder: Path | None, config_hash: str) -> Iterator[Parts]:
        """The parts in a folder, which is held for this process.

        Raises ResultsError, one sentence, where the folder holds another probe, is in use or
        cannot be written to.
        """
        found = cls(folder, config_hash)
        if folder is None:
            yield found
            return
        prepare_folder(folder)
        with locked(folder):
            remove_temporaries(folder)
            remove_temporaries(folder / "cells", of_living=True)
            names = sorted(path.stem for path in (folder / "cells").glob("*.nc"))
            found.finished = {name for name in names if found._read(name) is not None}
            yield found

    def tick(self) -> None:
        """A block is done: let the time left pass."""
        if self.reporter is not None:
            self.reporter.tick()

    def run(self, name: str, compute: Callable[..., xr.Dataset], *given: Any) -> xr.Dataset:
        """The part `name`, kept or else compute(*given)."""
        found = self._read(name) if name in self.finished else None
        if found is not None:
            return found
        started = time.monotonic()
        if self.reporter is not None:
            self.reporter.started(name)
        part = compute(*given)
        if self.folder is not None:
            write_dataset(part.assign_attrs(config_hash=self.config_hash), self._path(name))
        if self.reporter is not None:
            self.reporter.finished(name, time.monotonic() - started)
        return part

    def check_model(self, law: Any, name: str = "model") -> None:
        """Raise ResultsError where parts of another model are kept; `law`: its fingerprint."""
        mine = np.asarray(law, np.float32)
        part = self.run(name, lambda: xr.Dataset({"law": (("site", "value"), mine)}))
        kept = part["law"].values
        if kept.shape != mine.shape or np.abs(kept - mine).max() > FINGERPRINT_GAP:
            raise self._foreign(name)

    def _path(self, name: str) -> Path:
        return (self.folder or Path()) / "cells" / f"{name}.nc"

    def _read(self, name: str) -> xr.Dataset | None:
        """A kept part, None where it is damaged: it is computed again."""
        path = self._path(name)
        try:
            part = read_dataset(path)
        except DamagedFileError:
            with suppress(OSError):
                path.unlink()
            return None
        if part.attrs.get("config_hash") != self.config_hash:
            raise self._foreign("probe (other settings, data or version)")
        return part

    def _foreign(self, what: str) -> ResultsError:
        return ResultsError(
            f"{self.folder} holds the results of another {what}: choose another folder with --out, "
            "or remove this one."
        )
