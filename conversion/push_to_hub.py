"""Checks a model directory and uploads it to the Hub in one commit.

    python -m conversion.push_to_hub DIRECTORY AIGeeksGroup/AnyDepth --dry-run
    python -m conversion.push_to_hub DIRECTORY AIGeeksGroup/AnyDepth --create --tag v1.0

The directory is a converted or a trained model with a model card (README.md). What is uploaded is first loaded, in a
process of its own, by the code that goes with it, and must give the reference output beside it, which is written where
there is none.
Log in with `hf auth login` or set HF_TOKEN.
"""

import argparse
import glob
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from anydepth_hf.hub_files import content_hash
from anydepth_hf.programs import Mistakes, Parser, one_line
from conversion.hub.exported import ExportedFilesError, show_in_card
from conversion.hub.model_directory import UploadError, add_reference, check, collect_files, matches

# Leftovers of an earlier upload that would be loaded instead of, or beside, the new weights.
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Remote:
    """A branch on the Hub: its last commit and its files; no commit where the repository does not exist."""

    commit: str | None
    files: dict[str, RepoFile]
    branches: frozenset[str] = frozenset()
    tags: tuple[tuple[str, str], ...] = ()


def read_remote(api: HfApi, repo_id: str, revision: str) -> Remote:
    """The branch as it is now; a new branch begins as `main`."""
    try:
        refs = api.list_repo_refs(repo_id)
    except RepositoryNotFoundError:
        return Remote(None, {})
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    commit = branches.get(revision, branches["main"])
    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    return Remote(commit, files, frozenset(branches), tuple((ref.name, ref.target_commit) for ref in refs.tags))


def is_same(path: Path, remote: RepoFile | None) -> bool:
    if remote is None or path.stat().st_size != remote.size:
        return False
    if remote.lfs is None:
        return content_hash(path, "sha1") == remote.blob_id
    return content_hash(path, "sha256") == remote.lfs.sha256


def compare(files: dict[str, Path], remote: Remote) -> dict[str, str]:
    """`new`, `changed`, `same` or `removed` for each file of either side that the upload concerns."""
    states = {}
    for name, path in files.items():
        known = remote.files.get(name)
        states[name] = "new" if known is None else "same" if is_same(path, known) else "changed"
    states |= {name: "removed" for name in remote.files if name not in files and matches(name, WEIGHTS)}
    return states


def describe(files: dict[str, Path], states: dict[str, str], left_out: list[str]) -> str:
    lines = []
    for name, state in states.items():
        size = files[name].stat().st_size if name in files else 0
        lines.append(f"{state:>8}  {size:>13,}  {name}")
    total = sum(path.stat().st_size for path in files.values())
    lines.append(f"{'':>8}  {total:>13,}  bytes in all")
    if left_out:
        lines.append(f"left out (--include takes patterns): {', '.join(left_out)}")
    return "\n".join(lines)


