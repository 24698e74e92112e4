"""Fine-tunes AnyDepth on your own images and depth maps with transformers' Trainer.

    python examples/finetune_with_trainer.py MODEL DATASET OUTPUT [--any_trainer_option ...]

DATASET is what the `datasets` library reads (Hub id or folder) with the columns "image" and "depth" (in metres, 2-D
array or image, 0 = no label). OUTPUT ends as a complete model: `pipeline("depth-estimation", model=OUTPUT)`.
"""

import sys

import datasets
import numpy as np
import torch
from torch.nn.functional import interpolate
from transformers import HfArgumentParser, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor


def main() -> None:
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    model_name, dataset_name, output_dir, *options = sys.argv[1:]
    processor = AnyDepthImageProcessor.from_pretrained(model_name)
    model = AnyDepthForDepthEstimation.from_pretrained(model_name)  # its encoder is frozen

    def to_batch(rows: list[dict]) -> dict[str, torch.Tensor]:
        pixel_values = processor(images=[row["image"] for row in rows], return_tensors="pt")["pixel_values"]
        depths = [torch.as_tensor(np.asarray(row["depth"], dtype=np.float32)) for row in rows]
        labels = [interpolate(depth[None, None], pixel_values.shape[-2:], mode="nearest")[0, 0] for depth in depths]
        labels = torch.stack(labels)
        if (labels > 0).any() and not ((labels > 0) & (labels <= model.config.max_depth)).any():
            raise ValueError(
                f"All depth is beyond {model.config.max_depth:g} metres; divide it by its values per metre."
            )
        return {"pixel_values": pixel_values, "labels": labels}

    defaults = ["--remove_unused_columns", "false", "--learning_rate", "1e-4", "--report_to", "none"]
    parser = HfArgumentParser(TrainingArguments)
    (arguments,) = parser.parse_args_into_dataclasses(["--output_dir", output_dir, *defaults, *options])
    dataset = datasets.load_dataset(dataset_name, split="train")
    trainer = Trainer(model, arguments, data_collator=to_batch, train_dataset=dataset, processing_class=processor)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(output_dir))
    trainer.save_model()


if __name__ == "__main__":
    main()
