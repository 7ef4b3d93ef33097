"""Models of the Hugging Face hub: the few files that we read, at a revision that cannot move.

    owner/name@revision             config.json and the weights: model.safetensors, else its shards
                                    by their index, else pytorch_model.bin
    owner/name@revision:FILE        one file, such as runs/best.ckpt or weights.safetensors; of a
                                    checkpoint of ours its .json, whose .safetensors comes along

The revision is the 40 hex digits of a commit, or a tag; numbers depend on it, so there is no
default. Nothing but those files is fetched and none is executed: code that a repository brings
along is never looked at. Fetched files stay in the hub's cache and serve without a network
(`HF_HUB_OFFLINE=1` asks for that). Needs the extra `hub`.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from models.errors import CheckpointError
from models.extras import optional
from models.released.files.folder import BIN, CONFIG, SAFE, SAFE_INDEX, shards_of

KINDS = (".ckpt", ".pt", ".pth", ".bin", ".safetensors", ".json")
COMMIT = re.compile(r"[0-9a-f]{40}")
PLACE = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([^:\s]*))?(?::(.+))?", re.ASCII)
HOW = (
    "Pin a model of the Hugging Face hub as owner/name@REVISION, REVISION being the 40 hex digits "
    "of a commit (on the hub under Files, History) or a tag"
)


class Place(NamedTuple):
    """A repository of the hub, its revision, and one file, or None for a folder as UDLM's."""

    repo: str
    revision: str
    file: str | None

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" + (f":{self.file}" if self.file else "")


class Fetched(NamedTuple):
    """Where the files are now, a folder or one file, and the commit they are of."""

    path: Path
    commit: str


def is_hub_name(text: str) -> bool:
    """Whether a name that no local file has may be one of the hub's.

    >>> is_hub_name("owner/name@v1"), is_hub_name("results/train/chain"), is_hub_name("m.ckpt")
    (True, False, False)
    """
    return PLACE.fullmatch(text) is not None


def parse(text: str) -> Place:
    """The place that `text` names.

    Raises CheckpointError, one sentence, without a revision, for one that moves, and for a file
    of another kind than those that are read.

    >>> parse("owner/name@v1.0:runs/best.ckpt")
    Place(repo='owner/name', revision='v1.0', file='runs/best.ckpt')
    """
    found = PLACE.fullmatch(text)
    if found is None:
        raise CheckpointError(f"{text} names no place on the hub. {HOW}.")
    repo, revision, file = found.groups()
    if not revision:
        raise CheckpointError(
            f"{text} cannot be read: there is no local file of this name, and for the hub it lacks "
            f"the revision, on which the numbers depend. {HOW}."
        )
    if revision in ("main", "HEAD") or revision.startswith("refs/"):
        raise CheckpointError(
            f"{text} cannot be read: {revision} is a branch, which moves, and the numbers with it. "
            f"{HOW}."
        )
    if file is not None and not file.endswith(KINDS):
        raise CheckpointError(f"{text}: only files of the kinds {', '.join(KINDS)} are read.")
    if file is not None and (file.startswith("/") or ".." in PurePosixPath(file).parts):
        raise CheckpointError(f"{text}: the file must be named as within its repository.")
    return Place(repo, revision, file)


def fetch(place: Place) -> Fetched:
    """The files of `place`, from the cache where they are there, else from the network.

    Raises CheckpointError, one sentence, for what does not exist, is not allowed or cannot be
    reached, for a branch (as far as the hub can be asked), and without the package.
    """
    needed = f"reading {place} from the Hugging Face hub"
    hub = optional("huggingface_hub", "hub", needed, CheckpointError)
    if not COMMIT.fullmatch(place.revision):
        _refuse_branches(hub, place)
    if place.file is not None:
        first = _get(hub, place, place.file, place.revision)
        commit = first.parents[len(PurePosixPath(place.file).parts) - 1].name
        if place.file.endswith(".json"):
            _get(hub, place, place.file.removesuffix(".json") + ".safetensors", commit)
        return Fetched(first, commit)
    root = _get(hub, place, CONFIG, place.revision).parent
    # the commit: whatever a tag does now, all files are of one
    if _there(hub, place, SAFE, root.name):
        return Fetched(root, root.name)
    if _there(hub, place, SAFE_INDEX, root.name):
        for name in shards_of(root / SAFE_INDEX):
            _get(hub, place, name, root.name)
    elif not _there(hub, place, BIN, root.name):
        _get(hub, place, SAFE, root.name)  # says what is not there
    return Fetched(root, root.name)


def _get(hub: Any, place: Place, name: str, revision: str) -> Path:
    """Where a file is now."""
    try:
        return Path(hub.hf_hub_download(place.repo, name, revision=revision))
    except Exception as error:  # of that library, its network or the disk
        raise CheckpointError(f"{place} cannot be read: {_why(error, name)}.") from error


def _there(hub: Any, place: Place, name: str, revision: str) -> bool:
    """Fetch a file that the repository may not have; whether it has it."""
    try:
        hub.hf_hub_download(place.repo, name, revision=revision)
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "EntryNotFoundError" in kinds:  # also where a cache without a network lacks it
            return False
        raise CheckpointError(f"{place} cannot be read: {_why(error, name)}.") from error
    return True


def _refuse_branches(hub: Any, place: Place) -> None:
    """A name that is a branch at the hub; where that cannot be asked, the cache decides."""
    try:
        refs = hub.HfApi().list_repo_refs(place.repo)
    except Exception:  # no network, or no such repository: the download says which
        return
    tags = {ref.name for ref in refs.tags}
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    if place.revision in branches and place.revision not in tags:
        raise CheckpointError(
            f"{place} cannot be read: {place.revision} is a branch, which moves, and the numbers "
            f"with it. It is now at {place.repo}@{branches[place.revision]}."
        )


def _why(error: Exception, name: str) -> str:
    """What went wrong, by the names of that library's errors, which its versions share."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        return "its owner asks for terms to be accepted on the hub, and for `hf auth login` here"
    if "RepositoryNotFoundError" in kinds:
        return (
            "there is no local file of this name, and on the hub no such repository or a private "
            "one (`hf auth login`)"
        )
    if "RevisionNotFoundError" in kinds:
        return "the repository has no such commit or tag"
    if "LocalEntryNotFoundError" in kinds or "OfflineModeIsEnabled" in kinds:
        return (
            f"`{name}` of this revision is not in the local cache, and the hub was not reached (no "
            "network, or HF_HUB_OFFLINE is set)"
        )
    if "EntryNotFoundError" in kinds:
        other = ", ".join(f":FILE{kind}" for kind in KINDS)
        return f"the repository has no `{name}` at this revision; name another by {other}"
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else name}"
