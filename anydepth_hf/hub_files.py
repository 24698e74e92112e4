"""Files of the Hub, downloaded through `huggingface_hub` and compared with the size and the hash that it states."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from anydepth_cli.sentences import first_line, nearest

from .atomic_write import DISK_FULL
from .originals import is_gated

_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class HubFileError(OSError, ValueError):
    """A file of the Hub that cannot be had; the message is one sentence."""


class HubUnreachable(HubFileError):
    """The Hub cannot be reached, or must not be."""


@dataclass(frozen=True)
class RemoteFile:
    """
    A file as the Hub states it.

    Args:
        repo, name: where it is.
        commit: of the repository.
        size: in bytes.
        digest: SHA-256 of a large file, Git's hash of a small one.
    """

    repo: str
    name: str
    commit: str
    size: int
    digest: str


def look_up(repo: str, names: Sequence[str], revision: str) -> tuple[list[RemoteFile], list[RemoteFile]]:
    """
    What the Hub states about some files of a repository, and about its licence texts.

    Raises:
        HubUnreachable: no network, or offline mode.
        HubFileError: no such repository, revision or file, or no access.
    """
    if is_offline_mode():
        raise HubUnreachable("HF_HUB_OFFLINE is set")
    api = HfApi()
    try:
        info = api.model_info(repo, revision=revision)
        present = [sibling.rfilename for sibling in info.siblings or []]
        licenses = [name for name in present if re.fullmatch(r"LICEN[CS]E(\.\w+)?", name, re.IGNORECASE)]
        found = {entry.path: entry for entry in api.get_paths_info(repo, [*names, *licenses], revision=info.sha)}
    except Exception as error:
        raise explain(error, repo, revision) from error
    for name in names:
        if name not in found:
            close = nearest(name, present, cutoff=0.4)
            raise HubFileError(
                f"{repo} on {constants.ENDPOINT} holds no {name}"
                + (f"; the most similar name there is {close}" if close else "")
                + ". It was renamed or removed: download it by hand and convert it as docs/conversion.md says."
            )

    def remote(name: str) -> RemoteFile:
        entry = found[name]
        return RemoteFile(repo, name, info.sha, entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id)

    return [remote(name) for name in names], [remote(name) for name in licenses]


def download(file: RemoteFile, revision: str) -> Path:
    """
    Downloads a file into the cache of `huggingface_hub`, going on with what an interrupted download left there.

    Args:
        file: as [`look_up`] gave it.
        revision: under which the cache finds it again offline.

    Raises:
        HubFileError: it cannot be downloaded, or is not what the Hub states; it is then removed from the cache.
    """
    try:
        path = Path(hf_hub_download(file.repo, file.name, revision=revision))
    except Exception as error:
        raise explain(error, file.repo, revision) from error
    check(path, file.digest, f"{file.name} of {file.repo}")
    return path


def from_cache(repo: str, name: str, revision: str) -> RemoteFile | None:
    """A file that an earlier download left in the cache, or `None`."""
    try:
        path = Path(hf_hub_download(repo, name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    # a snapshot's links lead to files that are named by their hashes
    digest, commit = path.resolve().name, path.parents[len(Path(name).parts) - 1].name
    return RemoteFile(repo, name, commit, path.stat().st_size, digest if _DIGEST.fullmatch(digest) else "")


def content_hash(path: Path, kind: str) -> str:
    """The hash by which the Hub knows a file's content: `"sha256"` of one stored by LFS, git's `"sha1"` of others."""
    with path.open("rb") as file:
        if kind == "sha256":
            return hashlib.file_digest(file, "sha256").hexdigest()
        blob = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        return hashlib.file_digest(file, lambda: blob).hexdigest()


def check(path: Path, digest: str, title: str):
    """Removes a file and raises [`HubFileError`] where its content does not have the hash that the Hub states."""
    if not digest:
        return
    actual = content_hash(path, "sha256" if len(digest) == 64 else "sha1")
    if actual != digest:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise HubFileError(
            f"{title} arrived with another hash ({actual[:12]}...) than the Hub states ({digest[:12]}...); it was "
            "removed, so run this again, and if it repeats suspect a proxy between you and the Hub."
        )


def explain(error: Exception, repo: str, revision: str) -> HubFileError:
    """An error of `huggingface_hub` as one sentence."""
    page = f"{constants.ENDPOINT}/{repo}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError) or (is_gated(repo) and status in (401, 403)):
        return HubFileError(
            f"{repo} is gated: accept its licence on {page}, then log in with `hf auth login` (or set HF_TOKEN)."
        )
    if isinstance(error, RevisionNotFoundError):
        return HubFileError(f"{page} has no revision {revision}.")
    if isinstance(error, RepositoryNotFoundError):
        return HubFileError(
            f"{page} does not exist, or is private: then log in with `hf auth login` (or set HF_TOKEN)."
        )
    if status in (401, 403):
        return HubFileError(f"{page} refuses the access token; log in anew with `hf auth login` (or set HF_TOKEN).")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return HubFileError(
            f"No space for the files of {repo}: {error.strerror} ({constants.HF_HUB_CACHE}). Free some space or set "
            "HF_HOME to a folder on another disk, and run this again; what has arrived is kept."
        )
    cause = error.__cause__ or error
    reason = first_line(cause).rstrip(".")
    offline = isinstance(error, (HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled))
    if offline and not isinstance(cause, HfHubHTTPError):
        return HubUnreachable(f"{constants.ENDPOINT} cannot be reached ({reason})")
    if isinstance(error, (OSError, HFValidationError)):
        return HubFileError(f"The files of {repo} cannot be downloaded: {reason}.")
    raise error
