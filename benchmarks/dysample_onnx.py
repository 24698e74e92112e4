"""DySample in ONNX Runtime on the CPU: `GridSample` beside gathered rows (`anydepth_hf.export_graph`), one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.dysample_onnx

Processor seconds, least of the runs, with offsets of several pixels. Needs the extra `export`.
"""

import argparse
import copy
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch

from anydepth_hf.export_graph import gathering
from anydepth_hf.modeling_sdt import DySample
from anydepth_hf.onnx_predictor import open_session
from anydepth_hf.quiet import quiet_exporters


def export(layer: torch.nn.Module, features: torch.Tensor, path: Path) -> onnxruntime.InferenceSession:
    with quiet_exporters():
        torch.onnx.export(layer, (features,), dynamo=True, input_names=["features"]).save(path)
    return open_session(path, threads=1)


@torch.no_grad()
def measure(channels: int, side: int, runs: int, folder: Path) -> tuple[float, float, float]:
    """Seconds with GridSample and gathered, and the largest difference between the two."""
    torch.manual_seed(0)
    layer = DySample(channels).eval()
    for convolution in (layer.offset, layer.scope):
        torch.nn.init.normal_(convolution.weight, std=0.3)
    features = torch.randn(1, channels, side, side)
    sessions = [export(layer, features, folder / "grid.onnx")]
    gathered = torch.nn.Sequential(copy.deepcopy(layer))
    with gathering(gathered):
        sessions.append(export(gathered, features, folder / "gather.onnx"))
    times, outputs = [[], []], [None, None]
    for step in range(runs + 1):
        for index, session in enumerate(sessions):
            start = time.process_time()
            (outputs[index],) = session.run(None, {"features": features.numpy()})
            if step:
                times[index].append(time.process_time() - start)
    return min(times[0]), min(times[1]), float(abs(outputs[0] - outputs[1]).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"onnxruntime {onnxruntime.__version__}, processor seconds, least of {args.runs}")
    print("channels  input    GridSample  gathered  ratio  largest difference")
    with tempfile.TemporaryDirectory() as temporary:
        # the last step of the compact SDT at 512x512, its second, and the third of the paper's SDT
        for channels, side in ((32, 256), (128, 64), (256, 128)):
            grid, gather, difference = measure(channels, side, args.runs, Path(temporary))
            row = (
                f"{channels:<9} {side}x{side:<5} {grid:>9.3f} {gather:>9.3f} {grid / gather:>6.2f}{difference:>11.1e}"
            )
            print(row, flush=True)


if __name__ == "__main__":
    main()
