"""The learner: its mathematics, and the loop with the arena.

EXPERIENCE_ARENA=target/debug/arena pytest tests/test_learn.py

The arena is built with ``--features policy,stream``.
"""

from __future__ import annotations

import copy
import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from writer import Life, schema

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import bevy_experience as bx  # noqa: E402
from bevy_experience.learn import ActorCritic, Learner, LearnerSettings, StreamRows, assemble, vtrace  # noqa: E402
from bevy_experience.learn.actor_critic import tensors  # noqa: E402
from bevy_experience.learn.rollout import LOGP, VERSION, Rollout  # noqa: E402
from bevy_experience.train import Settings, export, fit  # noqa: E402
from bevy_experience.train.restore import restore, version_of  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples" / "learn_arena.py"
HALF = {"gamma": 0.5, "lambda_": 0.5}


def advantages(terminated: bool = False, ratio: tuple[float, float] = (1.0, 1.0), **settings: float):
    """Two steps of an episode, of which the second is its last."""
    return vtrace(
        np.array([1.0, 3.0]),
        np.array([1.0, 2.0]),
        np.array([2.0, 4.0]),
        terminated=np.array([False, terminated]),
        follows=np.array([True, False]),
        ratio=np.array(ratio),
        **{**HALF, **settings},
    )


def test_a_truncated_episode_is_bootstrapped_from_its_final_observation() -> None:
    # The errors are 1 + 0.5 * 2 - 1 = 1, and 3 + 0.5 * 4 - 2 = 3.
    found = advantages()
    assert found.advantage.tolist() == [1 + 0.25 * 3, 3]
    assert found.target.tolist() == [2.75, 5]


def test_a_terminated_episode_is_not_bootstrapped() -> None:
    # The second error is 3 - 2 = 1.
    found = advantages(terminated=True)
    assert found.advantage.tolist() == [1.25, 1]
    assert found.target.tolist() == [2.25, 3]


def test_traces_and_errors_are_weighted_by_bounded_ratios() -> None:
    found = advantages(ratio=(2.0, 0.5))
    # The second target moves by 0.5 * 3; the first by 1 * 1 + 0.25 * 1 * 1.5, because 2 is above the bounds.
    assert found.target.tolist() == [1 + 1.375, 2 + 1.5]
    # The loss of the policy weights an advantage by the ratio of its own action.
    assert found.advantage.tolist() == [1 + 0.25 * 1.5, 3]
    assert advantages(ratio=(2.0, 0.5), rho_bar=3.0, c_bar=2.0).target.tolist() == [1 + 2 + 0.5 * 1.5, 3.5]


def test_pieces_of_episodes_do_not_mix(rng: np.random.Generator) -> None:
    count = 500
    reward, value, next_value, ratio = rng.normal(size=(4, count))
    ratio = np.exp(ratio)
    terminated, follows = rng.random(count) < 0.05, rng.random(count) < 0.9
    follows[-1] = False
    found = vtrace(
        reward, value, next_value, terminated=terminated, follows=follows, ratio=ratio, gamma=0.9, lambda_=0.8
    )
    change, expected = 0.0, np.zeros(count)
    for row in reversed(range(count)):
        goes_on = follows[row] and not terminated[row]
        error = reward[row] + 0.9 * next_value[row] * (not terminated[row]) - value[row]
        after = change if goes_on else 0.0
        expected[row] = error + 0.9 * 0.8 * after
        change = min(ratio[row], 1) * error + 0.9 * 0.8 * min(ratio[row], 1) * after
        assert found.target[row] == pytest.approx(value[row] + change)
    assert found.advantage == pytest.approx(expected)


@pytest.fixture
def recording(record) -> bx.Recording:
    return record([Life(length=20, terminated=life % 3 == 0) for life in range(30)])


def density(value: float, mean: float, deviation: float, low: float, high: float) -> float:
    """The logarithm of the probability of a clamped Gaussian, as the game computes it."""

    def below(bound: float) -> float:
        return 0.5 * math.erfc((mean - bound) / deviation / math.sqrt(2))

    if value <= low:
        return math.log(below(low))
    if value >= high:
        return math.log(1 - below(high))
    return -0.5 * ((value - mean) / deviation) ** 2 - math.log(deviation * math.sqrt(math.tau))


