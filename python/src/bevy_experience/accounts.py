"""The accounts of a recording: what its runs recorded and lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ._compaction import Compactions
from .errors import DamagedError

# The tag of episodes that were discarded after they had ended.
DISCARDED_TAG = "discarded"


@dataclass(frozen=True)
class Counts:
    """Counts of transitions; ``recorded = exported + dropped + discarded + pending``.

    Attributes
    ----------
    recorded, exported, dropped, discarded, pending : int
        Transitions that were captured, written, lost, discarded on request, and not written yet.
    episodes, empty_episodes : int
        Episodes that were written, and those that ended without a transition.
    orphaned_rewards, non_finite, ignored_ends, refused_agents, unbuffered_agents, failures : int
        Rewards outside of episodes, transitions with a value that is not finite, ends without an
        episode, players that were not recorded, and failed writes.
    missing, missing_episodes : int
        Transitions and episodes whose files were removed while they were recorded.
    """

    recorded: int = 0
    exported: int = 0
    dropped: int = 0
    discarded: int = 0
    pending: int = 0
    episodes: int = 0
    empty_episodes: int = 0
    orphaned_rewards: int = 0
    non_finite: int = 0
    ignored_ends: int = 0
    refused_agents: int = 0
    unbuffered_agents: int = 0
    failures: int = 0
    missing: int = 0
    missing_episodes: int = 0

    def __add__(self, other: Counts) -> Counts:
        names = (field.name for field in fields(Counts))
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Run:
    """The account of one run, the lifetime of a process.

    Attributes
    ----------
    id : int
        The run, as in the column ``run``.
    status : {"running", "closed", "recovered"}
        ``running`` is also a run whose process died and that was not recovered.
    tick_rate : float or None
        Ticks per second of game time; ``None`` if it changed, or is not fixed.
    seed : int or None
        The seed of the game.
    build : str or None
        The build of the game.
    started, ended : float or None
        Seconds since 1970, UTC.
    counts : Counts
        Counts of transitions.
    shards : tuple of str
        The finished shards that were not deleted.
    retired_transitions : int
        Transitions in shards that the game has deleted to keep a limit of bytes.
    filtered_transitions, filtered_episodes : int
        What `experience filter` and `experience split` left out. Its transitions count as discarded.
    filtered_by : tuple of str
        The selections that left them out.
    """

    id: int
    status: str
    schema_hash: str
    tick_rate: float | None
    seed: int | None
    build: str | None
    started: float
    ended: float | None
    counts: Counts
    shards: tuple[str, ...]
    shard_episodes: int
    shard_transitions: int
    retired_transitions: int
    filtered_transitions: int
    filtered_episodes: int
    filtered_by: tuple[str, ...]
    checksums: dict[str, int] = field(repr=False)
    tags: tuple[tuple[int, str], ...] = field(repr=False, default=())

    @property
    def name(self) -> str:
        """The run as eight hexadecimal digits, as in the names of its files."""
        return f"{self.id:08x}"

    @classmethod
    def read(cls, path: Path, data: Path) -> Run:
        """Read an account. ``data`` is the folder of the recording's shards."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            run = int(document["run"])
            if path.name != f"{run:08x}.json":
                raise ValueError(f"it is the account of run {run:08x}, and its name is not")
            return cls._parse(document, run, data)
        except (ValueError, KeyError, TypeError, AttributeError, IsADirectoryError) as error:
            raise DamagedError(path, f"{type(error).__name__}: {error}") from None

    @classmethod
    def _parse(cls, document: dict[str, Any], run: int, data: Path) -> Run:
        report = document["account"]
        shards = list(document["shards"])
        retired = int(document.get("retired", {}).get("transitions", 0))
        for pending in document.get("retiring", ()):
            # A deletion has happened if the file does not exist.
            if (data / Path(pending["shard"]["file"]).name).exists():
                shards.append(pending["shard"])
            else:
                retired += int(pending["shard"]["transitions"])
        shards = Compactions(data.parent).resolve(f"{run:08x}", shards)
        filtered = document.get("filtered", {})
        names = {field.name for field in fields(Counts)}
        sums = {shard["file"]: shard.get("checksum") for shard in shards}
        return cls(
            id=run,
            status=str(document["status"]),
            schema_hash=str(document["schema_hash"]),
            tick_rate=document.get("tick_rate"),
            seed=document.get("seed"),
            build=document.get("build"),
            started=float(document["started"]),
            ended=document.get("ended"),
            counts=Counts(**{name: int(report[name]) for name in names & report.keys()}),
            shards=tuple(sorted(sums, key=lambda name: (len(name), name))),
            shard_episodes=sum(int(shard["episodes"]) for shard in shards),
            shard_transitions=sum(int(shard["transitions"]) for shard in shards),
            retired_transitions=retired,
            filtered_transitions=int(filtered.get("transitions", 0)),
            filtered_episodes=int(filtered.get("episodes", 0)),
            filtered_by=tuple(str(by) for by in filtered.get("by", ())),
            checksums={name: int(found["crc32c"]) for name, found in sums.items() if found},
            tags=tuple((int(tag["episode_id"]), str(tag["tag"])) for tag in report.get("tags", ())),
        )


def account_paths(recording: Path) -> list[Path]:
    """List the accounts of all runs of a recording, sorted by name."""
    folder = recording / "runs"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    return [folder / name for name in names if name.endswith(".json") and name[0] != "."]


