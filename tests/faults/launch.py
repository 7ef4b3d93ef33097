"""Launchers to be disturbed, and what a disturbed sweep must show in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

from simulations.results.content import content_digest
from simulations.results.files import sealed_bytes, sha256_of
from simulations.results.manifest import Manifest
from simulations.sweep.run import load_cells, run_sweep
from tests.faults import stub
from tests.faults.fault_table import Row
from tests.helpers import ROOT

PATH = str(ROOT)
WORKERS = 2
PATIENCE = 900.0  # seconds for anything to end, on a machine that has much else to do
SHARE = float(os.environ.get("FAULTS_SHARE", "1"))  # of the trials, to try things out

Stamp = tuple[int, int, int]


def trials(count: int) -> int:
    """The number of trials, or the share of them that FAULTS_SHARE asks for."""
    return max(1, round(SHARE * count))


def moments(seed: int) -> random.Random:
    """Random moments, the same at every run."""
    return random.Random(f"faults {seed}")


class Launcher:
    """A sweep of stub cells in a process group of its own; its words go to a file."""

    def __init__(
        self, out: Path, *words: str, log: Path, script: tuple[str, ...] = (), **settings: str
    ) -> None:
        self.out, self.tag = out, uuid.uuid4().hex
        self._said = log.parent / f"said-{self.tag}"
        script = script or (str(Path(__file__).with_name("launcher.py")), str(out))
        environment = {**os.environ, "PYTHONPATH": PATH, "COLUMNS": "10000"}
        with open(self._said, "wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *script, *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=log.parent,
                env=environment | {"FAULTS_TAG": self.tag, "FAULTS_LOG": str(log)} | settings,
                start_new_session=True,
            )

    def ends_within(self, seconds: float) -> bool:
        """Wait for the end; whether it came."""
        try:
            self.process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> int:
        """Wait for the end; the exit status. No process is left then."""
        assert self.ends_within(PATIENCE), self.said()
        assert gone_within([self.tag], 30), f"orphans of {self.process.args}"
        return int(self.process.returncode)

    def kill(self) -> None:
        """SIGKILL of the launcher alone; its workers end by themselves."""
        self.process.kill()
        self.end()

    def said(self) -> str:
        """All that it has printed."""
        return self._said.read_text(errors="replace")

    def sentence(self) -> str:
        """Its last words, of a command that was refused: one sentence and no traceback."""
        text = self.said()
        assert "Traceback" not in text, text
        assert self.process.returncode in (2, 130, -signal.SIGINT), text
        last = text.strip().splitlines()[-1]
        assert last.startswith("stub: ") and last.endswith("."), text
        return last.removeprefix("stub: ")

    def workers(self) -> list[int]:
        """Worker processes of its pool."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
                if b"spawn_main" in words and _parent(folder) == self.process.pid:
                    found.append(int(folder.name))
            except OSError:
                continue
        return sorted(found)


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def children(pid: int) -> list[int]:
    """Living processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if _parent(folder) == pid:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def living(tags: Iterable[str]) -> list[int]:
    """Processes that carry one of the tags in their environment."""
    wanted = [tag.encode() for tag in tags]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            dead = "\nState:\tZ" in (folder / "status").read_text()
            surroundings = (folder / "environ").read_bytes()
            if not dead and any(tag in surroundings for tag in wanted):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def gone_within(tags: Iterable[str], seconds: float) -> bool:
    """Whether all processes with these tags end by themselves."""
    tags = list(tags)
    deadline = time.monotonic() + seconds
    while living(tags):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def end_all(tags: Iterable[str]) -> None:
    """Kill every process with one of these tags."""
    tags = list(tags)
    for _ in range(100):
        found = living(tags)
        if not found:
            return
        for pid in found:
            kill(pid)
        time.sleep(0.05)


def kill(pid: int) -> None:
    """SIGKILL, of a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Reference:
    """Final data of an undisturbed run: each cell's digest, that of the merged data, the manifest's
    words on each cell but for hash, size and time of its file."""

    name: str
    count: int
    seconds: float
    digests: list[str]
    merged: str
    manifest: list[Any]

    @classmethod
    def of(cls, out: Path, name: str, count: int, seconds: float) -> Reference:
        """Run it in this process, with one worker."""
        os.environ["FAULTS_LOG"] = str(out / "log")
        with open(os.devnull, "w") as nowhere:
            outcome = run_sweep(
                stub.cells(count, seconds),
                stub.COMPUTATIONS[name],
                out / "run",
                stub.CONFIG_HASH,
                workers=WORKERS,
                console=Console(file=nowhere),
            )
        assert len(outcome.done) == count
        assert len((out / "log").read_text().splitlines()) == count
        return cls.read(out / "run", name, count, seconds)

    @classmethod
    def read(cls, out: Path, name: str, count: int, seconds: float) -> Reference:
        """What a folder holds, every file verified; its manifest must tell the hash of each."""
        found = load_cells(out, stub.cells(count, seconds))
        whole = xr.concat([ds.drop_attrs(deep=False) for ds in found], "cell")
        manifest = Manifest.read(out)
        for entry in manifest.entries.values():
            raw = sealed_bytes(out / "cells" / f"{entry.cell}.nc")
            assert (entry.sha256, entry.bytes) == (sha256_of(raw), len(raw)), entry
        words = [manifest.config_hash, manifest.wanted]
        entries = sorted((e.cell, e.coordinates, e.config_hash) for e in manifest.entries.values())
        return cls(
            name,
            count,
            seconds,
            [content_digest(ds) for ds in found],
            content_digest(whole),
            [*words, *entries],
        )

    def words(self, *engine: str) -> tuple[str, ...]:
        """The launcher's words for this sweep."""
        return (self.name, str(self.count), str(self.seconds), *engine)


