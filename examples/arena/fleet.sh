#!/usr/bin/env bash
# Four arenas that upload to one store, and readers of the same prefix while it is written.
#
#   examples/arena/fleet.sh [s3://bucket/prefix]
#
# Without an address, a server of the tests serves a temporary folder as S3. With one, credentials are those of the environment. DuckDB,
# the Python package and Ray read it where they are installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-target}
cargo build --release -p arena -p experience_cli --features arena/object_store,experience_cli/object_store
folder=$(mktemp -d)
jobs_of_this=()
finish() {
    for job in "${jobs_of_this[@]}"; do kill "$job" 2> /dev/null || true; done
    rm -rf "$folder"
}
trap finish EXIT

address=${1:-}
if [ -z "$address" ]; then
    cargo build --release -p stores --bin s3-server
    "$target/release/s3-server" "$folder/buckets" fleet > "$folder/environment" &
    jobs_of_this+=($!)
    until grep -q "# ready" "$folder/environment" 2> /dev/null; do sleep 0.1; done
    # shellcheck disable=SC1091
    source "$folder/environment"
    address=s3://fleet/arena
fi

export XDG_STATE_HOME=$folder/state
arenas=()
for seed in 1 2 3 4; do
    "$target/release/arena" --players 16 --ticks "${TICKS:-18000}" --seed "$seed" --out "$address" > "$folder/arena$seed" &
    arenas+=($!)
    jobs_of_this+=($!)
done
sleep 2
echo "=== while the arenas play"
"$target/release/experience" info "$address" || true
for arena in "${arenas[@]}"; do wait "$arena"; done
echo "=== after they have ended"
"$target/release/experience" info "$address"
"$target/release/experience" validate "$address"

echo "=== DuckDB"
if command -v duckdb > /dev/null; then
    endpoint=${AWS_ENDPOINT_URL:-}
    duckdb -c "
        INSTALL httpfs; LOAD httpfs;
        CREATE SECRET (TYPE s3, PROVIDER credential_chain
            ${endpoint:+, ENDPOINT '${endpoint#*://}', URL_STYLE 'path', USE_SSL $([[ $endpoint == https* ]] && echo true || echo false)});
        SELECT run, count(*) AS transitions, count(DISTINCT episode_id) AS episodes
        FROM read_parquet('$address/fighter/data/*.parquet') GROUP BY run;"
else
    echo "not installed"
fi

echo "=== the Python package, and Ray Data"
python=${PYTHON:-python3}
if "$python" -c "import bevy_experience" 2> /dev/null; then
    "$python" - "$address" << 'PYTHON'
import sys

import bevy_experience

fighter = bevy_experience.open(sys.argv[1])["fighter"]
print(len(fighter), "transitions of", len(fighter.accounts.runs), "runs")
PYTHON
else
    echo "bevy_experience is not installed"
fi
if "$python" -c "import ray" 2> /dev/null; then
    "$python" - "$address" << 'PYTHON'
import os
import sys
from urllib.parse import urlsplit

import pyarrow.fs
import ray

endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
options = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} if endpoint.netloc else {}
store = pyarrow.fs.S3FileSystem(**options)
rows = ray.data.read_parquet(sys.argv[1].removeprefix("s3://") + "/fighter/data", filesystem=store)
print(rows.groupby("episode_id").count().count(), "episodes")
PYTHON
else
    echo "ray is not installed"
fi