def read_tags(recording: Path, runs: Iterable[Run]) -> dict[int, frozenset[str]]:
    """Read the tags of the episodes of all runs, by episode id."""
    tags: dict[int, set[str]] = {}
    for run in runs:
        # Version 0.1.0 wrote tags to the account.
        for episode, tag in run.tags:
            tags.setdefault(episode, set()).add(tag)
        for episode, found in _tags_of_run(recording / "runs" / f"{run.name}.tags.jsonl").items():
            tags.setdefault(episode, set()).update(found)
    return {episode: frozenset(found) for episode, found in tags.items()}


def _tags_of_run(path: Path) -> dict[int, set[str]]:
    tags: dict[int, set[str]] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            change = json.loads(line)
            if "removed" in change:
                tags.pop(int(change["removed"]), None)
            else:
                tags.setdefault(int(change["episode_id"]), set()).add(str(change["tag"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(path, f"line {number}: {error}") from None
    return tags


def _lines(path: Path) -> Iterator[bytes]:
    """Read whole lines. A last line without an end was being written when its process died."""
    try:
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
    except FileNotFoundError:
        return


@dataclass(frozen=True)
class Accounts:
    """What a recording holds, and what is missing from it.

    Attributes
    ----------
    runs : tuple of Run
        The accounts of all runs that can be read, in the order of their names.
    totals : Counts
        The sums of their counts.
    transitions, episodes : int
        What the shards hold.
    discarded_transitions : int
        Transitions of the shards whose episodes were discarded after they had ended. They are in no
        selection, until `experience compact` removes them.
    gaps : int
        Episodes that end where rows were lost.
    damaged : tuple of DamagedError
        Files that could not be read completely, and were left out.
    unfinished : tuple of pathlib.Path
        Shards that a process is writing, or was writing when it died.
    journals, damaged_journals : tuple of pathlib.Path
        Journals of runs that are neither closed nor recovered, and parts of journals that a recovery
        could not read.
    other_schemas : tuple of str
        Recordings of the same name with other columns, which are not part of this one.
    """

    runs: tuple[Run, ...]
    transitions: int
    episodes: int
    discarded_transitions: int
    gaps: int
    damaged: tuple[DamagedError, ...]
    unfinished: tuple[Path, ...]
    journals: tuple[Path, ...]
    damaged_journals: tuple[Path, ...]
    other_schemas: tuple[str, ...]

    @property
    def totals(self) -> Counts:
        """The sums of the counts of all runs."""
        return sum((run.counts for run in self.runs), Counts())

    @property
    def retired_transitions(self) -> int:
        """Transitions in shards that the game has deleted to keep a limit of bytes."""
        return sum(run.retired_transitions for run in self.runs)

    @property
    def filtered_transitions(self) -> int:
        """Transitions that `experience filter` and `experience split` left out of the dataset."""
        return sum(run.filtered_transitions for run in self.runs)

    def missing(self) -> list[str]:
        """List what is missing from the data, one sentence each; empty if nothing is."""
        totals, found = self.totals, []

        def add(count: int, text: str) -> None:
            if count:
                found.append(text.format(f"{count:,}"))

        add(totals.dropped, "{} transitions were dropped: lost before they were written")
        add(totals.missing, "{} of the dropped transitions were in files that were removed")
        filtered = self.filtered_transitions
        add(totals.discarded - filtered, "{} transitions were discarded on request")
        selections = dict.fromkeys(by for run in self.runs for by in run.filtered_by)
        # Braces in a tag are no places of a format.
        by = "; ".join(selections).replace("{", "{{").replace("}", "}}")
        add(filtered, "{} transitions were left out of the dataset: " + by)
        add(self.discarded_transitions, "{} transitions were discarded after their episodes had ended, and are skipped")
        add(totals.pending, "{} transitions were not written when the accounts were updated")
        add(self.gaps, "{} episodes end at a gap: the rows after them were lost")
        add(totals.orphaned_rewards, "{} rewards were given outside of episodes, and are in no row")
        add(totals.refused_agents, "{} players were not recorded, because of their agent ids")
        add(totals.unbuffered_agents, "{} players were not recorded, because no buffer was free")
        add(self.retired_transitions, "{} transitions were in shards that the game has deleted")
        listed = sum(run.shard_transitions for run in self.runs)
        if listed > self.transitions:
            add(listed - self.transitions, "{} transitions are in the accounts, and in no shard")
        if listed < self.transitions:
            add(self.transitions - listed, "{} transitions are in shards that no account lists")
        found.extend(
            f"run {run.name} has not ended: its process is alive, or died; `experience recover` "
            "recovers the runs of processes that died"
            for run in self.runs
            if run.status == "running"
        )
        found.extend(f"`{path}`: unfinished shard" for path in self.unfinished)
        found.extend(f"`{path}`: parts of a journal that could not be read" for path in self.damaged_journals)
        found.extend(str(error) for error in self.damaged)
        found.extend(
            f"recording `{name}` has the same name and other columns, and is separate" for name in self.other_schemas
        )
        return found

    def __str__(self) -> str:
        head = f"{self.transitions:,} transitions in {self.episodes:,} episodes of {len(self.runs)} runs"
        return "\n".join([head, *(f"- {sentence}" for sentence in self.missing())])
