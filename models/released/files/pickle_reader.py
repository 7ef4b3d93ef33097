"""Torch checkpoints without running them: a reader of pickles that imports and calls nothing.

A pickle is a program for a small stack machine, and Python's own readers let it call whatever it
names. This machine knows no function: see `pickle_values` for what stands in its place. Whatever
a file holds, reading ends: each opcode is read once, the objects take at most 256 MiB, and keys
of a dict whose hashes a file can choose are few. Every fault is a CheckpointError in one sentence.

Opcodes: https://docs.python.org/3/library/pickletools.html, protocols 1 to 5 without their
buffers beside the pickle; of protocol 0 only the text of class names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.released.files.pickle_values import EACH, Bad, Inert, Limits, Name, value_of_call
from models.released.files.torch_archive import Archive, damaged, open_archive, read_pickle
from models.released.files.torch_tensors import Tensor, storage_of

NAME = 1024  # bytes of a line of text
WHOLE = 64  # bytes of an integer: random generators have states of 17


def read_checkpoint(path: str | Path) -> Any:
    """The contents of a torch checkpoint, with lazy `Tensor`s and with nothing executed.

    Dicts, lists, tuples, sets, text, bytes, numbers, None, and `Tensor`, `Name`, `Inert`.
    Raises CheckpointError where the file is not a zip archive of torch.save, is damaged, or asks
    for more memory than such a file has use for.
    Cost: about 1 s for each 500 000 opcodes; at most 256 MiB beside the pickle itself.
    """
    archive = open_archive(path)
    return read_objects(read_pickle(archive), archive)


def read_objects(pickle: bytes, archive: Archive) -> Any:
    """The object of a pickle whose storages are in `archive`."""
    try:
        return _Machine(pickle, archive).run()
    except Bad as error:
        raise damaged(archive.path, f"its pickle {error}") from None
    except CheckpointError:
        raise
    except (IndexError, ValueError, MemoryError, RecursionError):  # as where a stack is empty
        raise damaged(archive.path, "its pickle is damaged") from None


class _Machine:
    """The stack machine: `stack` above the last mark, those below it in `below`."""

    def __init__(self, pickle: bytes, archive: Archive) -> None:
        self.pickle, self.archive, self.at = pickle, archive, 0
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: list[Any] = []
        self.limits = Limits()

    def run(self) -> Any:
        data, length = self.pickle, len(self.pickle)
        while self.at < length:
            code = data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.below:
                    raise Bad("leaves more or less than one object")
                return self.stack[0]
            do = OPCODES.get(code)
            if do is None:
                raise Bad(f"has the opcode {code:#04x}, which torch does not write")
            self.limits.spend(EACH)
            do(self)
        raise Bad("is cut short")

    def take(self, length: int) -> bytes:
        piece = self.pickle[self.at : self.at + length]
        if not 0 <= length == len(piece):
            raise Bad("is cut short")
        self.at += length
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.pickle.find(b"\n", self.at, self.at + NAME)
        if end < 0:
            raise Bad("has a name without an end")
        self.limits.spend(4 * (end - self.at))
        return self.take(end + 1 - self.at)[:-1].decode()

    def text(self, form: str, encoding: str = "utf-8") -> None:
        raw = self.take(self.number(form))
        self.limits.spend(4 * len(raw))
        self.stack.append(raw.decode(encoding, "surrogatepass"))

    def raw(self, form: str) -> None:
        raw = self.take(self.number(form))
        self.limits.spend(len(raw))
        self.stack.append(raw)

    def whole(self, form: str) -> None:
        size = self.number(form)
        if not 0 <= size <= WHOLE:
            raise Bad(f"has an integer of {size} bytes")
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop_some(self, n: int) -> tuple[Any, ...]:
        if len(self.stack) < n:
            raise IndexError
        items = tuple(self.stack[-n:])
        del self.stack[-n:]
        return items

    def remember(self, place: int | None) -> None:
        place = len(self.memo) if place is None else place
        if place > len(self.memo) + 1:  # pickles count from 0 or, of Python 2, from 1
            raise Bad("numbers its objects out of order")
        self.memo.extend([None] * (place + 1 - len(self.memo)))
        self.memo[place] = self.stack[-1]

    def add(self, items: list[Any]) -> None:
        """To a list, a set, or what would have been one."""
        target = self.stack[-1]
        if isinstance(target, Inert):
            target.items.extend(items)
        elif type(target) is list:
            target.extend(items)
        elif type(target) is set:
            target.update(self.limits.keys(items))
        else:
            raise Bad("adds to what holds no items")

    def put(self, items: list[Any]) -> None:
        """Keys and values in turn, into a dict or what would have been one."""
        if len(items) % 2:
            raise Bad("has a key without a value")
        target, pairs = self.stack[-1], list(zip(items[::2], items[1::2], strict=True))
        if isinstance(target, Inert):
            target.items.extend(pairs)
        elif type(target) is dict:
            for key, value in pairs:
                self.limits.set(target, key, value)
        else:
            raise Bad("sets items of what is no dict")

    def whole_dict(self) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.put(items)

    def call(self, function: Any, args: Any) -> None:
        """Push what stands for function(*args)."""
        if type(args) is not tuple:
            raise Bad("calls with what is no tuple")
        if isinstance(function, Inert):
            function = Name("", f"what {function.name} returns"[:NAME])
        if not isinstance(function, Name):
            raise Bad("calls what is no function")
        self.stack.append(value_of_call(self.limits, self.archive, function, args))

    def build(self) -> None:
        target, state = self.stack[-2], self.stack.pop()
        if isinstance(target, Inert):
            target.state = state
        elif type(target) not in (dict, Tensor):  # of those: `_metadata`, and attributes
            raise Bad("sets a state on what has none")

    def persistent(self) -> None:
        pid = self.stack.pop()
        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage":
            raise Bad("refers to what is no storage of this file")
        if type(pid[1]) is not Name:
            raise Bad("has a storage of no type")
        self.stack.append(storage_of(self.archive, pid, *pid[1]))

    def stack_global(self) -> None:
        module, name = self.pop_some(2)
        if type(module) is not str or type(name) is not str or len(module) + len(name) > NAME:
            raise Bad("has a name that is no text")
        self.stack.append(Name(module, name))

    def instance(self) -> None:
        function = Name(self.line(), self.line())
        self.call(function, tuple(self.since_mark()))

    def object(self) -> None:
        function, *args = self.since_mark()
        self.call(function, tuple(args))

    def new(self, keywords: bool = False) -> None:
        function, args, *rest = self.pop_some(3 if keywords else 2)
        if keywords and type(args) is tuple:
            args = (*args, *rest) if rest != [{}] else args
            self.limits.spend(8 * len(args))
        self.call(function, args)


Step = Callable[[_Machine], Any]


def _push(make: Callable[[], Any]) -> Step:
    return lambda m: m.stack.append(make())


def _last(n: int) -> Step:
    return lambda m: m.stack.append(m.pop_some(n))


def _marked(make: Callable[[_Machine, list[Any]], Any]) -> Step:
    def step(m: _Machine) -> None:
        made = make(m, m.since_mark())
        m.stack.append(made)

    return step


def _empty_set(m: _Machine) -> None:
    m.limits.spend(EACH)  # twice as large as other empty ones
    m.stack.append(set())


def _pop(m: _Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.since_mark()


OPCODES: Mapping[int, Step] = {
    ord(code): step
    for code, step in {
        "\x80": lambda m: m.take(1),  # PROTO
        "\x95": lambda m: m.take(8),  # FRAME
        "(": _Machine.mark,
        "0": _pop,
        "1": _Machine.since_mark,
        "2": lambda m: m.stack.append(m.stack[-1]),
        "N": _push(lambda: None),
        "\x88": _push(lambda: True),
        "\x89": _push(lambda: False),
        "J": lambda m: m.stack.append(m.number("<i")),
        "K": lambda m: m.stack.append(m.number("<B")),
        "M": lambda m: m.stack.append(m.number("<H")),
        "G": lambda m: m.stack.append(m.number(">d")),
        "\x8a": lambda m: m.whole("<B"),
        "\x8b": lambda m: m.whole("<i"),
        "X": lambda m: m.text("<I"),
        "\x8c": lambda m: m.text("<B"),
        "\x8d": lambda m: m.text("<Q"),
        "T": lambda m: m.text("<I", "latin-1"),
        "U": lambda m: m.text("<B", "latin-1"),
        "B": lambda m: m.raw("<I"),
        "C": lambda m: m.raw("<B"),
        "\x8e": lambda m: m.raw("<Q"),
        "\x96": lambda m: m.raw("<Q"),
        ")": _push(tuple),
        "\x85": _last(1),
        "\x86": _last(2),
        "\x87": _last(3),
        "t": _marked(lambda m, items: tuple(items)),
        "]": _push(list),
        "l": _marked(lambda m, items: items),
        "a": lambda m: m.add(list(m.pop_some(1))),
        "e": lambda m: m.add(m.since_mark()),
        "}": _push(dict),
        "d": _Machine.whole_dict,
        "s": lambda m: m.put(list(m.pop_some(2))),
        "u": lambda m: m.put(m.since_mark()),
        "\x8f": _empty_set,
        "\x90": lambda m: m.add(m.since_mark()),
        "\x91": _marked(lambda m, items: frozenset(m.limits.keys(items))),
        "q": lambda m: m.remember(m.number("<B")),
        "r": lambda m: m.remember(m.number("<I")),
        "\x94": lambda m: m.remember(None),
        "h": lambda m: m.stack.append(m.memo[m.number("<B")]),
        "j": lambda m: m.stack.append(m.memo[m.number("<I")]),
        "c": lambda m: m.stack.append(Name(m.line(), m.line())),
        "\x93": _Machine.stack_global,
        "i": _Machine.instance,
        "o": _Machine.object,
        "R": lambda m: m.call(*m.pop_some(2)),
        "\x81": _Machine.new,
        "\x92": lambda m: m.new(keywords=True),
        "b": _Machine.build,
        "Q": _Machine.persistent,
    }.items()
}
