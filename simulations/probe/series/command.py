"""When does a training run memorize? Readings of its checkpoints against step.

    python -m simulations.probe.series run/step-*.ckpt --test held_out.npy --train train.npy
    python -m simulations.probe --series run/step-*.ckpt --test held_out.npy --train train.npy

Writes report.md, series.csv, summary.json, a figure and series.nc to results/series/<name of the
first checkpoint>. A checkpoint that cannot be read is named, and the others go on. Interrupted runs
resume, and checkpoints may be added. A run of models.training says the same of itself while it
goes on, with --probe-every.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
import xarray as xr
from rich.console import Console

from models.denoiser import channel_of
from models.released.stated import Compute, Stated
from simulations.console.command import entry, parse, say
from simulations.console.errors import UserError
from simulations.console.units import format_seconds
from simulations.data.sequences import Sequences
from simulations.probe.inputs import DataOptions, read_both, warnings_of, without_mask_id
from simulations.probe.series.config import NUMERICS, SeriesConfig
from simulations.results.files import write_dataset
from simulations.results.provenance import digest, provenance
from simulations.study import TOOLKIT

if TYPE_CHECKING:
    from simulations.probe.measure.parts import Parts
    from simulations.probe.model import Opened


@dataclass(frozen=True)
class Arguments:
    """Ask the checkpoints of a run when it begins to memorize.

    Args:
        checkpoints: files or folders of one run; steps are read from what they say of themselves.
        test: held-out sequences, as of the probe.
        train: training sequences; without them no onset is told.
        weights: ema or raw.
        compute: float32 or bfloat16, for weights of 16 bits.
        seq_len: tokens in a sequence, where the checkpoints do not say.
        n_heads: attention heads, where the checkpoints do not say.
        out: results folder.
        figures: draw the figure.
    """

    checkpoints: tyro.conf.Positional[tuple[str, ...]] = ()
    test: Path | None = None
    train: Path | None = None
    weights: Literal["ema", "raw"] = "ema"
    compute: Compute = "float32"
    seq_len: int | None = None
    n_heads: int | None = None
    out: Path | None = None
    figures: bool = True
    stated: Annotated[Stated, tyro.conf.OmitArgPrefixes] = field(default_factory=Stated)
    data: Annotated[DataOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=DataOptions)
    config: Annotated[SeriesConfig, tyro.conf.OmitArgPrefixes] = field(default_factory=SeriesConfig)


def execute(words: list[str], console: Console) -> int:
    """Read every checkpoint, analyse, report; 1 where a checkpoint failed. Raises UserError."""
    from simulations.probe.series.analysis import analyse
    from simulations.probe.series.report import answer, told, write_reports

    arguments, started = parse(Arguments, words, Arguments(), __doc__), time.monotonic()
    if not arguments.checkpoints or arguments.test is None:
        raise UserError("give the checkpoints of a run, and held-out sequences by --test FILE.")
    name = Path(arguments.checkpoints[0]).name.removesuffix(".ckpt")
    out = arguments.out or Path("results/series") / (name or "run")
    found, failures, notes = measured(arguments, out, console)
    if not found:
        raise UserError(f"no checkpoint could be measured: {' '.join(failures.values())}")
    series = analyse(arguments.config, found, failures, notes)
    joined = xr.concat(list(found.values()), "checkpoint", combine_attrs="drop_conflicts")
    joined = joined.assign_coords(checkpoint=list(found))
    joined["step"] = ("checkpoint", [part.attrs["step"] for part in found.values()])
    settings = json.dumps(arguments.config.as_dict())
    write_dataset(joined.assign_attrs(provenance(), configuration=settings), out / "series.nc")
    if arguments.figures:
        from simulations.plots import save
        from simulations.probe.series.figure import draw

        save(draw(series), out / "series")
    repeat = f"python -m simulations.probe.series {shlex.join(words)}"
    write_reports(series, out, "series.png" if arguments.figures else "", repeat)
    say(console, f"{answer(series)}.")
    for onset in series.onsets:
        say(console, f"{onset.what}: {told(onset, series)}")
    seconds = format_seconds(time.monotonic() - started)
    say(console, f"Report, table and data: {out}; {seconds}")
    return 1 if failures else 0


def measured(
    arguments: Arguments, out: Path, console: Console
) -> tuple[dict[str, xr.Dataset], dict[str, str], list[str]]:
    """Parts by the name of their checkpoint, failures in words by the name of theirs, and notes for
    the reader. Checkpoints are opened one at a time. Raises UserError."""
    from simulations.probe.measure.parts import Parts

    checkpoints = list(dict.fromkeys(arguments.checkpoints))
    like = _first(arguments, checkpoints)
    given = _sequences(arguments, like)
    key = digest(
        {
            "config": arguments.config.measured(),
            "toolkit": TOOLKIT,
            "series": NUMERICS,
            "data": {name: [data.sha256, data.packing] for name, data in given.items()},
        }
    )
    notes = [note for note in warnings_of(given["heldout"], given.get("train"), "") if note]
    found, failures = {}, {}
    with Parts.open(out, key) as parts:
        for checkpoint in checkpoints:
            try:
                opened = _opened(arguments, checkpoint)
                _same_kind(opened, like)
                part = _part(parts, opened, arguments, given)
            except (ValueError, OSError) as error:
                failures[checkpoint] = str(error)
                say(console, f"{checkpoint}: failed: {error}")
                continue
            found[checkpoint] = part
            notes += [note for note in part.attrs["notes"].split("\n") if note not in ("", *notes)]
            say(console, f"{checkpoint}: {opened.about['model']}")
    return found, failures, notes


def _part(
    parts: Parts, opened: Opened, arguments: Arguments, given: Mapping[str, Sequences]
) -> xr.Dataset:
    """The readings of a checkpoint, kept by its checksum; its law is looked at before. Raises
    ValueError, one sentence."""
    from simulations.probe.claims import failures_told, ready
    from simulations.probe.series.cells import compute

    def computed() -> xr.Dataset:
        tokens = {name: data.tokens for name, data in given.items()}
        model, notes = ready(opened.denoiser, tokens["heldout"])
        part = compute(model, arguments.config, tokens, opened.step)
        return part.assign_attrs(notes="\n".join([opened.about["notes"], *notes]))

    with failures_told():
        name = digest({what: opened.about[what] for what in ("checkpoint", "weights", "model")})
        return parts.run(f"checkpoint-{name[:16]}", computed)


def _opened(arguments: Arguments, checkpoint: str) -> Opened:
    from simulations.probe.model import open_model

    given = arguments.seq_len, arguments.n_heads, arguments.stated, arguments.compute
    return open_model(checkpoint, arguments.weights, *given)


def _first(arguments: Arguments, checkpoints: list[str]) -> Opened:
    """The first checkpoint that can be opened, which says what the sequences must be like."""
    why = []
    for checkpoint in checkpoints:
        try:
            return _opened(arguments, checkpoint)
        except (ValueError, OSError) as error:
            why.append(str(error))
    raise UserError(f"no checkpoint could be read: {' '.join(why)}")


def _sequences(arguments: Arguments, opened: Opened) -> dict[str, Sequences]:
    """Held-out and, where given, training sequences, by split. Raises UserError."""
    model, extra = opened.denoiser, opened.mask_id is not None
    files = Path(str(arguments.test)), arguments.train
    try:
        length = model.seq_len or arguments.seq_len
        pair = read_both(*files, length, model.vocab_size + extra, arguments.data)
        test, train = (
            without_mask_id(data, opened.mask_id) if data and opened.mask_id is not None else data
            for data in pair
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    named = {"train": train, "heldout": test}
    return {name: data for name, data in named.items() if data is not None}


def _same_kind(opened: Opened, like: Opened) -> None:
    """Raise ValueError for a network that cannot be of one run with another."""
    kinds = [
        (one.denoiser.vocab_size, one.denoiser.seq_len, channel_of(one.denoiser), one.mask_id)
        for one in (opened, like)
    ]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"another network than the first one: {opened.about['model']}, not "
            f"{like.about['model']}."
        )


def main() -> None:
    """Entry point of the command."""
    entry("series", execute)
