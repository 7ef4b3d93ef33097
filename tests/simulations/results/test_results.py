"""Result files: round trips, damage, refusals, full disks, provenance."""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import os
import platform
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import xarray as xr

from simulations.results import provenance as provenance_module
from simulations.results.content import content_digest
from simulations.results.files import (
    DamagedFileError,
    ResultsError,
    prepare_folder,
    read_dataset,
    remove_temporaries,
    replacing,
    write_dataset,
    write_text,
)
from simulations.results.provenance import digest, provenance


def rich_dataset() -> xr.Dataset:
    """Return a dataset with every kind of variable and attribute that a results file holds."""
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "counts": (("sample", "t"), rng.integers(0, 9, (50, 3)).astype("u1")),
            "rate": (("t",), [np.nan, np.inf, -0.0], {"units": "s", "long_name": "seconds"}),
            "single": ("t", np.array([1, 2, 3], "f4"), {"scale": 0.1, "levels": [0.1, 0.2]}),
            "big_endian": ("t", np.array([1, 2, 3], ">i4")),
            "flag": (("t",), [True, False, True]),
            "scalar": ((), 3),
            "nothing": (("t", "empty"), np.zeros((3, 0))),
            "time": (("t",), [1, 2, 3], {"units": "days since 2000-01-01"}),
            "words": (("t",), np.array(["a", "", "gr\u00fcn"], object)),
        },
        coords={"t": [0.1, 0.25, 0.5], "split": "train", "law": ("t", ["loo", "full", "loo"])},
        attrs={
            "config": '{"a": 1}',
            "empty": "",
            "root_seed": 7,
            "levels": [0.1, 0.2],
            "one": [3],
            "names": ["x", "y"],
        },
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def is_one_sentence(error: BaseException) -> bool:
    text = str(error)
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and ";" in text


@pytest.mark.parametrize("words", [[""], ["one"], ["one", "two"]])
def test_a_list_of_texts_comes_back_intact(tmp_path, words):
    ds = xr.Dataset({"rate": ("k", [0.5])}, attrs={"warnings": words})
    write_dataset(ds, tmp_path / "words.nc")
    assert np.atleast_1d(read_dataset(tmp_path / "words.nc").attrs["warnings"]).tolist() == words


def test_round_trip(tmp_path: Path) -> None:
    ds, path = rich_dataset(), tmp_path / "a.nc"
    before = ds.copy(deep=True)
    write_dataset(ds, path)
    assert ds.identical(before)
    back = read_dataset(path)
    assert set(back.coords) == set(ds.coords)
    for name, variable in ds.variables.items():
        assert back[name].dims == variable.dims
        np.testing.assert_array_equal(back[name].values, variable.values)
        assert back[name].dtype.kind == variable.dtype.kind or variable.dtype.kind == "O"
        assert list(back[name].attrs) == list(variable.attrs)
    assert back.attrs["content_digest"] == content_digest(ds) == content_digest(back)
    assert np.signbit(back["rate"].values[2])
    assert files(tmp_path) == ["a.nc"]


def test_written_again_after_reading_and_merging(tmp_path: Path) -> None:
    parts = []
    for seed in range(2):
        write_dataset(rich_dataset().expand_dims(seed=[seed]), tmp_path / f"{seed}.nc")
        parts.append(read_dataset(tmp_path / f"{seed}.nc"))
    merged = xr.concat(parts, "seed", data_vars="all", coords="minimal", compat="override",
                       join="override", combine_attrs="override")  # fmt: skip
    write_dataset(merged, tmp_path / "merged.nc")
    assert read_dataset(tmp_path / "merged.nc").sizes["seed"] == 2


def test_ordinary_readers_open_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    write_dataset(rich_dataset().drop_vars("time"), path)
    with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False) as ds:
        assert ds["counts"].encoding["complevel"] == 1
        assert int(ds["scalar"]) == 3


