"""What a file is that holds no weights: a sentence, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from models.errors import CheckpointError
from models.released.files.torch_archive import open_file

ENDS = 1 << 16  # bytes at the end of an archive, in which the names of its entries are looked for


def wrong_kind(file: Path, start: bytes, size: int) -> str:
    """A sentence on a file that begins with `start` and is no archive, JSON or safetensors."""
    text = start.lstrip().lower()
    if size == 0:
        return f"{file} is empty: its download or its save did not end."
    if start.startswith(b"version https://git-lfs"):
        return (
            f"{file} is a pointer of Git LFS, not the weights: run `git lfs pull` in its "
            "repository, or download the file."
        )
    if text.startswith((b"<!doctype html", b"<html")):
        return f"{file} is a web page, not the weights: its link leads to a page to click through."
    if start[:1] == b"\x80" and start[1:2] <= b"\x05":
        return (
            f"{file} is a pickle without the zip container that torch.save has written since "
            "torch 1.6: load and save it again with torch, where you trust it."
        )
    if start.startswith(b"\x89HDF"):
        return f"{file} is an HDF5 file, not weights of PyTorch: save them as safetensors."
    if file.name.endswith((".msgpack", ".eqx", ".npy", ".gguf")):
        return f"{file}: files of this kind are not read; save the weights as safetensors."
    return (
        f"{file} holds no tensors that can be read: it is neither safetensors nor a checkpoint of "
        "torch.save, or was cut short at its beginning."
    )


def torch_kind(file: Path) -> None:
    """Refuse zip archives that other programs write: TorchScript's and NumPy's."""
    with open_file(file) as stream:
        start = stream.read(256)
        stream.seek(max(0, stream.seek(0, 2) - ENDS))
        names = stream.read(ENDS)
    if b"/constants.pkl" in names or b"/code/" in names:
        raise CheckpointError(
            f"{file} is TorchScript, a program, and programs are not run: save the weights by "
            "torch.save(model.state_dict(), FILE)."
        )
    if b".npy" in start:
        raise CheckpointError(
            f"{file} is a NumPy archive: save its arrays by safetensors.numpy.save_file."
        )
