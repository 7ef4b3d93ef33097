"""Results folders looked at, verified and merged: every damage is told, every number comes back."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from simulations.console import steps
from simulations.console.units import peak_rss_mb
from simulations.engine_scale.merge import name_of, write_cells
from simulations.results import command as results_command
from simulations.results import contents as contents_module
from simulations.results import merge as merge_module
from simulations.results import merge_parts
from simulations.results import merged as merged_module
from simulations.results.content import content_digest
from simulations.results.contents import contents_of, read_contents
from simulations.results.files import (
    DamagedFileError,
    ResultsError,
    check_seal,
    dataset_bytes,
    parse_dataset,
    prepare_folder,
    read_dataset,
    seal_file,
    sealed_bytes,
    write_dataset,
)
from simulations.results.manifest import Manifest, entry_of
from simulations.results.merge import cell_files, digest_of_cells, merge_cells
from simulations.results.merged import check_merged, is_merged, read_merged
from simulations.results.provenance import provenance
from simulations.results.show import show
from simulations.results.verify import verify
from simulations.sweep.run import run_sweep
from tests import stub_cells
from tests.helpers import ROOT
from tests.simulations.results.test_results import is_one_sentence, rich_dataset
from tests.stub_cells import CONFIG_HASH, grid

NAMES = [cell.name for cell in grid()]
PROVENANCE = provenance()


def signed(ds: xr.Dataset, name: str, config_hash: str = CONFIG_HASH, **more: Any) -> xr.Dataset:
    """The dataset as a worker signs it."""
    return ds.assign_attrs(
        PROVENANCE,
        config_hash=config_hash,
        cell=name,
        cell_coordinates=json.dumps({"name": name}),
        wall_time_s=0.5,
        peak_rss_mb=100.0,
        **more,
    )


def folder_of(cells: Iterable[xr.Dataset], out: Path) -> list[str]:
    """Write the datasets as the finished cells of a sweep; returns their names."""
    prepare_folder(out)
    entries = {}
    for k, ds in enumerate(cells):
        name = f"cell{k}"
        cell = signed(ds, name)
        raw = dataset_bytes(cell)
        (out / "cells" / f"{name}.nc").write_bytes(raw)
        entries[name] = entry_of(cell.attrs, raw)
    Manifest(CONFIG_HASH, tuple(entries), entries).write(out)
    return list(entries)


def sweep(out: Path) -> Path:
    run_sweep(
        grid(), stub_cells.small, out, CONFIG_HASH, executor_factory=ThreadPoolExecutor,
        console=Console(file=io.StringIO()),
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of six cells, only to be read."""
    return sweep(tmp_path_factory.mktemp("swept"))


@pytest.fixture
def folder(swept: Path, tmp_path: Path) -> Path:
    """A finished sweep to be changed."""
    return shutil.copytree(swept, tmp_path / "run")


def command(*words: object) -> tuple[int, str]:
    """Exit status and output of the command."""
    said = io.StringIO()
    console = Console(file=said, width=200)
    status = results_command.parse([str(word) for word in words]).run(console)
    return status, said.getvalue()


def assert_same_cells(out: Path, merged: Path) -> None:
    """The merged file gives back every cell as the reader of single files does."""
    back = dict(read_merged(merged))
    assert sorted(back) == [path.stem for path in cell_files(out)]
    for path in cell_files(out):
        cell = read_dataset(path)
        assert back[path.stem].identical(cell), path.stem
        assert content_digest(back[path.stem]) == cell.attrs["content_digest"]


# the contents of one file


def test_contents_are_those_that_xarray_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.nc"
    write_dataset(rich_dataset(), path)
    raw, ds = sealed_bytes(path), read_dataset(path)
    slow = contents_of(ds)
    assert slow.digest() == ds.attrs["content_digest"] and slow.dataset().identical(ds)
    with monkeypatch.context() as patch:
        patch.setattr(contents_module, "parse_dataset", lambda *_: pytest.fail("not quick"))
        quick = read_contents(raw, path)
    assert quick.digest() == ds.attrs["content_digest"] and quick.dataset().identical(ds)
    monkeypatch.setattr(contents_module, "_read", lambda raw: 1 / 0)
    assert read_contents(raw, path).dataset().identical(ds)


