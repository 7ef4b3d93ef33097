"""Models of the hub through the package huggingface_hub, from a cache, with no network at all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from models.errors import CheckpointError
from models.released.released import to_named
from tests.helpers import open_stated as open_released
from tests.models.released.test_released import assert_same, random_model

constants = pytest.importorskip(
    "huggingface_hub.constants", reason="huggingface_hub is not installed: make bench has it"
)

COMMIT = "0123456789" * 4


def cached(cache: Path, files: dict[str, bytes], commit: str = COMMIT, tag: str = "v1") -> None:
    """Put files where the package keeps those of owner/name: blobs, and links to them."""
    repo = cache / "models--owner--name"
    (repo / "refs").mkdir(parents=True, exist_ok=True)
    (repo / "refs" / tag).write_text(commit)
    for number, (name, content) in enumerate(files.items()):
        blob, link = repo / "blobs" / f"{number}-{commit}", repo / "snapshots" / commit / name
        for file in (blob, link):
            file.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(os.path.relpath(blob, link.parent))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and a machine whose every connection fails, with a list of the attempts."""
    attempts: list[object] = []

    def refuse(*words, **more):
        attempts.append(words)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache", attempts


def udlm_files(tmp_path: Path, model) -> dict[str, bytes]:
    save_file(to_named(model), tmp_path / "m.safetensors")
    config = {"n_heads": 2, "model_length": 7, "auto_map": {"AutoModel": "modeling.Net"}}
    files = {"config.json": json.dumps(config).encode()}
    files["model.safetensors"] = (tmp_path / "m.safetensors").read_bytes()
    return files | {"modeling.py": b"raise SystemExit"}


@pytest.mark.parametrize("revision", [COMMIT, "v1"])
def test_a_cached_model_needs_no_network(revision, cache, tmp_path):
    folder, attempts = cache
    cached(folder, udlm_files(tmp_path, random_model()))
    found = open_released(f"owner/name@{revision}")
    assert_same(found.model, random_model())
    assert found.details["commit"] == COMMIT and attempts == []


def test_a_commit_in_the_cache_needs_no_network_even_where_there_is_one(
    cache, tmp_path, monkeypatch
):
    folder, attempts = cache
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    cached(folder, udlm_files(tmp_path, random_model()))
    assert open_released(f"owner/name@{COMMIT}").details["commit"] == COMMIT
    assert attempts == []


def test_two_revisions_are_kept_apart(cache, tmp_path):
    folder, _ = cache
    cached(folder, udlm_files(tmp_path, random_model(1)))
    cached(folder, udlm_files(tmp_path, random_model(2)), "f" * 40, "v2")
    assert_same(open_released("owner/name@v1").model, random_model(1))
    assert_same(open_released("owner/name@v2").model, random_model(2))


def test_a_named_file_of_the_cache(cache, tmp_path):
    folder, _ = cache
    save_file(to_named(random_model(), buffers=True), tmp_path / "m.safetensors")
    cached(folder, {"sub/w.safetensors": (tmp_path / "m.safetensors").read_bytes()})
    found = open_released("owner/name@v1:sub/w.safetensors", seq_len=7)
    assert_same(found.model, random_model())
    assert found.details["commit"] == COMMIT


@pytest.mark.parametrize(
    "name, message",
    [
        ("owner/name@v2", r"`config\.json` of this revision is not in the local cache"),
        ("owner/name@v1:other.ckpt", r"`other\.ckpt` of this revision is not in the local cache"),
        ("owner/other@v1", "is not in the local cache, and the hub was not reached"),
        (f"owner/name@{'c' * 40}", "is not in the local cache"),
        ("owner--x/na..me@v1", "^owner--x/na..me@v1 cannot be read: .*[.]$"),
    ],
)
def test_what_is_not_in_the_cache_is_said(name, message, cache, tmp_path):
    folder, attempts = cache
    cached(folder, udlm_files(tmp_path, random_model()))
    with pytest.raises(CheckpointError, match=message) as caught:
        open_released(name)
    assert "\n" not in str(caught.value) and attempts == []


def test_damaged_files_of_the_cache_are_ours_to_name(cache, tmp_path):
    folder, _ = cache
    files = udlm_files(tmp_path, random_model())
    cached(folder, files | {"model.safetensors": files["model.safetensors"][:-5]})
    with pytest.raises(CheckpointError, match="holds no tensors that can be read"):
        open_released("owner/name@v1")


def test_without_a_network_the_cache_serves_a_tag(cache, tmp_path, monkeypatch):
    """Whether v1 is a tag cannot be asked; what was fetched under this name is."""
    folder, _ = cache
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    cached(folder, udlm_files(tmp_path, random_model()))
    assert open_released("owner/name@v1").details["commit"] == COMMIT


def test_the_variable_of_the_environment_is_heard(tmp_path):
    cached(tmp_path / "cache", udlm_files(tmp_path, random_model()))
    code = (
        "from tests.helpers import open_stated as open_released\n"
        "print(open_released('owner/name@v1').details['commit'])"
    )
    place = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **place},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == COMMIT
