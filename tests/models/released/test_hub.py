"""Names of models on the hub, which files are asked for, and what is said when it cannot be.

The package huggingface_hub is not needed: a stand-in is asked. `tests/peers/test_hub_cache.py` has
the package itself.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import jax
import pytest
from safetensors.numpy import save_file

from models.errors import CheckpointError
from models.networks.dit import DiT, Shape
from models.released import hub
from models.released.checkpoint import save_model
from models.released.released import to_named
from tests import torch_files
from tests.helpers import open_stated as open_released
from tests.models.released.test_released import assert_same, random_model
from tests.models.released.test_state import shards

COMMIT, OTHER = "a1" * 20, "b2" * 20


class EntryNotFoundError(Exception):
    pass


class LocalEntryNotFoundError(EntryNotFoundError):
    pass


class RepositoryNotFoundError(Exception):
    pass


class GatedRepoError(RepositoryNotFoundError):
    pass


class RevisionNotFoundError(Exception):
    pass


class StandIn(types.ModuleType):
    """A hub with one repository in a folder; keeps what it was asked for."""

    def __init__(self, folder: Path, online: bool = True) -> None:
        super().__init__("huggingface_hub")
        self.root, self.online = folder / "snapshots" / COMMIT, online
        self.root.mkdir(parents=True)
        self.asked: list[tuple[str, str, str]] = []
        self.error: Exception | None = None

    def hf_hub_download(self, repo: str, name: str, *, revision: str) -> str:
        self.asked.append((repo, name, revision))
        if self.error:
            raise self.error
        if revision not in (COMMIT, "v1", "dev"):
            raise RevisionNotFoundError("404")
        if not (self.root / name).exists():
            raise EntryNotFoundError("404")
        return str(self.root / name)

    def HfApi(self) -> StandIn:
        return self

    def list_repo_refs(self, repo: str) -> types.SimpleNamespace:
        if not self.online:
            raise ConnectionError
        ref = types.SimpleNamespace
        tags = [ref(name="v1", target_commit=COMMIT), ref(name="both", target_commit=COMMIT)]
        branches = [ref(name="dev", target_commit=OTHER), ref(name="both", target_commit=OTHER)]
        return ref(tags=tags, branches=branches)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    found = StandIn(tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "huggingface_hub", found)
    monkeypatch.chdir(tmp_path)
    return found


def udlm(folder: Path, model: DiT) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(to_named(model), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"n_heads": 2, "model_length": 7}))


@pytest.mark.parametrize("revision", [COMMIT, "v1"])
def test_a_folder_of_the_hub_is_two_files_of_one_commit(revision, stand_in):
    model = random_model()
    udlm(stand_in.root, model)
    (stand_in.root / "modeling_udlm.py").write_text("raise SystemExit")
    found = open_released(f"owner/name@{revision}")
    assert_same(found.model, model)
    assert found.source_kind == "folder"
    assert found.details["hub"] == f"owner/name@{revision}"
    assert found.details["commit"] == COMMIT
    wanted = [("config.json", revision), ("model.safetensors", COMMIT)]
    assert stand_in.asked == [("owner/name", *rest) for rest in wanted]


def test_folders_of_the_hub_in_shards_and_in_bin_files(stand_in):
    model = random_model()
    stand_in.root.rmdir()
    shards(stand_in.root, model)
    assert_same(open_released("owner/name@v1").model, model)
    names = [name for _, name, _ in stand_in.asked]
    assert names[:3] == ["config.json", "model.safetensors", "model.safetensors.index.json"]
    assert len(names) == 6 and all(name.startswith("model-0000") for name in names[3:])
    assert {revision for *_, revision in stand_in.asked[1:]} == {COMMIT}
    index = stand_in.root / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"no \.safetensors file of this folder"):
        open_released("owner/name@v1")
    index.unlink()
    torch_files.write(stand_in.root / "pytorch_model.bin", to_named(model, buffers=True))
    assert_same(open_released("owner/name@v1").model, model)
    (stand_in.root / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"has no `model\.safetensors` at this"):
        open_released("owner/name@v1")


def test_one_file_of_the_hub(stand_in):
    model = random_model()
    (stand_in.root / "runs").mkdir()
    state = {"state_dict": to_named(model, buffers=True)}
    torch_files.write(stand_in.root / "runs" / "best.ckpt", state)
    found = open_released(f"owner/name@{COMMIT}:runs/best.ckpt", seq_len=7, weights="raw")
    assert_same(found.model, model)
    assert (found.weights, found.source_kind) == ("raw", "lightning")
    assert found.details["commit"] == COMMIT
    assert stand_in.asked == [("owner/name", "runs/best.ckpt", COMMIT)]


def test_a_checkpoint_of_ours_on_the_hub_is_its_json_and_its_weights(stand_in):
    model = DiT(jax.random.key(1), 5, Shape(16, 2, 2, 8), seq_len=7)
    save_model(model, stand_in.root / "model", {"step": 5})
    found = open_released("owner/name@v1:model.json")
    assert_same(found.model, model)
    assert found.source_kind == "ours" and found.details["extra"] == {"step": 5}
    wanted = [("model.json", "v1"), ("model.safetensors", COMMIT)]
    assert stand_in.asked == [("owner/name", *rest) for rest in wanted]


def test_a_local_path_always_wins(stand_in, tmp_path):
    udlm(tmp_path / "owner" / "name@v1", random_model(3))
    found = open_released("owner/name@v1")
    assert_same(found.model, random_model(3))
    assert "commit" not in found.details
    save_model(random_model(4), tmp_path / "owner" / "name@v2")
    assert open_released("owner/name@v2").source_kind == "ours"
    save_file(to_named(random_model(5), buffers=True), tmp_path / "owner" / "name@v3")
    assert open_released("owner/name@v3").source_kind == "safetensors"
    assert stand_in.asked == []


def test_a_branch_is_refused_where_the_hub_can_be_asked(stand_in):
    udlm(stand_in.root, random_model())
    with pytest.raises(CheckpointError, match=f"branch, which moves.*now at owner/name@{OTHER}"):
        open_released("owner/name@dev")
    assert stand_in.asked == []
    stand_in.online = False
    assert open_released("owner/name@dev").details["commit"] == COMMIT


def test_a_tag_with_the_name_of_a_branch_is_a_tag(stand_in):
    with pytest.raises(CheckpointError, match="no such commit or tag"):
        open_released("owner/name@both")  # it was asked for


NO_NAME = {
    "no revision": ("owner/name", "lacks the revision, on which the numbers depend.*40 hex digits"),
    "an empty one": ("owner/name@", "lacks the revision"),
    "a file of none": ("owner/name:m.ckpt", "lacks the revision"),
    "main": ("owner/name@main", "main is a branch, which moves"),
    "head": ("owner/name@HEAD", "is a branch, which moves"),
    "a reference": ("owner/name@refs/pr/1", "is a branch, which moves"),
    "code": ("owner/name@v1:modeling.py", r"only files of the kinds \.ckpt, \.pt, .* are read"),
    "up": ("owner/name@v1:../../x.ckpt", "named as within its repository"),
    "absolute": ("owner/name@v1:/etc/x.ckpt", "named as within its repository"),
    "a path": ("results/train/m@v1", "^results/train/m@v1 cannot be read: No such file"),
    "a dot": ("./m@v1", "cannot be read: No such file"),
    "spaces": ("owner/na me@v1", "cannot be read: No such file"),
    "letters of elsewhere": ("öwner/name@v1", "cannot be read: No such file"),
    "a zero byte": ("owner/na\x00me@v1", "cannot be read"),
}


@pytest.mark.parametrize("what", NO_NAME)
def test_names_that_are_refused_before_anything_is_asked(what, stand_in):
    text, message = NO_NAME[what]
    with pytest.raises(CheckpointError, match=message) as caught:
        open_released(text)
    assert "\n" not in str(caught.value)
    assert stand_in.asked == []


FAILURES = {
    "missing config": (None, r"has no `config\.json` at this revision; name another"),
    "no repository": (RepositoryNotFoundError("401"), "no local file of this name, and on the hub"),
    "gated": (GatedRepoError("403"), "asks for terms to be accepted"),
    "no revision": (RevisionNotFoundError("404"), "has no such commit or tag"),
    "not cached": (LocalEntryNotFoundError(), "is not in the local cache, and the hub was not"),
    "disk": (OSError(28, "No space left on device"), "OSError: .*No space left on device"),
    "anything": (RuntimeError("first\nsecond"), "RuntimeError: first"),
    "silent": (RuntimeError(), r"RuntimeError: config\.json"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_goes_wrong_at_the_hub_is_one_sentence(what, stand_in):
    stand_in.error, message = FAILURES[what]
    with pytest.raises(CheckpointError, match=message) as caught:
        open_released(f"owner/name@{COMMIT}")
    assert str(caught.value).startswith(f"owner/name@{COMMIT} cannot be read: ")
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_without_the_package_the_line_to_type_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = r"hub needs the package huggingface_hub: pip install 'am-theory\[hub\]'"
    with pytest.raises(CheckpointError, match=message):
        open_released("owner/name@v1")


def test_text_that_is_no_place_at_all():
    with pytest.raises(CheckpointError, match=r"names no place on the hub\. Pin a model"):
        hub.parse("a/b/c")
