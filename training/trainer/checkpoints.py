"""Training states on disk: complete or absent, the newest few kept, and only resumed by the run they belong to."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from training.trainer.arguments import RENAMED_OPTIONS, TrainArguments
from training.trainer.ema import WeightAverage

STATE_FILE = "trainer_state.json"
# Options that change no number of the training: a resumed run may differ in them.
FREE_OPTIONS = {
    "output_dir", "resume", "checkpoint_steps", "keep_checkpoints", "validation_dataset", "validation_samples",
    "validations", "pictures", "num_workers", "trackers", "profile_steps", "push_to_hub", "hub_model_id",
    "logging_steps",
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
    return json.loads(
        json.dumps(
            {
                **options,
                "mixed_precision": str(accelerator.mixed_precision),
                "number of processes": accelerator.num_processes,
                "distributed type": accelerator.distributed_type.value,
                "batches in an epoch": num_batches,
                "model config": model_config,
            },
            default=str,
        )
    )


class Checkpoints:
    """
    `output_dir/checkpoints/step-XXXXXXXX` directories.

    A checkpoint is written to a temporary name, forced to the disk and renamed: whatever kills the process, a
    directory of the final name is complete. Every process calls every method.
    """

    def __init__(self, directory: Path, run: dict, keep: int, accelerator: Accelerator, ema: WeightAverage | None):
        self.directory, self.run, self.keep = directory, run, max(1, keep)
        self.accelerator, self.ema = accelerator, ema
        accelerator.register_save_state_pre_hook(_make_contiguous)
        if accelerator.is_main_process:
            directory.mkdir(parents=True, exist_ok=True)
            for leftover in directory.glob("writing-*"):  # of a run that was killed while saving
                shutil.rmtree(leftover, ignore_errors=True)
        accelerator.wait_for_everyone()

    def existing(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(path for path in self.directory.glob("step-*") if (path / STATE_FILE).is_file())

    def save(self, state: TrainState) -> bool:
        """Writes a checkpoint; False, with nothing left behind, if a process could not (disk full, quota)."""
        state.ema_updates = self.ema.updates if self.ema else 0
        final = self.directory / f"step-{state.step:08d}"
        if final.exists():
            return True
        temporary = self.directory / f"writing-step-{state.step:08d}"
        error = ""
        try:
            self.accelerator.save_state(str(temporary))
            if self.accelerator.is_main_process:
                if self.ema is not None:
                    self.ema.save(temporary / "ema.safetensors")
                content = {"state": dataclasses.asdict(state), "run": self.run}
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
                _flush_to_disk(temporary)
                os.rename(temporary, final)
                for outdated in self.existing()[: -self.keep]:
                    _remove_atomically(outdated)
        self.accelerator.wait_for_everyone()
        return not errors

    def resume(self) -> TrainState:
        """
        Loads the newest checkpoint.

        Raises:
            ValueError: it belongs to another run; the sentence lists each difference.
        """
        newest = self.existing()[-1]
        content = json.loads((newest / STATE_FILE).read_text(encoding="utf-8"))
        saved = {RENAMED_OPTIONS.get(name, name): value for name, value in content["run"].items()}
        differences = _differences(saved, self.run)
        if differences:
            raise ValueError(
                f"{newest} belongs to another run and cannot be resumed with these options: {'; '.join(differences)}. "
                "Give the same options, or another --output_dir (--model starts from trained weights)"
            )
        self.accelerator.load_state(str(newest))
        state = TrainState(**content["state"])
        if self.ema is not None:
            self.ema.load(newest / "ema.safetensors", state.ema_updates)
        return state


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


def _flush_to_disk(directory: Path) -> None:
    """fsync of every file and folder: a rename must not reach the disk before what it names."""
    for path in [*directory.rglob("*"), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_atomically(directory: Path) -> None:
    """Out of sight first: a half-deleted checkpoint must not look complete."""
    trash = directory.with_name(f"writing-{directory.name}")
    os.rename(directory, trash)
    shutil.rmtree(trash, ignore_errors=True)


def seed_pass(*key: int) -> None:
    """Makes the randomness of a forward pass (dropout, jitter) a function of `key`: there is nothing to restore."""
    torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))
