"""Every array of the golden data, computed by the authors' own code, against ours.

The tolerances are those of the golden README (`records.TOLERANCE`). A group of arrays is a test;
the lists of arrays are held to what was read and compared, and together to the files.
"""

import pytest

from tests.golden.compare_diffusion import NETWORKLESS
from tests.golden.compare_network import NETWORKS
from tests.golden.compare_reverse import REVERSE
from tests.golden.records import Archive
from tests.helpers import shared

GROUPS = {group.name: group for group in (*NETWORKLESS, *NETWORKS, *REVERSE)}
FILES = ("diffusion", "dit_small", "metrics", "reverse", "udlm_small")


@pytest.mark.parametrize("name", GROUPS)
def test_arrays_agree_with_the_golden_data(name):
    group = GROUPS[name]
    archive = Archive(group.file)
    checks = list(group.run(archive))
    assert {c.array for c in checks} == group.names(group.compared, archive.names)
    assert archive.read == group.names(f"{group.compared}|{group.given}", archive.names)
    assert [c for c in checks if not c.error <= c.tolerance] == []


@pytest.mark.parametrize("file", FILES)
def test_no_array_is_left_out(file):
    groups = [group for group in GROUPS.values() if group.file == file]
    names = Archive(file).names
    compared = set().union(*(g.names(g.compared, names) for g in groups))
    given = set().union(*(g.names(g.given, names) for g in groups))
    assert compared | given == set(names)
    # What is only given holds inputs: tokens, noise levels, uniforms, laws. The sigma and alpha
    # of `dit_small` are both.
    assert compared & given <= {"sigma_f32", "sigma_f64"}


def test_no_file_of_arrays_is_left_out():
    assert {path.stem for path in shared("golden").glob("*.npz")} == set(FILES)
    assert {group.file for group in GROUPS.values()} == set(FILES)
