"""Whether a results folder is whole: every cell is held to its seal, digest, name and manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from simulations.results.files import ResultsError, check_seal, read_dataset
from simulations.results.manifest import NAME as MANIFEST
from simulations.results.manifest import Entry, Manifest
from simulations.results.merge import cell_files, digest_of_cells, read_cell
from simulations.results.merged import check_merged, is_merged

_NAMED = 3  # cells named of many that share a fault


@dataclass
class Verdict:
    """What was found: the digests of intact cells' contents by name, how many were asked for (None
    if no manifest says so), other intact files, remarks, and one sentence for each problem."""

    digests: dict[str, str] = field(default_factory=dict)
    wanted: int | None = None
    bytes: int = 0
    configurations: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    commits: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def cells_digest(self) -> str:
        """The digest over all intact cells."""
        return digest_of_cells(self.digests)


def verify(folder: Path, tell: Callable[[], object] = lambda: None) -> Verdict:
    """Read everything in a results folder, one cell at a time; `tell` is called after each.

    Raises ResultsError if it holds no cells or cannot be read.
    """
    files = cell_files(folder)
    manifest = Manifest.read(folder) if (folder / MANIFEST).exists() else None
    found = Verdict(wanted=None if manifest is None else len(manifest.wanted))
    for path in files:
        _check_cell(path, manifest, found)
        tell()
    stems = {path.stem for path in files}
    found.problems += _disagreements(found)
    if manifest is None:
        found.remarks.append(
            f"There is no {MANIFEST} (folders of earlier versions have none), so it is not known "
            f"which cells were asked for; every file was checked by itself."
        )
    else:
        found.problems += _absent(stems, manifest)
        extra = sorted(stems.intersection(manifest.entries).difference(manifest.wanted))
        if extra and manifest.wanted:
            found.remarks.append(
                f"{len(extra)} cells were not asked for by the last sweep ({named(extra)}), but by "
                f"an earlier one."
            )
    found.problems += _leftovers(folder, stems)
    for path in sorted(folder.glob("[!.]*.nc")):
        _check_other(path, found)
    return found


def named(names: Sequence[str]) -> str:
    """A list of cells for a sentence, the first few by name."""
    rest = len(names) - _NAMED
    words = ", ".join(names[:_NAMED])
    return words if rest <= 0 else f"{words} and {rest} more"


def _check_cell(path: Path, manifest: Manifest | None, found: Verdict) -> None:
    try:
        entry, contents = read_cell(path)
    except ResultsError as error:
        found.problems.append(str(error))
        return
    found.digests[entry.cell] = contents.attrs["content_digest"]
    found.bytes += entry.bytes
    found.configurations[entry.config_hash] += 1
    found.codes[entry.code] += 1
    found.commits[entry.commit] += 1
    if not _is_object(entry.coordinates):
        found.problems.append(
            f"The coordinates of {entry.cell} are no JSON object; remove its file and run again."
        )
    if manifest is not None:
        found.problems += _against_manifest(entry, manifest)


def _against_manifest(entry: Entry, manifest: Manifest) -> Iterator[str]:
    """What the manifest has against an intact cell."""
    if manifest.config_hash not in ("", entry.config_hash):
        yield (
            f"{entry.cell} is of another configuration ({entry.config_hash}) than the last sweep "
            f"({manifest.config_hash}); move its file away."
        )
    listed = manifest.entries.get(entry.cell)
    if listed is None:
        yield f"{entry.cell} is not listed in {MANIFEST}; run the sweep again, which lists it."
    elif listed.sha256 != entry.sha256:
        yield (
            f"{entry.cell} is not the file that {MANIFEST} lists (SHA-256 {entry.sha256[:12]}, "
            f"listed {listed.sha256[:12]}), though intact in itself; remove it to compute it "
            f"again, or run the sweep again to list it as it is."
        )
    elif listed != entry:
        fields = [key for key, value in asdict(entry).items() if value != getattr(listed, key)]
        yield (
            f"{MANIFEST} is wrong about {entry.cell} ({', '.join(fields)}); remove {MANIFEST} and "
            f"run the sweep again, which writes it anew."
        )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _disagreements(found: Verdict) -> Iterator[str]:
    """Where not all cells have one configuration and one version of the code."""
    counted = {"configurations": found.configurations, "versions of the code": found.codes}
    for what, counts in counted.items():
        if len(counts) > 1:
            words = ", ".join(f"{key} ({number})" for key, number in counts.most_common())
            yield (
                f"The cells are of {len(counts)} {what} (hash and number of cells: {words}); "
                f"keep one in a folder."
            )


def _absent(stems: set[str], manifest: Manifest) -> Iterator[str]:
    """Which cells should be there."""
    if not manifest.wanted:
        yield f"{MANIFEST} does not say which cells were asked for; run the sweep again."
    missing = [name for name in manifest.entries if name not in stems]
    if missing:
        yield (
            f"{len(missing)} cells are listed as done but have no file ({named(missing)}); "
            f"run the sweep again."
        )
    known = stems | manifest.entries.keys()
    undone = [name for name in manifest.wanted if name not in known]
    if undone:
        yield (
            f"{len(undone)} of {len(manifest.wanted)} wanted cells are not done ({named(undone)}); "
            f"run the sweep again."
        )


def _leftovers(folder: Path, stems: set[str]) -> Iterator[str]:
    """What failed or killed runs left."""
    if (folder / ".lease").exists():
        yield (
            f"A sweep is writing to {folder} now, or was killed; wait for its end or run it again."
        )
    for path in sorted([*folder.glob(".*"), *(folder / "cells").iterdir()]):
        if path.name.startswith((".tmp-", ".lease-", ".measuring-")):
            yield (
                f"{path} was left by a writer that was killed (or is being written); "
                f"a sweep removes it."
            )
        elif path.name.endswith(".error.txt"):
            yield _failure(path, stems)
        elif path.parent != folder and not path.name.endswith(".nc"):
            yield f"{path} is no file of a cell; move it away."
    unfinished = sorted(path.name for path in folder.glob("unfinished/*"))
    if unfinished:
        yield (
            f"{len(unfinished)} cells were left in the middle ({named(unfinished)}); "
            f"run the sweep again, which goes on from there."
        )


def _failure(path: Path, stems: set[str]) -> str:
    name = path.name.removesuffix(".error.txt")
    if name in stems:
        return f"{path} is of an earlier try, since {name} is done now; remove it."
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{name} failed ({lines[-1] if lines else 'no message'}); see {path}, and run again."


def _check_other(path: Path, found: Verdict) -> None:
    """A file beside the cells; the merge of all must hold the cells that are there."""
    try:
        check_seal(path)
        if not is_merged(path):
            read_dataset(path)
        elif check_merged(path) != found.digests:
            found.problems.append(
                f"{path} does not hold the cells that are here now; merge them again."
            )
            return
    except ResultsError as error:
        found.problems.append(str(error))
    else:
        found.others.append(path.name)
