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
from threading import Event

import numpy as np
import pytest
from conftest import Certificate, MakeCertificate

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


def test_an_address_that_cannot_be_used_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bevy_experience.env._server._PORT_WAIT", 0.2)
    with PolicyServer(lambda decision, game: np.zeros(decision.players), "grpc://127.0.0.1:0") as server:
        for address in (server.address, "grpc://127.0.0.1:x", "grpc://127.0.0.1:99999"):
            with pytest.raises(bx.UnsuitableError, match="another port"):
                Env.join(address)
        for address in ("grpc://127.0.0.1", "127.0.0.1:7712"):
            with pytest.raises(bx.UnsuitableError, match=r"grpc://127.0.0.1:7712"):
                Env.join(address)


def test_a_game_that_runs_is_joined_again_after_its_environment_was_closed() -> None:
    port = 19000 + os.getpid() % 2000
    address = f"grpc://127.0.0.1:{port}"
    game = subprocess.Popen(COMMAND, env={**os.environ, "BEVY_EXPERIENCE_REMOTE": address})
    ticks = []
    try:
        for seed in range(4):
            env = Env.join(address, start_timeout=20)
            env.reset(seed=seed)
            for _ in range(20):
                _, _, terminated, truncated, _ = env.step(0)
                if terminated or truncated:
                    env.reset()
            ticks.append(env.tick)
            if seed % 2:
                env.close()
            else:
                del env
        assert ticks == sorted(ticks) and game.poll() is None
    finally:
        game.kill()
        game.wait()


def test_a_game_is_joined_and_decided_for_over_a_secure_connection(make_certificate: MakeCertificate) -> None:
    own, other = make_certificate("IP:127.0.0.1"), make_certificate("IP:127.0.0.1")
    tls = (own.pem, own.key.read_bytes())
    seen = Event()

    def decide(decision, game):
        seen.set()
        return np.zeros(decision.players)

    def start(address: str, authority: Certificate) -> subprocess.Popen:
        variables = {"BEVY_EXPERIENCE_REMOTE": address, "BEVY_EXPERIENCE_REMOTE_TOKEN": "right"}
        variables["BEVY_EXPERIENCE_REMOTE_CA"] = str(authority.file)
        return subprocess.Popen(COMMAND, env={**os.environ, **variables})

    with PolicyServer(decide, "grpc+tls://127.0.0.1:0", tls=tls, token="right") as server:
        games = [start(server.address, other)]
        try:
            assert not seen.wait(2)
            games.append(start(server.address, own))
            assert seen.wait(20)
        finally:
            for game in games:
                game.kill()
                game.wait()
    # A child is told of the certificate by its environment.
    env = Env(COMMAND, address="grpc+tls://127.0.0.1:0", tls=tls)
    env.reset(seed=1)
    env.step(0)
    env.close()


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


def test_a_game_without_players_exits_with_its_environment() -> None:
    """Its standard input ends with the environment, whatever becomes of the connection."""
    is_held = Event()

    def decide(decision, game):
        if is_held.is_set():
            time.sleep(30)
        return np.zeros(decision.players)

    def start() -> subprocess.Popen:
        variables = {**os.environ, "BEVY_EXPERIENCE_REMOTE": server.address, "BEVY_EXPERIENCE_REMOTE_EXIT": "stdin"}
        game = subprocess.Popen(COMMAND, env=variables, stdin=subprocess.PIPE)
        game.stdin.write(b"\n")
        game.stdin.flush()
        time.sleep(1.0)
        assert game.poll() is None
        return game

    with PolicyServer(decide, "grpc://127.0.0.1:0") as server:
        game = start()
        game.stdin.close()
        assert game.wait(5) == 0
        # A game that waits for ever is ended.
        is_held.set()
        game = start()
        game.stdin.close()
        assert game.wait(20) == 1


def test_seeds_are_checked_and_go_on() -> None:
    from bevy_experience.env._game import checked_seed, next_seed

    assert checked_seed(np.int64(3)) == 3 and type(checked_seed(np.int64(3))) is int
    for wrong in (-1, 2**64, 1.5, "1"):
        with pytest.raises(bx.UnsuitableError, match="seed"):
            checked_seed(wrong)
    assert next_seed(5) == next_seed(5) != 5
    assert next_seed(None) != next_seed(None)
    env = Env(COMMAND)
    with pytest.raises(bx.UnsuitableError, match="seed"):
        env.reset(seed=2**64)
    env.reset(seed=np.int64(5))
    env.close()


def test_a_player_that_comes_back_joins_with_its_first_observation() -> None:
    env = ParallelEnv(COMMAND, rejoin=True)
    observations, _ = env.reset(seed=1)
    (first,) = env.agents
    ends = 0
    for _ in range(200):
        assert len(env.agents) == 1
        before = env.agents[0]
        action = best(observations[before])
        observations, rewards, terminations, _, infos = env.step({before: action})
        assert rewards[before] == -1.0
        if terminations[before]:
            ends += 1
            (after,) = env.agents
            assert after == f"{first}.{ends}" and rewards[after] == 0.0 and infos[after]["transitions"] == 0
            assert (observations[before] == GOAL).all() and (observations[after] != GOAL).any()
            assert set(env.possible_agents) == {first, after}
    assert ends > 20
    env.close()


ARENA = os.environ.get("EXPERIENCE_ARENA")


@pytest.mark.skipif(not ARENA, reason="EXPERIENCE_ARENA names no arena with the feature `remote`")
def test_players_of_the_arena_join_and_leave(tmp_path: Path) -> None:
    command = [ARENA, "--remote", "env", "--players", "16", "--churn", "--ticks", "100000", "--out", str(tmp_path)]

    def play(env: ParallelEnv, seed: int | None, steps: int) -> list:
        observations, infos = env.reset(seed=seed)
        assert len(observations) == 16
        seen = [[observations[name].tolist() for name in env.agents]]
        for _ in range(steps):
            actions = {}
            for name in env.agents:
                space = env.action_space(name)
                if name not in seeded:
                    seeded.add(name)
                    space.seed(len(seeded))
                actions[name] = space.sample(infos[name].get("action_mask"))
            live = set(env.agents)
            observations, rewards, terminations, truncations, infos = env.step(actions)
            assert live <= set(observations) and set(env.agents) <= set(env.possible_agents)
            for name in observations:
                assert env.observation_space(name).contains(observations[name])
                if name not in live:
                    joined.append(name)
                    assert rewards[name] == 0.0
                if terminations[name] or truncations[name]:
                    left.append(infos[name]["end_reason"])
            seen.append([observations[name].tolist() for name in sorted(observations)])
        return seen

    joined: list[str] = []
    left: list[str] = []
    seeded: set[str] = set()
    env = ParallelEnv(command, rejoin=True, seed=3)
    first = play(env, 3, 1000)
    assert joined and left
    # The arena has no reset: it is started again, with another seed.
    process = env._game.process
    second = play(env, None, 5)
    assert env._game.process != process and second[0] != first[0]
    env.close()