def act(network: ActorCritic, batch: bx.Batch, rng: np.random.Generator) -> bx.Batch:
    """Let a network act in a batch, as a game does: actions, and the logarithms of their probabilities."""
    columns = {name: np.array(batch[name]) for name in batch}
    total = np.zeros(len(batch.reward))
    with torch.no_grad():
        mask = batch.action_mask if batch.schema.action_mask else None
        distribution = network.distribution(torch.from_numpy(batch.observation.copy()), mask)
    for (name, head), (first, log_std) in zip(network.schema.heads.items(), distribution, strict=True):
        values = np.zeros((len(total), head.width))
        for row in range(len(total)):
            for element in range(head.width):
                if head.is_discrete:
                    probabilities = first[row, element].double().exp().numpy()
                    chosen = rng.choice(head.space.n, p=probabilities / probabilities.sum())
                    values[row, element] = chosen
                    total[row] += math.log(probabilities[chosen])
                else:
                    mean, deviation = float(first[row, element]), float(log_std[element].exp())
                    value = float(np.clip(rng.normal(mean, deviation), head.space.low, head.space.high))
                    values[row, element] = value
                    total[row] += density(value, mean, deviation, head.space.low, head.space.high)
        column = f"action.{name}"
        columns[column] = values.reshape(columns[column].shape).astype(columns[column].dtype)
    columns[LOGP] = total.astype(np.float32)
    columns[VERSION] = np.ones(len(total), np.int64)
    return bx.Batch(batch.schema, columns)


NAMES = ("observation", "next_observation", "action.steer", "action.deed", "action.boost", "reward", "terminated",
         "truncated", "run", "episode_id", "step", "action_mask")  # fmt: skip


def played(recording: bx.Recording, network: ActorCritic, rng: np.random.Generator) -> bx.Batch:
    names = [name for name in NAMES if name in recording.columns]
    return act(network, recording.take(slice(None), columns=names), rng)


def log_prob(network: ActorCritic, rollout: Rollout) -> np.ndarray:
    observation, actions, mask = tensors(network.schema, rollout.batch)
    with torch.no_grad():
        return network.log_prob(network.distribution(observation, mask), actions).numpy()


@pytest.mark.parametrize("masked", [False, True])
def test_an_unchanged_policy_has_the_importance_ratio_1(record, rng: np.random.Generator, masked: bool) -> None:
    torch.manual_seed(0)
    # A bit for each alternative of `deed` and `boost`.
    recording = record([Life(length=20)] * 30, schema(action_mask=5 if masked else 0))
    network = ActorCritic.random(recording.schema, recording.normalization(), (16,), deviation=0.8)
    batch = played(recording, network, rng)
    steer = batch["action.steer"]
    assert 0.05 < (np.abs(steer) == 1).mean() < 0.5, "some numbers are clamped"
    rollout, dropped = assemble([(0, batch)], 1, 0)
    assert rollout is not None and len(rollout) == len(batch.reward) and (dropped.old, dropped.undecided) == (0, 0)
    assert log_prob(network, rollout) == pytest.approx(rollout.batch[LOGP], abs=1e-4)
    learner = Learner(network, LearnerSettings(minibatch=64, learning_rate=1e-2))
    first = learner.update(rollout)
    assert first["ratio"] == pytest.approx(1, abs=1e-4) and first["ratio_max"] == pytest.approx(1, abs=1e-3)
    # The policy has changed, so that the same rows are now those of an older one.
    again = learner.update(rollout)
    assert again["ratio_max"] > 1.01


def test_rows_are_ordered_and_old_ones_left_out(recording: bx.Recording, rng: np.random.Generator) -> None:
    network = ActorCritic.random(recording.schema, recording.normalization(), (4,))
    batch = played(recording, network, rng)
    count = len(batch.reward)
    version = np.where(np.arange(count) % 20 < 10, 5, 7)
    logp = batch[LOGP].copy()
    version[3], logp[3] = 0, np.nan
    shuffled = rng.permutation(count)
    columns = {**{name: batch[name] for name in batch}, VERSION: version, LOGP: logp}
    parts = [
        (0, bx.Batch(batch.schema, {name: values[rows] for name, values in columns.items()}))
        for rows in np.array_split(shuffled, 7)
    ]
    rollout, dropped = assemble(parts, 7, 1)
    assert rollout is not None and (dropped.old, dropped.undecided) == (30 * 10 - 1, 1)
    assert set(rollout.lag.tolist()) == {0} and len(rollout) == 300
    rollout, dropped = assemble(parts, 8, 3)
    assert rollout is not None and set(rollout.lag.tolist()) == {1, 3} and dropped.old == 0
    step, episode = rollout.batch["step"], rollout.batch["episode_id"]
    for row in range(len(rollout) - 1):
        is_next = episode[row + 1] == episode[row] and step[row + 1] == step[row] + 1
        assert rollout.follows[row] == is_next
        if is_next:
            assert (rollout.batch.next_observation[row] == rollout.batch.observation[row + 1]).all()
    assert not rollout.follows[-1] and rollout.follows.sum() == count - 30 - 2
    # The same episodes of another game are others.
    both, _ = assemble([(0, batch), (1, batch)], 1, 0)
    assert both is not None and len(both) == 2 * count and both.follows.sum() == 2 * (count - 30)
    assert assemble([], 1, 0)[0] is None and assemble([(0, batch)], 9, 1)[0] is None


