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


def snippets(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", document.read_text(), flags=re.M | re.S)


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
