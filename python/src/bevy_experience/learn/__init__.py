"""A learner for running games: transitions arrive in streams, and the games load its ONNX file.

`StreamRows` follows the streams of some games, `assemble` makes a `Rollout` of what has arrived,
`Learner` improves an `ActorCritic` with it, and `ActorCritic.export` writes the file that the games
watch. ``python/examples/learn_arena.py`` is the loop. Needs the extra ``train``.
"""

from .actor_critic import ActorCritic
from .advantages import Advantages, vtrace
from .ppo import Learner, LearnerSettings
from .rollout import Dropped, Rollout, assemble
from .stream_rows import EpisodeSummary, StreamRows

__all__ = [
    "ActorCritic",
    "Advantages",
    "Dropped",
    "EpisodeSummary",
    "Learner",
    "LearnerSettings",
    "Rollout",
    "StreamRows",
    "assemble",
    "vtrace",
]
