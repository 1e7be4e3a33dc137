"""Gymnasium spaces, which hold every value of a recording."""

from __future__ import annotations

import numpy as np
import pytest
from writer import CONTINUOUS, DISCRETE, MIXED, column, discrete, schema

spaces = pytest.importorskip("gymnasium").spaces

from bevy_experience.spaces import action_space, observation_space  # noqa: E402

WHOLE = [*MIXED, column("slots", "i64", (2,), discrete(4)), column("count", "u8"), column("exact", "f64")]


@pytest.mark.parametrize(
    ("action", "kind"),
    [(MIXED, "Dict"), (CONTINUOUS, "Box"), (DISCRETE, "Discrete"), (WHOLE, "Dict"), ([], "Dict")],
)
def test_every_action_is_in_its_space(record, action: list, kind: str) -> None:
    recording = record(5, schema(action=action))
    space = action_space(recording.schema)
    assert type(space).__name__ == kind
    batch = recording[:]
    for row in range(len(recording)):
        if kind == "Dict":
            value = {name: heads[row] for name, heads in batch.actions.items()}
            value = {
                name: np.asarray(v) if np.ndim(v) or not isinstance(space[name], spaces.Discrete) else int(v)
                for name, v in value.items()
            }
        else:
            value = batch.action[row]
        assert space.contains(value), value
    if action:
        flat = action_space(recording.schema, flat=True)
        assert all(flat.contains(row) for row in batch.flat_action) and flat.shape == (recording.schema.action_width,)


def test_every_observation_is_in_its_space(record) -> None:
    recording = record(5)
    space = observation_space(recording.schema)
    assert space.shape == (8,) and all(space.contains(row) for row in recording[:].next_observation)
    images = record(2, schema(name="eye", images=[column("eye", "u8", (4, 5, 3))]), folder="eye")
    batch = images[:1]
    value = {"observation": batch.observation[0], "observation.eye": batch.images["eye"][0]}
    assert observation_space(images.schema).contains(value) and batch.next_images["eye"].shape == (1, 4, 5, 3)
