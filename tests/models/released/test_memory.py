"""Reading a network takes at most 1.5 times the memory of its weights, whatever the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from models.networks.dit import DiT
from models.released.checkpoint import save_model
from models.released.released import to_named
from tests import torch_files

# The highest resident memory is compared with what was held just before the file is opened.
MEASURE = """
import sys
import jax
from models.networks.dit import DiT
from tests.helpers import open_stated as open_released

def status(name):
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith(name)]
    return 1024 * int(line.split()[1])

DiT(jax.random.key(0), 2, "mini")
held = status("VmRSS")
model = open_released(sys.argv[1], 8, 128, weights=sys.argv[2]).model
peak = status("VmHWM") - held
print(peak / sum(leaf.nbytes for leaf in jax.tree.leaves(jax.block_until_ready(model))))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """One `tiny` network over 30,522 tokens, 95 MB, in every kind of file."""
    folder = tmp_path_factory.mktemp("files")
    model = DiT(jax.random.key(0), 30522, "tiny", 128)
    named = to_named(model)
    (folder / "udlm").mkdir()
    (folder / "udlm" / "config.json").write_text(json.dumps({"n_heads": 8, "model_length": 128}))
    save_file(named, folder / "udlm" / "model.safetensors")
    save_file(to_named(model, buffers=True), folder / "plain.safetensors")
    save_model(model, folder / "ours")
    shadow = [np.array(array) for array in named.values()]
    moments = {k: {"exp_avg": array, "exp_avg_sq": array} for k, array in enumerate(shadow)}
    tree = {"state_dict": to_named(model, buffers=True)}
    tree |= {"ema": {"shadow_params": shadow}, "optimizer_states": [{"state": moments}]}
    torch_files.write(folder / "lightning.ckpt", tree)
    return folder


# The peak is VmHWM of /proc, which other systems lack; the reader is the same code there.
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
@pytest.mark.parametrize(
    "name, weights",
    [
        ("plain.safetensors", "ema"),
        ("udlm", "ema"),
        ("ours", "ema"),
        ("lightning.ckpt", "ema"),
        ("lightning.ckpt", "raw"),
    ],
)
def test_the_peak_of_memory(name, weights, files):
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(files / name), weights],
        cwd=Path(__file__).resolve().parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    ratio = float(ran.stdout)
    print(f"{name} ({weights}): {ratio:.2f} times the weights")
    assert 0.95 < ratio < 1.5  # below 1 something was not measured
