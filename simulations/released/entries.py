"""Which checkpoints a sweep reads, and which part of the corpus each was trained on.

A word of `--checkpoints` is a list, a folder, a file, or a name of the hub. A list is a CSV file
with a header and these columns, of which only the first is always needed:

    checkpoint   a file or folder, from the list's folder on, or a pinned name of the hub
    network      a label without spaces that networks of one size share, such as tiny
    train_size   K, rows of the corpus; or in its place
    fraction     K / n, in (0, 1]; K is rounded down
    seed         of the subset; `--subset-seed` where it is left out
    n_heads, seq_len   where the file does not say
    channel, law, time, schedule, mask_id, vocab_size, ...   as `models.released.stated` has them:
                 what the numbers of the network mean, where the file leaves it open

Files named as the authors of arXiv:2604.26841 name theirs, `lm1b-<network>-<fraction>.ckpt`, say
network and fraction themselves.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from models.released.stated import Stated
from simulations.console.errors import UserError

ENDINGS = (".ckpt", ".pt", ".bin", ".safetensors")
KINDS = {"mask_id": int, "vocab_size": int, "p_uniform": float}
STATED: dict[str, Any] = {one.name: KINDS.get(one.name, str) for one in fields(Stated)}
COLUMNS = ("checkpoint", "network", "train_size", "fraction", "seed", "n_heads", "seq_len", *STATED)
NAMED = re.compile(r"lm1b-([A-Za-z]\w*)-(0?\.\d+|1(?:\.0*)?)\.ckpt", re.ASCII)
LABEL = re.compile(r"[A-Za-z0-9][\w.+=-]*", re.ASCII)


@dataclass(frozen=True)
class Entry:
    """One checkpoint, by one of `train_size` and `fraction`; see the module."""

    checkpoint: str
    network: str
    train_size: int | None
    fraction: float | None
    seed: int
    n_heads: int | None = None
    seq_len: int | None = None
    stated: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int | float:
        """K, or the fraction."""
        return self.fraction if self.train_size is None else self.train_size  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """Stem of its cell's file."""
        kind = "f" if self.train_size is None else "K"
        return f"{self.network}-{kind}{self.size}-seed{self.seed}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def entries_of(words: tuple[str, ...], subset_seed: int | None) -> list[Entry]:
    """The entries that the words of `--checkpoints` name, in their order.

    Raises UserError, one sentence, for a list that cannot be read, a checkpoint of which network,
    size or seed is not said, one that comes twice, and a seed that lacks a size of its network.
    """
    found = [entry for word in words for entry in _of_word(word, subset_seed)]
    names = [entry.name for entry in found]
    for entry in found:
        if names.count(entry.name) > 1:
            raise UserError(
                f"{entry.checkpoint} is one of several checkpoints with network {entry.network}, "
                f"size {entry.size} and seed {entry.seed}: give them different `network` labels."
            )
    _complete_iv(found)
    return found


def named(checkpoint: str) -> tuple[str, float] | None:
    """Network and fraction, where the name of a file says them as the authors' do.

    >>> named("owner/name@v1:tiny/lm1b-tiny-0.01.ckpt"), named("model.ckpt")
    (('tiny', 0.01), None)
    """
    said = NAMED.fullmatch(re.split(r"[/:]", checkpoint)[-1])
    return None if said is None else (said[1], float(said[2]))


def _of_word(word: str, seed: int | None) -> Iterator[Entry]:
    path = Path(word)
    if path.suffix == ".csv":
        yield from _of_list(path, seed)
    elif path.is_dir() and not (path / "config.json").is_file():
        files = sorted(file for file in path.rglob("*") if file.suffix in ENDINGS)
        if not files:
            raise UserError(f"{path} holds no checkpoint, of {', '.join(ENDINGS)}.")
        for file in files:
            yield _entry(str(file), {}, seed, str(file))
    else:
        yield _entry(word, {}, seed, word)


def _of_list(path: Path, seed: int | None) -> Iterator[Entry]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restkey="beyond the header", strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the list {path} cannot be read: {error}.") from error
    if not rows:
        raise UserError(
            f"the list {path} has no checkpoints; its columns are {', '.join(COLUMNS)}."
        )
    for number, row in enumerate(rows, 1):
        where = f"{path}, checkpoint {number}"
        unknown = [name for name in row if name not in COLUMNS]
        if unknown or not row.get("checkpoint"):
            wrong = f"the column {unknown[0]!r}" if unknown else "no `checkpoint`"
            raise UserError(f"{where} has {wrong}; the columns are {', '.join(COLUMNS)}.")
        given = {name: (value or "").strip() for name, value in row.items()}
        text = given.pop("checkpoint")
        beside = path.parent / text
        local = any(Path(f"{beside}{end}").exists() for end in ("", ".json"))
        yield _entry(str(beside) if local else text, given, seed, where)


def _entry(checkpoint: str, given: dict[str, str], seed: int | None, where: str) -> Entry:
    """An entry from the texts of a line, what the file's name says, and the seed for all."""
    said = named(checkpoint)
    label = given.get("network") or (said[0] if said else "")
    if not LABEL.fullmatch(label):
        raise UserError(
            f"{where}: which network it is, a label such as tiny, is not said ({label!r}): give "
            "`network`, `train_size` or `fraction`, and `seed` in a list, a .csv file."
        )
    size = _number(given, "train_size", int, where)
    fraction = _number(given, "fraction", float, where)
    if size is None and fraction is None and said:
        fraction = said[1]
    if (size is None) == (fraction is None):
        raise UserError(f"{where}: give one of `train_size` and `fraction`, for its training set.")
    if (size is not None and size < 1) or (fraction is not None and not 0 < fraction <= 1):
        raise UserError(
            f"{where}: `train_size` must be at least 1 and `fraction` in (0, 1]; got "
            f"{size if fraction is None else fraction}."
        )
    own = _number(given, "seed", int, where)
    own = seed if own is None else own
    if own is None or own < 0:
        raise UserError(
            f"{where}: the seed of its subset is not said: give `seed` in a list, or --subset-seed."
        )
    heads, length = (_number(given, name, int, where) for name in ("n_heads", "seq_len"))
    stated = {name: _number(given, name, kind, where) for name, kind in STATED.items()}
    stated = {name: value for name, value in stated.items() if value is not None}
    try:
        Stated(**stated)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    return Entry(checkpoint, label, size, fraction, own, heads, length, stated)


def _number(given: dict[str, str], name: str, kind: Any, where: str) -> Any:
    text = given.get(name, "")
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise UserError(f"{where}: `{name}` must be a number; got {text!r}.") from error


def _complete_iv(found: list[Entry]) -> None:
    """Refuse a network whose seeds do not all have the same sizes: they could not be averaged."""
    for network in dict.fromkeys(entry.network for entry in found):
        mine = [entry for entry in found if entry.network == network]
        sizes = {entry.size for entry in mine}
        for seed in {entry.seed for entry in mine}:
            lacking = sizes - {entry.size for entry in mine if entry.seed == seed}
            if lacking:
                raise UserError(
                    f"network {network} has no checkpoint of size {min(lacking)} for seed {seed}, "
                    "but for another seed: leave that size out, or give the seed's networks a "
                    "`network` label of their own."
                )
