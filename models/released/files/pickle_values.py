"""What the objects of a pickle become when nothing is imported or called, and how many may be.

A name stays a name (`Name`), and what a call of it would make is an inert record (`Inert`), but
for a few that are values in themselves: ordered and default dicts, sets, bytes, and torch's
tensors, which become places in the file (`torch_tensors.Tensor`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from models.released.files.torch_archive import Archive
from models.released.files.torch_tensors import DTYPES, Tensor, tensor_of

BUDGET = 1 << 28  # bytes of objects, so counted that they take less:
EACH = 128  # for an opcode, which makes one at most, and 4 for each byte of text
ODD_KEYS = 1 << 13  # keys with chosen hashes: n of them can take n**2 / 2 steps to insert
DEPTH, ITEMS = 3, 16  # of tuples in a key

DICTS = {("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "dict")}
BUILTINS = {"__builtin__": "builtins"}  # Python 2's name, which protocol 2 writes
TENSORS = {"_rebuild_tensor_v2", "_rebuild_tensor_v3"}
PARAMETERS = {"_rebuild_parameter", "_rebuild_parameter_with_state"}


class Name(NamedTuple):
    """A class or function that the file names; nothing was looked up."""

    module: str
    name: str


@dataclass(eq=False, slots=True)
class Inert:
    """What a call, or an object of a class, would have been: by name, with what it was given.

    args: of the call; state: what would have been set on the object; items: what would have been
    put in it. Never called, never made. Equal to itself only.
    """

    module: str
    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:  # short, and the same for one that contains itself
        return f"Inert({self.module}.{self.name})"


KEYS = (str, bytes, tuple, int, float, bool, type(None), Name, Inert, Tensor)


class Bad(Exception):
    """What is wrong with the pickle."""


class Limits:
    """What is left of the budget of objects and of keys of one pickle."""

    def __init__(self) -> None:
        self.budget, self.odd_keys = BUDGET, ODD_KEYS

    def spend(self, n_bytes: int) -> None:
        self.budget -= n_bytes
        if self.budget < 0:
            raise Bad(f"would make more than {BUDGET >> 20} MiB of objects")

    def set(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        """target[key] = value, where that is quick."""
        count = len(target)
        if type(key) is not int or key != count:  # 0, 1, 2, ... are quick
            self.key(key)
        target[key] = value
        if type(key) is int and len(target) == count:  # but not one that was there already
            self.odd()

    def keys(self, items: Any) -> Any:
        """The items, where they can be put in a set quickly."""
        self.spend(EACH * len(items))
        for item in items:
            self.key(item)
        return items

    def key(self, key: Any, depth: int = 0) -> None:
        """Refuse what cannot be hashed, or can by nesting or by its number be slow to hash."""
        kind = type(key)
        filled = kind in (str, bytes, tuple) and len(key) > 0
        if filled and kind is not tuple:
            return  # hashes that a file cannot choose: they are salted, but for that of no letter
        if filled and depth < DEPTH and len(key) <= ITEMS:
            self.spend(EACH * len(key))
            for item in key:
                self.key(item, depth + 1)
        elif not filled and kind in KEYS:
            self.odd()
        else:
            raise Bad("has a key that no dict can hold")

    def odd(self) -> None:
        self.odd_keys -= 1
        if self.odd_keys < 0:
            raise Bad(f"has more than {ODD_KEYS} keys that are not text")


def value_of_call(limits: Limits, archive: Archive, function: Name, args: tuple[Any, ...]) -> Any:
    """What stands for function(*args): a value in itself, or an Inert."""
    module, name = BUILTINS.get(function.module, function.module), function.name
    limits.spend(EACH)
    if (module, name) in DICTS and (name == "defaultdict" or len(args) < 2):
        return _dict_of(limits, args[1:] if name == "defaultdict" else args)
    if module == "builtins" and name in ("set", "frozenset") and _holds(args, list, tuple):
        items = limits.keys(args[0])
        return set(items) if name == "set" else frozenset(items)
    if module == "builtins" and name == "bytes" and args == ():
        return b""
    if module == "builtins" and name == "bytearray" and _holds(args, bytes):
        return args[0]
    if (module, name) == ("_codecs", "encode") and _holds(args[:1], str):
        if args[1:] not in (("latin1",), ("latin-1",)):
            raise Bad("has bytes in an unknown encoding")
        limits.spend(len(args[0]))
        return args[0].encode("latin1")
    if module == "torch._utils" and name in TENSORS:
        return _tensor(limits, archive, name, args)
    if module == "torch._utils" and name in PARAMETERS:
        if not args or not isinstance(args[0], Tensor | Inert):
            raise Bad("has a parameter that is no tensor")
        return args[0]
    return Inert(module, name, args)


def _dict_of(limits: Limits, args: tuple[Any, ...]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    if args and type(args[0]) is not dict and not _holds(args, list, tuple):
        raise Bad("has a dict of what is no list of pairs")
    pairs = args[0] if args else ()
    for pair in pairs.items() if type(pairs) is dict else pairs:
        if type(pair) not in (list, tuple) or len(pair) != 2:
            raise Bad("has a dict of what is no list of pairs")
        limits.spend(EACH)
        limits.set(made, *pair)
    return made


def _tensor(limits: Limits, archive: Archive, name: str, args: tuple[Any, ...]) -> Tensor:
    dtype = None
    if name == "_rebuild_tensor_v3":
        kind = args[6] if len(args) > 6 else None
        if type(kind) is not Name or kind.module != "torch" or kind.name not in DTYPES:
            raise Bad("has a tensor of unknown numbers")
        dtype = DTYPES[kind.name]
    limits.spend(1024)
    return tensor_of(archive, args, dtype)


def _holds(args: tuple[Any, ...], *kinds: type) -> bool:
    return len(args) == 1 and type(args[0]) in kinds
