"""Reads a dataset in an object store by DuckDB, this package and Ray Data, and trains by RLlib, while games write it.

python python/examples/read_store.py s3://fleet/arena --recording fighter --train

Settings and credentials are those of the environment, such as ``AWS_ENDPOINT_URL``. Libraries that are not installed
are left out; Ray needs ``aiohttp`` beside. Counts never fall from one round to the next. After the last round they
must equal those of the command ``experience info``, if that is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow.fs

COLUMNS = {
    "obs": "observation",
    "actions": "action",
    "rewards": "reward",
    "new_obs": "next_observation",
    "terminateds": "terminated",
    "truncateds": "truncated",
}


class Counts(NamedTuple):
    """What a reader has found."""

    transitions: int
    episodes: int


def endpoint() -> tuple[str, str] | None:
    """The scheme and the host of a server that is not Amazon's."""
    address = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
    return (address.scheme, address.netloc) if address.netloc else None


def store() -> Any:
    """The store as a file system of pyarrow, for Ray."""
    server = endpoint()
    options = {} if server is None else {"scheme": server[0], "endpoint_override": server[1]}
    if "AWS_REGION" in os.environ:
        options["region"] = os.environ["AWS_REGION"]
    return pyarrow.fs.S3FileSystem(**options)


def by_duckdb(recording: str) -> Counts:
    """Count by DuckDB, whose extension `httpfs` is downloaded once."""
    import duckdb

    database = duckdb.connect()
    database.sql("INSTALL httpfs; LOAD httpfs")
    secret = ["TYPE s3", f"REGION '{os.environ.get('AWS_REGION', 'us-east-1')}'"]
    for option, variable in (("KEY_ID", "AWS_ACCESS_KEY_ID"), ("SECRET", "AWS_SECRET_ACCESS_KEY")):
        secret.append(f"{option} '{os.environ[variable]}'")
    server = endpoint()
    if server is not None:
        secret += [f"ENDPOINT '{server[1]}'", "URL_STYLE 'path'", f"USE_SSL {str(server[0] == 'https').lower()}"]
    database.sql(f"CREATE SECRET ({', '.join(secret)})")
    query = f"SELECT count(*), count(DISTINCT episode_id) FROM read_parquet('{recording}/data/*.parquet')"
    found = database.sql(query).fetchone()
    return Counts(*found)


def by_package(recording: str) -> Counts:
    """Count by this package."""
    import bevy_experience

    dataset, _, name = recording.rpartition("/")
    found = bevy_experience.open(dataset)[name]
    return Counts(len(found), len(found.episodes))


def by_ray(recording: str) -> Counts:
    """Count by Ray Data, with the rows of each episode as a group."""
    import ray

    folder = recording.partition("://")[2] + "/data"
    rows = ray.data.read_parquet(folder, filesystem=store(), columns=["episode_id", "reward"])
    episodes = rows.groupby("episode_id").count().materialize()
    return Counts(sum(row["count()"] for row in episodes.iter_rows()), episodes.count())


def train(recording: str) -> list[float]:
    """Clone the behaviour of the players by RLlib. Returns the loss of each iteration."""
    from ray.rllib.algorithms.bc import BCConfig

    import bevy_experience
    from bevy_experience.spaces import action_space, observation_space

    dataset, _, name = recording.rpartition("/")
    schema = bevy_experience.open(dataset)[name].schema
    config = (
        BCConfig()
        .environment(observation_space=observation_space(schema), action_space=action_space(schema, flat=True))
        .training(lr=1e-3, train_batch_size_per_learner=2000)
        .offline_data(
            input_=[recording.partition("://")[2] + "/data"],
            input_filesystem=store(),
            input_read_schema=COLUMNS,
            # Any other column would become an input of the model.
            input_read_method_kwargs={"columns": list(COLUMNS.values())},
            dataset_num_iters_per_learner=20,
        )
    )
    algorithm = config.build_algo()
    losses = [float(algorithm.train()["learners"]["default_policy"]["policy_loss"]) for _ in range(4)]
    algorithm.stop()
    return losses


def main() -> None:
    """Read in rounds, and once more at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="the address of the dataset")
    parser.add_argument("--recording", required=True)
    parser.add_argument("--until", type=Path, help="read in rounds until this file exists")
    parser.add_argument("--info", help="the command `experience`, whose counts the last round must have")
    parser.add_argument("--train", action="store_true", help="train by RLlib, in the first round and the last")
    arguments = parser.parse_args()
    recording = f"{arguments.dataset}/{arguments.recording}"
    readers: dict[str, Callable[[str], Counts]] = {"the package": by_package}
    if find_spec("duckdb"):
        readers["DuckDB"] = by_duckdb
    if find_spec("ray"):
        import ray

        # Readers and learners are processes, which wait for each other where there are few.
        ray.init(num_cpus=8, log_to_driver=False, logging_level="error")
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # Of groups; 200 by default, each of which is a task.
        context.default_hash_shuffle_parallelism = 8
        readers["Ray Data"] = by_ray
    trains = arguments.train and "Ray Data" in readers
    found = dict.fromkeys(readers, Counts(0, 0))
    is_last = has_trained = False
    while not is_last:
        is_last = arguments.until is None or arguments.until.exists()
        for name, read in readers.items():
            start = time.monotonic()
            before, found[name] = found[name], read(recording)
            counts = found[name]
            seconds = time.monotonic() - start
            print(f"{name}: {counts.transitions} transitions, {counts.episodes} episodes, {seconds:.1f} s", flush=True)
            if counts < before:
                sys.exit(f"{name} has found {before} before")
        if trains and (is_last or not has_trained):
            start, has_trained = time.monotonic(), True
            losses = train(recording)
            shown = ", ".join(f"{loss:.3f}" for loss in losses)
            print(f"RLlib: the loss of behaviour cloning was {shown}, {time.monotonic() - start:.1f} s", flush=True)
            if losses[-1] >= losses[0]:
                sys.exit("the loss does not fall")
    if arguments.info:
        command = [arguments.info, "info", arguments.dataset, "--recording", arguments.recording, "--json"]
        document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        expected = Counts(document["overview"]["transitions"], document["episodes"])
        print(f"`experience info`: {expected.transitions} transitions, {expected.episodes} episodes")
        if different := {name: counts for name, counts in found.items() if counts != expected}:
            sys.exit(f"others have found {different}")


if __name__ == "__main__":
    main()
