"""Images: every loader returns the pixels that the example `pictures` drew."""

import json
import os
from pathlib import Path

import numpy
import pandas
import pyarrow.parquet
import pytest


@pytest.fixture(scope="module")
def walker() -> Path:
    """The recording of the example `pictures`."""
    named = os.environ.get("EXPERIENCE_PICTURES")
    if not named:
        pytest.skip("EXPERIENCE_PICTURES names no dataset")
    return Path(named).resolve() / "walker"


@pytest.fixture(scope="module")
def shape(walker: Path) -> tuple[int, ...]:
    space = json.loads((walker / "experience.json").read_text())["image_spaces"]["spaces"]["observation.picture"]
    assert (space["dtype"], space["low"], space["high"]) == ("uint8", 0, 255)
    return tuple(space["shape"])


def drawn(position: float, shape: tuple[int, ...]) -> numpy.ndarray:
    """The picture at a position, as the example draws it."""
    pixels = numpy.zeros(shape, numpy.uint8)
    pixels[:, int(position) % shape[1]] = [(255, y, int(position)) for y in range(shape[0])]
    return pixels


def load_pyarrow(walker: Path, cache: Path) -> list[dict]:
    return pyarrow.parquet.read_table(walker / "data").to_pylist()


def load_pandas(walker: Path, cache: Path) -> list[dict]:
    return pandas.read_parquet(walker / "data").to_dict("records")


def load_polars(walker: Path, cache: Path) -> list[dict]:
    import polars

    return polars.read_parquet(walker / "data").to_dicts()


def load_datasets(walker: Path, cache: Path) -> list[dict]:
    import datasets

    return list(datasets.load_dataset(str(walker.parent), walker.name, split="train", cache_dir=str(cache)))


def load_datasets_streaming(walker: Path, cache: Path) -> list[dict]:
    import datasets

    loaded = datasets.load_dataset(str(walker.parent), walker.name, split="train", cache_dir=str(cache), streaming=True)
    return list(loaded)


def load_duckdb(walker: Path, cache: Path) -> list[dict]:
    import duckdb

    shards = str(walker / "data" / "*.parquet")
    found = duckdb.sql("SELECT * FROM read_parquet($shards)", params={"shards": shards})
    return [dict(zip(found.columns, row)) for row in found.fetchall()]


LOADERS = {"pyarrow": load_pyarrow, "pandas": load_pandas}
# The environment with the oldest versions has pyarrow and pandas alone.
if "EXPERIENCE_OLDEST" not in os.environ:
    LOADERS |= {
        "polars": load_polars,
        "datasets": load_datasets,
        "datasets, streaming": load_datasets_streaming,
        "duckdb": load_duckdb,
    }


@pytest.mark.parametrize("loader", LOADERS)
def test_pixels_are_those_that_were_drawn(loader: str, walker: Path, shape: tuple[int, ...], tmp_path: Path) -> None:
    rows = LOADERS[loader](walker, tmp_path)
    assert len(rows) > 500
    ends = 0
    for row in rows:
        image = numpy.frombuffer(row["observation.picture"], numpy.uint8).reshape(shape)
        assert (image == drawn(row["observation"][0], shape)).all()
        last = row["next_observation.picture"]
        assert (last is not None) == (row["terminated"] or row["truncated"])
        if last is not None:
            ends += 1
            image = numpy.frombuffer(last, numpy.uint8).reshape(shape)
            assert (image == drawn(row["next_observation"][0], shape)).all()
    assert ends > 10


def test_minari_has_the_pixels(walker: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    named = os.environ.get("EXPERIENCE_PICTURES_MINARI")
    if not named:
        pytest.skip("EXPERIENCE_PICTURES_MINARI names no folder")
    monkeypatch.setenv("MINARI_DATASETS_PATH", named)
    minari = pytest.importorskip("minari")
    [name] = minari.list_local_datasets()
    dataset = minari.load_dataset(name)
    space = dataset.observation_space["observation.picture"]
    assert (space.shape, space.dtype) == (shape, numpy.uint8)
    for episode in dataset.iterate_episodes():
        images, positions = episode.observations["observation.picture"], episode.observations["observation"]
        assert images.dtype == numpy.uint8
        assert len(images) == len(episode.rewards) + 1
        for image, position in zip(images, positions):
            assert (image == drawn(position[0], shape)).all()
            assert space.contains(image)


def test_lerobot_has_the_pixels(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Decoded as `lerobot` does it: by `datasets`, with the feature that `info.json` names."""
    named = os.environ.get("EXPERIENCE_PICTURES_LEROBOT")
    if not named:
        pytest.skip("EXPERIENCE_PICTURES_LEROBOT names no folder")
    datasets = pytest.importorskip("datasets")
    folder = Path(named).resolve()
    described = json.loads((folder / "meta" / "info.json").read_text())["features"]["observation.images.picture"]
    assert described == {"dtype": "image", "shape": list(shape), "names": ["height", "width", "channels"]}
    files = [str(path) for path in sorted(folder.glob("data/*/*.parquet"))]
    loaded = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path))
    loaded = loaded.cast_column("observation.images.picture", datasets.Image())
    assert len(loaded) > 500
    for row in loaded:
        position = row["observation.state"]
        position = position[0] if isinstance(position, list) else position
        assert (numpy.asarray(row["observation.images.picture"]) == drawn(position, shape)).all()


def test_lerobot_opens_the_dataset(shape: tuple[int, ...]) -> None:
    named = os.environ.get("EXPERIENCE_PICTURES_LEROBOT")
    if not named:
        pytest.skip("EXPERIENCE_PICTURES_LEROBOT names no folder")
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    dataset = lerobot.LeRobotDataset("local/pictures", root=Path(named).resolve())
    frame = dataset[3]
    height, width, channels = shape
    assert tuple(frame["observation.images.picture"].shape) == (channels, height, width)
    assert dataset.meta.stats["observation.images.picture"]["mean"].shape == (channels, 1, 1)
