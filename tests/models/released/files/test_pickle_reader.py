"""Checkpoints of torch are read and never run, whatever they hold."""

import copyreg
import pickle
import random
import struct
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import CheckpointError
from models.released.files import pickle_reader, pickle_values
from models.released.files.pickle_reader import read_checkpoint
from models.released.files.pickle_values import Inert, Name
from models.released.files.torch_tensors import Storage, Tensor
from tests import torch_files as tf
from tests.torch_files import Ops, Reduced, call, name, ops, program, storage, tensor

HERE = "tests.torch_files"
PLAIN = (dict, list, tuple, set, frozenset, str, bytes, int, float, bool, type(None))


def walk(value, seen):
    """Every object that can be reached from one."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    if type(value) is dict:
        parts = [*value, *value.values()]
    elif type(value) in (list, tuple, set, frozenset):
        parts = [*value]
    elif type(value) is Inert:
        parts = [value.module, value.name, value.args, value.state, value.items]
    elif type(value) in (Name, Storage):
        parts = [x for x in value if type(x) in (str, int)]
    else:
        parts = []
    for part in parts:
        walk(part, seen)


def assert_harmless(value):
    seen = {}
    walk(value, seen)
    assert {type(v) for v in seen.values()} <= {*PLAIN, Inert, Name, Tensor, Storage}


T = name(HERE, "Trap")
MADE = call(HERE, "Trap")
SYSTEM = name("os", "system")


def line(*parts: str) -> bytes:
    return "".join(f"{p}\n" for p in parts).encode()


# name: opcodes, and what Python's own reader does with them (None: it has no way to read them)
ATTACKS = {
    "GLOBAL, REDUCE": (call(HERE, "trap"), "trap"),
    "STACK_GLOBAL": (Ops(ops(HERE) + ops("trap") + b"\x93" + ops(()) + b"R"), "trap"),
    "INST": (Ops(b"(" + ops(1) + b"i" + line(HERE, "Trap")), "init"),
    "OBJ": (Ops(b"(" + T + ops(1) + b"o"), "init"),
    "NEWOBJ": (Ops(T + ops(()) + b"\x81"), "new"),
    "NEWOBJ_EX": (Ops(T + ops(()) + ops({"a": 1}) + b"\x92"), "new"),
    "BUILD": (Ops(MADE + ops({"a": 1}) + b"b"), "setstate"),
    "APPEND": (Ops(MADE + ops(1) + b"a"), "extend"),
    "APPENDS": (Ops(MADE + b"(" + ops(1) + b"e"), "extend"),
    "ADDITEMS": (Ops(MADE + b"(" + ops(1) + b"\x90"), "add"),
    "SETITEM": (Ops(MADE + ops(1) + ops(2) + b"s"), "setitem"),
    "SETITEMS": (Ops(MADE + b"(" + ops(1) + ops(2) + b"u"), "setitem"),
    "a key": (ops({MADE: 1}), "hash"),
    "a member of a set": (Ops(b"\x8f(" + MADE + b"\x90"), "hash"),
    "EXT1": (Ops(b"\x82\xf0" + ops(()) + b"R"), "trap"),
    "EXT2": (Ops(b"\x83\xf0\x00" + ops(()) + b"R"), "trap"),
    "EXT4": (Ops(b"\x84\xf0\x00\x00\x00" + ops(()) + b"R"), "trap"),
    "copyreg": (call("copyreg", "__newobj__", T), "new"),
    "copyreg, a base": (
        call("copyreg", "_reconstructor", T, T, call("builtins", "getattr", T, "add")), "new"
    ),
    "getattr": (Ops(call("builtins", "getattr", MADE, "append") + ops((1,)) + b"R"), "append"),
    "getattr of a module": (
        Ops(call("builtins", "getattr", call("importlib", "import_module", HERE), "trap")
            + ops(()) + b"R"),
        "trap",
    ),
    "partial": (Ops(call("functools", "partial", name(HERE, "trap")) + ops(()) + b"R"), "trap"),
    "methodcaller": (Ops(call("operator", "methodcaller", "add", 1) + ops((MADE,)) + b"R"), "add"),
    "map": (call("builtins", "list", call("builtins", "map", name(HERE, "trap"), [1])), "trap"),
    "eval": (call("builtins", "eval", f"__import__('{HERE}').torch_files.trap()"), "trap"),
    "exec": (call("builtins", "exec", f"import {HERE} as t; t.trap()"), "trap"),
    "default": (call("collections", "defaultdict", MADE), "init"),
    "OrderedDict": (call("collections", "OrderedDict", [[MADE, 1]]), "hash"),
    "a parameter": (call("torch._utils", "_rebuild_parameter", MADE, True, {}), None),
    "a parameter of a class": (call("torch._utils", "_rebuild_parameter", T, True, {}), None),
    "a call as storage": (tensor(MADE, 0, (1,), (1,)), None),
    "a function as storage": (tensor(name(HERE, "trap"), 0, (1,), (1,)), None),
    "a function as shape": (tensor(storage("0", "float32", 1), 0, T, (1,)), None),
    "BINPERSID": (Ops(call(HERE, "trap") + b"Q"), None),
    "PERSID": (Ops(b"P" + line("../../etc/passwd")), None),
    "a path as storage": (tensor(storage("../data.pkl", "float32", 1), 0, (1,), (1,)), None),
    "another type of storage": (Ops(storage("0", MADE, 1)), None),
    "a function as type": (Ops(storage("0", name("os", "system"), 1)), None),
    "torch.load": (call("torch", "load", "other.ckpt"), None),
    "torch.hub": (call("torch.hub", "load", "other/repository", "model"), None),
    "torch from storage": (call("torch.storage", "_load_from_bytes", b"\x80\x02N."), None),
}  # fmt: skip


@pytest.fixture
def extension():
    copyreg.add_extension(HERE, "trap", 0xF0)
    yield
    copyreg.remove_extension(HERE, "trap", 0xF0)


def outcome(path):
    try:
        return read_checkpoint(path)
    except CheckpointError as error:
        assert str(error).startswith(str(path)) and str(error).count("\n") == 0
        assert len(str(error)) < len(str(path)) + 300
        return error


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("inside", [False, True])
def test_an_attack_does_nothing(attack, inside, tmp_path, extension):
    body, effect = ATTACKS[attack]
    content = program({"state_dict": {"a": [body]}} if inside else body)
    tf.TOUCHED.clear()
    found = outcome(tf.archive(tmp_path / "m.ckpt", content))
    assert tf.TOUCHED == []
    if not isinstance(found, CheckpointError):
        assert_harmless(found)
    if effect is not None:  # the trap works
        try:
            pickle.loads(content)
        except (TypeError, AttributeError):
            pass
        assert effect in tf.TOUCHED


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_objects_that_reduce_to_calls_do_nothing(protocol, tmp_path):
    content = pickle.dumps({"a": [Reduced(Reduced(1))], "b": (Reduced(),)}, protocol)
    tf.TOUCHED.clear()
    found = outcome(tf.archive(tmp_path / "m.ckpt", content))
    assert tf.TOUCHED == []
    if protocol == 0:
        assert isinstance(found, CheckpointError)
    else:
        inert = found["a"][0]
        assert (inert.module, inert.name) == (HERE, "trap") and inert.args[0].args == (1,)
        assert inert.items == [inert.args[0]] and inert.state == {"state": inert.args[0]}
        assert_harmless(found)


def test_the_shell_and_modules_are_left_alone(tmp_path):
    canary = tmp_path / "canary"
    for body in (
        call("os", "system", f"touch {canary}"),
        call("posix", "system", f"touch {canary}"),
        call("subprocess", "check_output", ["touch", str(canary)]),
        Ops(name("subprocess", "Popen") + ops((["touch", str(canary)],)) + b"\x81"),
        call("builtins", "open", str(canary), "w"),
        call("io", "open", str(canary), "w"),
        call("__builtin__", "execfile", str(canary)),
        call("runpy", "run_path", str(canary)),
        call("antigravity", "geohash", 1, 2, b"3"),
        call("torch", "save", {}, str(canary)),
    ):
        tree = read_checkpoint(tf.archive(tmp_path / "m.ckpt", program({"x": body})))
        assert type(tree["x"]) is Inert
        assert repr(tree["x"]) == f"Inert({tree['x'].module}.{tree['x'].name})"
    assert not canary.exists() and "antigravity" not in sys.modules


VALUES = {
    "a": [1, -1, 2**31 - 1, -(2**31), 2**100, 0.5, float("inf"), True, False, None],
    "ключ": ("", "ü", b"", b"\x00\xff", (), ((1,),), [], {}, {1: {2: 3}}, {(1, "a"): 4}),
    "c": [{1, 2}, {"a"}, frozenset({"b"}), set(), bytes(300), "x" * 300],
    "d": {k: str(k) for k in range(20000)},
    "e": {(str(k), "a"): k for k in range(2000)},
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_come_back(protocol, tmp_path):
    shared = [1]
    value = VALUES | {"shared": [shared, shared]}
    found = read_checkpoint(tf.archive(tmp_path / "m.ckpt", pickle.dumps(value, protocol)))
    assert found == value
    assert found["shared"][0] is found["shared"][1]
    assert [type(x) for x in found["a"]] == [type(x) for x in value["a"]]


def test_structures_that_contain_themselves(tmp_path):
    value = {"list": []}
    value["list"].append(value)
    value["list"].append(value["list"])
    found = read_checkpoint(tf.archive(tmp_path / "m.ckpt", pickle.dumps(value, 2)))
    assert found["list"][0] is found and found["list"][1] is found["list"]
    inert = Ops(b"q\x00".join([call("a", "B"), b""]) + b"h\x00ba")  # its state is itself
    found = read_checkpoint(tf.archive(tmp_path / "m.ckpt", program(Ops(b"]" + inert))))
    assert found[0].state is found[0] and repr(found[0]) == "Inert(a.B)"


def test_ordered_and_default_dicts_metadata_and_other_tensors(tmp_path):
    from collections import OrderedDict, defaultdict

    state = OrderedDict(b=1, a=2)
    state.meta = {"version": 1}
    value = {"o": state, "d": defaultdict(list, x=[1]), "array": bytearray(b"ab")}
    for protocol in (2, 4):
        found = read_checkpoint(tf.archive(tmp_path / "m.ckpt", pickle.dumps(value, protocol)))
        assert found == {"o": {"b": 1, "a": 2}, "d": {"x": [1]}, "array": b"ab"}
        assert list(found["o"]) == ["b", "a"] and type(found["o"]) is dict
    flat = storage("0", name("torch.storage", "UntypedStorage"), 8)
    third = call(
        "torch._utils", "_rebuild_tensor_v3", flat, 1, (3,), (1,), False, {},
        name("torch", "uint16"),
    )  # fmt: skip
    content = program({"t": third, "dtype": name("torch", "float32")})
    found = read_checkpoint(
        tf.archive(tmp_path / "m.ckpt", content, {"0": np.arange(4, dtype=np.uint16).tobytes()})
    )
    np.testing.assert_array_equal(found["t"], np.array([1, 2, 3], np.uint16), strict=True)
    assert found["dtype"] == Name("torch", "float32")


ARRAY = np.arange(24, dtype=np.float32)


@pytest.mark.parametrize(
    "offset, shape, stride",
    [
        (0, (24,), (1,)), (0, (4, 6), (6, 1)), (2, (3, 4), (4, 1)), (0, (6, 4), (1, 6)),
        (1, (3, 2), (8, 3)), (5, (), ()), (0, (0,), (1,)), (0, (3, 0, 2), (0, 2, 1)),
        (24, (0,), (1,)), (0, (1, 24), (10**9, 1)),
    ],
)  # fmt: skip
def test_views_of_a_storage(offset, shape, stride, tmp_path):
    content = program(tensor(storage("0", "float32", 24), offset, shape, stride))
    lazy = read_checkpoint(tf.archive(tmp_path / "m.ckpt", content, {"0": ARRAY.tobytes()}))
    assert (lazy.shape, lazy.ndim, lazy.size) == (shape, len(shape), int(np.prod(shape)))
    expected = np.zeros(shape, np.float32)
    for place in np.ndindex(*shape):
        expected[place] = ARRAY[offset + sum(i * s for i, s in zip(place, stride, strict=True))]
    np.testing.assert_array_equal(lazy, expected, strict=True)


BIG, LONG = 2**62, 2**200
LIES = {
    "beyond": (24, 0, (25,), (1,)), "offset": (24, 23, (2,), (1,)), "stride": (24, 0, (2,), (24,)),
    "negative offset": (24, -1, (2,), (1,)), "negative size": (24, 0, (-2,), (1,)),
    "two negative sizes": (24, 0, (-2, -3), (3, 1)), "negative stride": (24, 23, (2,), (-1,)),
    "negative storage": (-24, 0, (2,), (1,)), "huge size": (24, 0, (BIG,), (1,)),
    "longer than an integer": (24, 0, (LONG, LONG), (0, 0)), "huge stride": (24, 0, (2,), (LONG,)),
    "huge storage": (BIG, 0, (BIG,), (1,)), "longer storage": (25, 0, (25,), (1,)),
    "part of a longer storage": (25, 0, (2,), (1,)), "repeated": (24, 0, (BIG,), (0,)),
    "repeated rows": (24, 0, (3, 24), (0, 1)), "empty and huge": (24, 0, (0, LONG), (1, 1)),
    "real size": (24, 0, (2.0,), (1,)), "boolean size": (24, 0, (True,), (1,)),
    "text": ("24", 0, (1,), (1,)), "no stride": (24, 0, (2,), ()), "list": (24, 0, [2], [1]),
    "shorter storage": (10, 0, (24,), (1,)), "many axes": (24, 0, (1,) * 33, (1,) * 33),
    "none": (24, None, (1,), (1,)),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_tensors_that_lie_are_refused(lie, tmp_path):
    count, offset, shape, stride = LIES[lie]
    content = program(tensor(storage("0", "float32", count), offset, shape, stride))
    path = tf.archive(tmp_path / "m.ckpt", content, {"0": ARRAY.tobytes()})
    with pytest.raises(CheckpointError, match=r"m\.ckpt is no torch checkpoint that can be read"):
        np.asarray(read_checkpoint(path))


@pytest.mark.parametrize("key", ["1", "", "../data.pkl", "0/", "\x00", "0\n"])
def test_storages_that_are_not_there(key, tmp_path):
    content = program(tensor(storage(key, "float32", 1), 0, (1,), (1,)))
    lazy = read_checkpoint(tf.archive(tmp_path / "m.ckpt", content, {"0": ARRAY.tobytes()}))
    with pytest.raises(CheckpointError, match="it has no entry"):
        lazy.read()


@pytest.mark.parametrize(
    "body",
    [b"", b".", b"N", b"NN.", b"(N.", b"0.", b"1.", b"2.", b"e.", b"s.", b"R.", b"Q.", b"b.", b"o.",
     b"h\x00.", b"Nh\x01.", b"Nr\xff\xff\xff\xff.", b"N\x94j\xff\xff\xff\xff.", b"Nq\x05.", b"NNR.",
     b")NR.", b"N)R.", b"K\x01)R.", b"]N)s.", b"}NN.", b"}(Nu.", b"N(Ne.", b"X\xff\xff\xff\xffab.",
     b"T\xff\xff\xff\xffab.", b"\x8d" + b"\xff" * 8 + b"a.", b"\x8e" + b"\x7f" * 8 + b".",
     b"\x8a\xff.", b"\x8a\x41" + bytes(65) + b".",
     b"\x8b\xff\xff\xff\xff.", b"\x8b\x00\x00\x00\x7f.", b"X\x01\x00\x00\x00\xff.", b"cos.",
     b"c" + b"a" * 2000 + b"\nb\n.", b"c\xff\n\xff\n.", b"NN\x93.", b"NN\x81.", b"NNN\x92.",
     b"I1\n.",
     b"S'a'\n.", b"Va\n.", b"L1L\n.", b"F1\n.", b"g0\n.", b"\x97.", b"\x98.", b"\xff.", b"}]Ns.",
     b"}}Ns.", b"}(]tNs.", b"\x8f(]\x90.", b"(]\x91.", b"}\x8fNs.", b"NNb."],
)  # fmt: skip
def test_programs_that_are_none(body, tmp_path):
    found = outcome(tf.archive(tmp_path / "m.ckpt", b"\x80\x02" + body))
    assert isinstance(found, CheckpointError)


M61 = 2**61 - 1  # integers with this difference have one hash


def integer(n: int) -> bytes:
    raw = n.to_bytes(16, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def nested_key(width: int, depth: int = 4) -> bytes:
    deep = b"U\x01a"
    for _ in range(depth):
        deep = deep + b"q\x000(" + b"h\x00" * width + b"t"
    return b"}" + deep + b"Ns"


EXHAUST = {
    "dicts": b"}" * 400_000, "lists": b"]" * 400_000, "sets": b"\x8f" * 400_000,
    "marks": b"(" * 400_000, "tuples": b")" + b"\x85" * 400_000,
    "duplicates": b"N" + b"2" * 400_000,
    "nested": b"]" * 30_000 + b"a" * 29_999, "objects": (name("a", "B") + b")R") * 200_000,
    "names": (b"c" + b"a" * 900 + b"\nb\n") * 5_000, "states": call("a", "B") + b"2b" * 200_000,
    "memo": b"N" + b"\x94" * 400_000, "storages": storage("0", "float32", 1) * 20_000,
    "collisions": b"}(" + b"".join(integer(k * M61) + b"N" for k in range(20_000)) + b"u",
    "one key": b"}(" + b"".join(integer(k * M61 + 8000) + b"N" for k in range(7999, -1, -1)) + b"u"
    + b"(" + b"M\x40\x1fN" * 50_000 + b"u",
    "empty texts": b"}" + b"(" + b"U\x00N" * 200_000 + b"u",
    "set of empties": b"\x8f(" + b")" * 200_000 + b"\x90",
    "wide key": nested_key(100), "deep key": b"}" + b")" + b"\x85" * 30_000 + b"Ns",
    "many wide keys": b"}" + nested_key(16, 3)[1:-2] + b"q\x010("
    + b"h\x01N" * 20_000 + b"u",
    "copied list": b"](" + b"".join(b"U\x04%04d" % k for k in range(5000)) + b"eq\x00"
    + (name("builtins", "set") + b"h\x00\x85R") * 500,
    "copied dict": b"](" + b"U\x01a]\x86" * 10_000 + b"e\x85q\x00"
    + (name("collections", "OrderedDict") + b"h\x00R") * 500,
    "copied arguments": b"(" + b"N" * 20_000 + b"tq\x00"
    + (T + b"h\x00" + ops({"a": 1}) + b"\x92") * 500,
    "tensors": (name("torch._utils", "_rebuild_tensor_v2") + b"q\x000("
                + storage("0", "float32", 9) + ops(0) + ops((2, 3)) + ops((3, 1)) + b"tq\x010"
                + b"h\x00h\x01R" * 50_000),
    "encoded": ops("a" * 50_000) + b"q\x00"
    + (name("_codecs", "encode") + b"h\x00" + ops("latin1") + b"\x86R") * 500,
}  # fmt: skip


@pytest.mark.parametrize("what", EXHAUST)
def test_memory_and_time_are_bounded(what, tmp_path, monkeypatch):
    """The bound, lowered to a 32nd so that the test is quick, holds for any kind of object."""
    bound = 1 << 23
    monkeypatch.setattr(pickle_values, "BUDGET", bound)
    path = tf.archive(tmp_path / "m.ckpt", b"\x80\x02" + EXHAUST[what] + b".")
    tracemalloc.start()
    start = time.perf_counter()
    try:
        found = outcome(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 10
    assert peak < 1.1 * bound + 3 * len(EXHAUST[what])
    del found


@pytest.mark.parametrize("what", ["collisions", "one key", "empty texts", "set of empties"])
def test_keys_with_chosen_hashes_are_few(what, tmp_path):
    path = tf.archive(tmp_path / "m.ckpt", b"\x80\x02" + EXHAUST[what] + b".")
    with pytest.raises(CheckpointError, match="more than 8192 keys that are not text"):
        read_checkpoint(path)


@pytest.mark.parametrize("what", ["wide key", "deep key"])
def test_keys_that_are_slow_to_hash_are_refused(what, tmp_path):
    path = tf.archive(tmp_path / "m.ckpt", b"\x80\x02" + EXHAUST[what] + b".")
    with pytest.raises(CheckpointError, match="a key that no dict can hold"):
        read_checkpoint(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small file with a tensor and an object of another program."""
    path = tmp_path_factory.mktemp("whole") / "m.ckpt"
    rng = np.random.default_rng(0)
    tree = {"epoch": 3, "state_dict": {f"w{k}": rng.normal(size=(2, 3)) for k in range(4)}}
    tree["hyper_parameters"] = call("omegaconf.dictconfig", "DictConfig", {"a": (1, 2.5)})
    tf.write(path, tree)
    return path.read_bytes()


