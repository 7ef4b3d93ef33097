"""Kept programs: whole and the right ones or none, in a folder of one's own; the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from simulations.sweep import own_folder as place_module
from simulations.sweep import programs as module
from simulations.sweep.own_folder import folder, own_folder, surroundings
from simulations.sweep.programs import Programs, refusal, seal
from simulations.sweep.threads import single_thread_settings
from tests.helpers import ROOT
from tests.simulations.sweep.test_sweep import swept

NAME = "jit_step-0123-cache"
PROGRAM = b"machine code"
CELL = """
import hashlib, json
import numpy as np
from simulations.sweep import programs
programs.SHORTEST = 0.0
with programs.programs_kept():
    import jax, jax.numpy as jnp
    events = []
    jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
    key = jax.random.key(0)
    WORK
leaves = [np.asarray(x).tobytes() for x in jax.tree.leaves(made) if hasattr(x, "dtype")]
print(json.dumps({
    "numbers": hashlib.sha256(b"".join(leaves)).hexdigest(),
    "hits": events.count("/jax/compilation_cache/cache_hits"),
    "misses": events.count("/jax/compilation_cache/cache_misses"),
    "private": str(programs._programs and programs._programs.private),
    "variables": [name for name in programs.os.environ if name.startswith("JAX_COMP")],
}))
"""
SMALL = "made = jax.jit(lambda x: jnp.tanh(x @ x).sum(0))(jnp.ones((8, 8)) / 3)"
TRAINING = """
    from models.networks.mlp import MLPDenoiser
    from models.training.train import TrainConfig, train
    stored = np.arange(32, dtype=np.int32).reshape(8, 4) % 3
    made = train(key, MLPDenoiser(key, 3, 4, width=8), stored, 8, TrainConfig(steps=5)).model
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for the test alone, and a process that has not looked at it yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("AM_COMPILED", raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(module, "_asked", False)
    monkeypatch.setattr(module, "_programs", None)
    monkeypatch.setattr(module.atexit, "register", lambda function: function)
    return tmp_path / "cache"


@pytest.fixture
def store(cache: Path) -> Path:
    """A store with one sealed program."""
    made = own_folder() / "here"
    compiled(made, NAME, PROGRAM)
    return made


def compiled(store: Path, name: str, content: bytes) -> None:
    """What a process does that compiles a program."""
    programs = Programs(store)
    if not (programs.private / name).exists():
        (programs.private / name).write_bytes(content)
    programs.keep()
    programs.close()


def found(store: Path) -> dict[str, bytes]:
    """The programs that a new process is given."""
    programs = Programs(store)
    try:
        return {p.name: p.read_bytes() for p in programs.private.iterdir() if p.name != "lock"}
    finally:
        programs.close()


def files(store: Path) -> list[Path]:
    return sorted(path for path in store.iterdir() if path.name != "open")


def cell(work: str, **environment: str) -> dict[str, Any]:
    """Do the work in a process of its own, as a worker would; nothing is to be said."""
    settings = single_thread_settings(os.environ) | environment | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", CELL.replace("WORK", work)]
    ran = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""
    return json.loads(ran.stdout)


# the same numbers


@pytest.mark.parametrize(
    "work", [SMALL, pytest.param(TRAINING, marks=pytest.mark.slow)], ids=["small", "training"]
)
def test_a_second_process_compiles_nothing_and_gets_the_same_numbers(
    cache: Path, work: str
) -> None:
    first, second = cell(work), cell(work)
    assert first["misses"] > 0 == first["hits"]
    assert second["hits"] == first["misses"] > 0 == second["misses"]
    assert first["private"] != second["private"] and not list(cache.glob("*/*/*/open/*"))
    assert first["variables"] == second["variables"] == []
    for path in cache.rglob("jit_*"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-7])
    damaged, off = cell(work), cell(work, AM_COMPILED="off")
    assert damaged["misses"] == first["misses"] and damaged["hits"] == 0
    assert off["hits"] == off["misses"] == 0
    assert first["numbers"] == second["numbers"] == damaged["numbers"] == off["numbers"]


# what is whole


def test_a_sealed_program_is_found_by_the_next_process(store: Path) -> None:
    assert found(store) == {NAME: PROGRAM}
    assert [path.name for path in files(store)] == [f"{NAME}.{seal(NAME, PROGRAM)}"]
    assert not list((store / "open").iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content + b"\0",
    ],
    ids=["cut", "empty", "flipped", "longer"],
)
def test_a_damaged_program_is_removed_and_kept_anew(store: Path, damage) -> None:
    (path,) = files(store)
    path.chmod(0o600)
    path.write_bytes(damage(PROGRAM))
    assert found(store) == {} and files(store) == []
    compiled(store, NAME, PROGRAM)
    assert found(store) == {NAME: PROGRAM}


def test_a_program_under_the_name_of_another_is_removed(store: Path) -> None:
    (path,) = files(store)
    path.rename(store / f"jit_other-4567-cache.{seal(NAME, PROGRAM)}")
    assert found(store) == {} and files(store) == []


