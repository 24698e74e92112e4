#!/usr/bin/env bash
# Measures everything that needs a GPU, in at most eight minutes on one H100, and fills docs/results.md.
# In the checkout, once before (the wheel of torch for the machine's CUDA):  pip install torch==2.13.0 -e '.[train]'
#   bash benchmarks/gpu.sh                              results in benchmarks/results/gpu
#   bash benchmarks/gpu.sh --smoke --output /tmp/smoke  the same code on the CPU, at sizes that say nothing
set -euo pipefail
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
python -m benchmarks.gpu "$@"
case " $* " in *" --smoke "*) ;; *) python -m benchmarks.results_page ;; esac
