"""Checkpoints that torch itself wrote, read by our reader, which never uses torch."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from models.errors import CheckpointError
from models.released.files.pickle_reader import read_checkpoint
from models.released.files.pickle_values import Inert
from models.released.files.torch_tensors import Tensor
from models.released.released import to_named
from tests.helpers import open_stated
from tests.models.released.test_released import random_model

torch = pytest.importorskip("torch", reason="torch, a peer, is not installed: make bench has it")

TYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8",
         "bool", "complex64", "complex128", "uint16", "float8_e5m2"]  # fmt: skip


class Config:
    """An object of a class that the reader knows nothing of."""

    def __init__(self) -> None:
        self.width = 3


def numbers(*shape: int):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def assert_equal(ours, theirs) -> None:
    array = np.asarray(ours)
    assert type(ours) is Tensor and array.shape == tuple(theirs.shape)
    assert str(array.dtype) == str(theirs.dtype).removeprefix("torch.")
    bits = theirs.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    assert np.ascontiguousarray(array).tobytes() == bits.tobytes()


@pytest.mark.parametrize("name", TYPES)
def test_number_types(name, tmp_path):
    value = (10 * numbers(3, 4)).to(getattr(torch, name))
    torch.save({"x": value}, tmp_path / "m.ckpt")
    assert_equal(read_checkpoint(tmp_path / "m.ckpt")["x"], value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_views_parameters_and_containers(protocol, tmp_path):
    whole = numbers(6, 8)
    state = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).state_dict()
    parts = {
        "whole": whole, "transposed": whole.T, "slice": whole[1:5:2, 2:7], "row": whole[3],
        "scalar": whole[2, 2], "empty": whole[:0], "permuted": numbers(2, 3, 4).permute(2, 0, 1),
        "parameter": torch.nn.Parameter(whole[2:4]),
        "strided": whole.as_strided((3, 2), (8, 3), 1),
    }  # fmt: skip
    tree = {
        "parts": OrderedDict(parts), "state": state, "list": [whole, (whole.T, {1, 2}, b"\x00")],
        "plain": {"a": 1.5, "b": None, "c": True, "d": 2**80, "size": torch.Size([2, 3])},
        "dtype": torch.float16, "device": torch.device("cpu"), "config": Config(),
    }  # fmt: skip
    torch.save(tree, tmp_path / "m.ckpt", pickle_protocol=protocol)
    found = read_checkpoint(tmp_path / "m.ckpt")
    assert list(found["parts"]) == list(parts) and list(found["state"]) == list(state)
    for name, value in (parts | state).items():
        assert_equal((found["parts"] | found["state"])[name], value)
    assert_equal(found["list"][0], whole)
    assert_equal(found["list"][1][0], whole.T)
    assert found["list"][1][1:] == ({1, 2}, b"\x00")
    shared = {found["parts"][n].key for n in ("whole", "transposed", "slice", "row", "parameter")}
    assert len(shared) == 1
    size = found["plain"].pop("size")
    assert found["plain"] == {"a": 1.5, "b": None, "c": True, "d": 2**80}
    assert type(size) is Inert and size.args == ((2, 3),)
    assert tuple(found["dtype"]) == ("torch", "float16")
    assert found["config"].name == "Config" and found["config"].state == {"width": 3}


def test_optimizers(tmp_path):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(numbers(4, 3)).sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()
    torch.save({"optimizer_states": [saved]}, tmp_path / "m.ckpt")
    (found,) = read_checkpoint(tmp_path / "m.ckpt")["optimizer_states"]
    assert found["param_groups"] == saved["param_groups"]
    for k, state in saved["state"].items():
        for name, value in state.items():
            assert_equal(found["state"][k][name], value)


def test_expanded_tensors_are_read_by_nobody_and_refused(tmp_path):
    torch.save({"x": torch.ones(1).expand(5), "y": torch.ones(2)}, tmp_path / "m.ckpt")
    found = read_checkpoint(tmp_path / "m.ckpt")
    np.testing.assert_array_equal(found["y"], np.ones(2, np.float32))
    with pytest.raises(CheckpointError, match="share their place"):
        found["x"].read()


def test_the_format_before_the_container_is_refused(tmp_path):
    from tests.helpers import open_stated as open_released

    torch.save({"x": torch.ones(1)}, tmp_path / "m.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="is a pickle without the zip container"):
        open_released(tmp_path / "m.ckpt")


def test_a_tensor_that_lies_on_several_devices_is_named(tmp_path):
    """A state dict saved from FSDP2 without gathering holds shards of its tensors."""
    tensors = pytest.importorskip("torch.distributed.tensor", reason="torch has no DTensor")
    from torch import distributed

    place = f"file://{tmp_path / 'rendezvous'}"
    distributed.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    try:
        mesh = tensors.init_device_mesh("cpu", (1,))
        state = {
            name: tensors.distribute_tensor(torch.tensor(array), mesh, [tensors.Shard(0)])
            for name, array in to_named(random_model()).items()
        }
        torch.save({"state_dict": state}, tmp_path / "m.ckpt")
    finally:
        distributed.destroy_process_group()
    with pytest.raises(CheckpointError, match=r"is one shard .*`full_tensor\(\)`"):
        open_stated(tmp_path / "m.ckpt")
