"""Long computations inside a cell keep their state, so that another worker goes on from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.training.train import Trained

MINUTES = 5.0  # of training between two saved states

_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)


@contextmanager
def checkpointed(folder: Path | None) -> Iterator[None]:
    """Let training inside the block keep its state in `folder`; None: keep nothing."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def train_in_cell(name: str, key: Any, model: Any, stored: Any, size: int, config: Any) -> Trained:
    """`models.training.train.train`, going on from the state `name` that this cell kept, if any.

    The weights are those of an undisturbed run, bit for bit. A state that cannot be used (damaged,
    or of another run) is removed, and training begins anew.
    """
    from models.errors import CheckpointError
    from models.training.train import Saving, train

    folder = _folder.get()
    if folder is None:
        return train(key, model, stored, size, config)
    saving = Saving(folder / name, minutes=MINUTES, at_end=False)
    kept = saving.folder.exists()
    try:
        return train(key, model, stored, size, config, saving=saving)
    except CheckpointError:
        if not kept:
            raise
    shutil.rmtree(saving.folder, ignore_errors=True)
    return train(key, model, stored, size, config, saving=saving)