def test_content_digest_says_whether_numbers_agree() -> None:
    ds = rich_dataset()
    same = ds.assign_attrs(provenance(), wall_time_s=3.0, peak_rss_mb=9.0)
    assert content_digest(same) == content_digest(ds)
    assert content_digest(ds[sorted(ds.data_vars, key=str)]) == content_digest(ds)
    last_bit = ds.copy(deep=True)
    last_bit["single"].values[0] = np.nextafter(np.float32(1), np.float32(2))
    others = [
        last_bit,
        ds.assign(scalar=((), np.int32(3))),
        ds.assign_attrs(root_seed=8),
        ds.rename(scalar="scalars"),
        ds.rename_dims(sample="position"),
        ds.assign(words=("t", ["a", "", "b"])),
        ds.assign(rate=ds["rate"].assign_attrs(units="nats")),
    ]
    assert len({content_digest(other) for other in [ds, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    ("ds", "words"),
    [
        (xr.Dataset({"z": ("x", [1j])}), "`z` has dtype complex128"),
        (xr.Dataset({"z": ("x", np.array([None, "a"], object))}), "`z` has dtype object"),
        (xr.Dataset({"z": ("x", np.array(["2000"], "M8[ns]"))}), "`z` has dtype datetime64"),
        (xr.Dataset(attrs={"config": {"a": 1}}), "attribute `config`"),
        (xr.Dataset(attrs={"flag": True}), "attribute `flag`"),
        (xr.Dataset(attrs={"none": None}), "attribute `none`"),
        (xr.Dataset(attrs={"list": []}), "attribute `list`"),
    ],
)
def test_what_a_file_does_not_hold(tmp_path: Path, ds: xr.Dataset, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        write_dataset(ds, tmp_path / "a.nc")
    assert files(tmp_path) == []


def test_every_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    write_dataset(rich_dataset(), path)
    raw = path.read_bytes()
    rng = np.random.default_rng(1)
    bad = [bytes([*raw[:i], raw[i] ^ (1 << int(rng.integers(8))), *raw[i + 1 :]])
           for i in rng.choice(len(raw), 150, replace=False)]  # fmt: skip
    bad += [raw[:n] for n in (0, 1, 80, len(raw) // 2, len(raw) - 73, len(raw) - 1)]
    bad += [raw + b"x", b"not netCDF at all" * 20]
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(DamagedFileError) as caught:
            read_dataset(path)
        assert is_one_sentence(caught.value)


def test_damage_under_an_intact_seal(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    altered = rich_dataset().assign_attrs(content_digest="0" * 64)
    for data, why in [
        (bytes(altered.to_netcdf(engine="h5netcdf")), "do not match their digest"),
        (b"not netCDF", "not netCDF"),
    ]:
        path.write_bytes(data + b"\nsha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n")
        with pytest.raises(DamagedFileError, match=why):
            read_dataset(path)


def test_missing_file_and_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="There is no results file"):
        read_dataset(tmp_path / "none.nc")
    with pytest.raises(ResultsError, match="a folder has this name"):
        read_dataset(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(ResultsError, match="a folder has this name"):
        write_text("x", tmp_path / "taken")
    with pytest.raises(ResultsError, match="its folder does not exist"):
        write_text("x", tmp_path / "none" / "a.txt")
    assert files(tmp_path) == []


WRITERS: dict[str, Callable[[Path], object]] = {
    "dataset": lambda out: write_dataset(xr.Dataset({"a": ("x", [1])}), out / "kept"),
    "text": lambda out: write_text("new\n", out / "kept"),
    "figure": lambda out: _draw(out / "kept"),
    "folder": prepare_folder,
}


def _draw(path: Path) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(b"picture")


class FailingFile(io.FileIO):
    """A file whose writes fail."""

    error: OSError

    def write(self, data: Any) -> int:
        raise self.error


@contextmanager
def injected(place: str, number: int, nth: int) -> Iterator[list[int]]:
    """Make the nth call of one system function fail; yields the list of calls seen.

    `place` is open, write (of a file opened for writing), fsync, replace or mkdir.
    """
    calls: list[int] = []
    error = OSError(number, os.strerror(number))

    def failing(real: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if counts(*args, **kwargs):
                calls.append(1)
                if len(calls) == nth:
                    raise error
            return real(*args, **kwargs)

        return call

    def opens(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if ".tmp-" in str(path) and "w" in mode:
            calls.append(1)
            if len(calls) == nth:
                file = FailingFile(path, "w")
                file.error = error
                return file
        return real_open(path, mode, *args, **kwargs)

    real_open = builtins.open

    def always(*args: Any, **kwargs: Any) -> bool:
        return True

    def ours(path: Any, *args: Any, **kwargs: Any) -> bool:
        return ".tmp-" in str(path)

    with pytest.MonkeyPatch.context() as patch:
        if place == "open":
            patch.setattr(builtins, "open", failing(real_open, ours))
        elif place == "write":
            patch.setattr(builtins, "open", opens)
        elif place == "mkdir":
            patch.setattr(Path, "mkdir", failing(Path.mkdir, always))
        else:
            patch.setattr(os, place, failing(getattr(os, place), always))
        yield calls


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("writer", WRITERS)
def test_every_failing_write_is_one_sentence(tmp_path: Path, writer: str, number: int) -> None:
    (tmp_path / "kept").write_text("old")
    refused = 0
    for place in ("open", "write", "fsync", "replace", "mkdir"):
        for nth in range(1, 20):
            (tmp_path / "kept").write_text("old")
            with injected(place, number, nth) as calls:
                try:
                    WRITERS[writer](tmp_path)
                except ResultsError as error:
                    refused += 1
                    assert is_one_sentence(error)
                    assert str(tmp_path) in str(error)
                    assert (tmp_path / "kept").read_text() == "old"
            assert files(tmp_path) == ["kept"]
            if len(calls) < nth:
                break
        else:
            pytest.fail(f"more calls of {place} than expected")
    assert refused >= 4


def test_sentences_name_the_cause(tmp_path: Path) -> None:
    causes = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "quota",
        errno.EACCES: "permission is denied",
        errno.EROFS: "read-only",
        errno.EIO: os.strerror(errno.EIO),
    }
    for number, cause in causes.items():
        with injected("fsync", number, 1), pytest.raises(ResultsError, match=cause):
            write_text("x", tmp_path / "a")


def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(ResultsError, match="larger than the system allows"):
            write_dataset(rich_dataset(), tmp_path / "a.nc")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []


def test_path_under_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for below in (tmp_path / "file", tmp_path / "file" / "deep" / "er"):
        with pytest.raises(ResultsError, match="regular file") as caught:
            prepare_folder(below)
        assert is_one_sentence(caught.value)
    with pytest.raises(ResultsError, match="regular file"):
        write_dataset(rich_dataset(), tmp_path / "file" / "a.nc")
    assert files(tmp_path) == ["file"]


def test_replacing_cleans_up_after_any_exception(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.png") as temporary:
        temporary.write_bytes(b"half")
        assert temporary.suffix == ".png" and temporary.parent == tmp_path
        raise ZeroDivisionError
    assert files(tmp_path) == []


def test_prepare_folder_and_leftovers(tmp_path: Path) -> None:
    out = tmp_path / "results" / "run"
    prepare_folder(out)
    prepare_folder(out)
    assert (out / "cells").is_dir() and files(out) == []
    dead = subprocess.Popen(["true"])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (out / f".tmp-{pid}-0-a.nc").touch()
    remove_temporaries(out)
    assert files(out) == [f".tmp-{os.getpid()}-0-a.nc"]
    remove_temporaries(out, of_living=True)
    assert files(out) == []


def test_digest() -> None:
    config = {"b": [1, 2.5, None], "a": {"y": True, "x": "\u00fc"}}
    assert digest(config) == digest({"a": {"x": "\u00fc", "y": True}, "b": (1, 2.5, None)})
    assert digest(MappingProxyType({"n": MappingProxyType({"m": 1})})) == digest({"n": {"m": 1}})
    assert digest(config) == "626a8c6105b334c0"
    assert digest({"a": 1}) != digest({"a": 1.0}) != digest({"a": "1"})
    with pytest.raises(ValueError, match="JSON"):
        digest({"a": float("nan")})
    with pytest.raises(TypeError, match="got int64"):
        digest({"a": np.int64(1)})


def test_provenance() -> None:
    said = provenance()
    assert set(said) == set(provenance_module.PROVENANCE_KEYS)
    assert all(isinstance(value, str) and value for value in said.values())
    assert said["numpy_version"] == np.__version__
    assert said["start_time"].endswith("+00:00")
    told = " ".join(said.values())
    assert not platform.node() or platform.node() not in told
    assert os.sep not in told


def test_commit_of_a_checkout(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    def asked(path: Path) -> str:
        provenance_module.commit.cache_clear()
        return provenance_module.commit(path)

    try:
        assert asked(tmp_path) == "unknown"
        git("init", "--quiet")
        assert asked(tmp_path) == "unknown"
        (tmp_path / "a").write_text("1")
        git("add", "a")
        git("commit", "--quiet", "-m", "first")
        head = git("rev-parse", "HEAD")
        git("tag", "-a", "v1", "-m", "v1")
        (tmp_path / "untracked").write_text("1")
        assert asked(tmp_path) == head
        (tmp_path / "a").write_text("2")
        assert asked(tmp_path) == head + "-dirty"
        (tmp_path / "folder").mkdir()
        assert asked(tmp_path / "folder") == "unknown"
    finally:
        provenance_module.commit.cache_clear()
