"""Does a uniform-state diffusion model memorize? Any model, on a laptop, with its uncertainty.

    python -m simulations.probe --checkpoint model.ckpt --test held_out.npy --train train.npy
    python -m simulations.probe --denoiser my_package:load --test held_out.npy --budget 90s

Reads the model's laws on training, held-out, generated and random sequences, runs its reverse
process, and says whether it memorizes, with a probability and reasons, also without training
data. Writes report.md, report.html, tables, figures and probe.nc to results/probe/<name>.
Interrupted runs resume.
"""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from simulations.console import command
from simulations.console.progress import Reporter, format_seconds
from simulations.data.codec import ids_as_text
from simulations.data.sequences import Sequences
from simulations.phase.config import TOOLKIT
from simulations.probe.config import NUMERICS, ProbeConfig
from simulations.probe.inputs import (
    DataOptions,
    as_sequences,
    file_line,
    read_both,
    warnings_of,
)
from simulations.probe.measure.parts import Follow, SavedParts
from simulations.results.files import digest, provenance, write_dataset, write_text

if TYPE_CHECKING:
    from models.denoiser import Denoiser
    from simulations.probe.judge.verdict import Verdict
    from simulations.probe.model import Opened

PROGRAM = "probe"
SIZES = ("sequences", "recover", "generate")


@dataclass(frozen=True)
class Arguments:
    """Ask a model whether it memorizes.

    Args:
        checkpoint: file or folder of a released or own network, or a name of the hub.
        denoiser: a model of your own in place of a checkpoint, as module:function.
        test: held-out sequences: .npy, .npz, .safetensors, .jsonl or .txt.
        train: training sequences, where they are known.
        weights: ema or raw; default ema, and raw by the paper's protocol.
        seq_len: tokens in a sequence, where the checkpoint does not say.
        n_heads: attention heads, where the checkpoint does not say.
        out: results folder; default results/probe/<name of the model>.
        figures: draw figures.
    """

    checkpoint: str | None = None
    denoiser: str | None = None
    test: Path | None = None
    train: Path | None = None
    weights: Literal["ema", "raw"] | None = None
    seq_len: int | None = None
    n_heads: int | None = None
    out: Path | None = None
    figures: bool = True
    data: Annotated[DataOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=DataOptions)
    config: Annotated[ProbeConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=ProbeConfig)


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """Everything measured (`simulations.probe.measure.measures`), the verdicts, the first of which
    is the headline, and what turns a sequence into text."""

    data: xr.Dataset
    verdicts: tuple[Verdict, ...]
    decode: Any

    @property
    def verdict(self) -> Verdict:
        """The headline."""
        return self.verdicts[0]

    def write(self, out: str | Path, figures: bool = True) -> None:
        """Write probe.nc, the report, tables and figures to a folder."""
        from simulations.probe.measure.paper import csv_text, paper_table
        from simulations.probe.tell.report import write_reports

        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_dataset(self.data, folder / "probe.nc")
        if self.data.attrs["protocol"] == "paper":
            write_text(csv_text(paper_table(self.data)), folder / "paper.csv")
        write_reports(self.data, self.verdicts, self.decode, folder, figures=figures)


def probe(
    denoiser: Denoiser,
    test: NDArray[Any] | Sequences | None = None,
    train: NDArray[Any] | Sequences | None = None,
    *,
    out: str | Path | None = None,
    about: Mapping[str, str] | None = None,
    on_progress: Follow | None = None,
    config: ProbeConfig | None = None,
    **settings: Any,
) -> ProbeResult:
    """Measure a denoiser and say whether it memorizes.

    Parameters
    ----------
    denoiser : as `models.denoiser` describes.
    test, train : sequences (n, L) of tokens, or what `simulations.data.sequences` gives.
    out : folder in which finished parts are kept, and from which an interrupted probe resumes.
    about : attributes that say what was probed: model, weights, checkpoint, reproduce, notes.
    on_progress : see `probe.measure.measures`.
    config, settings : a ProbeConfig, or its fields.

    Raises ValueError, one sentence, for bad settings or sequences.
    """
    from models.streams import stream
    from simulations.probe.judge.verdict import verdicts
    from simulations.probe.measure.measures import measure
    from simulations.probe.model import describe

    started = time.monotonic()
    config = config or ProbeConfig(**settings)
    held_out, stored = as_sequences(test, "test"), as_sequences(train, "train")
    told = {"model": describe(denoiser, []), "weights": "-", "checkpoint": "", "notes": ""}
    told |= dict(about or {})
    warnings = warnings_of(stored, held_out, told.pop("notes"))
    key = {"config": config.as_dict(), "toolkit": TOOLKIT, "probe": NUMERICS}
    key |= {"model": [told["checkpoint"], told["weights"]]}
    key |= {"data": [found and [found.sha256, found.packing] for found in (held_out, stored)]}
    tokens = [None if found is None else found.tokens for found in (held_out, stored)]
    if out is None:
        data = measure(denoiser, config, tokens[0], tokens[1], on_progress)
    else:
        with SavedParts.open(Path(out), digest(key)) as saved:
            data = measure(denoiser, config, tokens[0], tokens[1], on_progress, saved)
    told["reproduce"] = _fixed(told.get("reproduce", ""), data.attrs["sizes"], out)
    data = data.assign_attrs(
        told,
        test_file=file_line(held_out),
        train_file=file_line(stored),
        warnings=warnings,
        configuration=json.dumps(config.as_dict()),
        config_hash=digest(key),
        wall_time_s=time.monotonic() - started,
    )
    source = held_out or stored
    return ProbeResult(
        data,
        verdicts(data, stream(config.root_seed, "verdict")),
        ids_as_text if source is None else source.decode,
    )