@dataclass
class Watch:
    """A folder whose sweep is disturbed again and again, and the file where cells are noted."""

    out: Path
    log: Path
    kept: dict[str, Stamp] = field(default_factory=dict)
    charged: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    _seen: Counter[str] = field(default_factory=Counter)

    def started(self) -> Counter[str]:
        """How often the computation of each cell has begun."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(line.split()[0] for line in lines)

    def begun_twice_by(self, launcher: Launcher) -> set[str]:
        """The cells that its workers have begun, and others too."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        own = {words[0] for words in lines if words[2] == str(launcher.process.pid)}
        return {name for name in own if self.started()[name] > 1}

    def files(self) -> dict[str, Stamp]:
        """The cells that are kept, with what would tell that a file was written again."""
        found = {}
        for path in self.out.glob("cells/[!.]*.nc"):
            about = path.stat()
            found[path.stem] = (about.st_ino, about.st_mtime_ns, about.st_size)
        return found

    def disturbed(self, kept: dict[str, Stamp] | None = None, *, deadly: bool = True) -> int:
        """Note a disturbance: what was `kept` before it (by default, what is) must stay; where it
        is `deadly`, cells begun and not kept were in flight. Returns how many these are."""
        kept = self.files() if kept is None else kept
        for name, stamp in kept.items():
            self.kept.setdefault(name, stamp)
        self.trials += 1
        if not deadly:
            return 0
        started = self.started()
        flight = [c for c, n in started.items() if c not in kept and n > self._seen[c]]
        self.charged.update(flight)
        self._seen = started
        return len(flight)

    def lost(self) -> int:
        """Kept cells that are gone or were written again."""
        files = self.files()
        return sum(files.get(name) != stamp for name, stamp in self.kept.items())

    def again(self) -> Counter[str]:
        """How often each cell was computed beyond the first time."""
        return Counter({name: n - 1 for name, n in self.started().items() if n > 1})


def struck(launcher: Launcher, watch: Watch, when: random.Random, longest: float = 2.0) -> bool:
    """Let a random time pass, in three of ten cases from the start, else from the first cell that
    is begun; False if the launcher has ended before."""
    before = watch.started().total()
    from_the_start = when.random() < 0.3
    while not from_the_start and watch.started().total() == before:
        if launcher.ends_within(0.05):
            return False
    return not launcher.ends_within(when.uniform(0.0, longest))


def settle(row: Row, watches: Iterable[Watch], reference: Reference) -> None:
    """Fill in the row from folders that must be complete now, and judge it."""
    watches = list(watches)
    row.trials = sum(watch.trials for watch in watches)
    row.lost = sum(watch.lost() for watch in watches)
    row.again = sum(watch.again().total() for watch in watches)
    row.flight = sum(watch.charged.total() for watch in watches)
    for watch in watches:
        assert len(watch.files()) == reference.count, "cells are missing"
        told = Reference.read(watch.out, reference.name, reference.count, reference.seconds)
        assert told == reference
        assert not [path for path in watch.out.rglob("*") if path.name.startswith(".tmp-")]
        assert not (watch.out / ".lease").exists() and not (watch.out / "unfinished").exists()
        assert watch.again() <= watch.charged, watch.again() - watch.charged
    row.equal = True
    assert row.lost == 0


def finished(launcher: Launcher) -> None:
    """The launcher must come to its good end."""
    status = launcher.end()
    assert status == 0 and launcher.said().rstrip().endswith("complete"), launcher.said()


Launch = Callable[..., Launcher]  # the fixture: (out, *words) -> a running launcher
Refer = Callable[..., Reference]  # the fixture: what an undisturbed sweep gives
