"""What `anydepth predict` tells about its inputs."""

import json
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from anydepth_cli.sentences import one_line

from .inputs import Source
from .processes import Processes


def noun(sources: Collection[Source], count: int = 2) -> str:
    """What to call inputs, by what they are and how many."""
    kinds = {source.video for source in sources}
    name = "input" if len(kinds) > 1 else "video" if kinds == {True} else "image"
    return name + "s" * (count > 1)


def own_path(path: Path, processes: Processes) -> Path:
    """The file of this process where several would write one."""
    return path if processes.count == 1 else path.with_name(f"{path.stem}.{processes.rank}{path.suffix}")


class Report:
    """
    What became of each picture and video: lines of JSON while it runs, the failures at the end.

    Raises:
        FileExistsError: the file exists, is no earlier report and may not be replaced.
    """

    def __init__(self, path: Path | None, processes: Processes, overwrite: bool = False):
        self.processes = processes
        self.failures: list[tuple[str, str]] = []
        self.written: list[Source] = []
        self.file = None
        if path is not None:
            path = own_path(path, processes)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and not overwrite:
                with open(path, "rb") as file:
                    if file.read(10) not in (b"", b'{"input": '):
                        raise FileExistsError(f"{path} exists and is no report; --overwrite replaces it.")
            self.file = open(path, "w", encoding="utf-8")

    def succeeded(self, source: Source, paths: dict[str, Path], damage: str | None = None):
        """An input has its files; some frames of a damaged video are not its own, as a sentence says."""
        self.written.append(replace(source, data=None))  # a function cannot go to another process
        about = {"input": source.name, "status": "damaged" if damage else "written"}
        about["files"] = [str(path) for path in paths.values()]
        if damage:
            self.failures.append((source.name, damage))
            about["error"] = damage
        self._line(**about)

    def failed(self, source: Source, error: BaseException):
        """An input has none, and why."""
        reason = one_line(error)
        self.failures.append((source.name, reason))
        self._line(input=source.name, status="failed", error=reason)

    def finish(self, sources: list[Source], plan: dict[Source, dict[str, Path]], output_dir: Path, kind: str) -> int:
        """Prints the sums of all processes; returns the exit status, the same in each."""
        if self.file is not None:
            self.file.close()
        parts = self.processes.gather((self.written, self.failures))
        written = [source for part, _ in parts for source in part]
        damaged = {source.name for source in written} & {name for _, part in parts for name, _ in part}
        failures = [failure for _, part in parts for failure in part]
        if self.processes.is_main:
            if written:
                names = ", ".join(map(str, next(iter(plan.values())).values())) if len(plan) == 1 else output_dir
                print(f"Wrote {kind} of {len(written)} {noun(written, len(written))} to {names}")
            if failures:
                what = f"{len(failures)} of {len(sources)} {noun(sources)}"
                print(f"anydepth predict: {what} failed{' or are damaged' * bool(damaged)}:", file=sys.stderr)
                for name, reason in failures:
                    print(f"  {reason if name in reason else f'{name}: {reason}'}", file=sys.stderr)
        return int(bool(failures))

    def _line(self, **values):
        if self.file is not None:
            self.file.write(json.dumps(values, ensure_ascii=False) + "\n")
            self.file.flush()
