"""A Dask worker cut off from the network in the midst of a cell, and its late answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import launch as lab
from tests.faults.cluster import Cluster
from tests.faults.fault_table import row

pytestmark = pytest.mark.faults

NAME = f"faults{os.getpid()}"
LINK, PEER = f"fl{os.getpid()}", f"fp{os.getpid()}"


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


@pytest.fixture
def host() -> Iterator[str]:
    """The address of this host on a link to a network namespace of its own."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the command ip")
    net = f"10.213.{os.getpid() % 250}"
    steps = [
        ("netns", "add", NAME),
        ("link", "add", LINK, "type", "veth", "peer", "name", PEER),
        ("link", "set", PEER, "netns", NAME),
        ("addr", "add", f"{net}.1/24", "dev", LINK),
        ("link", "set", LINK, "up"),
        ("-n", NAME, "addr", "add", f"{net}.2/24", "dev", PEER),
        ("-n", NAME, "link", "set", PEER, "up"),
        ("-n", NAME, "link", "set", "lo", "up"),
    ]
    try:
        for step in steps:
            error = _ip(*step)
            if error:
                pytest.skip(f"this machine forbids network namespaces: {error}")
        yield f"{net}.1"
    finally:
        _ip("link", "del", LINK)
        _ip("netns", "del", NAME)


def test_partition(launch: lab.Launch, reference: lab.Refer, tmp_path: Path, host: str) -> None:
    ref, when = reference("plain", 60, 1.0), lab.moments(110)
    watch = lab.Watch(tmp_path / "run", tmp_path / "log")
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(
        tmp_path / "cluster", watch.log, host, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="3s"
    )
    try:
        with row("a Dask worker cut off from the network, late answer", 110) as made:
            cluster.worker("here")
            far = cluster.worker("far", before=("ip", "netns", "exec", NAME))
            cluster.wait_for(2)
            launcher = launch(watch.out, *ref.words("--cluster", cluster.address))
            for trial in range(lab.trials(4)):
                if not lab.struck(launcher, watch, when, 2.0):
                    break
                kept = watch.files()
                _ip("link", "set", LINK, "down")
                time.sleep(0.2)
                watch.disturbed(kept, deadly=False)
                # within a cell, within the scheduler's patience, and far beyond it
                launcher.ends_within((0.5, 2.0, 8.0, 12.0)[trial])
                _ip("link", "set", LINK, "up")
                launcher.ends_within(3.0)
            lab.finished(launcher)
            # A worker has up to two cells in hand, and begins the second while it is cut off.
            watch.charged = begun_in_vain(watch, far.pid)
            assert watch.charged.total() <= 2 * watch.trials
            lab.settle(made, [watch], ref)
            made.flight = 2 * made.trials
    finally:
        cluster.stop()


def begun_in_vain(watch: lab.Watch, group: int) -> Counter[str]:
    """Cells that processes of this group have begun and that were begun again after that."""
    lines = [line.split() for line in watch.log.read_text().splitlines()]
    names = [words[0] for words in lines]
    return Counter(
        name
        for k, (name, _, leader) in enumerate(lines)
        if leader == str(group) and name in names[k + 1 :]
    )
