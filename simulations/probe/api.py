"""The probe from Python: `probe(denoiser, test=tokens, train=None).verdict`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from models.denoiser import Denoiser
from models.streams import stream
from simulations.data.codec import ids_as_text
from simulations.data.sequences import Sequences
from simulations.probe.audit.reference import reference_iv, with_reference
from simulations.probe.claims import ModelError, failures_told, ready
from simulations.probe.config import NUMERICS, ProbeConfig
from simulations.probe.inputs import as_sequences, file_line, warnings_of
from simulations.probe.judge.verdict import Verdict, verdicts
from simulations.probe.measure.measures import measure
from simulations.probe.measure.paper import csv_text, paper_table
from simulations.probe.measure.parts import Parts
from simulations.probe.model import describe
from simulations.probe.tell.report import write_reports
from simulations.results.files import write_dataset, write_text
from simulations.results.provenance import digest, provenance
from simulations.study import TOOLKIT


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
    reference: Denoiser | None = None,
    out: str | Path | None = None,
    about: Mapping[str, str] | None = None,
    console: Console | None = None,
    config: ProbeConfig | None = None,
    **settings: Any,
) -> ProbeResult:
    """Measure a denoiser and say whether it memorizes.

    Parameters
    ----------
    denoiser : as `models.denoiser` describes.
    test, train : sequences (n, L) of tokens, or what `simulations.data.sequences` gives.
    reference : a network of the same vocabulary, length and noise that did not see `train`, against
        which membership is measured (`simulations.probe.audit.reference`).
    out : folder in which finished parts are kept, and from which an interrupted probe resumes.
    about : attributes that say what was probed: model, weights, checkpoint, reproduce, notes.
    console : where progress is told; nothing is by default.
    config, settings : a ProbeConfig, or its fields.

    Raises ValueError, one sentence, for bad settings or sequences, and for a denoiser that is not
    what it is claimed to be: of any denoiser the laws of 57 sequences are looked at first
    (`models.contract`), as by the command.
    """
    started = time.monotonic()
    config = config or ProbeConfig(**settings)
    given = as_sequences(test, "test"), as_sequences(train, "train")
    tokens = [None if found is None else found.tokens for found in given]
    with (console or Console(quiet=True)).status("looking at the model"):
        some = next((x for x in tokens if x is not None), None)
        model, notes = ready(denoiser, some)
        other = None
        if reference is not None:
            if some is None:
                raise ModelError("a reference needs `train` and `test`, and neither was given.")
            if isinstance(reference, Denoiser):  # else it is refused for what it lacks
                reference_iv(model, reference, some.shape[1])
            other, more = ready(reference, some)
            notes += [f"Of the reference: {note}" for note in more]
    told = {"model": describe(denoiser, []), "weights": "-"}
    if other is not None:
        told["reference"] = describe(other, [])
    told |= {"checkpoint": "", "reproduce": "", "notes": "", **(about or {})}
    warnings = warnings_of(*given, "\n".join([told.pop("notes"), *notes]))
    key = digest(
        {
            "config": config.as_dict(),
            "toolkit": TOOLKIT,
            "probe": NUMERICS,
            "model": [told["checkpoint"], told["weights"]],
            "data": [found and [found.sha256, found.packing] for found in given],
        }
    )
    with failures_told(), Parts.open(None if out is None else Path(out), key) as parts:
        data = measure(model, config, *tokens, console=console, parts=parts)
        if other is not None:
            data = with_reference(data, model, other, config, parts, console)
    data = data.assign_attrs(
        told,
        test_file=file_line(given[0]),
        train_file=file_line(given[1]),
        warnings=warnings,
        configuration=json.dumps(config.as_dict()),
        config_hash=key,
        wall_time_s=time.monotonic() - started,
        **provenance(),
    )
    source = given[0] or given[1]
    decode = ids_as_text if source is None else source.decode
    rng = stream(config.root_seed, "verdict")
    return ProbeResult(data, verdicts(data, rng, config.prior), decode)