def run(words: list[str], console: Console) -> int:
    """Open, read, measure, report; returns the exit status."""
    arguments = command.parse(PROGRAM, words, Arguments(), __doc__)
    started = time.monotonic()
    try:
        opened, test, train = _open(arguments)
    except ValueError as error:
        command.refuse(PROGRAM, str(error))
    name = Path(arguments.checkpoint or str(arguments.denoiser).replace(":", ".")).name
    out = arguments.out or Path("results/probe") / (name.removesuffix(".ckpt") or "model")
    said = f"{opened.model}. {test.packing}"
    console.print(said, highlight=False, markup=False, soft_wrap=True)
    result = probe(
        opened.denoiser,
        test,
        train,
        out=out,
        about={
            "model": opened.model,
            "weights": opened.weights,
            "checkpoint": opened.checkpoint,
            "notes": "\n".join(opened.notes),
            "reproduce": shlex.join(words),
        },
        on_progress=lambda costs: Reporter(console, costs, 1),
        config=arguments.config,
    )
    with console.status("writing the report"):
        signed = ProbeResult(result.data.assign_attrs(provenance()), result.verdicts, result.decode)
        signed.write(out, arguments.figures)
    _close(console, signed, out, time.monotonic() - started)
    return 0


def _open(arguments: Arguments) -> tuple[Opened, Sequences, Sequences | None]:
    """The model and the sequences; ValueError, one sentence, for what cannot be used."""
    from simulations.probe.model import open_code, open_model

    if (arguments.checkpoint is None) == (arguments.denoiser is None):
        raise ValueError("give the model, by --checkpoint or by --denoiser module:function.")
    if arguments.test is None:
        raise ValueError("give held-out sequences by --test FILE; --train FILE is optional.")
    weights = arguments.weights or ("raw" if arguments.config.protocol == "paper" else "ema")
    if arguments.checkpoint is None:
        opened = open_code(str(arguments.denoiser))
    else:
        given = (arguments.seq_len, arguments.n_heads)
        opened = open_model(arguments.checkpoint, weights, *given)
    model, options = opened.denoiser, arguments.data
    if None not in (arguments.seq_len, model.seq_len) and arguments.seq_len != model.seq_len:
        raise ValueError(f"the model takes sequences of {model.seq_len}, not {arguments.seq_len}.")
    length = model.seq_len or arguments.seq_len
    return opened, *read_both(arguments.test, arguments.train, length, model.vocab_size, options)


def _close(console: Console, result: ProbeResult, out: Path, seconds: float) -> None:
    for warning in filter(None, result.data.attrs["warnings"]):
        console.print(f"note: {warning}", highlight=False, markup=False, soft_wrap=True)
    for verdict in result.verdicts:
        console.print(
            f"{verdict.label} (by the {verdict.basis}; probability of memorizing "
            f"{verdict.probability:.2f}, {verdict.low:.2f} to {verdict.high:.2f})",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"Report, tables and data: {out}; {format_seconds(seconds)}", highlight=False)


def _fixed(words: str, sizes: list[int], out: str | Path | None) -> str:
    """The command with the sizes that were chosen in place of a budget, into another folder."""
    if not words:
        return ""
    kept, skip = [], False
    for word in shlex.split(words):
        name = word.partition("=")[0].removeprefix("--")
        known = word.startswith("--") and name in ("budget", "out", *SIZES)
        if not (known or skip):
            kept.append(word)
        skip = known and "=" not in word
    kept += [item for name, n in zip(SIZES, sizes, strict=True) for item in (f"--{name}", str(n))]
    kept += [] if out is None else ["--out", f"{out}-again"]
    return f"python -m simulations.probe {shlex.join(kept)}"


def _interruptible(words: list[str], console: Console) -> int:
    """`run`; after a first Ctrl-C further ones change nothing, as the program is ending."""
    try:
        return run(words, console)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise


def main() -> None:
    """Entry point of the command."""
    command.entry(PROGRAM, _interruptible)
