"""Training states on disk: complete or absent, the newest few kept, and only resumed by the run they belong to."""

import dataclasses
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors import SafetensorError, safe_open

from anydepth_hf.atomic_write import LEFTOVERS, publish_directory, remove_directory, shared_temporary_name
from anydepth_hf.programs import one_line
from training.trainer.arguments import RENAMED_OPTIONS, TrainArguments
from training.trainer.ema import WeightAverage

STATE_FILE = "trainer_state.json"
# Options that change no number of the training: a resumed run may differ in them.
FREE_OPTIONS = {
    "output_dir", "resume", "checkpoint_steps", "keep_checkpoints", "validation_dataset", "validation_samples",
    "validations", "pictures", "num_workers", "trackers", "profile_steps", "push_to_hub", "hub_model_id",
    "hub_private_repo", "logging_steps",
}  # fmt: skip


@dataclasses.dataclass
class TrainState:
    """
    What a checkpoint holds besides the tensors.

    Attributes:
        step, minutes: done so far.
        epoch, batch: the loader's position.
        best: lowest validation AbsRel. validations: how many validations were due so far.
        pending_losses: of the forward passes since the last log line.
        ema_updates: of the weight average.
    """

    step: int = 0
    minutes: float = 0.0
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    validations: int = 0
    pending_losses: list[float] = dataclasses.field(default_factory=list)
    ema_updates: int = 0


def describe_run(arguments: TrainArguments, model_config: dict, accelerator: Accelerator, num_batches: int) -> dict:
    """Everything that decides a run's numbers, as plain JSON values."""
    options = {k: v for k, v in dataclasses.asdict(arguments).items() if k not in FREE_OPTIONS}
    run = {
        **options,
        "mixed_precision": str(accelerator.mixed_precision),
        "number of processes": accelerator.num_processes,
        "distributed type": accelerator.distributed_type.value,
        "batches in an epoch": num_batches,
        "model config": model_config,
    }
    return json.loads(json.dumps(run, default=str))


