#!/usr/bin/env bash
# Records the arena's bots, trains a policy on those of one kind, and compares it with all of them.
#
#     examples/arena/train.sh                      # imitates hunters
#     KIND=collector examples/arena/train.sh       # imitates collectors
#
# Needs the Python package with torch: `pip install './python[train]'`. Writes to `data/train/`. `ROUNDS` is the number of rounds of
# the comparison. Takes about ten minutes on two cores, once everything is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
kind=${KIND:-hunter}
out=data/train
arena() {
    cargo run --quiet --locked --release -p arena --features policy -- "$@"
}

# Half an hour of play.
rm -rf "$out/arena"
arena --ticks 108000 --seed 11 --out "$out/arena"
# The direction that a fighter faces is its last aim: a policy that sees it repeats itself.
bevy-experience train "$out/arena" --recording fighter --where "controller=script:$kind" \
    --ignore body.facing --epochs 12 --out "$out/$kind.onnx"
# Four of sixteen seats are the policy's, and each round moves every controller to the next seat.
arena --policy "$out/$kind.onnx=4" --tournament "${ROUNDS:-200}"
