"""Environments over a real game: PettingZoo's and Gymnasium's own tests, and the data beside what was seen.

EXPERIENCE_GAME=target/debug/examples/environment pytest tests/test_env.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import bevy_experience as bx

pytest.importorskip("pyarrow.flight")
gymnasium = pytest.importorskip("gymnasium", "1.0")
pettingzoo = pytest.importorskip("pettingzoo")

from bevy_experience.env import Env, GameClosedError, ParallelEnv, PolicyServer, vector  # noqa: E402

GAME = os.environ.get("EXPERIENCE_GAME")
pytestmark = pytest.mark.skipif(not GAME, reason="EXPERIENCE_GAME names no game")
COMMAND = [GAME or "", "--headless"]
GOAL = np.array([3.0, 3.0], np.float32)


def best(observation: np.ndarray) -> int:
    """The action that comes nearer to the goal: left, right, up, down."""
    dx, dy = GOAL - observation
    return (1 if dx > 0 else 0) if dx != 0 else (2 if dy > 0 else 3)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_parallel_api() -> None:
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    env = ParallelEnv(COMMAND)
    parallel_api_test(env, num_cycles=300)
    env.close()
    parallel_seed_test(lambda: ParallelEnv(COMMAND))


def test_gymnasium_api() -> None:
    from gymnasium.utils.env_checker import check_env

    env = Env(COMMAND)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(env, skip_render_check=True)
    env.close()


def test_seeds_decide_all() -> None:
    def play(env: Env, seed: int) -> list:
        rng = np.random.default_rng(seed)
        seen = [env.reset(seed=seed)[0].tolist()]
        for _ in range(200):
            observation, reward, terminated, truncated, info = env.step(int(rng.integers(4)))
            seen.append((observation.tolist(), reward, terminated, truncated, info["reward_terms"]))
            if terminated or truncated:
                seen.append(env.reset()[0].tolist())
        return seen

    first, second = Env(COMMAND), Env(COMMAND, seed=5)
    # Reset by the message, at the start, and after another seed.
    assert play(first, 5) == play(second, 5)
    assert play(first, 6) != play(second, 5)
    first.close()
    second.close()


def test_the_best_policy_has_the_best_return() -> None:
    env = vector(COMMAND, 2, seed=1)
    observations, _ = env.reset(seed=1)
    returns, running, ends = [], np.zeros(2), []
    while len(returns) < 200:
        observations, rewards, terminated, truncated, infos = env.step(np.array([best(o) for o in observations]))
        running += rewards
        for index in np.flatnonzero(terminated | truncated):
            returns.append(running[index])
            ends.append(infos["final_info"]["end_reason"][index])
            assert (infos["final_obs"][index] == GOAL).all() and (observations[index] != GOAL).any()
            running[index] = 0
    env.close()
    assert set(ends) == {"goal"}
    assert abs(np.mean(returns) + 3.5) < 0.4


def test_what_is_seen_is_what_is_recorded(tmp_path: Path) -> None:
    env = ParallelEnv([*COMMAND, "--record", str(tmp_path)])
    rng = np.random.default_rng(3)
    observations, infos = env.reset()
    rows: dict[int, list] = {}
    for _ in range(700):
        (agent,) = env.agents
        action = int(rng.integers(4))
        before, episode = observations[agent], env.episode_ids[agent]
        observations, rewards, terminations, truncations, infos = env.step({agent: action})
        info = infos[agent]
        assert info["transitions"] == 1
        row = (before, action, rewards[agent], info["reward_terms"]["step"], info["ticks"])
        end = (observations[agent], terminations[agent], truncations[agent], info.get("end_reason"))
        rows.setdefault(episode, []).append((*row, *end))
        if not env.agents:
            assert (info["final_observation"] == observations[agent]).all()
            observations, infos = env.reset()
    env.close()
    recording = bx.open(tmp_path)["walker"]
    names = ["episode_id", "observation", "next_observation", "action", "reward", "reward.step", "ticks"]
    data = {name: np.asarray(recording[name]) for name in [*names, "terminated", "truncated", "end_reason"]}
    compared = 0
    for episode, seen in rows.items():
        found = np.flatnonzero(data["episode_id"] == episode)
        if not seen[-1][6] and not seen[-1][7]:
            # The game was closed within it.
            assert len(found) in (len(seen), len(seen) + 1)
            found = found[: len(seen) - 1]
        else:
            assert len(found) == len(seen)
        for row, values in zip(found, seen, strict=False):
            before, action, reward, term, ticks, after, terminated, truncated, reason = values
            assert data["observation"][row].tobytes() == before.tobytes()
            assert data["next_observation"][row].tobytes() == after.tobytes()
            assert (data["action"][row], data["reward"][row], data["ticks"][row]) == (action, reward, ticks)
            assert data["reward.step"][row] == term
            assert (data["terminated"][row], data["truncated"][row]) == (terminated, truncated)
            if reason is not None:
                assert data["end_reason"][row] == reason
            compared += 1
    assert compared > 600 and len(rows) > 10


def test_children_do_not_outlive_the_environment() -> None:
    env = Env(COMMAND)
    process = env._game.process
    env.reset(seed=1)
    env.close()
    assert not is_alive(process)
    with pytest.raises(bx.UnsuitableError, match="closed"):
        env.step(0)

    dropped = Env(COMMAND)
    process = dropped._game.process
    del dropped
    assert not is_alive(process)

    # A Python that is killed: the game finds the connection closed.
    code = (
        "import sys, time; from bevy_experience.env import Env; env = Env(sys.argv[1:]); env.reset(); "
        "print(env._game.process, flush=True); time.sleep(60)"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code, *COMMAND], stdout=subprocess.PIPE, text=True)
    process = int(trainer.stdout.readline())
    assert is_alive(process)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    trainer.stdout.close()
    deadline = time.monotonic() + 10
    while is_alive(process):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_game_that_dies_or_hangs_is_reported() -> None:
    env = Env(COMMAND, step_timeout=1.0)
    env.reset()
    os.kill(env._game.process, signal.SIGKILL)
    with pytest.raises(GameClosedError, match="status -9"):
        for _ in range(10):
            env.step(0)
    env.close()

    env = Env(COMMAND, step_timeout=1.0)
    env.reset()
    os.kill(env._game.process, signal.SIGSTOP)
    with pytest.raises(GameClosedError):
        for _ in range(10):
            env.step(0)
    env.close()

    with pytest.raises(GameClosedError, match="status 3"):
        Env([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(bx.UnsuitableError, match="cannot be started"):
        Env(["no/such/game"])


def test_a_running_game_is_joined_and_needs_the_token() -> None:
    from threading import Thread

    def start(address: str, token: str) -> subprocess.Popen:
        variables = {**os.environ, "BEVY_EXPERIENCE_REMOTE": address, "BEVY_EXPERIENCE_REMOTE_TOKEN": token}
        variables["BEVY_EXPERIENCE_REMOTE_EXIT"] = "1"
        return subprocess.Popen(COMMAND, env=variables)

    port = 17000 + os.getpid() % 2000
    address = f"grpc://127.0.0.1:{port}"
    games: list[subprocess.Popen] = []

    def join_late() -> None:
        time.sleep(0.5)
        games.append(start(address, "wrong"))
        time.sleep(1.0)
        games.append(start(address, "right"))

    thread = Thread(target=join_late)
    thread.start()
    env = Env.join(address, token="right", start_timeout=30)
    thread.join()
    env.reset(seed=2)
    env.step(1)
    assert games[0].wait(10) == 0 and games[1].poll() is None
    env.close()
    games[1].kill()
    games[1].wait()
    with pytest.raises(bx.UnsuitableError, match="token"):
        ParallelEnv.join("grpc://0.0.0.0:0")


def test_a_policy_server_decides_for_several_games(tmp_path: Path) -> None:
    seen: dict[int, int] = {}

    def decide(decision, game):
        seen[game.process] = seen.get(game.process, 0) + 1
        from bevy_experience.env import Actions

        action = np.array([best(observation) for observation in decision.observation[: decision.players]])
        return Actions(action, behavior_logp=np.full(len(action), -0.5), policy_version=3)

    with PolicyServer(decide, "grpc://127.0.0.1:0") as server:
        variables = {**os.environ, "BEVY_EXPERIENCE_REMOTE": server.address}
        folder = ["--record", str(tmp_path)]
        games = [subprocess.Popen([*COMMAND, *folder], env=variables) for _ in range(2)]
        deadline = time.monotonic() + 30
        while len(seen) < 2 or min(seen.values()) < 300:
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
        for game in games:
            game.kill()
            game.wait()
    assert set(seen) == {game.pid for game in games}


def test_an_episode_that_ends_is_cut_or_ended() -> None:
    env = Env(COMMAND)
    observation, _ = env.reset(seed=4)
    for _ in range(60):
        observation, _, terminated, truncated, info = env.step(2 if observation[1] == 3 else 0)
        if terminated or truncated:
            break
    assert (terminated, truncated, info["end_reason"]) == (False, True, "time_limit")
    assert observation[0] == 0.0
    with pytest.raises(bx.UnsuitableError, match="reset"):
        env.step(0)
    # In the middle of an episode, the game begins anew.
    env.reset()
    env.step(0)
    observation, info = env.reset()
    assert info["transitions"] == 0 and observation.shape == (2,)
    env.close()
