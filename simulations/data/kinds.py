"""What kind of file tokens are in, by its name alone, and what to do with those that are not read.

A kind is never guessed from content: a stream of numbers looks like any other.
"""

from __future__ import annotations

from pathlib import Path

from models.released.files.torch_archive import open_file
from simulations.data.corpora import CorpusError, file_refusals

ARRAYS = (".npy", ".npz", ".safetensors")
TABLES = (".arrow", ".parquet")
TEXTS = (".jsonl", ".json", ".txt")
KINDS = (*ARRAYS, ".bin", *TABLES, *TEXTS)

# Files that are not read, and the line of Python that saves what they hold as one that is.
CONVERSIONS = {
    (".pt", ".pth"): 'np.save("ids.npy", torch.load({name!r}, weights_only=True).numpy())',
    (".pkl", ".pickle"): 'np.save("ids.npy", np.array(pickle.load(open({name!r}, "rb"))))',
    (".csv",): 'np.save("ids.npy", np.loadtxt({name!r}, delimiter=",", dtype=int))',
    (".tsv",): 'np.save("ids.npy", np.loadtxt({name!r}, delimiter="\\t", dtype=int))',
    (".feather",): 'pyarrow.parquet.write_table(pyarrow.feather.read_table({name!r}), "a.parquet")',
}
PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".tgz", ".7z")
HEADS = {
    b"\x93NUMPY": ".npy",
    b"PAR1": ".parquet",
    b"ARROW1": ".feather",
    b"\x1f\x8b": ".gz, such as .jsonl.gz",
    b"PK\x03\x04": ".npz, or .pt if torch wrote it",
}


def kind_of(path: Path) -> tuple[str, bool]:
    """One of `KINDS`, whatever the case of the ending, and whether a text is packed by gzip.

    Raises CorpusError, one sentence with the line that converts it, for all other files.
    """
    ending = path.suffix.lower()
    inner = Path(path.stem).suffix.lower() if ending == ".gz" else ""
    if inner in TEXTS:
        return inner, True
    if ending in KINDS:
        return ending, False
    raise CorpusError(_not_read(path, ending))


def refuse_pointer(path: Path) -> None:
    """Raise CorpusError for what Git LFS leaves in the place of a file."""
    with file_refusals(), open_file(path) as file:
        head = file.read(24)
    if head == b"version https://git-lfs.":
        raise CorpusError(f"{path} is a pointer of Git LFS; get the file by `git lfs pull`.")


def _not_read(path: Path, ending: str) -> str:
    for endings, line in CONVERSIONS.items():
        if ending in endings:
            return f"{path} is not read; save what it holds by `{line.format(name=path.name)}`."
    if ending in PACKED:
        packed = ", ".join(f"{kind}.gz" for kind in TEXTS)
        return f"{path} is packed in a way that is not read ({packed} are); unpack it first."
    if not path.exists():
        return (
            f"{path} is neither a file nor a folder here. A data set of a hub is saved first, by "
            f'`datasets.load_dataset({path.name!r}, split="test").save_to_disk("test_set")`.'
        )
    known = f"there are {', '.join(KINDS)} and folders of Arrow or Parquet files"
    found = _by_content(path)
    advice = (
        f"Its first bytes are those of {found}: give it this ending"
        if found
        else ('Token ids in memory are saved by `np.save("ids.npy", ids)`')
    )
    return f"{path} is of no known kind by its name; {known}. {advice}."


def _by_content(path: Path) -> str | None:
    with file_refusals(), open_file(path) as file:
        head = file.read(8)
    return next((kind for magic, kind in HEADS.items() if head.startswith(magic)), None)