def push(
    directory: Path,
    repo_id: str,
    *,
    api: HfApi,
    revision: str = "main",
    tag: str | None = None,
    create: bool = False,
    private: bool = False,
    include: Iterable[str] = (),
    dry_run: bool = False,
    create_pr: bool = False,
) -> str | None:
    """
    Uploads `directory` to `repo_id` in one commit, or does nothing where the Hub has the same files already.

    Args:
        api: says which Hub and which token.
        revision: branch, made from `main` where it does not exist.
        tag: set on the result; an existing one must be there already.
        create: make the repository, `private` or not, where it does not exist.
        include: patterns of further files of the directory.
        dry_run: check and list, and change nothing on the Hub.
        create_pr: open a pull request instead of committing, as anybody may in a repository that is not theirs.

    Returns:
        The commit on the Hub that now holds the files; `None` in a dry run.

    Raises:
        UploadError: with what to do; the repository is as it was.
    """
    if repo_id.count("/") != 1:
        raise UploadError(f"{repo_id} is no name of a repository on the Hub; give OWNER/NAME.")
    if private and not create:
        raise UploadError("--private goes with --create: a repository that exists stays as public as it is.")
    if create_pr and (tag or create or revision != "main"):
        raise UploadError("A pull request is made to the branch main of a repository that exists, and sets no tag.")
    add_reference(directory)
    try:
        show_in_card(directory, repo_id)
    except ExportedFilesError as error:
        raise UploadError(str(error)) from None
    files, left_out = collect_files(directory, include)
    if not dry_run:
        api.whoami()
    remote = read_remote(api, repo_id, revision)
    if remote.commit is None and not (create or dry_run):
        raise UploadError(
            f"{repo_id} does not exist on {api.endpoint}, or the token may not see it; pass --create to make it."
        )
    states = compare(files, remote)
    changed = [name for name, state in states.items() if state != "same"]
    tagged = dict(remote.tags).get(tag)
    if tagged is not None and (changed or tagged != remote.commit):
        raise UploadError(f"The tag {tag} of {repo_id} belongs to another version ({tagged[:8]}); choose a new tag.")
    print(describe(files, states, left_out))
    if changed or dry_run:
        print(f"{directory}: {check(directory, files)}")
    if dry_run:
        print(f"dry run: {len(changed)} file(s) would change in {repo_id} ({revision}).")
        return None
    commit = remote.commit
    if commit is None:
        api.create_repo(repo_id, private=private)
        commit = read_remote(api, repo_id, revision).commit
    if revision not in remote.branches and revision != "main":
        api.create_branch(repo_id, branch=revision, revision=commit)
    if changed:
        message = f"Upload {', '.join(changed)}" if len(changed) <= 3 else "Upload model, processor, card and code"
        with tempfile.TemporaryDirectory() as folder:  # what is uploaded comes from several places
            for name in files.keys() & changed:
                link = Path(folder, name)
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(files[name].resolve())
            info = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                delete_patterns=[glob.escape(name) for name in changed if name not in files],
                commit_message=message,
                revision=revision,
                parent_commit=commit,
                create_pr=create_pr,
            )
        if create_pr:
            print(f"opened a pull request: {info.pr_url}")
            return info.oid
        commit = info.oid
    if tag is not None and tagged is None:
        api.create_tag(repo_id, tag=tag, revision=commit)
    print(f"{repo_id} ({revision}) is up to date: {api.endpoint}/{repo_id}" + (f", tag {tag}" if tag else ""))
    return commit


def explain(error: Exception, repo_id: str, endpoint: str) -> str:
    """A sentence for an error of the client library."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, LocalTokenNotFoundError) or status == 401:
        known = "has no token" if isinstance(error, LocalTokenNotFoundError) else "does not accept the token"
        return (
            f"{endpoint} {known} for this upload; log in with `hf auth login` or set HF_TOKEN to one that may write."
        )
    if status == 403:
        return f"The token may not write to {repo_id}; ask for write access or use another token."
    if status == 412:
        return f"Somebody committed to {repo_id} meanwhile; run the command again to compare with the new version."
    detail = one_line(error)
    if isinstance(error, HfHubHTTPError):
        return f"{endpoint} refused the request for {repo_id}: {detail}"
    # of an upload in several parts the library says only which file it was about, in a RuntimeError
    if isinstance(error, HTTPError | ConnectionError) or isinstance(error.__cause__, HTTPError | ConnectionError):
        return (
            f"The connection to {endpoint} broke ({detail}); an upload is one commit: {repo_id} is either as it was "
            "or complete: run the command again."
        )
    return detail


def main(argv: list[str] | None = None) -> int:
    """Checks and uploads; 0, or 2 where nothing was uploaded."""
    with Mistakes("push_to_hub.py") as ending:
        options = vars(parse_arguments(argv))
        directory, repo_id, api = options.pop("directory"), options.pop("repo_id"), HfApi()
        try:
            push(directory, repo_id, api=api, **options)
        except (HTTPError, OSError, RuntimeError) as error:
            raise UploadError(explain(error, repo_id, api.endpoint)) from error
    return ending.status


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(prog="python -m conversion.push_to_hub", description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="converted or trained model")
    parser.add_argument("repo_id", help="name on the Hub: owner/model")
    parser.add_argument("--dry-run", action="store_true", help="check and list the files; change nothing on the Hub")
    parser.add_argument("--create", action="store_true", help="make the repository where it does not exist")
    parser.add_argument("--private", action="store_true", help="with --create: make it private")
    parser.add_argument("--revision", default="main", help="branch; made from main where it does not exist")
    parser.add_argument("--tag", help="name for this version, such as v1.0")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing")
    parser.add_argument("--include", nargs="+", default=[], metavar="PATTERN", help="further files of the directory")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