def test_contents_that_do_not_match_their_digest(tmp_path: Path) -> None:
    altered = rich_dataset().assign_attrs(content_digest="0" * 64)
    path = tmp_path / "a.nc"
    path.write_bytes(bytes(altered.to_netcdf(engine="h5netcdf")))
    seal_file(path)
    check_seal(path)
    with pytest.raises(DamagedFileError, match="do not match their digest"):
        read_contents(sealed_bytes(path), path)


@given(st.binary(max_size=300), st.data())
def test_the_seal_of_a_large_file_is_that_of_a_small_one(tmp_path_factory, content, data) -> None:
    path = tmp_path_factory.mktemp("seal") / "a"
    path.write_bytes(content)
    seal_file(path)
    check_seal(path)
    assert sealed_bytes(path)[:-73] == content
    raw = path.read_bytes()
    k = data.draw(st.integers(0, len(raw) - 1))
    for bad in (raw[:k], raw[:k] + bytes([raw[k] ^ 4]) + raw[k + 1 :]):
        path.write_bytes(bad)
        with pytest.raises(DamagedFileError) as caught:
            check_seal(path)
        assert is_one_sentence(caught.value)


# merge


NUMBERS = st.sampled_from([np.nan, np.inf, -0.0, 0.0, 1.5, -3.0])
KINDS = st.sampled_from(["f8", "f4", "i4", "u1", ">i2", "bool", "text"])
WORDS = st.sampled_from(["", "a", "grün", "two words"])


@st.composite
def array(draw: st.DrawFn, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    if kind == "text" and count:  # a file does not keep the type of no texts
        words = draw(st.lists(WORDS, min_size=count, max_size=count))
        return np.array(words, object).reshape(shape)
    values = draw(st.lists(NUMBERS, min_size=count, max_size=count))
    finite = values if kind[0] == "f" else np.nan_to_num(values, posinf=7).astype("i1").clip(0)
    return np.array(finite).astype("f8" if kind == "text" else kind).reshape(shape)


ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "note": WORDS,
    "level": st.sampled_from([1, 2, 0.5, np.float32(0.1)]),
    "levels": st.sampled_from([[0.1, 0.2], [0.1, 0.3], [1, 2, 3]]),
    "names": st.sampled_from([["x", "y"], ["x", "z"], ["x"], ["", "y", "z"]]),
    "cell_": st.integers(0, 1),
}


@st.composite
def structures(draw: st.DrawFn) -> Callable[[], st.SearchStrategy[xr.Dataset]]:
    """A structure, and the strategy of the datasets that have it (but for their attributes)."""
    sizes = {dim: draw(st.integers(0 if dim == "x" else 1, 2)) for dim in ("x", "t", "cell")}
    chosen = draw(st.dictionaries(
        st.sampled_from(["a", "b", "note", "t", "cell", "law"]),
        st.tuples(KINDS, st.lists(st.sampled_from(list(sizes)), max_size=2, unique=True)),
        min_size=1, max_size=4,
    ))  # fmt: skip
    units = draw(st.sampled_from([{}, {"units": "nats", "levels": [1.0, 2.0]}]))
    keys = draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)), unique=True, max_size=3))

    @st.composite
    def datasets(draw: st.DrawFn) -> xr.Dataset:
        variables, coords = {}, {}
        for name, (kind, dims) in chosen.items():
            along = (name,) if name in sizes else tuple(dims)
            values = draw(array(kind, tuple(sizes[dim] for dim in along)))
            (coords if name in ("t", "cell", "law") else variables)[name] = (along, values, units)
        return xr.Dataset(variables, coords, {key: draw(ATTRIBUTES[key]) for key in keys})

    return datasets


@st.composite
def sweeps(draw: st.DrawFn) -> list[xr.Dataset]:
    """Cells of one or two structures, mixed."""
    kinds = draw(st.lists(structures(), min_size=1, max_size=2))
    return [draw(draw(st.sampled_from(kinds))()) for _ in range(draw(st.integers(1, 5)))]