def test_it_learns_what_is_rewarded(recording: bx.Recording, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    network = ActorCritic.random(recording.schema, recording.normalization(), (16,))
    learner = Learner(network, LearnerSettings(minibatch=128, learning_rate=1e-2, gamma=0.5, target_kl=1.0))
    means = []
    for _ in range(12):
        batch = played(recording, network, rng)
        # Class 1 of `deed` and a large `steer` are rewarded.
        reward = (batch["action.deed"] == 1) + batch["action.steer"].sum(1).astype(np.float64)
        means.append(reward.mean())
        columns = {**{name: batch[name] for name in batch}, "reward": reward}
        rollout, _ = assemble([(0, bx.Batch(batch.schema, columns))], 1, 0)
        assert rollout is not None
        measures = learner.update(rollout)
        assert measures["rejected"] == 0
    assert means[0] < 0.6 and means[-1] > 1.5
    # A reward that is not finite leaves the network as it was.
    before = copy.deepcopy(network.state_dict())
    columns = {**{name: batch[name] for name in batch}, "reward": np.full(len(batch.reward), np.nan)}
    rollout, _ = assemble([(0, bx.Batch(batch.schema, columns))], 1, 0)
    assert rollout is not None and learner.update(rollout)["rejected"] == 1
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())


def test_a_reference_holds_the_policy_back(recording: bx.Recording, rng: np.random.Generator) -> None:
    moved = []
    for weight in (0.0, 10.0):
        torch.manual_seed(0)
        network = ActorCritic.random(recording.schema, recording.normalization(), (16,))
        first = copy.deepcopy(network)
        settings = LearnerSettings(minibatch=128, learning_rate=1e-2, reference_kl=weight, target_kl=10.0)
        learner = Learner(network, settings)
        batch = played(recording, network, np.random.default_rng(1))
        for _ in range(5):
            rollout, _ = assemble([(0, batch)], 1, 0)
            assert rollout is not None
            learner.update(rollout)
        observation = torch.from_numpy(batch.observation.copy())
        with torch.no_grad():
            divergence = network.divergence(network.distribution(observation), first.distribution(observation))
        moved.append(float(divergence.mean()))
    assert 0 <= moved[1] < 0.2 * moved[0]


