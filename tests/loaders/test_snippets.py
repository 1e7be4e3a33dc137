"""The Python snippets of the README and of the book, as they stand in the text, on two cores."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# The sections whose snippets train, and the version of gymnasium that each needs. `run-trainers` runs them.
TRAINERS = {"PyTorch": "1.2.2", "d3rlpy": "1.0.0", "imitation": "0.29.1", "TorchRL": "1.2.2", "RLlib": "1.2.2"}
FALLING = """
assert all(loss == loss for loss in losses), f"a loss is not a number: {losses}"
assert losses[-1] < losses[0], f"the loss does not fall: {losses}"
"""


def sections() -> dict[str, list[str]]:
    """The Python snippets of each section."""
    found: dict[str, list[str]] = {}
    book = sorted((REPOSITORY / "docs" / "src").glob("*.md"))
    # Those of the Python package are run by its own tests.
    for document in [REPOSITORY / "README.md", *(page for page in book if page.name != "python.md")]:
        # A heading, or a snippet.
        for heading, snippet in re.findall(r"^#+ ([^\n]+)$|^```python\n(.*?)^```$", without_comments(document), re.M | re.S):
            if heading:
                section = f"{document.name}: {heading}"
            else:
                found.setdefault(section, []).append(snippet.replace("\f", "#"))
    return found


def without_comments(document: Path) -> str:
    """The text, in which `#` in snippets is no heading."""
    return re.sub(r"^```.*?^```$", lambda code: code[0].replace("#", "\f"), document.read_text(), flags=re.M | re.S)


def selected() -> dict[str, list[str]]:
    """The sections that are run in this environment: those that train, or the others."""
    trains = "EXPERIENCE_TRAINERS" in os.environ
    return {name: snippets for name, snippets in sections().items() if (name.split(": ")[1] in TRAINERS) == trains}


def test_every_trainer_has_a_section() -> None:
    assert {f"loading.md: {name}" for name in TRAINERS} <= set(sections())
    assert len(selected()) >= 5


@pytest.mark.parametrize("section", selected())
def test_the_snippets_of_a_section_run(section: str, root: Path, tmp_path: Path) -> None:
    if os.environ.get("EXPERIENCE_RECORDING", "fighter") != "fighter":
        pytest.skip("the snippets load the arena's recording")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "arena").symlink_to(root)
    if "minari" in section.lower():
        converted = os.environ.get("EXPERIENCE_MINARI")
        if not converted:
            pytest.skip("EXPERIENCE_MINARI names no folder")
        (tmp_path / "data" / "minari").symlink_to(Path(converted).resolve())
    if any("data/pictures" in snippet for snippet in sections()[section]):
        pictures = os.environ.get("EXPERIENCE_PICTURES")
        if not pictures:
            pytest.skip("EXPERIENCE_PICTURES names no dataset")
        (tmp_path / "data" / "pictures").symlink_to(Path(pictures).resolve())
    if any("data/units" in snippet for snippet in sections()[section]):
        lists = os.environ.get("EXPERIENCE_LISTS")
        if not lists:
            pytest.skip("EXPERIENCE_LISTS names no folder")
        (tmp_path / "data" / "units").symlink_to(Path(lists).resolve())
    environment = dict(os.environ, OMP_NUM_THREADS="2")
    snippets, trainer = sections()[section], TRAINERS.get(section.split(": ")[1])
    if trainer:
        environment["PYTHONPATH"] = str(Path(os.environ["EXPERIENCE_TRAINERS"]) / f"gymnasium-{trainer}")
        snippets = [part for snippet in snippets for part in (snippet, FALLING)]
    (tmp_path / "snippets.py").write_text("\n".join(snippets))

    def on_two_cores() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

    done = subprocess.run(
        [sys.executable, "snippets.py"],
        cwd=tmp_path,
        env=environment,
        preexec_fn=on_two_cores,
        capture_output=True,
        text=True,
        # RLlib's processes wait for each other on a busy machine.
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