@settings(max_examples=5)
@given(cells=sweeps(), rows=st.integers(1, 3))
def test_merge_then_read_gives_every_cell_back(tmp_path_factory, cells, rows) -> None:
    check_merge(cells, rows, tmp_path_factory.mktemp("any"))


@pytest.mark.slow
@settings(max_examples=150)
@given(cells=sweeps(), rows=st.integers(1, 3))
def test_many_merges_then_read_give_every_cell_back(tmp_path_factory, cells, rows) -> None:
    check_merge(cells, rows, tmp_path_factory.mktemp("any"))


def check_merge(cells: list[xr.Dataset], rows: int, out: Path) -> None:
    """Merge the cells in blocks of so many; everything that can be asked of the file is held."""
    names = folder_of(cells, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_parts, "_CELLS", rows)
        merged = merge_cells(out, out / "merged.nc")
    assert_same_cells(out, out / "merged.nc")
    verdict = verify(out)
    assert not verdict.problems and verdict.others == ["merged.nc"]
    assert merged.cells == len(names) and merged.cells_digest == verdict.cells_digest
    for k in range(merged.parts):
        with xr.open_dataset(out / "merged.nc", group=f"part{k}", decode_timedelta=False) as ds:
            ds.load()


@pytest.mark.parametrize("rows", [1, 2, 512])
def test_every_kind_of_variable_comes_back_from_a_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Also where a coordinate and an attribute differ first in a later block of cells."""
    monkeypatch.setattr(merge_parts, "_CELLS", rows)
    cells = [rich_dataset(), rich_dataset().assign(scalar=((), 4)), rich_dataset()]
    cells[2] = cells[2].assign_coords(t=[0.1, 0.25, 0.75]).assign_attrs(names=["x", "z"])
    folder_of(cells, tmp_path)
    assert merge_cells(tmp_path, tmp_path / "merged.nc").parts == 1
    assert_same_cells(tmp_path, tmp_path / "merged.nc")
    with xr.open_dataset(tmp_path / "merged.nc", group="part0", decode_times=False) as ds:
        assert ds["rate"].dims == ("cell", "t") and ds["time"].dims == ("cell", "t")
        assert ds["t"].shape == (3, 3) and ds.attrs["config"] == '{"a": 1}'


def test_the_groups_are_ordinary_netcdf(folder: Path) -> None:
    merged = merge_cells(folder, folder / "merged.nc")
    cells = [read_dataset(folder / "cells" / f"{name}.nc") for name in NAMES]
    with xr.open_dataset(folder / "merged.nc", group="part0") as ds:
        assert ds["cell"].values.tolist() == NAMES
        assert ds["recovered"].dims == ("cell", "train_size", "t", "sample")
        for name in ("recovered", "entropy"):
            np.testing.assert_array_equal(ds[name], np.stack([cell[name] for cell in cells]))
            assert ds[name].dtype == cells[0][name].dtype and ds[name].units == cells[0][name].units
        assert ds["train_size"].values[:, 0].tolist() == [1, 2, 4, 8, 16, 32]
        assert ds["t"].dims == ("t",) and ds["t"].values.tolist() == [0.1, 0.25, 0.5]
        assert json.loads(str(ds["cell_coordinates"].values[2])) == grid()[2].coordinates
        assert ds["wall_time_s"].values.tolist() == [cell.attrs["wall_time_s"] for cell in cells]
        assert {ds.attrs[key] for key in ("commit", "config_hash")} == {
            cells[0].attrs["commit"],
            CONFIG_HASH,
        }
    top = read_dataset(folder / "merged.nc")
    assert top["cell"].values.tolist() == NAMES and top.attrs["cells_digest"] == merged.cells_digest
    assert top.attrs["start_time"] and top.attrs["commit"]


def test_equal_cells_of_two_sweeps_have_one_digest(
    swept: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(sweep(tmp_path / "again"), folder, dirs_exist_ok=True)
    first = merge_cells(swept, tmp_path / "first.nc")
    second = merge_cells(folder, tmp_path / "second.nc")
    assert first.cells_digest == second.cells_digest == verify(swept).cells_digest
    tops = [read_dataset(tmp_path / f"{name}.nc") for name in ("first", "second")]
    assert tops[0].attrs["content_digest"] == tops[1].attrs["content_digest"]
    path = folder / "cells" / f"{NAMES[3]}.nc"
    cell = read_dataset(path)
    cell["entropy"].values[0, 0] = np.nextafter(cell["entropy"].values[0, 0], 1)
    write_dataset(cell, path)
    assert merge_cells(folder, tmp_path / "third.nc").cells_digest != first.cells_digest


def test_digest_of_cells_is_by_name() -> None:
    assert digest_of_cells({"a": "1", "b": "2"}) == digest_of_cells({"b": "2", "a": "1"})
    assert digest_of_cells({"a": "1", "b": "2"}) != digest_of_cells({"a": "2", "b": "1"})


def test_merge_refuses(folder: Path, tmp_path: Path) -> None:
    other = signed(stub_cells.small({"train_size": 1, "seed": 0}), "other", "fedcba9876543210")
    write_dataset(other, folder / "cells" / "other.nc")
    cases: list[tuple[str, Path]] = [
        ("different configurations", folder / "merged.nc"),
        ("among the cells", folder / "cells" / "merged.nc"),
        ("its folder does not exist", tmp_path / "none" / "merged.nc"),
    ]
    for words, target in cases:
        with pytest.raises(ResultsError, match=words) as caught:
            merge_cells(folder, target)
        assert is_one_sentence(caught.value)
    shutil.copy(folder / "cells" / f"{NAMES[0]}.nc", folder / "cells" / "other.nc")
    with pytest.raises(DamagedFileError, match="holds another cell"):
        merge_cells(folder, folder / "merged.nc")
    write_dataset(rich_dataset(), folder / "cells" / "other.nc")
    with pytest.raises(DamagedFileError, match="no cell of a sweep"):
        merge_cells(folder, folder / "merged.nc")
    assert not list(tmp_path.rglob("*merged*"))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (100, 5000, 30_000):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            with pytest.raises(ResultsError, match="larger than the system allows") as caught:
                merge_cells(folder, folder / "merged.nc")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert is_one_sentence(caught.value)
        assert not list(folder.glob("*.nc")) and not list(folder.glob(".tmp-*"))


def test_a_write_that_fails_late_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    limits = [10**9]
    real = os.pwrite

    def full(*words: Any) -> int:
        calls.append(1)
        if len(calls) > limits[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*words)

    monkeypatch.setattr(os, "pwrite", full)
    merge_cells(folder, folder / "merged.nc")
    needed = len(calls)
    for k in (0, needed // 2, needed - 1):
        calls.clear()
        limits.append(k)
        with pytest.raises(ResultsError, match="the disk is full"):
            merge_cells(folder, folder / "second.nc")
    assert [path.name for path in folder.glob("*.nc")] == ["merged.nc"]


def test_memory_does_not_grow_with_the_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """11 MB of arrays of one structure, and of as many structures as cells, through a few MB."""
    monkeypatch.setattr(merge_module, "_BUFFER", 2**20)
    monkeypatch.setattr(merged_module, "_BLOCK", 2**20)
    folder_of([rich_dataset()], tmp_path / "warm")
    merge_cells(tmp_path / "warm", tmp_path / "warm.nc")
    check_merged(tmp_path / "warm.nc")
    for name, grows in (("one", 0), ("many", 1)):
        out = tmp_path / name
        arrays = (np.full(458_752 + grows * k, k, "u1") for k in range(24))
        folder_of((xr.Dataset({"x": ("position", values)}) for values in arrays), out)
        before = _reset_peak()
        merged = merge_cells(out, out / "merged.nc")
        assert merged.parts == (24 if grows else 1)
        assert peak_rss_mb() - before < 8
        before = _reset_peak()
        check_merged(out / "merged.nc")
        assert peak_rss_mb() - before < 8


def _reset_peak() -> float:
    """Forget the peak of resident memory; returns what is resident now (MB)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not reset the peak of memory")
    return peak_rss_mb()