def test_a_policy_is_restored_from_its_file(recording: bx.Recording, tmp_path: Path) -> None:
    train, valid = recording.split(0.7, 0.3)
    fitted = fit(train, valid, Settings(hidden=(16, 8), epochs=2, ignored=("body",)))
    path, observation = tmp_path / "fighter.onnx", recording["observation"]
    export(fitted, recording.schema, path, observation)
    assert version_of(path) is None
    policy, deviations = restore(path, recording.schema)
    assert deviations == {"steer": pytest.approx(fitted.scores["steer"].deviation)}
    rows = torch.from_numpy(np.array(observation))
    for found, expected in zip(policy(rows), fitted.policy(rows), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(policy.sees, fitted.policy.sees) and policy.sees.min() == 0
    wide = ActorCritic.from_file(path, recording.schema, least_deviation=5.0)
    assert wide.deviations()["steer"] == pytest.approx([5.0, 5.0])
    network = ActorCritic.from_file(path, recording.schema)
    network.export(path, observation, 12)
    assert version_of(path) == 12
    # What it does not see stays unseen: training changes no weight of it.
    assert torch.equal(restore(path, recording.schema)[0].sees, policy.sees)
    path.write_bytes(b"no model")
    with pytest.raises(bx.errors.UnsuitableError, match="no ONNX file"):
        restore(path, recording.schema)


# With the arena.

Arena = Callable[..., subprocess.Popen]


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    command = os.environ.get("EXPERIENCE_ARENA")
    if not command:
        pytest.skip("EXPERIENCE_ARENA names no arena with the features `policy` and `stream`")
    missing = tmp_path / "missing.onnx"
    for arguments, feature in ((f"--policy={missing}", "policies"), ("--stream=127.0.0.1:0", "its stream")):
        trial = [command, "--ticks=1", f"--out={tmp_path / 'trial'}", arguments]
        if f"was built without {feature}" in subprocess.run(trial, capture_output=True, text=True).stderr:
            pytest.skip(f"the arena of EXPERIENCE_ARENA was built without {feature}")
    running: list[subprocess.Popen] = []

    def start(name: str, *arguments: str) -> subprocess.Popen:
        log = (tmp_path / f"{name}.log").open("w")
        process = subprocess.Popen(
            [command, f"--out={tmp_path / name}", *arguments], stdout=subprocess.DEVNULL, stderr=log
        )
        log.close()
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def bots(arena: Arena, tmp_path: Path) -> bx.Recording:
    """Ten seconds of play of the arena's bots, which has its columns."""
    assert arena("bots", "--ticks=600").wait(60) == 0
    return bx.open(tmp_path / "bots")["fighter"]


def test_the_arena_plays_each_version_and_says_with_what_probability(
    arena: Arena, bots: bx.Recording, address: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    path, probe = tmp_path / "policy.onnx", bots[:64].observation
    network = ActorCritic.random(bots.schema, bots.normalization(), (32,), deviation=0.8)
    learner = Learner(network, LearnerSettings(learning_rate=3e-3, minibatch=512, target_kl=1.0))
    rows = StreamRows([address], bots.schema, [f"policy:{path}@*"])
    network.export(path, probe, 1)
    versions = {1: copy.deepcopy(network)}
    playing = [f"--policy={path}=4", "--sample", "--realtime", "--matches=4", f"--stream={address}", "--ticks=100000"]
    process = arena("first", *playing)
    seen: list[int] = []
    ratios: list[float] = []
    deadline = time.monotonic() + 90
    while len(seen) < 4 and time.monotonic() < deadline:
        version = max(versions)
        parts = rows.take(200, 5.0)
        # The bots of the same matches are not sent.
        assert all(set((batch["run"] > 0).tolist()) == {True} for _, batch in parts)
        for played_by in set(versions) - set(seen):
            rollout, _ = assemble(parts, played_by, 0)
            if rollout is None:
                continue
            # What the arena says of its actions is what the network of this version says.
            assert log_prob(versions[played_by], rollout) == pytest.approx(rollout.batch[LOGP], abs=1e-3)
            seen.append(played_by)
            if played_by != version:
                continue
            measures = learner.update(rollout)
            ratios.append(measures["ratio"])
            versions[version + 1] = copy.deepcopy(network)
            if version == 2:
                # The arena refuses a damaged file, and plays on.
                path.write_bytes(b"damaged")
                log = tmp_path / "first.log"
                while "damaged" not in log.read_text() and time.monotonic() < deadline:
                    time.sleep(0.1)
                assert rows.take(100, 5.0) and rows.newest == {0: 2}
            if version == 3:
                # An arena that dies is followed again when it is back.
                process.kill()
                process.wait()
                process = arena("second", *playing)
            network.export(path, probe, version + 1)
    assert seen == [1, 2, 3, 4]
    assert ratios == pytest.approx([1] * len(ratios), abs=1e-3)
    assert rows.missed.restarts == 1 and rows.received > 0 and rows.episodes().episodes >= 0
    rows.close()


def test_the_example_learns_from_an_arena_that_starts_late(
    arena: Arena, bots: bx.Recording, address: str, tmp_path: Path
) -> None:
    path, log = tmp_path / "policy.onnx", tmp_path / "policy.jsonl"
    learn = [sys.executable, str(EXAMPLE), f"--dataset={tmp_path / 'bots'}", f"--policy={path}", f"--stream={address}"]
    settings = ["--batch=1500", "--hidden=32", "--transitions=6000", "--minutes=2", "--minibatch=512"]
    learner = subprocess.Popen([*learn, *settings], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 60
        while not path.exists() and learner.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        arena("playing", f"--policy={path}=8", "--sample", "--realtime", "--matches=4", f"--stream={address}",
              "--ticks=100000")  # fmt: skip
        output = learner.communicate(timeout=120)[0]
    finally:
        learner.kill()
    assert learner.returncode == 0, output
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) >= 3 and lines[-1]["transitions"] >= 6000, output
    assert [line["version"] for line in lines] == list(range(2, len(lines) + 2))
    # A version is loaded while the next rows arrive, so that some are of an older one.
    assert all(0 <= line["lag"] <= 4 for line in lines)
    assert version_of(path) == lines[-1]["version"]
    # The first update is on-policy.
    assert lines[0]["ratio"] == pytest.approx(1, abs=1e-3) and lines[0]["ratio_max"] == pytest.approx(1, abs=1e-2)
