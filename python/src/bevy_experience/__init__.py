"""Reads the reinforcement-learning datasets that the Bevy plugin `bevy_experience` records.

Examples
--------
>>> import bevy_experience
>>> fighter = bevy_experience.open("data/arena")["fighter"]  # doctest: +SKIP
>>> batch = fighter[:256]  # doctest: +SKIP
>>> batch.observation.shape, batch.reward.dtype  # doctest: +SKIP
((256, 39), dtype('float64'))
"""

from .accounts import Accounts, Counts, Run
from .batch import Batch
from .dataset import Dataset
from .dataset import open_dataset as open  # noqa: A004
from .episodes import Episode, Episodes
from .errors import (
    DamagedError,
    ExperienceError,
    MissingExtraError,
    NoSuchColumnError,
    NoSuchRecordingError,
    NotADatasetError,
    OtherSchemaError,
    StreamError,
    UnsuitableError,
)
from .normalization import Normalization
from .recording import Recording
from .replay_ring import PrioritizedBatch, ReplayRing
from .returns import NStep, discounted, returns_to_go
from .schema import Column, EntityList, Schema, Space
from .stream import Missed, Position, Stream, stream
from .summary import ActionClasses, Moments, Summary
from .transitions import Transitions
from .windows import Windows

__all__ = [
    "Accounts",
    "ActionClasses",
    "Batch",
    "Column",
    "Counts",
    "DamagedError",
    "Dataset",
    "EntityList",
    "Episode",
    "Episodes",
    "ExperienceError",
    "Missed",
    "MissingExtraError",
    "Moments",
    "NStep",
    "NoSuchColumnError",
    "NoSuchRecordingError",
    "Normalization",
    "NotADatasetError",
    "OtherSchemaError",
    "Position",
    "PrioritizedBatch",
    "Recording",
    "ReplayRing",
    "Run",
    "Schema",
    "Space",
    "Stream",
    "StreamError",
    "Summary",
    "Transitions",
    "UnsuitableError",
    "Windows",
    "discounted",
    "open",
    "returns_to_go",
    "stream",
]
__version__ = "0.1.0"