# verify


def flip(path: Path, place: int = -200) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(bytes(raw))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def exchange(first: Path, second: Path) -> None:
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def rewrite(path: Path, **attrs: Any) -> None:
    """Another intact file of the same cell."""
    write_dataset(read_dataset(path).assign_attrs(attrs), path)


def edit_lines(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = folder / "manifest.jsonl"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def change_manifest(folder: Path, wanted: tuple[str, ...] = (), **fields: str) -> None:
    """Another list of wanted cells, or another entry of the first cell."""
    found = Manifest.read(folder)
    entries = found.entries | {NAMES[0]: replace(found.entries[NAMES[0]], **fields)}
    Manifest(found.config_hash, wanted or found.wanted, entries).write(folder)


A, B = (f"{name}.nc" for name in NAMES[:2])
DAMAGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "truncated": (lambda out: cut(out / "cells" / A), [f"{A} is damaged"]),
    "a bit": (lambda out: flip(out / "cells" / A), [f"{A} is damaged"]),
    "the seal": (lambda out: flip(out / "cells" / A, -5), [f"{A} is damaged"]),
    "empty": (lambda out: (out / "cells" / A).write_bytes(b""), [f"{A} is damaged"]),
    "swapped": (
        lambda out: exchange(out / "cells" / A, out / "cells" / B),
        [f"{A} holds another cell ({NAMES[1]})", f"{B} holds another cell ({NAMES[0]})"],
    ),
    "missing": (
        lambda out: (out / "cells" / A).unlink(),
        [f"1 cells are listed as done but have no file ({NAMES[0]})"],
    ),
    "foreign": (
        lambda out: rewrite(out / "cells" / A, config_hash="f" * 16),
        [f"{NAMES[0]} is of another configuration", "is not the file that", "2 configurations"],
    ),
    "other numbers": (
        lambda out: rewrite(out / "cells" / A, peak_rss_mb=3.0),
        [f"{NAMES[0]} is not the file that manifest.jsonl lists"],
    ),
    "other code": (
        lambda out: rewrite(out / "cells" / A, code_version="other"),
        [f"{NAMES[0]} is not the file that", "2 versions of the code"],
    ),
    "no coordinates": (
        lambda out: rewrite(out / "cells" / A, cell_coordinates="[1"),
        ["coordinates of", "is not the file that"],
    ),
    "no cell": (
        lambda out: write_dataset(rich_dataset(), out / "cells" / A),
        [f"{A} holds no cell of a sweep"],
    ),
    "unlisted": (
        lambda out: edit_lines(out, lambda lines: [lines[0], *lines[2:], lines[1][:50]]),
        ["is not listed in manifest.jsonl"],
    ),
    "wrong line": (
        lambda out: change_manifest(out, coordinates="{}"),
        [f"manifest.jsonl is wrong about {NAMES[0]} (coordinates)"],
    ),
    "no head": (
        lambda out: edit_lines(out, lambda lines: lines[1:]),
        ["manifest.jsonl does not say which"],
    ),
    "not done": (
        lambda out: change_manifest(out, wanted=("Z", *NAMES, "Y")),
        ["2 of 8 wanted cells are not done (Z, Y)"],
    ),
    "failed": (
        lambda out: (out / "cells" / "Z.error.txt").write_text("Traceback\nValueError: no\n"),
        ["Z failed (ValueError: no)"],
    ),
    "failed before": (
        lambda out: (out / "cells" / f"{NAMES[0]}.error.txt").write_text("x"),
        ["of an earlier try"],
    ),
    "temporary": (
        lambda out: (out / "cells" / ".tmp-1-0-a.nc").write_text("x"),
        [".tmp-1-0-a.nc was left by a writer"],
    ),
    "lease": (lambda out: (out / ".lease").write_text("{}"), ["A sweep is writing to"]),
    "strange": (lambda out: (out / "cells" / "notes").write_text("x"), ["notes is no file"]),
    "unfinished": (
        lambda out: (out / "unfinished" / "Z").mkdir(parents=True),
        ["1 cells were left in the middle (Z)"],
    ),
    "data": (lambda out: flip(out / "data.nc"), ["data.nc is damaged"]),
    "merged": (lambda out: flip(out / "merged.nc"), ["merged.nc is damaged"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(swept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep with its data and merged cells."""
    out = shutil.copytree(swept, tmp_path_factory.mktemp("whole") / "run")
    write_dataset(rich_dataset(), out / "data.nc")
    merge_cells(out, out / "merged.nc")
    return out


@pytest.fixture(scope="module")
def digest(whole: Path) -> str:
    return verify(whole).cells_digest


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_tells_every_damage(whole: Path, digest: str, tmp_path: Path, damage: str) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    spoil, words = DAMAGES[damage]
    spoil(out)
    status, said = command("verify", out)
    told = [line[2:] for line in said.splitlines() if line.startswith("- ")]
    assert status == 1 and f"{len(told)} problem" in said
    stale = [text for text in told if "does not hold the cells that are here" in text]
    others = [text for text in told if text not in stale]
    assert bool(stale) == (digest not in said and "merged" not in damage)
    assert len(others) == len(words)
    for text, word in zip(others, words, strict=True):
        assert word in text and is_one_sentence(ValueError(text)), text


def test_verify_of_a_whole_folder(whole: Path) -> None:
    status, said = command("verify", whole)
    assert status == 0 and "6 intact cells (6 wanted)" in said and "in order" in said
    assert "other files, intact: data.nc, merged.nc" in said
    assert verify(whole).cells_digest in said and "peak memory" in said


def test_any_damaged_bit_of_a_cell_is_told(whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    for path in (out / "merged.nc", out / "data.nc"):
        path.unlink()
    path = out / "cells" / A
    rng = np.random.default_rng(0)
    for place in rng.integers(0, path.stat().st_size, 10):
        flip(path, int(place))
        assert [A in text for text in verify(out).problems] == [True]
        flip(path, int(place))
    assert not verify(out).problems


def test_a_folder_without_manifest_is_no_fault(folder: Path) -> None:
    (folder / "manifest.jsonl").unlink()
    status, said = command("verify", folder)
    assert status == 0 and "There is no manifest.jsonl (folders of earlier versions" in said
    assert "in order" in said
    assert "not known" in command("show", folder)[1]


def test_cells_of_an_earlier_larger_sweep_are_remarked(folder: Path) -> None:
    run_sweep(grid(2), stub_cells.small, folder, CONFIG_HASH, console=Console(file=io.StringIO()))
    status, said = command("verify", folder)
    assert status == 0 and "4 cells were not asked for by the last sweep" in said
    assert "2 done of 2 wanted, 4 others" in command("show", folder)[1]


def test_a_merge_that_is_altered_under_an_intact_seal(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(whole / "merged.nc", tmp_path / "merged.nc"))
    raw = path.read_bytes()[:-73]
    for name in ("part0/entropy", "part0/wall_time_s", "cell_content_digest"):
        path.write_bytes(raw)
        with h5py.File(path, "r+") as file:
            values = file[name][...]
            values[1] = values[0]
            file[name][...] = values
        seal_file(path)
        if name == "part0/wall_time_s":
            check_merged(path)  # times are not contents
            continue
        with pytest.raises(DamagedFileError, match="digest"):
            check_merged(path)
    path.write_bytes(raw)
    with h5py.File(path, "r+") as file:
        file.attrs["cells_digest"] = "0" * 64
    with xr.open_dataset(path) as top:
        digest = content_digest(top)
    with h5py.File(path, "r+") as file:
        file.attrs["content_digest"] = digest
    seal_file(path)
    with pytest.raises(DamagedFileError, match="digest over all"):
        check_merged(path)
    assert is_merged(path) and not is_merged(whole / "data.nc")


# show and the command


def test_show(whole: Path) -> None:
    status, said = command("show", whole)
    assert status == 0
    for words in (CONFIG_HASH, "6 done of 6 wanted, 0 failed", "longest cell", "peak memory"):
        assert words in said
    lines = [line for line in said.splitlines() if "train_size 1, t 3, sample 40" in line]
    assert "recovered" in lines[0] and "uint8" in lines[0] and "tokens" in lines[0]
    ranges = {row[0]: row[4] for row in show(whole, lambda total: lambda: None).variables}
    assert ranges["train_size"] == "1 to 32" and ranges["t"] == "0.1 to 0.5"
    flip_copy = whole.parent / "flipped"
    shutil.copytree(whole, flip_copy)
    flip(flip_copy / "cells" / A)
    assert f"1 cells are unusable ({NAMES[0]})" in command("show", flip_copy)[1]


def test_show_one_cell(whole: Path) -> None:
    status, said = command("show", whole, "--cell", NAMES[1])
    ds = read_dataset(whole / "cells" / B)
    assert status == 0
    for words in (ds.attrs["content_digest"], "units: nats", "recovered (train_size 1, t 3"):
        assert words in said
    assert str(ds["entropy"].values[0, 0])[:8] in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("verify", "{}/none"), "There is no folder"),
        (("merge", "{}"), "holds no cells"),
        (("show", "{}/file"), "There is no folder"),
        (("show", "{}/run", "--cell", "K9"), "There is no cell 'K9'"),
        (("merge", "{}/run", "--out", "{}/file/a.nc"), "regular file"),
        (("verify",), "required"),
        (("look", "{}"), "look"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(folder, tmp_path, capsys, words, expected) -> None:
    (tmp_path / "file").write_text("")
    filled = [word.format(tmp_path) for word in words]
    with pytest.raises(SystemExit) as stopped, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["results", *filled])
        results_command.main()
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert expected in said.err + said.out and "Traceback" not in said.err


def test_merge_of_an_unfinished_sweep_says_so(folder: Path) -> None:
    (folder / "cells" / A).unlink()
    status, said = command("merge", folder)
    assert status == 0 and f"1 wanted cells are not done and not in it ({NAMES[0]})" in said
    assert "5 cells in 1 group" in said and check_merged(folder / "merged.nc")
    assert command("merge", folder, "--out", folder / "twice.nc")[0] == 0


def test_the_command_as_it_is_typed(whole: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulations.results", "verify", str(whole)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "Everything is in order." in done.stdout and not done.stderr


def test_time_left_is_told_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(steps.time, "monotonic", lambda: float(next(clock)))
    for terminal in (False, True):
        said = io.StringIO()
        console = Console(file=said, force_terminal=terminal, width=90)
        with steps.Steps(console, "cells read", 10) as told:
            for _ in range(7):
                told()
        lines = said.getvalue()
        if not terminal:
            assert lines.splitlines() == [
                "cells read: 2 of 10, time left 16 s",
                "cells read: 7 of 10, time left 6 s",
            ]
        else:
            assert "cells read" in lines and "7/10" in lines


# many cells


def test_made_up_cells_are_cells(tmp_path: Path) -> None:
    write_cells(tmp_path, 40, templates=3)
    assert not verify(tmp_path).problems
    merge_cells(tmp_path, tmp_path / "merged.nc")
    for k, name in ((0, name_of(0)), (39, name_of(39))):
        path = tmp_path / "cells" / f"{name}.nc"
        ds = parse_dataset(sealed_bytes(path), path)
        assert ds["gap"].item() == np.sin(k) and str(1_000_000 + k) in ds.attrs["cell_coordinates"]


@pytest.mark.slow
def test_memory_and_time_of_many_cells(tmp_path: Path) -> None:
    peaks = []
    for count in (1000, 6000):
        out = tmp_path / str(count)
        write_cells(out, count)
        merge_cells(out, out / "merged.nc")
        before = _reset_peak()
        merge_cells(out, out / "merged.nc")
        assert check_merged(out / "merged.nc") == verify(out).digests
        peaks.append(peak_rss_mb() - before)
    assert peaks[1] < peaks[0] + 5000 * 0.004  # MB; 1e5 cells stay within 400 MB