class Checkpoints:
    """
    `output_dir/checkpoints/step-XXXXXXXX` directories.

    A checkpoint is written to a temporary name, forced to the disk and renamed: whatever kills the process, a
    directory of the final name is complete. Every process calls every method.
    """

    def __init__(self, directory: Path, run: dict, keep: int, accelerator: Accelerator, ema: WeightAverage | None):
        self.directory, self.run, self.keep = directory, run, keep
        self.accelerator, self.ema = accelerator, ema
        accelerator.register_save_state_pre_hook(_make_contiguous)
        if accelerator.is_main_process:
            directory.mkdir(parents=True, exist_ok=True)
            for leftover in directory.glob(LEFTOVERS):  # of a run that was killed while saving
                shutil.rmtree(leftover, ignore_errors=True)
        accelerator.wait_for_everyone()

    def existing(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(path for path in self.directory.glob("step-*") if path.is_dir())

    def save(self, state: TrainState) -> bool:
        """Writes a checkpoint; False, with nothing left behind, if a process could not (disk full, quota)."""
        state.ema_updates = self.ema.updates if self.ema else 0
        final = self.directory / f"step-{state.step:08d}"
        if final.exists():
            return True
        temporary = shared_temporary_name(final)
        error = ""
        try:
            self.accelerator.save_state(str(temporary))
            if self.accelerator.is_main_process:
                if self.ema is not None:
                    self.ema.save(temporary / "ema.safetensors")
                files = sorted(path for path in temporary.rglob("*") if path.is_file())
                sums = {str(file.relative_to(temporary)): _checksum(file) for file in files}
                content = {"state": dataclasses.asdict(state), "run": self.run, "crc32": sums}
                (temporary / STATE_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")
        except Exception as exception:  # torch and safetensors each raise their own type when a write fails
            error = f"{type(exception).__name__}: {exception}"
        errors = [message for message in gather_object([error]) if message]
        if self.accelerator.is_main_process:
            if errors:
                shutil.rmtree(temporary, ignore_errors=True)
                kept = self.existing()
                self.accelerator.print(
                    f"Could not save {final}: {errors[0]}. "
                    + (f"The last good checkpoint is {kept[-1]}." if kept else "There is no checkpoint yet.")
                )
            else:
                publish_directory(temporary, final)
                for outdated in self.existing()[: -self.keep]:
                    remove_directory(outdated)
        self.accelerator.wait_for_everyone()
        return not errors

    def resume(self) -> TrainState:
        """
        Loads the newest checkpoint that is whole; says which newer ones are damaged, and names them `damaged-step-X`.

        Raises:
            ValueError: it belongs to another run, with each difference, or all checkpoints are damaged.
        """
        damaged = []
        for path in reversed(self.existing()):
            error, content = "", {}
            try:
                content = self._read_state(path)
            except DamagedCheckpoint as exception:
                error = str(exception)
            errors = [message for message in gather_object([error]) if message]
            if not errors:
                break
            damaged.append(errors[0])
            self.accelerator.print(f"{errors[0]}; trying an older checkpoint.")
        else:
            raise ValueError(
                f"{damaged[0]}, and no other checkpoint is whole: give another --output_dir to start again"
                if len(damaged) == 1
                else f"all {len(damaged)} checkpoints are damaged, the newest: {damaged[0]}"
            )
        saved = {RENAMED_OPTIONS.get(name, name): value for name, value in content["run"].items()}
        differences = _differences(saved, self.run)
        if differences:
            raise ValueError(
                f"{path} belongs to another run and cannot be resumed with these options: {'; '.join(differences)}. "
                "Give the same options, or another --output_dir (--model starts from trained weights)"
            )
        self.accelerator.load_state(str(path))
        state = TrainState(**content["state"])
        if self.ema is not None:
            self.ema.load(path / "ema.safetensors", state.ema_updates)
        if damaged and self.accelerator.is_main_process:
            for later in self.existing():  # of the steps that come again; a damaged one would stand in their way
                if later > path:
                    publish_directory(later, later.with_name(f"damaged-{later.name}"), replace=True)
        self.accelerator.wait_for_everyone()
        return state

    def _read_state(self, path: Path) -> dict:
        """What `trainer_state.json` says; the main process compares every file beside it with the sums in it.

        Raises:
            DamagedCheckpoint: names the file.
        """
        try:
            content = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
            content["run"].items()
            TrainState(**content["state"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedCheckpoint(f"{path / STATE_FILE} is damaged ({one_line(error)})") from None
        if not self.accelerator.is_main_process:
            return content
        sums = content.get("crc32", {})  # checkpoints of earlier versions have none
        for name, expected in sums.items():
            try:
                found = _checksum(path / name)
            except OSError as error:
                raise DamagedCheckpoint(one_line(error)) from None
            if found != expected:
                raise DamagedCheckpoint(f"{path / name} is damaged: its bytes are not those that were written")
        if not sums:
            _check_readable(path)
        return content


class DamagedCheckpoint(ValueError):
    """A file of a checkpoint is missing or not what was written; the message begins with its name."""


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _check_readable(path: Path) -> None:
    """Reads what a checkpoint without sums holds. Raises `DamagedCheckpoint`."""
    for file in sorted(path.rglob("*")):
        try:
            if file.suffix == ".safetensors":
                with safe_open(file, "pt") as tensors:
                    tensors.keys()
            elif zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    if broken := archive.testzip():
                        raise ValueError(f"the record {broken}")
            elif file.suffix in (".bin", ".pt", ".pkl") and file.stat().st_size == 0:
                raise ValueError("it is empty")
        except (OSError, ValueError, SafetensorError, zipfile.BadZipFile) as error:
            raise DamagedCheckpoint(f"{file} is damaged ({one_line(error)})") from None


def _make_contiguous(models: list, weights: list[dict[str, torch.Tensor]], directory: str) -> None:
    """safetensors refuses other memory formats, such as channels_last."""
    for state in weights:
        state.update({name: value.contiguous() for name, value in state.items()})


def _differences(saved: dict, current: dict, prefix: str = "") -> list[str]:
    found = []
    for key in sorted({*saved, *current}):
        before, now = saved.get(key), current.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            found += _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            found.append(f"{prefix}{key} was {before!r}, is {now!r}")
    return found


def seed_pass(*key: int) -> None:
    """Makes the randomness of a forward pass (dropout, jitter) a function of `key`: there is nothing to restore."""
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))
