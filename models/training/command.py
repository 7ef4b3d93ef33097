"""Train a denoiser from the command line.

    python -m models.training --preset mini --data markov --train-size 4096 --out results/chain
    python -m models.training --preset tiny --data ids.npy --vocab-size 30522 --out results/text

--data is a source (markov, iid), which is sampled, or a .npy file of integer tokens (K, L), as
numpy.save writes it; its first --train-size rows are the training set, so sets of different size
are nested. The run is kept in --out: state.safetensors (to go on from), log.jsonl and log.csv,
and at the end model.* (moving average of the weights) and model-raw.* (weights of the last
step). The same command goes on where an interrupted run was; Ctrl-C saves first.

--probe-every N writes how much is memory to readings.jsonl and readings.csv; --stop-at M ends the
run by it.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

import jax
import numpy as np
import tyro

from models.errors import CheckpointError, TokenRangeError
from models.exact.mapped import StoreFileError, open_patterns
from models.networks.dit import PRESETS, DiT
from models.released.checkpoint import replace_file, save_model
from models.sources import IidSource, MarkovSource
from models.sources.permutations import permutation_chain
from models.streams import stream
from models.surroundings.ambient import NOT_TAKEN, disregard, missing_device
from models.surroundings.terminal import sentence
from models.training.config import PAPER, TrainConfig
from models.training.data import repeated
from models.training.log import Log
from models.training.sequences import ROWS, chosen
from models.training.state import alone
from models.training.train import Saving, Trained, TrainingDiverged, train
from models.training.watch import Watch

SOURCES = ("markov", "iid")
PAPER_SIZES = ("tiny", "small", "medium")
LAPTOP = TrainConfig(loss="nelbo", learning_rate=2e-3)


@dataclass(frozen=True)
class Arguments:
    """Train the paper's network as a uniform-state diffusion model.

    Args:
        data: a source (markov, iid) or a .npy file of integer tokens (K, L).
        out: folder of the run.
        preset: size of the network: mini, midi (for a laptop), tiny, small or medium.
        train_size: K, rows of the training set; by default all rows of a file, 4096 of a source.
        vocab_size: V; of a file, to be given; of a source 16 by default.
        seq_len: L of a source; a file has its own.
        repeats: times that each sequence stands in the training set, which has K rows in all.
        repeat_noise: probability that a token of a repeat is drawn anew: near-duplicates.
        dropout: of the network; the paper has 0.1.
        seed: every random number follows from it.
        log_every: steps between two lines of the log.
        save_minutes: minutes between two saved states.
        save_steps: also save whenever so many steps are done.
        tensorboard: also write event files (needs the extra `tensorboard`).
        probe_every: read memorization whenever so many steps are done, a multiple of log_every.
        held_out: .npy file of held-out tokens for it; by default sampled apart from a source, and
            of a file the rows after those trained on.
        stop_at: stop when M, the order parameter of memorization, is above it beyond doubt (0.1 is
            early), with the weights of the reading before.
        training: how it is trained; for tiny, small and medium as in the paper.
    """

    data: str
    out: Path
    preset: str = "mini"
    train_size: int | None = None
    vocab_size: int | None = None
    seq_len: int = 16
    repeats: int = 1
    repeat_noise: float = 0.0
    dropout: float = 0.0
    seed: int = 0
    log_every: int = 100
    save_minutes: float = 5.0
    save_steps: int | None = None
    tensorboard: bool = False
    probe_every: int | None = None
    held_out: Path | None = None
    stop_at: float | None = None
    training: Annotated[TrainConfig, tyro.conf.OmitArgPrefixes] = field(
        default_factory=lambda: LAPTOP
    )


def refuse(message: str, status: int = 2) -> NoReturn:
    """End the program with one sentence on standard error."""
    print(f"train: {sentence(message)}", file=sys.stderr)
    raise SystemExit(status)


def parse(words: Sequence[str]) -> Arguments:
    """Command line to Arguments, with the training of the named size as the default."""
    sized = [b for a, b in zip(words, [*words[1:], ""], strict=True) if a == "--preset"]
    sized += [word.partition("=")[2] for word in words if word.startswith("--preset=")]
    name = sized[-1] if sized else "mini"
    if name not in PRESETS:
        refuse(f"there is no preset {name!r}; choose {', '.join(PRESETS)}.")
    paper = name in PAPER_SIZES
    default = Arguments(
        data=tyro.MISSING,
        out=tyro.MISSING,
        preset=name,
        dropout=0.1 if paper else 0.0,
        training=PAPER if paper else LAPTOP,
    )
    return tyro.cli(
        Arguments,
        prog="python -m models.training",
        args=list(words),
        default=default,
        description=__doc__,
    )


def make_data(arguments: Arguments) -> tuple[Any, int, int]:
    """Stored tokens (K_max, L), the number of rows to train on, and V; ValueError in words."""
    name, repeats = arguments.data, arguments.repeats
    if name in SOURCES:
        vocab_size = arguments.vocab_size or 16
        size = arguments.train_size or 4096
        distinct = max(1, size // max(1, repeats))
        stored: Any = _sampled(arguments, "train", vocab_size, distinct)
    else:
        if not name.endswith(".npy"):
            known = ", ".join(SOURCES)
            raise ValueError(
                f"`data` must be a .npy file of integer tokens (K, L) or one of {known}; got "
                f"{name!r}. Turn a text into tokens first, for example with "
                "simulations.data.corpora."
            )
        if arguments.vocab_size is None:
            raise ValueError("a file of tokens needs --vocab-size, the number of possible tokens.")
        vocab_size, stored = arguments.vocab_size, open_patterns(name)
        if stored.ndim != 2:
            raise ValueError(f"{name} must hold an array (K, L); it has shape {stored.shape}.")
        size = arguments.train_size or len(stored) * repeats
    if (arguments.save_steps or 1) < 1 or arguments.log_every < 1:
        raise ValueError("`save_steps` and `log_every` must be at least 1.")
    if size < 1 or repeats < 1:
        raise ValueError(f"`train_size` and `repeats` must be at least 1; got {size}, {repeats}.")
    if repeats > 1:
        rng = stream(arguments.seed, "repeats")
        stored = repeated(rng, stored, size, repeats, arguments.repeat_noise, vocab_size)
    return stored, size, vocab_size


def _sampled(arguments: Arguments, split: str, vocab_size: int, n: int) -> Any:
    """n sequences of a source, of a stream of the split."""
    name, seq_len = arguments.data, arguments.seq_len
    rng = stream(arguments.seed, split, name, vocab_size, seq_len)
    if name == "markov":
        return MarkovSource(permutation_chain(vocab_size), seq_len).sample(rng, n)
    return IidSource(vocab_size, seq_len).sample(rng, n)


def make_watch(arguments: Arguments, stored: Any, size: int, vocab_size: int) -> Watch | None:
    """What reads the run, None where nobody asked; ValueError in words."""
    every, name, seed = arguments.probe_every, arguments.data, arguments.seed
    if every is None:
        if arguments.held_out is not None or arguments.stop_at is not None:
            raise ValueError("--held-out and --stop-at go with --probe-every, the steps between.")
        return None
    if every < 1 or every % arguments.log_every:
        raise ValueError(
            f"`probe_every` must be a multiple of `log_every` = {arguments.log_every}; got {every}."
        )
    if arguments.stop_at is not None and not 0 < arguments.stop_at < 1:
        raise ValueError(f"`stop_at` must lie in (0, 1), such as 0.1; got {arguments.stop_at}.")
    if arguments.held_out is not None:
        others: Any = open_patterns(arguments.held_out)
    elif name in SOURCES:
        others = _sampled(arguments, "heldout", vocab_size, ROWS)
    else:
        others = open_patterns(name)[size // arguments.repeats :]
    train, heldout = chosen(seed, stored, size, others)
    bound = arguments.stop_at
    return Watch(arguments.out, every, train, heldout, vocab_size, bound, seed)


def _events(wanted: bool, folder: Path) -> Any:
    """A writer of TensorBoard event files, or None."""
    if not wanted:
        return None
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        refuse("--tensorboard needs the package tensorboardX: pip install 'am-theory[tensorboard]'")
    return SummaryWriter(str(folder / "events"))


def run(arguments: Arguments) -> Trained:
    """Train, log and save; every known failure is a ValueError or TrainingDiverged in words."""
    stored, size, vocab_size = make_data(arguments)
    k_model, k_train = jax.random.split(jax.random.key(arguments.seed))
    seq_len = int(stored.shape[1])
    model = DiT(k_model, vocab_size, arguments.preset, seq_len=seq_len, dropout=arguments.dropout)
    count = sum(leaf.size for leaf in jax.tree.leaves(model) if hasattr(leaf, "size"))
    devices = jax.local_devices()
    print(
        f"{arguments.preset}: {count:,} parameters; {size:,} rows of {seq_len} tokens out of "
        f"{vocab_size:,}; {len(devices)} x {devices[0].device_kind}"
    )
    folder = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "arguments": dataclasses.asdict(arguments) | {"out": str(folder)},
        "parameters": count,
        "train_size": size,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "device": f"{len(devices)} x {devices[0].device_kind}",
    }
    with alone(folder):
        watch = make_watch(arguments, stored, size, vocab_size)
        events = _events(arguments.tensorboard, folder)
        log = Log(folder, arguments.training, seq_len, events)

        def started(step: int) -> None:
            log.resume(step)
            if watch is not None:
                watch.resume(step)
            replace_file(folder / "run.json", json.dumps(about, indent=1).encode())
            if step == arguments.training.steps:
                print(f"already trained: all {step} steps are saved in {folder}", flush=True)
            elif step:
                print(f"going on from step {step}, saved in {folder}", flush=True)

        try:
            done = train(
                k_train,
                model,
                stored,
                size,
                arguments.training,
                log,
                saving=Saving(folder, arguments.save_steps, arguments.save_minutes, started),
                steps_per_call=arguments.log_every,
                watch=watch,
            )
        finally:
            if events is not None:
                events.close()
        kept, steps = done.model, done.steps
        if watch is not None and watch.stopped:
            kept, steps = watch.weights_before() or (kept, steps)
            which = "the first reading" if steps == done.steps else "the reading before"
            above = f"stopped at step {done.steps}, as M is above {arguments.stop_at:g}"
            print(f"{above}; the moving average saved is that of step {steps}, {which}")
        for name, weights, step in (("model", kept, steps), ("model-raw", done.raw, done.steps)):
            save_model(weights, folder / name, {"train_size": size, "steps": step})
        print(f"saved {folder / 'model.safetensors'} (moving average) and model-raw.safetensors")
        return dataclasses.replace(done, model=kept)


def main() -> None:
    """Entry point of the command."""
    arguments = None
    for setting in disregard():
        print(NOT_TAKEN.format("train", setting), file=sys.stderr)
    try:
        arguments = parse(sys.argv[1:])
        if lacking := missing_device():
            refuse(lacking)
        run(arguments)
    except (ValueError, CheckpointError, TokenRangeError, StoreFileError) as error:
        refuse(str(error))
    except (FileExistsError, NotADirectoryError) as error:
        refuse(
            refuse(
                f"--out must be a folder; {error.filename} is a file or lies below one. "
                "Give another --out."
            )
        )
    except OSError as error:
        place = error.filename or (arguments and arguments.out)
        refuse(f"{place}: {error.strerror or error}. What was saved before is kept.")
    except TrainingDiverged as error:
        kept = "" if arguments is None else f" The last good state is kept in {arguments.out}."
        refuse(f"{error}{kept}", 1)
    except KeyboardInterrupt:
        refuse("interrupted; run the same command again to go on from the saved state.", 130)
