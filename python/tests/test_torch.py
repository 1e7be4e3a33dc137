"""PyTorch datasets, with and without workers."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from writer import Life, column, schema

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

import bevy_experience as bx  # noqa: E402
from bevy_experience.torch import TransitionDataset, WindowDataset, loader  # noqa: E402

ALL = (
    "observation",
    "action.steer",
    "action.deed",
    "action.boost",
    "reward",
    "match_id",
    "continues",
    "end_reason",
    "info.seen",
    "tick",
)


@pytest.fixture
def recording(record) -> bx.Recording:
    episodes = [
        Life(length=6),
        Life(match=None, length=3, terminated=False, reason="split", number=5),
        Life(continues=(0x2A << 32) + 5),
    ]
    return record(episodes, schema(info=[column("seen", "u64")]))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_loader_collates_every_column(recording, workers: int, method: str) -> None:
    dataset = TransitionDataset(recording, columns=ALL)
    settings = {"num_workers": workers, "multiprocessing_context": method} if workers else {}
    batches = list(DataLoader(dataset, batch_size=4, **settings))
    assert [len(batch["reward"]) for batch in batches] == [4, 4, 4, 2]
    found = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    assert (found["observation"].numpy() == recording["observation"]).all()
    assert found["action.deed"].dtype == torch.int64 and found["action.boost"].dtype == torch.bool
    assert (
        found["action.steer"].shape == (14, 2)
        and found["reward"].dtype == torch.float32
        and found["info.seen"].dtype == torch.int64
    )
    assert found["match_id.valid"].tolist() == [True] * 6 + [False] * 3 + [True] * 5
    assert found["continues"].tolist() == [0] * 9 + [(0x2A << 32) + 5] * 5 and found["continues.valid"].sum() == 5
    words = [dataset.end_reasons[code] if code >= 0 else None for code in found["end_reason"].tolist()]
    assert words == recording["end_reason"].tolist()
    fast = list(loader(dataset, 4, shuffle=False, **settings))
    for one, other in zip(batches, fast, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_orders(recording) -> None:
    dataset = TransitionDataset(recording, columns=["tick", "step"])
    epochs = [[batch["tick"].tolist() for batch in loader(dataset, 5, seed=seed)] for seed in (1, 1, 2)]
    assert epochs[0] == epochs[1] != epochs[2]
    again = loader(dataset, 5, seed=1)
    first, second = ([batch["tick"].tolist() for batch in again] for _ in range(2))
    assert first == epochs[0] and second != first and sorted(chain(*first)) == sorted(chain(*second))
    assert [len(batch["tick"]) for batch in loader(dataset, 5, drop_last=True)] == [5, 5]


def test_items_and_transforms(recording) -> None:
    scale = recording.normalization()

    def transform(item: dict) -> dict:
        return item | {
            "observation": (item["observation"] - torch.from_numpy(scale.mean)) / torch.from_numpy(scale.std)
        }

    dataset = TransitionDataset(recording, transform=transform)
    assert len(dataset) == 14 and dataset[3]["observation"].shape == (8,) and dataset[-1]["reward"].ndim == 0
    assert torch.allclose(dataset[[1, 2]]["observation"], torch.from_numpy(scale.apply(recording[1:3].observation)))
    for wrong in (14, -15):
        with pytest.raises(IndexError):
            dataset[wrong]
    assert len(list(dataset)) == 14


def test_windows_and_n_steps(recording) -> None:
    windows = recording.windows(4)
    dataset = WindowDataset(windows)
    item = dataset[0]
    assert item["observation"].shape == (4, 8) and item["mask"].tolist() == [False, False, False, True]
    (batch,) = loader(dataset, 100, shuffle=False)
    assert (
        torch.equal(batch["mask"], torch.from_numpy(windows[:]["mask"]))
        and batch["return_to_go"].dtype == torch.float32
    )
    (batch,) = loader(TransitionDataset(recording.n_step(3, 0.9)), 100, shuffle=False)
    assert np.allclose(batch["discount"], recording.n_step(3, 0.9)[:]["discount"])


def test_images_are_bytes(record) -> None:
    images = record(3, schema(images=[column("eye", "u8", (4, 5, 3))]))
    item = TransitionDataset(images)[0]
    assert item["observation.eye"].dtype == torch.uint8 and item["next_observation.eye"].shape == (4, 5, 3)
