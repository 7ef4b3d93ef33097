"""Does a discrete diffusion model memorize? Any model, on a laptop, with its uncertainty.

    python -m simulations.probe --checkpoint model.ckpt --test held_out.npy --train train.npy
    python -m simulations.probe --denoiser my_package:load --test held_out.npy --budget 90s

Reads the model's laws on training, held-out, generated and random sequences, runs its reverse
process, and says whether it memorizes, with a probability and reasons, also without training
data. Writes report.md, report.html, tables, figures and probe.nc to results/probe/<name>.
Interrupted runs resume.
"""

from __future__ import annotations

import shlex
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console

from models.released.stated import Compute, Stated
from models.surroundings.ambient import missing_device
from simulations.console.command import entry, parse, say
from simulations.console.errors import UserError
from simulations.console.units import format_seconds
from simulations.data.sequences import Sequences
from simulations.probe.config import ProbeConfig, Sizes
from simulations.probe.inputs import DataOptions, read_both, without_mask_id

if TYPE_CHECKING:
    from simulations.probe.model import Opened

SIZES = Sizes._fields[:3]


@dataclass(frozen=True)
class Arguments:
    """Ask a model whether it memorizes.

    Args:
        checkpoint: file or folder of a released or own network, or a name of the hub.
        denoiser: a model of your own in place of a checkpoint, as module:function.
        test: held-out sequences: .npy, .npz, .safetensors, .bin, .arrow, .parquet, .jsonl, .json
            or .txt, or a folder of Arrow or Parquet files.
        train: training sequences, where they are known.
        reference: checkpoint of a network that did not see them, against which membership is read.
        series: checkpoints of one training run, in place of one: `simulations.probe.series`, whose
            options then hold.
        weights: ema or raw; default ema, and raw by the paper's protocol.
        compute: float32 or bfloat16, for weights of 16 bits.
        seq_len: tokens in a sequence, where the checkpoint does not say.
        n_heads: attention heads, where the checkpoint does not say.
        out: results folder; default results/probe/<name of the model>.
        figures: draw figures.
    """

    checkpoint: str | None = None
    denoiser: str | None = None
    test: Path | None = None
    train: Path | None = None
    reference: str | None = None
    series: tuple[str, ...] = ()
    weights: Literal["ema", "raw"] | None = None
    compute: Compute = "float32"
    seq_len: int | None = None
    n_heads: int | None = None
    out: Path | None = None
    figures: bool = True
    stated: Annotated[Stated, tyro.conf.OmitArgPrefixes] = field(default_factory=Stated)
    data: Annotated[DataOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=DataOptions)
    config: Annotated[ProbeConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ProbeConfig)


def execute(words: list[str], console: Console) -> int:
    """Open, read, measure, report; returns the exit status. Raises UserError."""
    if lacking := missing_device():
        raise UserError(lacking)
    if any(word.partition("=")[0] == "--series" for word in words):
        from simulations.probe.series import command as series

        rest = [word.removeprefix("--series=") for word in words if word != "--series"]
        return series.execute(rest, console)
    from simulations.probe.api import probe

    arguments = parse(Arguments, words, Arguments(), __doc__)
    started = time.monotonic()
    try:
        opened, test, train = _open(arguments)
        reference = _open_reference(arguments, opened)
    except ValueError as error:
        raise UserError(str(error)) from error
    name = Path(arguments.checkpoint or str(arguments.denoiser).replace(":", ".")).name
    out = arguments.out or Path("results/probe") / (name.removesuffix(".ckpt") or "model")
    say(console, f"{opened.about['model']}. {test.packing}")
    result = probe(
        opened.denoiser,
        test,
        train,
        reference=None if reference is None else reference.denoiser,
        out=out,
        about=opened.about | _told(reference),
        console=console,
        config=arguments.config,
    )
    attrs = result.data.attrs
    attrs["reproduce"] = repeated(words, attrs["sizes"], out)
    with console.status("writing the report"):
        result.write(out, arguments.figures)
    for warning in filter(None, attrs["warnings"]):
        say(console, f"note: {warning}")
    for verdict in result.verdicts:
        say(console, f"{verdict.label}: {verdict.sentence}.")
        for check in verdict.checks:
            if check.result == "failed":
                say(console, f"  check failed: {check.asked} {check.said}")
    seconds = format_seconds(time.monotonic() - started)
    say(console, f"Report, tables and data: {out}; {seconds}")
    return 0


