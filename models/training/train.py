"""One compiled training loop for one model or many, on one device or all, resumable.

The stored sequences are padded to the largest size and the size is an ordinary argument, so that
a sweep over K compiles once. Everything a step draws follows from the key and its number, so a
run that was stopped and goes on has the weights of one that was not, bit for bit.

    python -m models.training --help
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array
from numpy.typing import NDArray

from models.training.config import TrainConfig
from models.training.data import check_store, fingerprint, fits_on_device, gathered
from models.training.interrupt import interrupt_later
from models.training.state import SavedState, identity, load_state, save_state
from models.training.step import StepLog, learning_rate, rows_ahead, run_steps, start

STEPS_PER_CALL = 250  # between checks for NaN and progress


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the message names the step at which it did."""


@dataclass(frozen=True)
class Trained:
    """A trained model (EMA weights), the weights of the last step, and the loss in nats a token,
    mean over each block of steps; of an ensemble all with a leading axis of members."""

    model: Any
    raw: Any
    losses: NDArray[np.float64]
    steps: int


@dataclass(frozen=True)
class Progress:
    """After a block of steps: their number so far, the mean loss of the block in nats a token, the
    norm of the last gradient before clipping, the learning rate, and the steps of the block over
    its seconds."""

    step: int
    steps: int
    loss: float
    gradient_norm: float
    learning_rate: float
    steps_per_second: float


@dataclass(frozen=True)
class Saving:
    """Where a run is kept, and how often: after so many steps or minutes, whichever is first, and
    `at_end`; `on_start` is told the step that the run goes on from, 0 for a new one."""

    folder: Path
    steps: int | None = None
    minutes: float = 5.0
    on_start: Callable[[int], None] | None = None
    at_end: bool = True


class Watch(Protocol):
    """Somebody who looks at the moving average of the weights after every `every` steps and the
    last one, and may have had enough: then the run is saved and ends."""

    @property
    def every(self) -> int: ...

    @property
    def stopped(self) -> bool: ...

    def __call__(self, step: int, model: Any) -> None: ...


def data_mesh(config: TrainConfig) -> Mesh | None:
    """All local devices as one axis over which a batch is split; None for one device.

    Raises ValueError where the parts of a batch cannot be shared equally.
    """
    devices = jax.local_devices()
    if len(devices) == 1:
        return None
    if (config.batch // config.accumulate) % len(devices):
        raise ValueError(
            f"a batch of {config.batch} in {config.accumulate} parts cannot be shared equally by "
            f"{len(devices)} devices; change `batch` or `accumulate`."
        )
    return Mesh(np.array(devices), ("data",))


def train(
    key: Array,
    model: Any,
    stored: Any,
    train_size: int,
    config: TrainConfig,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    saving: Saving | None = None,
    steps_per_call: int | None = None,
    stream: bool | None = None,
    watch: Watch | None = None,
) -> Trained:
    """Train `model` on the first `train_size` rows of `stored` (K_max, L) tokens.

    Batches are split over all local devices. Rows lie on the device where they fit; with `stream`,
    or where they do not fit, they are gathered on the host a block ahead (the same rows). After
    every block of `steps_per_call` steps `on_progress` is called. With `saving` the run is kept
    in a folder and resumes from there; Ctrl-C then ends it after the block in work, saved. What
    `watch` reads changes no number of the training; its steps are those of blocks.
    Raises TrainingDiverged, naming the step, when the loss stops being finite (a saved state
    stays the last good one); CheckpointError for a folder that holds another run.
    """
    checked = check_store(stored, model.vocab_size, model.seq_len, train_size)
    mesh = data_mesh(config)
    if stream is None:
        stream = not fits_on_device(checked)
    params, static = eqx.partition(model, eqx.is_array)
    state = start(params, config)  # copies, donated below; the caller keeps its model
    run = "" if saving is None else _identity(key, state, static, config, checked, train_size)
    resumed = None if saving is None else load_state(saving.folder, state, run)
    done, losses = 0, []
    if resumed is not None:
        state, done, losses = resumed.state, resumed.step, resumed.losses
    if saving is not None and saving.on_start is not None:
        saving.on_start(done)
    tokens = None if stream else jnp.asarray(checked)
    size = jnp.int32(train_size)
    if mesh is not None:
        whole = NamedSharding(mesh, PartitionSpec())
        state, tokens, key, size = jax.device_put((state, tokens, key, size), whole)
    block = steps_per_call or STEPS_PER_CALL
    spans = [(k, min(block, config.steps - k)) for k in range(done, config.steps, block)]
    wanted = (rows_ahead(key, jnp.int32(k), config.batch, n, size) for k, n in spans)
    ahead = gathered(checked, model.vocab_size, wanted) if stream else None
    last_save = time.monotonic()
    with interrupt_later(saving is not None) as interrupted:
        for first, n_steps in spans:
            if watch is not None and watch.stopped:
                break
            rows = None if ahead is None else next(ahead)
            if mesh is not None and rows is not None:
                rows = jax.device_put(rows, NamedSharding(mesh, PartitionSpec(None, "data")))
            begun = time.monotonic()
            state, log = run_steps(
                state, static, config, n_steps, key, jnp.int32(first), tokens, size, rows, mesh
            )
            losses.append(_checked(log, first, config.steps).mean())
            now = time.monotonic()
            done = first + n_steps
            if watch is not None and _passed(watch.every, first, done, config.steps):
                watch(done, eqx.combine(state[1], static))
            stop = watch is not None and watch.stopped
            due = saving is not None and _due(saving, first, done, now - last_save, config.steps)
            if saving is not None and (due or stop):
                _save(saving, SavedState(state, done, losses), run, config, train_size)
                last_save = now
            if on_progress is not None:
                on_progress(_progress(config, done, losses[-1], log, n_steps / (now - begun)))
            if interrupted.is_set() and saving is not None:
                _save(saving, SavedState(state, done, losses), run, config, train_size)
                raise KeyboardInterrupt
    raw, ema = (eqx.combine(part, static) for part in state[:2])
    return Trained(ema, raw, np.array(losses), done)


def train_ensemble(
    keys: Sequence[Array],
    models: Sequence[Any],
    stored: Any,
    train_sizes: Sequence[int],
    config: TrainConfig,
) -> Trained:
    """Train several models of one shape in one compiled program: other seeds, other K.

    `stored` (K_max, L) for all, or (members, K_max, L). Each member has the weights that `train`
    would give it, up to the rounding of other kernels. Worth it where one model leaves the
    machine idle (a GPU); BENCHMARKS.md has the times.
    """
    parts = [eqx.partition(model, eqx.is_array) for model in models]
    static = parts[0][1]
    if not len(keys) == len(models) == len(train_sizes):
        raise ValueError(
            "there must be as many keys as models and train sizes; "
            f"got {len(keys)}, {len(models)} and {len(train_sizes)}."
        )
    stores = stored if np.ndim(stored) == 3 else [stored]
    tokens = [
        check_store(store, models[0].vocab_size, models[0].seq_len, max(train_sizes))
        for store in stores
    ]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(part[0] for part in parts))
    state = start(params, config, members=True)
    on_device = jnp.asarray(tokens if np.ndim(stored) == 3 else tokens[0])
    sizes, key = jnp.asarray(train_sizes, jnp.int32), jnp.stack(keys)
    losses = []
    for first in range(0, config.steps, STEPS_PER_CALL):
        n_steps = min(STEPS_PER_CALL, config.steps - first)
        state, log = run_steps(
            state, static, config, n_steps, key, jnp.int32(first), on_device, sizes, members=True
        )
        losses.append(_checked(log, first, config.steps).mean(0))
    raw, ema = (eqx.combine(part, static) for part in state[:2])
    return Trained(ema, raw, np.array(losses).T, config.steps)


