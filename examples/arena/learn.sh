#!/usr/bin/env bash
# Lets arenas play a policy, learns from what they stream, and gives them each new version, over and over.
#
#     examples/arena/learn.sh                                        # from a random network
#     BEGIN=data/train/collector.onnx examples/arena/learn.sh        # from a file of `train.sh`
#
# Further arguments go to `python/examples/learn_arena.py`. Needs the Python package with torch: `pip install './python[train]'`. Writes
# to `OUT`. `ARENAS` arenas play `MATCHES` matches each, in which `SEATS` of the 16 fighters act by the policy. They play in real time,
# so that a slow learner does not make the transitions old. An arena that ends is started again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${OUT:-data/learn}
arenas=${ARENAS:-2}
matches=${MATCHES:-8}
seats=${SEATS:-8}
hz=${HZ:-60}
port=${PORT:-7711}
arena=${ARENA:-target/release/arena}
policy=$out/policy.onnx
[[ -n ${ARENA:-} ]] || cargo build --quiet --locked --release -p arena --features policy,stream

# The columns and their normalization, of a minute of play.
rm -rf "$out/bots"
"$arena" --hz "$hz" --ticks $((60 * hz)) --seed 11 --out "$out/bots" > /dev/null

jobs=()
trap 'kill "${jobs[@]}" 2> /dev/null || true; wait' EXIT
streams=()
for ((index = 0; index < arenas; index++)); do
    streams+=(--stream "127.0.0.1:$((port + index))")
done
"${PYTHON:-python3}" python/examples/learn_arena.py --dataset "$out/bots" --policy "$policy" --plot "$out/curve.png" \
    ${BEGIN:+--begin "$BEGIN"} "${streams[@]}" "$@" &
learner=$!
jobs+=("$learner")

# Plays again and again, ten minutes at a time, with another seed: what it records beside the stream is not kept.
play() {
    local index=$1 seed=$((100 * $1)) job
    trap 'kill "$job" 2> /dev/null || true; exit' TERM
    while :; do
        seed=$((seed + 1))
        rm -rf "$out/arena$index"
        "$arena" --policy "$policy=$seats" --sample --matches "$matches" --realtime --hz "$hz" --ticks $((600 * hz)) --seed "$seed" \
            --stream "127.0.0.1:$((port + index))" --out "$out/arena$index" > /dev/null 2> "$out/arena$index.log" &
        job=$!
        wait "$job" || sleep 1
    done
}
for ((index = 0; index < arenas; index++)); do
    play "$index" &
    jobs+=("$!")
done
wait "$learner"