def arrays(found):
    return {k: np.asarray(t) for k, t in found["state_dict"].items()}


def same_or_refused(path, expected):
    try:
        found = arrays(read_checkpoint(path))
    except CheckpointError as error:
        assert str(path) in str(error)
        return False
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key], strict=True)
    return True


def test_a_file_cut_short_or_prolonged_is_refused(whole, tmp_path):
    path = tmp_path / "m.ckpt"
    sizes = {*range(60), *range(0, len(whole), 37), *range(len(whole) - 60, len(whole))}
    for size in sizes:
        path.write_bytes(whole[:size])
        assert isinstance(outcome(path), CheckpointError)
    path.write_bytes(whole + b"\x00")
    assert isinstance(outcome(path), CheckpointError)


def test_no_changed_bit_changes_a_number(whole, tmp_path):
    """Each is noticed by its checksum, refused, or of no weight (a date, a version)."""
    path, rng = tmp_path / "m.ckpt", random.Random(0)
    path.write_bytes(whole)
    expected = arrays(read_checkpoint(path))
    refused = 0
    tracemalloc.start()
    for _ in range(600):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        refused += not same_or_refused(path, expected)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 300 and peak < 4 << 20


CODES = [c for c in pickle_reader.OPCODES] + [0x2E]


@given(st.lists(st.one_of(
    st.sampled_from(CODES).map(lambda c: bytes([c])),
    st.binary(max_size=6),
    st.sampled_from([b"\x00", b"\x01", T, MADE, b"K\x01", b"U\x01a", b"]", b"}", b")", b"(",
                     storage("0", "float32", 2), tensor(storage("0", "float32", 2), 0, (2,), (1,)),
                     b"h\x00", b"q\x00", b"R", b"t", b"\x85", b"u", b"e", b"b"]),
), max_size=40))  # fmt: skip
def test_no_program_does_anything_but_return_or_be_refused(tmp_path_factory, parts):
    path = tmp_path_factory.getbasetemp() / "random.ckpt"
    tf.TOUCHED.clear()
    tf.archive(path, b"\x80\x02" + b"".join(parts) + b".", {"0": bytes(8)})
    found = outcome(path)
    if not isinstance(found, CheckpointError):
        assert_harmless(found)
    assert tf.TOUCHED == []


