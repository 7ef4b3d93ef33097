"""Torch checkpoints put together by hand, honest and otherwise, and things that must not happen."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
}


class Ops(bytes):
    """Opcodes that leave one object on the stack."""


def ops(value: Any) -> Ops:
    """The opcodes of a plain value in which Ops may stand."""
    if isinstance(value, Ops):
        return value
    if isinstance(value, list):
        return Ops(b"](" + b"".join(map(ops, value)) + b"e")
    if isinstance(value, tuple):
        return Ops(b"(" + b"".join(map(ops, value)) + b"t")
    if isinstance(value, dict):
        pairs = (ops(key) + ops(item) for key, item in value.items())
        return Ops(b"}(" + b"".join(pairs) + b"u")
    plain = pickle.dumps(value, 2)[2:-1]
    return Ops(plain.removesuffix(b"q\x00"))  # nothing is put in the memo


def name(module: str, attribute: str) -> Ops:
    return Ops(f"c{module}\n{attribute}\n".encode())


def call(module: str, attribute: str, *args: Any) -> Ops:
    return Ops(name(module, attribute) + ops(args) + b"R")


def storage(key: Any, kind: Any, count: Any) -> Ops:
    kind = name("torch", TYPES[kind]) if isinstance(kind, str) else kind
    return Ops(ops(("storage", kind, key, "cpu", count)) + b"Q")


def tensor(source: Any, offset: Any, shape: Any, stride: Any) -> Ops:
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", source, offset, shape, stride, False, hooks)


def program(body: Any) -> bytes:
    return b"\x80\x02" + ops(body) + b"."


def archive(
    path: Path, content: bytes, storages: dict[str, bytes] | None = None, **more: Any
) -> Path:
    """Write a file with a pickle and storages, as torch.save does."""
    entries = {"data.pkl": content, "byteorder": b"little"}
    entries |= {f"data/{key}": raw for key, raw in (storages or {}).items()} | more.pop(
        "entries", {}
    )
    with zipfile.ZipFile(path, "w", **more) as file:
        for entry, raw in entries.items():
            file.writestr(f"model/{entry}", raw)
    return path


class Builder:
    """Arrays as tensors of a checkpoint."""

    def __init__(self) -> None:
        self.storages: dict[str, bytes] = {}

    def tensor(self, array: np.ndarray) -> Ops:
        key = str(len(self.storages))
        self.storages[key] = np.ascontiguousarray(array).tobytes()
        stride = tuple(s // array.itemsize for s in np.ascontiguousarray(array).strides)
        source = storage(key, str(array.dtype), array.size)
        return tensor(source, 0, array.shape, stride if array.ndim else ())

    def tree(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self.tensor(value)
        if isinstance(value, dict):
            return {key: self.tree(item) for key, item in value.items()}
        return [self.tree(item) for item in value] if isinstance(value, list) else value


def write(path: Path, tree: Any) -> Path:
    """Write plain values and arrays, with Ops where they stand, as a checkpoint."""
    builder = Builder()
    return archive(path, program(builder.tree(tree)), builder.storages)


TOUCHED: list[str] = []


class Trap:
    """Everything that a pickle can make an object do; each leaves its name in TOUCHED."""

    def __new__(cls, *args: Any, **keywords: Any) -> Trap:
        TOUCHED.append("new")
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        TOUCHED.append("init")

    def __setstate__(self, state: Any) -> None:
        TOUCHED.append("setstate")

    def __call__(self, *args: Any) -> None:
        TOUCHED.append("call")

    def append(self, item: Any) -> None:
        TOUCHED.append("append")

    def extend(self, items: Any) -> None:
        TOUCHED.append("extend")

    def add(self, item: Any) -> None:
        TOUCHED.append("add")

    def __setitem__(self, key: Any, item: Any) -> None:
        TOUCHED.append("setitem")

    def __hash__(self) -> int:
        TOUCHED.append("hash")
        return 0


def trap(*args: Any) -> None:
    TOUCHED.append("trap")


class Reduced:
    """Pickled as a call of `trap`, with another inside."""

    def __init__(self, inside: Any = None) -> None:
        self.inside = inside

    def __reduce__(self) -> Any:
        return trap, (self.inside,), {"state": self.inside}, iter([self.inside])


def zip64(content: bytes) -> bytes:
    """The same archive with all sizes of its directory in 64-bit records."""
    end = content.rfind(b"PK\x05\x06")
    count, length, start = struct.unpack("<HII", content[end + 10 : end + 20])
    old, new, at = content[start : start + length], b"", 0
    for _ in range(count):
        packed, size, n_name, n_extra = struct.unpack("<IIHH", old[at + 20 : at + 32])
        (header,) = struct.unpack("<I", old[at + 42 : at + 46])
        wide = struct.pack("<HHQQQ", 1, 24, size, packed, header)
        text = old[at + 46 : at + 46 + n_name]
        full = struct.pack("<IIHH", 0xFFFFFFFF, 0xFFFFFFFF, n_name, len(wide))
        fixed = old[at : at + 20] + full + old[at + 32 : at + 42] + b"\xff" * 4
        new += fixed + text + wide
        at += 46 + n_name + n_extra
    body = content[:start] + new
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(new), start
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body), 1)
    last = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + record + locator + last