def _checked(log: StepLog, first: int, steps: int) -> NDArray[np.float64]:
    """The losses of a block; TrainingDiverged at the first one that is not finite."""
    losses, norms = (np.asarray(x, dtype=np.float64) for x in log)
    for what, values in (("training loss", losses), ("norm of the gradient", norms)):
        rows = values.reshape(len(values), -1)
        bad = ~np.isfinite(rows).all(1)
        if bad.any():
            at = int(np.argmax(bad))
            raise TrainingDiverged(
                f"the {what} became {rows[at][~np.isfinite(rows[at])][0]} at step {first + at} of "
                f"{steps}; lower `learning_rate` or raise `warmup`."
            )
    return losses


def _progress(config: TrainConfig, done: int, loss: float, log: StepLog, speed: float) -> Progress:
    rate = float(learning_rate(config)(done - 1))
    return Progress(done, config.steps, float(loss), float(log.gradient_norm[-1]), rate, speed)


def _identity(
    key: Array, state: Any, static: Any, config: TrainConfig, stored: Any, train_size: int
) -> str:
    return identity(
        config=dataclasses.asdict(config),
        key=np.asarray(jax.random.key_data(key)).tolist(),
        shapes=[str(leaf.shape) for leaf in jax.tree.leaves(state)],
        start=_hash_of_leaves(state[0]),
        schedule=repr(static.schedule),
        dropout=getattr(static, "dropout", 0.0),
        data=fingerprint(stored, train_size),
    )


def _hash_of_leaves(params: Any) -> str:
    """Hash of the weights that a run starts from."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _due(saving: Saving, before: int, done: int, seconds: float, steps: int) -> bool:
    by_steps = saving.steps is not None and done // saving.steps > before // saving.steps
    at_end = saving.at_end and done == steps
    return by_steps or seconds >= 60 * saving.minutes or at_end


def _passed(every: int, before: int, done: int, steps: int) -> bool:
    return done // every > before // every or done == steps


def _save(
    saving: Saving, saved: SavedState, run: str, config: TrainConfig, train_size: int
) -> None:
    # a step's loss is that of the weights before it: those after it were not tried yet
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(saved.state[0])):
        raise TrainingDiverged(
            f"a weight became infinite or nan in step {saved.step - 1} of {config.steps}; lower "
            "`learning_rate` or raise `warmup`."
        )
    saving.folder.mkdir(parents=True, exist_ok=True)
    losses = [float(x) for x in saved.losses]
    about = {"train_size": train_size, **dataclasses.asdict(config)}
    save_state(saving.folder, dataclasses.replace(saved, losses=losses), run, about)
