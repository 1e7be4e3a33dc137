"""The Python snippets of the README and of the book's page, as they stand in the text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from writer import Life, column, discrete, schema, write

REPOSITORY = Path(__file__).parents[2]
NEEDS = {"bevy_experience.torch": "torch", "bevy_experience.spaces": "gymnasium"}


def snippets(document: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), flags=re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which `data/arena` is a dataset."""
    (tmp_path / "data").mkdir()
    named = os.environ.get("EXPERIENCE_DATASET")
    if named:
        (tmp_path / "data" / "arena").symlink_to(Path(named).resolve())
        return tmp_path
    rng = np.random.default_rng(0)
    episodes = [Life(match=index // 4, agent=index % 4, length=int(rng.integers(10, 30))) for index in range(60)]
    action = [column("intent.steer.x"), column("intent.deed", "i64", space=discrete(3))]
    write(tmp_path / "data" / "arena", episodes, schema(action=action))
    return tmp_path


@pytest.mark.parametrize("document", ["python/README.md", "docs/src/python.md"])
def test_the_snippets_of_a_document_run(folder: Path, document: str) -> None:
    if not (REPOSITORY / document).exists():
        pytest.skip("the package is not in its repository")
    found = snippets(REPOSITORY / document)
    if document == "python/README.md":
        assert len(found) == 1 and found[0].count("\n") <= 11
    runnable = [
        snippet
        for snippet in found
        if all(find_spec(package) for module, package in NEEDS.items() if module in snippet)
    ]
    # Workers are processes, which import the program.
    program = "\n".join(runnable)
    program = "if __name__ == '__main__':\n" + re.sub(r"^(?=.)", "    ", program, flags=re.M)
    (folder / "snippets.py").write_text(program)
    done = subprocess.run([sys.executable, "snippets.py"], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


GAME, ARENA = os.environ.get("EXPERIENCE_GAME"), os.environ.get("EXPERIENCE_ARENA")


def run(folder: Path, program: str, *arguments: str) -> None:
    (folder / "snippet.py").write_text(program)
    command = [sys.executable, "snippet.py", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not GAME, reason="EXPERIENCE_GAME names no game")
def test_the_policy_server_of_the_book_decides_for_a_game(tmp_path: Path) -> None:
    pytest.importorskip("pettingzoo")
    (snippet,) = snippets(REPOSITORY / "docs/src/acting.md", "py")
    run(tmp_path, snippet + POLICY_SERVER, str(GAME))


POLICY_SERVER = """
import os, subprocess, sys, threading

seen, is_played, decides = [], threading.Event(), server._decide

def counted(decision, game):
    seen.append(decision.tick)
    if len(seen) == 100:
        is_played.set()
    return decides(decision, game)

server._decide = counted
game = subprocess.Popen([sys.argv[1]], env={**os.environ, "BEVY_EXPERIENCE_REMOTE": server.address})
try:
    assert is_played.wait(60), seen
finally:
    game.kill()
    game.wait()
    server.close()
"""


@pytest.mark.skipif(not (GAME and ARENA), reason="EXPERIENCE_GAME and EXPERIENCE_ARENA name no games")
def test_the_environments_of_the_book_step_their_games(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium", "1.0")
    pytest.importorskip("pettingzoo")
    programs = tmp_path / "target" / "release"
    (programs / "examples").mkdir(parents=True)
    (programs / "arena").symlink_to(Path(str(ARENA)).resolve())
    (programs / "examples" / "environment").symlink_to(Path(str(GAME)).resolve())
    (snippet,) = snippets(REPOSITORY / "docs/src/environments.md", "py")
    # Each line makes an environment, which is stepped and closed.
    lines = [line for line in snippet.splitlines() if " = " in line]
    assert len(lines) == 4
    program = snippet.splitlines()[0] + ENVIRONMENTS
    for line in lines:
        variable = line.partition(" = ")[0]
        program += f"{line}\nplay({variable})\n"
    joined = os.environ | {"BEVY_EXPERIENCE_REMOTE": re.findall(r"grpc://[0-9.:]+", snippet)[0]}
    game = subprocess.Popen([str(GAME)], env=joined)
    try:
        run(tmp_path, program)
    finally:
        game.kill()
        game.wait()


ENVIRONMENTS = """
def play(env):
    env.reset(seed=1)
    for _ in range(20):
        if isinstance(env, ParallelEnv):
            if not env.agents:  # every episode has ended
                env.reset()
            assert env.agents
            env.step({name: env.action_space(name).sample() for name in env.agents})
        else:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if isinstance(env, Env) and (terminated or truncated):
                env.reset()
    env.close()

"""
