#!/usr/bin/env bash
# Repeats samodal-nano from nothing: data, four trainings, the bundled folder, its scores. Hours on two cores.
# Cut off and started again, it goes on where it was. Usage: scripts/train_nano.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
runs=${1:-runs/nano}

# Large temporaries are kept instead of given back to the system after every step.
export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184

resume() { if [ -e "$1/log.jsonl" ]; then echo --resume; fi; }

# Seeds: training below 100,000, validation from there on, demo and test from 900,000.
samodal synth "$runs/data" --split train --videos 250 --frames 40 --seed 0
samodal synth "$runs/data" --split val --videos 12 --frames 40 --seed 100000

# 1. A SAM that answers points, boxes and masks with the visible mask; everything learns.
samodal train asd --root "$runs/data" --model scratch-nano --target visible --train all \
    --prompt-kinds points mask --mask-prompt 0.4 --box-prompt 0.4 \
    --steps 4200 --lr 8e-4 --warmup 400 --dtype bf16 --seed 1 --validate-every 600 --validation-frames 40 \
    --out "$runs/visible" $(resume "$runs/visible")

# 2. Fine-tuned to amodal masks as S-AModal does with SAM: decoder and SAM-Adapter learn, the encoder is frozen.
samodal train asd --root "$runs/data" --model "$runs/visible/last" --adapter sam-adapter --adapter-dim 64 \
    --target amodal --mask-prompt 0.8 --box-prompt 0.1 \
    --steps 5400 --lr 5e-4 --dtype bf16 --seed 2 --validate-every 600 --validation-frames 40 \
    --out "$runs/amodal" $(resume "$runs/amodal")

# 3. Everything learns, on clips that are new to it; and once more.
samodal synth "$runs/more" --split train --videos 250 --frames 40 --seed 250
samodal synth "$runs/more" --split val --videos 12 --frames 40 --seed 100000
samodal train asd --root "$runs/more" --model "$runs/amodal/best" --train all \
    --target amodal --mask-prompt 0.8 --box-prompt 0.1 \
    --steps 4200 --lr 4e-4 --dtype bf16 --seed 3 --validate-every 600 --validation-frames 40 \
    --out "$runs/third" $(resume "$runs/third")
samodal train asd --root "$runs/more" --model "$runs/third/best" --train all \
    --target amodal --mask-prompt 0.8 --box-prompt 0.1 \
    --steps 3000 --lr 4e-4 --dtype bf16 --seed 4 --validate-every 600 --validation-frames 40 \
    --out "$runs/fourth" $(resume "$runs/fourth")

# 4. The mean of the last two goes into the package, in half precision.
python - "$runs/third/best" "$runs/fourth/best" <<'PYTHON'
import sys

import torch

from samodal import AmodalSam

model = AmodalSam.from_pretrained(sys.argv[1])
other = AmodalSam.from_pretrained(sys.argv[2]).state_dict()
model.load_state_dict({name: (weight + other[name]) / 2 for name, weight in model.state_dict().items()})
model.save_pretrained("samodal/weights/samodal-nano", torch.float16)
PYTHON

# 5. Scores on 20 clips that were in neither split.
samodal demo --clips 20 --seed 1 --out "$runs/test"
