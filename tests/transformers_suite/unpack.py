"""transformers' own common tests: they are not in its wheel, but in the source distribution of the same version."""

import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import filelock
import transformers

from anydepth_hf import BUNDLED_CHECKPOINT

PACKAGE = "transformers_tests"
PHOTOGRAPH = f"{BUNDLED_CHECKPOINT}/coffee.jpg"
# What the suites import besides and the source distribution leaves out.
STUBS = {
    f"{PACKAGE}/__init__.py": "",
    f"{PACKAGE}/exporters/__init__.py": "",
    f"{PACKAGE}/exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    f"{PACKAGE}/generation/__init__.py": "",
    f"{PACKAGE}/generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    f"{PACKAGE}/utils/__init__.py": "",
    f"{PACKAGE}/utils/test_configuration_utils.py": (
        "config_common_kwargs = {'output_hidden_states': True, 'output_attentions': True, 'return_dict': False}\n"
    ),
    # any photograph will do
    "utils/fetch_hub_objects_for_ci.py": f"def url_to_local_path(url):\n    return {PHOTOGRAPH!r}\n",
}


class Unavailable(Exception):
    """Says why there is no suite for the installed transformers."""


def download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-binary", "transformers", "--dest", str(folder), f"transformers=={transformers.__version__}"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Unavailable("no package index answers with transformers' source distribution") from None
    archives = list(folder.glob("transformers-*.tar.gz"))
    if not archives:
        last = (finished.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Unavailable(f"no source distribution of transformers {transformers.__version__}: {last}")
    return archives[0]


def unpack(archive: Path, folder: Path):
    with tarfile.open(archive) as file:
        for member in file.getmembers():
            parts = Path(member.name).parts
            if len(parts) == 3 and parts[1] == "tests" and parts[2].endswith(".py") and member.isfile():
                (folder / PACKAGE).mkdir(exist_ok=True)
                (folder / PACKAGE / parts[2]).write_bytes(file.extractfile(member).read())
    for name, text in STUBS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def suite_folder() -> Path:
    """Folder that holds the suite as the package `transformers_tests`; fetched once a version of transformers."""
    cache = Path.home() / ".cache" / "anydepth-tests"
    edition = zlib.crc32(repr(sorted(STUBS.items())).encode())
    folder = cache / f"transformers-{transformers.__version__}-{edition:08x}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            if not folder.exists():
                with tempfile.TemporaryDirectory(dir=cache) as temporary:
                    (new := Path(temporary) / "suite").mkdir()
                    unpack(download(Path(temporary)), new)
                    new.rename(folder)
    except OSError as error:
        raise Unavailable(f"transformers' tests cannot be kept in {cache}: {error}") from error
    return folder


__all__ = ["PACKAGE", "Unavailable", "suite_folder"]