def test_programs_with_changed_bytes(tmp_path):
    """As above, from a program that means something: with the checksum of what it became."""
    builder, rng = tf.Builder(), random.Random(1)
    tree = {"a": np.arange(4.0), "b": [1, (2, "c")], "c": Ops(call("x", "Y", 1) + ops({}) + b"b")}
    content = program(builder.tree(tree))
    read = 0
    for _ in range(1500):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            place, kind = rng.randrange(len(changed)), rng.random()
            if kind < 0.5:
                changed[place] = rng.randrange(256)
            elif kind < 0.75:
                del changed[place]
            else:
                changed.insert(place, rng.choice(CODES))
        found = outcome(tf.archive(tmp_path / "m.ckpt", bytes(changed), builder.storages))
        if not isinstance(found, CheckpointError):
            assert_harmless(found)
            read += 1
            seen = {}
            walk(found, seen)
            for value in seen.values():
                if type(value) is Tensor:
                    try:
                        value.read()
                    except CheckpointError:
                        pass
    assert read > 100


def test_compressed_files_are_refused(tmp_path):
    content = program(tensor(storage("0", "float32", 1 << 22), 0, (1 << 22,), (1,)))
    path = tmp_path / "m.ckpt"
    tf.archive(path, content, {"0": bytes(1 << 24)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 16  # 16 MiB of zeros in less than 64 KiB
    with pytest.raises(CheckpointError, match=r"compressed, which torch\.save never is"):
        read_checkpoint(path)


def test_a_directory_of_64_bit_sizes(whole, tmp_path):
    path = tmp_path / "m.ckpt"
    path.write_bytes(whole)
    expected = arrays(read_checkpoint(path))
    path.write_bytes(tf.zip64(whole))
    assert same_or_refused(path, expected)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
    wide, rng = tf.zip64(whole), random.Random(2)
    first = whole.rfind(b"PK\x05\x06") - 700
    for _ in range(500):  # in the directory and the records after it
        content = bytearray(wide)
        content[rng.randrange(first, len(wide))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        path.write_bytes(content)
        same_or_refused(path, expected)


def renamed(content: bytes, old: bytes, new: bytes, times: int = -1) -> bytes:
    assert len(old) == len(new) and old in content
    return content.replace(old, new, times)


def test_archives_that_are_not_torchs(whole, tmp_path):
    path = tmp_path / "m.ckpt"
    end = whole.rfind(b"PK\x05\x06")
    start = struct.unpack("<I", whole[end + 16 : end + 20])[0]
    cases = {
        "two entries `model/data/0`": renamed(whole, b"model/data/1", b"model/data/0"),
        "has 0 pickles": renamed(whole, b"data.pkl", b"data.txt"),
        "has 2 pickles": renamed(whole, b"model/data/1", b"a/b/data.pkl"[:12]),
        "another name in its directory": renamed(whole, b"model/data.pkl", b"model/dato.pkl", 1),
        "checksum": renamed(whole, b"state_dict", b"state_tics"),
        "many files": whole[: end + 4] + b"\x01" + whole[end + 5 :],
        "do not fit": whole[: end + 12] + b"\xff\xff\xff\x00" + whole[end + 16 :],
        "cut short or overwritten": whole[:start] + b"Q" + whole[start + 1 :],
        "64-bit": whole[: end + 16] + b"\xff" * 4 + whole[end + 20 :],
        "no text": renamed(whole, b"model/data/1", b"model/data/\xff"),
        "larger than 16 MiB": whole[: end + 12] + b"\xff\xff\xff\x7f" + whole[end + 16 :],
    }
    for message, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            arrays(read_checkpoint(path))
    tf.archive(path, program(1), entries={"byteorder": b"big"})
    with pytest.raises(CheckpointError, match="not little-endian"):
        read_checkpoint(path)


def test_an_entry_that_goes_beyond_the_file(tmp_path):
    """Its directory says 2 GB, and the pickle agrees."""
    count = 1 << 29
    content = program(tensor(storage("0", "float32", count), 0, (count,), (1,)))
    path = tf.archive(tmp_path / "m.ckpt", content, {"0": bytes(8)})
    raw = path.read_bytes()
    at = raw.rfind(b"PK\x01\x02") + 20
    path.write_bytes(raw[:at] + struct.pack("<II", 4 * count, 4 * count) + raw[at + 8 :])
    lazy = read_checkpoint(path)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="its entry `data/0` goes beyond the end"):
        lazy.read()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_pickle_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("models.released.files.torch_archive.PICKLE", 1 << 20)
    with pytest.raises(CheckpointError, match="its pickle is larger than 1 MiB"):
        read_checkpoint(tf.archive(tmp_path / "m.ckpt", bytes(1 << 21)))


def test_only_what_is_asked_for_is_read(tmp_path):
    path = tf.write(tmp_path / "m.ckpt", {"a": ARRAY, "b": np.zeros(1 << 20)})
    tracemalloc.start()
    tree = read_checkpoint(path)
    np.testing.assert_array_equal(tree["a"], ARRAY)
    assert tracemalloc.get_traced_memory()[1] < 1 << 18
    tracemalloc.stop()
    assert tree["b"].shape == (1 << 20,) and tree["b"].dtype == np.float64


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["dicts", "sets", "objects", "collisions", "empty texts", "one key"]
)
def test_the_real_bound_is_kept(what, tmp_path):
    body = EXHAUST[what] * (1 if what in ("collisions", "one key", "empty texts") else 16)
    path = tf.archive(tmp_path / "m.ckpt", b"\x80\x02" + body + b".")
    start = time.perf_counter()
    outcome(path)
    assert time.perf_counter() - start < 20
