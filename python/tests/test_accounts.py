"""Accounts: what a recording says is missing from it, and datasets of older versions."""

from __future__ import annotations

import json
from pathlib import Path

from writer import Life, write

import bevy_experience as bx


def edit_account(folder: Path, run: int, **changes) -> None:
    path = folder / "runs" / f"{run:08x}.json"
    document = json.loads(path.read_text())
    document["account"] |= changes.pop("account", {})
    path.write_text(json.dumps(document | changes))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    episodes = [Life(terminated=False, reason="gap"), Life(run=3)]
    folder = write(
        tmp_path, episodes, counts={"dropped": 7, "discarded": 2, "recorded": 14, "orphaned_rewards": 1, "missing": 3}
    )
    accounts = bx.open(tmp_path)["fighter"].accounts
    assert accounts.totals.dropped == 14 and accounts.totals.missing == 6 and accounts.gaps == 1
    assert [run.name for run in accounts.runs] == ["00000003", "0000002a"]
    sentences = accounts.missing()
    for text in (
        "14 transitions were dropped",
        "6 of the dropped",
        "4 transitions were discarded",
        "1 episodes end at a gap",
        "2 rewards",
    ):
        assert any(sentence.startswith(text) for sentence in sentences), sentences
    assert "10 transitions in 2 episodes of 2 runs\n- 14 transitions" in str(accounts)
    assert accounts.runs[0].tick_rate == 60 and accounts.runs[0].status == "closed"
    assert folder.exists()


def test_a_complete_recording_misses_nothing(tmp_path: Path) -> None:
    write(tmp_path, [Life(), Life()])
    assert bx.open(tmp_path)["fighter"].accounts.missing() == []


def test_rows_without_an_account(tmp_path: Path) -> None:
    folder = write(tmp_path, [Life()])
    (folder / "runs" / "0000002a.json").unlink()
    assert bx.open(tmp_path)["fighter"].accounts.missing() == ["5 transitions are in shards that no account lists"]


def test_shards_that_the_game_deleted(tmp_path: Path) -> None:
    """By retention, of which one deletion was interrupted before and one after the file was gone."""
    folder = write(tmp_path, [Life(), Life(length=3), Life(length=2)], per_shard=1)
    document = json.loads((folder / "runs" / "0000002a.json").read_text())
    gone, kept, listed = document["shards"]
    (folder / "data" / gone["file"]).unlink()
    retired = {"shards": 1, "episodes": 1, "transitions": 100}
    edit_account(folder, 0x2A, shards=[listed], retiring=[{"shard": gone}, {"shard": kept}], retired=retired)
    accounts = bx.open(tmp_path)["fighter"].accounts
    assert accounts.retired_transitions == 105 and accounts.transitions == 5
    assert accounts.runs[0].shards == (kept["file"], listed["file"])
    assert accounts.missing() == ["105 transitions were in shards that the game has deleted"]


def test_accounts_of_version_0_1_0(tmp_path: Path) -> None:
    """They hold tags and totals by agent, and their shards have no time and no checksum."""
    folder = write(tmp_path, [Life(), Life(tags=("new",))])
    episode = 0x2A << 32
    tags = [{"episode_id": episode, "agent_id": 1, "tag": "old"}]
    agents = {"1": {"episodes": 2, "transitions": 10, "total_reward": None}}
    edit_account(folder, 0x2A, account={"tags": tags, "agents": agents})
    recording = bx.open(tmp_path)["fighter"]
    assert recording.tags == {episode: {"old"}, episode + 1: {"new"}}
    assert len(recording.where(tag="old").episodes) == 1 and recording.episodes[0].tags == {"old"}


def test_tags_that_were_removed_or_added_again(tmp_path: Path) -> None:
    folder = write(tmp_path, [Life(tags=("a", "b")), Life(tags=("a",))])
    first = 0x2A << 32
    with (folder / "runs" / "0000002a.tags.jsonl").open("a") as file:
        file.write(f'{{"removed": {first}}}\n{{"episode_id": {first}, "agent_id": 1, "tag": "c"}}\n')
    assert bx.open(tmp_path)["fighter"].tags == {first: {"c"}, first + 1: {"a"}}


def test_parts_of_a_journal_that_could_not_be_read(tmp_path: Path) -> None:
    folder = write(tmp_path, [Life()])
    (folder / "damaged" / "0000002a").mkdir(parents=True)
    accounts = bx.open(tmp_path)["fighter"].accounts
    assert accounts.damaged_journals == (folder / "damaged" / "0000002a",)
    assert any("parts of a journal" in sentence for sentence in accounts.missing())
