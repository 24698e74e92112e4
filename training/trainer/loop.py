"""The training run: `Trainer.train` is the loop, `_training_step` the recipe, the rest what they need around them."""

import math
from collections.abc import Iterator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

import torch
from accelerate.utils import set_seed
from torch.profiler import record_function

from anydepth_hf.environment import describe_environment
from training.trainer.accelerator import build_accelerator, is_sharded, start_trackers
from training.trainer.arguments import TrainArguments
from training.trainer.checkpoints import Checkpoints, TrainState, describe_run, seed_pass
from training.trainer.data import build_loader, build_validation_samples
from training.trainer.ema import WeightAverage
from training.trainer.model import build_model, build_processor, freeze_unreached, parameter_groups
from training.trainer.monitoring import LossWindow, Meter, MetricsFile, write_record
from training.trainer.profiling import profile_training
from training.trainer.saved_model import check_hub, model_card, push_to_hub, save_best, save_model
from training.trainer.schedule import Clock, learning_rate_factor, signals_blocked
from training.trainer.validation import Validator

STOPPED_STATUS = 143  # 128 + SIGTERM: stopped, not finished


class Trainer:
    """One process of a run. Raises ValueError, before anything is trained, for whatever makes the run impossible."""

    def __init__(self, arguments: TrainArguments):
        self.arguments, self.directory = arguments, Path(arguments.output_dir)
        self.accelerator = build_accelerator(arguments)
        self._refuse_other_runs()
        if arguments.push_to_hub:
            arguments.hub_model_id = check_hub(arguments)
        set_seed(arguments.seed)
        self._build_model()
        self.loader = build_loader(arguments, self.model.config, self.accelerator)
        self.processor = build_processor(arguments, self.model.config)
        samples, self.validator = build_validation_samples(arguments), None
        if samples:
            folder = self.directory / "pictures"
            self.validator = Validator(samples, self.processor, self.accelerator, folder, arguments.pictures)

        run = describe_run(arguments, self.model.config.to_dict(), self.accelerator, len(self.loader))
        folder = self.directory / "checkpoints"
        self.checkpoints = Checkpoints(folder, run, arguments.keep_checkpoints, self.accelerator, self.ema)
        resumes = arguments.resume and bool(self.checkpoints.existing())
        self.state = self.checkpoints.resume() if resumes else TrainState()
        self.loader.set_position(self.state.epoch, self.state.batch)
        steps = math.ceil(arguments.num_epochs * len(self.loader) / arguments.gradient_accumulation_steps)
        self.clock = Clock(arguments.max_steps or steps, arguments.max_minutes, self.state.step, self.state.minutes)
        passes = min(len(self.loader), (arguments.max_steps or steps) * arguments.gradient_accumulation_steps)
        self.window = LossWindow(self.accelerator, self.state.pending_losses, self.model.config.max_depth, passes)
        resumed_step = self.state.step if resumes else None
        if self.accelerator.is_main_process:
            self.environment = describe_environment()
            write_record(self.directory, arguments.to_yaml(), self.environment)
            self.metrics = MetricsFile(self.directory / "metrics.jsonl", resumed_step)
        start_trackers(self.accelerator, arguments, resumed_step)

    def train(self) -> int:
        """Trains to the end, or until a signal asks to leave. Returns the exit status."""
        try:
            with closing(self._batches()) as batches:
                return self._train(batches)
        finally:
            self.loader = None  # ends the reading processes, which signals do not
            # DDP must go before the process group: as the group's last owner it can wait for a thread for ever
            self.prepared = None
            self.accelerator.free_memory()
            self.accelerator.end_training()

    def _train(self, batches: Iterator[tuple]) -> int:
        arguments, clock = self.arguments, self.clock
        if arguments.profile_steps:
            profile_training(self, partial(self._training_step, batches, Meter(clock)), arguments.profile_steps)
            return 0
        if self.validator and clock.step == 0:
            self._validate()
        saved = True
        with closing(Meter(clock, shown=self.accelerator.is_main_process)) as meter:
            while not clock.finished and not clock.must_leave:
                self._training_step(batches, meter)
                clock.tick()
                meter.update()
                if clock.step % arguments.logging_steps == 0 or clock.finished:
                    self._log(meter)
                if self.validator and clock.progress * arguments.validations >= self.state.validations:
                    self._validate()
                    meter.restart()
                if clock.step % arguments.checkpoint_steps == 0 or clock.finished or clock.must_leave:
                    saved = self._save_checkpoint()
                    meter.restart()
        if clock.finished:
            return 0 if self._finish() else 1
        self.accelerator.print(f"Left after step {clock.step} on a signal; --resume goes on from there.")
        return STOPPED_STATUS if saved else 1

    def _training_step(self, batches: Iterator[tuple], meter: Meter) -> None:
        """One update of the weights from `gradient_accumulation_steps` batches. Nothing here waits for the device."""
        arguments, accelerator, optimizer = self.arguments, self.accelerator, self.optimizer
        factor = learning_rate_factor(self.clock.progress, arguments.schedule, arguments.warmup_ratio, arguments.power)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        for pass_index in range(arguments.gradient_accumulation_steps):
            with record_function("data"), meter.waiting():
                pixel_values, labels, names = next(batches)
            seed_pass(arguments.seed, self.clock.step, pass_index, accelerator.process_index)
            with accelerator.accumulate(self.prepared):
                with record_function("forward"):
                    loss = self.prepared(pixel_values=pixel_values, labels=labels).loss
                self.window.add(loss, labels, self.clock.step, names)
                if accelerator.device.type == "cpu":  # costs nothing there: stop before NaN goes backward
                    self.window.flush()
                with record_function("backward"):
                    accelerator.backward(loss)
                with record_function("optimizer"):
                    if accelerator.sync_gradients and arguments.max_grad_norm:
                        self.grad_norm = accelerator.clip_grad_norm_(self.trained, arguments.max_grad_norm)
                    optimizer.step()
                    optimizer.zero_grad()
            meter.images += len(names) * accelerator.num_processes
        if self.ema:
            self.ema.update()

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[str]]]:
        """Batches on the device, epoch after epoch, from the loader's position on."""
        layout = torch.channels_last if self.arguments.channels_last else torch.contiguous_format
        device = self.accelerator.device
        while True:
            epoch = iter(self.loader)
            with signals_blocked():  # the reading processes start with the first batch
                batch = next(epoch, None)
            while batch is not None:
                pixel_values = batch["pixel_values"].to(device, non_blocking=True, memory_format=layout)
                yield pixel_values, batch["labels"].to(device, non_blocking=True), batch["name"]
                batch = next(epoch, None)

    def _refuse_other_runs(self) -> None:
        if self.directory.exists() and not self.directory.is_dir():
            raise ValueError(f"--output_dir {self.directory} is a file; give a folder, new or of an earlier run")
        started = any(self.directory.glob("checkpoints/step-*"))
        if started and not self.arguments.resume:
            raise ValueError(f"{self.directory} holds a run: --resume goes on with it, or give another --output_dir")
        if not started and (self.directory / "config.json").exists():
            what = "a model and no checkpoint to go on from"
            raise ValueError(
                f"{self.directory} holds {what}; give another --output_dir (--model starts from its weights)"
            )
        self.accelerator.wait_for_everyone()

    def _build_model(self) -> None:
        """`model` as it is, `prepared` by Accelerate, its `trained` parameters, `optimizer` and `ema` (or None)."""
        arguments, accelerator = self.arguments, self.accelerator
        model = build_model(arguments)
        if accelerator.num_processes > 1:
            freeze_unreached(model)
            if accelerator.device.type == "cuda":
                model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
        if arguments.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        total = sum(parameter.numel() for parameter in model.parameters())
        count = sum(parameter.numel() for parameter in self.trained)
        accelerator.print(f"Training {count / 1e6:.2f} M of {total / 1e6:.2f} M parameters.")
        optimizer = torch.optim.AdamW(
            parameter_groups(model, arguments.learning_rate, arguments.encoder_learning_rate),
            lr=arguments.learning_rate,
            betas=(0.9, arguments.adam_beta2),
            weight_decay=arguments.weight_decay,
            fused=accelerator.device.type == "cuda",
        )
        self.prepared, self.optimizer = accelerator.prepare(model, optimizer)
        self.model = accelerator.unwrap_model(self.prepared, keep_torch_compile=False)
        if is_sharded(accelerator):
            self.trained = [parameter for parameter in self.prepared.parameters() if parameter.requires_grad]
        self.ema = WeightAverage(self.model, arguments.ema_decay) if arguments.ema_decay else None
        self.grad_norm = None

    def _averaged(self):
        return self.ema.applied() if self.ema else nullcontext()

    def _log(self, meter: Meter) -> None:
        """The means since the last log line, into metrics.jsonl, the trackers and the progress bar."""
        self.window.flush()
        values = {"loss": self.window.clear(), "learning_rate": self.optimizer.param_groups[0]["lr"]}
        if self.grad_norm is not None:
            values["grad_norm"] = float(self.grad_norm)
        if self.loader.skipped:
            values["skipped_samples"] = len(self.loader.skipped)
        if self.accelerator.device.type == "cuda":
            values["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        self._record({"epoch": self.loader.epoch, **values, **meter.read()})
        meter.show(loss=values["loss"])

    def _validate(self) -> None:
        self.window.flush()  # a NaN stops here, with its samples
        with self._averaged():
            results = self.validator(self.model, self.clock.step)
        self.state.validations = math.floor(self.clock.progress * self.arguments.validations) + 1
        self._record(results)
        text = ", ".join(f"{name.removeprefix('val/')} {value:.4f}" for name, value in results.items())
        self.accelerator.print(f"\nValidation after step {self.clock.step}: {text}")
        if self.clock.step and (self.state.best is None or results["val/abs_rel"] < self.state.best):
            self.state.best = results["val/abs_rel"]
            save_best(self.directory, self.clock.step, self.accelerator, partial(self._save_model, results))

    def _record(self, values: dict) -> None:
        if self.accelerator.is_main_process:
            self.metrics.append({"step": self.clock.step, "minutes": round(self.clock.minutes, 3), **values})
        self.accelerator.log(values, step=self.clock.step)

    def _save_checkpoint(self) -> bool:
        self.state.pending_losses = self.window.flush()
        self.state.step, self.state.minutes = self.clock.step, self.clock.minutes
        self.state.epoch, self.state.batch = self.loader.epoch, self.loader.batch
        return self.checkpoints.save(self.state)

    def _save_model(self, validation: dict | None, directory: Path) -> bool:
        """A complete model in `directory`; with the averaged weights where there are any."""
        card = None
        if self.accelerator.is_main_process:
            run = self.arguments, self.clock, self.accelerator, self.environment["device"]
            card = model_card(self.model.config, *run, validation)
        with self._averaged():
            return save_model(self.model, self.prepared, self.processor, card, directory, self.accelerator)

    def _finish(self) -> bool:
        validation = None
        if self.accelerator.is_main_process:
            validation = next((line for line in reversed(self.metrics.read()) if "val/abs_rel" in line), None)
        if not self._save_model(validation, self.directory):
            self.accelerator.print("The training is done; --resume writes the model from the last checkpoint.")
            return False
        self.accelerator.print(f"The trained model is {self.directory}.")
        if self.arguments.push_to_hub and self.accelerator.is_main_process:
            return push_to_hub(self.arguments)
        return True
