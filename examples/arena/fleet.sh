#!/usr/bin/env bash
# Four arenas that upload to one store, readers of the same prefix while it is written and afterwards, and a trainer.
#
#   examples/arena/fleet.sh [s3://bucket/prefix]
#
# Without an address, a server of the tests serves a temporary folder as S3. With one, credentials are those of the environment. Each
# arena plays TICKS ticks at HZ a second, two minutes by default, and the last one is killed in the middle. `PYTHON` is an interpreter with
# the package, and perhaps DuckDB, Ray and torch: see `python/examples/read_store.py`. `PROGRAMS` is a folder with the programs, which are
# built where it is not set.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
programs=${PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}
python=${PYTHON:-python3}
ticks=${TICKS:-36000} hz=${HZ:-300}
if [ -z "${PROGRAMS:-}" ]; then
    cargo build --release -p arena -p experience_cli -p stores --features arena/object_store,experience_cli/object_store
fi
folder=$(mktemp -d)
jobs_of_this=()
finish() {
    for job in "${jobs_of_this[@]}"; do kill "$job" 2> /dev/null || true; done
    wait 2> /dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

address=${1:-}
if [ -z "$address" ]; then
    mkdir "$folder/buckets"
    "$programs/s3-server" "$folder/buckets" fleet > "$folder/environment" &
    server=$!
    jobs_of_this+=("$server")
    until grep -q "# ready" "$folder/environment"; do
        kill -0 "$server"
        sleep 0.1
    done
    # shellcheck disable=SC1091
    source "$folder/environment"
    address=s3://fleet/arena
fi
experience=$programs/experience

# The staging folders and the cache of the package.
export XDG_STATE_HOME=$folder/state BEVY_EXPERIENCE_CACHE=$folder/cache
arenas=()
for seed in 1 2 3 4; do
    "$programs/arena" --players 16 --ticks "$ticks" --realtime --hz "$hz" --shard-age 5 --seed "$seed" --out "$address" \
        > "$folder/arena$seed" 2>&1 &
    arenas+=($!)
    jobs_of_this+=($!)
done
until "$experience" stats "$address" > /dev/null 2>&1; do sleep 1; done

readers=
if "$python" -c "import bevy_experience" 2> /dev/null; then
    "$python" python/examples/read_store.py "$address" --recording fighter --until "$folder/ended" --info "$experience" --train \
        > "$folder/readers" 2> "$folder/readers.log" &
    readers=$!
    jobs_of_this+=($!)
else
    echo "no other readers: bevy_experience is not installed in $python"
fi

sleep $((ticks / hz / 2))
echo "=== in the middle of the game"
"$experience" info "$address" | sed -n '/fleet:/,$p'
kill -KILL "${arenas[3]}"
wait "${arenas[3]}" 2> /dev/null || true
for arena in "${arenas[@]:0:3}"; do wait "$arena"; done
echo "=== three have ended, and one was killed"
"$experience" info "$address" | sed -n '/fleet:/,$p'
echo "=== what it has left on its host is uploaded"
"$experience" recover "$address"
"$experience" info "$address" | sed -n '1,3p;/fleet:/,$p'
"$experience" validate "$address"
touch "$folder/ended"
if [ -n "$readers" ]; then
    echo "=== readers while the games wrote, and at the end"
    status=0
    wait "$readers" || status=$?
    cat "$folder/readers"
    if [ "$status" != 0 ]; then
        tail -n 30 "$folder/readers.log"
        exit "$status"
    fi
fi
echo "=== fewer and larger files"
"$experience" compact "$address" --output "$address-compacted"
"$experience" validate "$address-compacted"