def _open(arguments: Arguments) -> tuple[Opened, Sequences, Sequences | None]:
    """The model and the sequences; ValueError, one sentence, for what cannot be used."""
    from simulations.probe.model import open_code, open_model

    if (arguments.checkpoint is None) == (arguments.denoiser is None):
        raise ValueError("give the model, by --checkpoint or by --denoiser module:function.")
    if arguments.test is None:
        raise ValueError("give held-out sequences by --test FILE; --train FILE is optional.")
    asked = arguments.seq_len
    if arguments.checkpoint is None:
        if arguments.stated != Stated():
            names = ", ".join(f"--{n.replace('_', '-')}" for n in arguments.stated.options())
            raise ValueError(f"{names}: of a --checkpoint; a --denoiser says so itself.")
        opened = open_code(str(arguments.denoiser))
    else:
        given = asked, arguments.n_heads, arguments.stated, arguments.compute
        opened = open_model(arguments.checkpoint, _weights(arguments), *given)
    length, vocab_size = opened.denoiser.seq_len, opened.denoiser.vocab_size
    if None not in (asked, length) and asked != length:
        raise ValueError(f"the model takes sequences of {length}, not {asked}.")
    files = (arguments.test, arguments.train)
    extra = opened.mask_id is not None
    test, train = read_both(*files, length or asked, vocab_size + extra, arguments.data)
    if opened.mask_id is not None:
        test = without_mask_id(test, opened.mask_id)
        train = None if train is None else without_mask_id(train, opened.mask_id)
    return opened, test, train


def _open_reference(arguments: Arguments, target: Opened) -> Opened | None:
    """The reference, opened as the model is; ValueError, one sentence, for one of other ids."""
    from simulations.probe.model import open_model

    if arguments.reference is None:
        return None
    if arguments.train is None:
        raise ValueError("--reference is for membership: give training sequences by --train FILE.")
    given = arguments.seq_len, arguments.n_heads, arguments.stated, arguments.compute
    found = open_model(arguments.reference, _weights(arguments), *given)
    if found.mask_id != target.mask_id:
        raise ValueError(
            f"the mask of the reference is token {found.mask_id}, that of the model is "
            f"{target.mask_id}: they do not read the same ids; give another reference."
        )
    return found


def _weights(arguments: Arguments) -> Literal["ema", "raw"]:
    return arguments.weights or ("raw" if arguments.config.protocol == "paper" else "ema")


def _told(reference: Opened | None) -> dict[str, str]:
    """Attributes on the reference."""
    if reference is None:
        return {}
    return {"reference": f"{reference.about['model']}; {reference.about['checkpoint']}"}


def repeated(words: list[str], sizes: list[int], out: Path) -> str:
    """The command with the sizes that were chosen in place of a budget, into another folder."""
    kept, skip = [], False
    for word in words:
        name = word.partition("=")[0].removeprefix("--")
        known = word.startswith("--") and name in ("budget", "out", *SIZES)
        if not (known or skip):
            kept.append(word)
        skip = known and "=" not in word
    kept += [item for name, n in zip(SIZES, sizes, strict=True) for item in (f"--{name}", str(n))]
    return f"python -m simulations.probe {shlex.join([*kept, '--out', f'{out}-again'])}"


def _interruptible(words: list[str], console: Console) -> int:
    """`execute`; after a first Ctrl-C further ones change nothing, as the program is ending."""
    try:
        return execute(words, console)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise


def main() -> None:
    """Entry point of the command."""
    entry("probe", _interruptible)