def test_a_program_that_jax_wrote_in_part_is_not_sealed(store: Path) -> None:
    import zlib

    whole = zlib.compress(bytes(range(256)) * 9)
    compiled(store, "jit_cut", whole[: len(whole) // 2])
    compiled(store, "jit_empty", b"")
    assert found(store) == {NAME: PROGRAM}
    compiled(store, "jit_cut", whole)
    assert found(store)["jit_cut"] == whole


def test_a_writer_killed_in_the_middle_leaves_nothing_that_is_read(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store / ".tmp-killed").write_bytes(PROGRAM[:3])
    left = store / "open" / "killed"
    left.mkdir()
    (left / "lock").touch()
    (left / "jit_half").write_bytes(b"ha")
    alive = Programs(store)
    assert found(store) == {NAME: PROGRAM}
    assert not left.exists() and alive.private.exists()
    monkeypatch.setattr(module, "_HOUR", -1.0)
    assert found(store) == {NAME: PROGRAM} and not (store / ".tmp-killed").exists()
    alive.close()


def test_programs_of_others_come_with_the_next_cell(store: Path) -> None:
    early = Programs(store)
    compiled(store, "jit_late", b"late")
    assert not (early.private / "jit_late").exists()
    early.take()
    assert (early.private / "jit_late").read_bytes() == b"late"
    (early.private / "jit_both").write_bytes(b"a")
    compiled(store, "jit_both", b"b")
    early.keep()
    assert found(store)["jit_both"] == b"b" and len(files(store)) == 3
    early.close()


def test_many_writers_at_once(store: Path) -> None:
    def write(number: int) -> None:
        for shared in range(20):
            compiled(store, f"jit_{shared}", b"%d" % shared)  # by several at a time
        compiled(store, f"jit_own{number}", b"own")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    held = found(store)
    assert len(held) == 1 + 20 + 8 and all(held[f"jit_{i}"] == b"%d" % i for i in range(20))


def test_the_oldest_programs_go_first(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BOUND", 2500)
    for number in range(4):
        compiled(store, f"jit_{number}", bytes(1000))
        (path,) = store.glob(f"jit_{number}.*")
        os.utime(path, (number, number))
    assert set(found(store)) == {NAME, "jit_2", "jit_3"}


# whose folder


def test_the_folder_is_made_for_its_user_alone(cache: Path) -> None:
    assert own_folder() == folder() == cache / "am-theory" / "compiled"
    assert folder().stat().st_mode & 0o777 == folder().parent.stat().st_mode & 0o777 == 0o700
    assert refusal() is None


@pytest.mark.parametrize("place, mode", [("", 0o777), ("am-theory", 0o770), ("compiled", 0o750)])
def test_a_folder_open_to_others_is_refused(cache: Path, place: str, mode: int) -> None:
    own_folder()
    opened = {"": cache, "am-theory": folder().parent, "compiled": folder()}[place]
    opened.chmod(mode)
    assert refusal() == (
        f"compiled programs are not kept: others may write to {opened} or read it; "
        "give the folder to its user alone (chmod 700), or set AM_COMPILED=off"
    )
    _, said = swept(cache.parent / "run")
    assert said.count("others may write") == 1
    assert not list(folder().iterdir())


def test_a_folder_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own_folder()
    user = os.getuid()
    monkeypatch.setattr(place_module.os, "getuid", lambda: user + 1)
    assert "belongs to another user" in str(refusal())


def test_a_link_and_a_file_are_refused(cache: Path) -> None:
    own_folder().rmdir()
    (cache / "elsewhere").mkdir(mode=0o700)
    folder().symlink_to(cache / "elsewhere")
    assert "is no folder" in str(refusal())
    folder().unlink()
    folder().touch()
    assert "is no folder" in str(refusal())


def test_a_folder_that_cannot_be_made_is_no_hindrance(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    cache.touch()
    with module.programs_kept():
        assert module._programs is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(module, "_asked", False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with module.programs_kept():
        assert module._programs is None
    assert refusal() is None and not Path("~").exists()


# whether at all


@pytest.mark.parametrize(
    "name, value",
    [("AM_COMPILED", "off"), ("JAX_COMPILATION_CACHE_DIR", "/mine"), ("JAX_PLATFORMS", "cuda")],
)
def test_it_is_off(cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv(name, value)
    with module.programs_kept():
        assert module._programs is None
    assert not cache.exists()


def test_an_unknown_processor_keeps_nothing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(module, "surroundings", lambda: None)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with module.programs_kept():
        assert module._programs is None
    assert refusal() is None and not cache.exists()


def test_a_place_of_its_own_for_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    names = {surroundings()}
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    names.add(surroundings())
    monkeypatch.setattr(place_module, "version", lambda name: "0")
    names.add(surroundings())
    monkeypatch.setattr(Path, "read_text", lambda path: "model name : another")
    names.add(surroundings())
    assert len(names) == 4
