"""Normalization, against NumPy on the whole array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from writer import OBSERVATION, column, schema

import bevy_experience as bx
from bevy_experience import summary


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 25])
def test_means_and_deviations_without_flags(record, monkeypatch, chunk: int) -> None:
    monkeypatch.setattr(summary, "_CHUNK_BYTES", chunk)
    recording = record(60)
    for selection in (recording, recording.where(terminated=True)):
        values = selection["observation"].astype(np.float64)
        found = selection.normalization()
        # The one-hot, `present` and the bool, but not the fraction `charge`.
        assert [name for name, flag in zip(found.features, found.flags, strict=True) if flag] == [
            "coin[0].present", "mode=Idle", "mode=Run", "mode=Hide", "armed",
        ]  # fmt: skip
        rest = ~found.flags
        assert np.allclose(found.mean[rest], values.mean(0)[rest], rtol=1e-6)
        assert np.allclose(found.std[rest], values.std(0)[rest], rtol=1e-5)
        assert (found.mean[found.flags] == 0).all() and (found.std[found.flags] == 1).all()
        assert np.allclose(found.low, values.min(0)) and np.allclose(found.high, values.max(0))
        scaled = found.apply(selection["observation"])
        assert scaled.dtype == np.float32 and np.allclose(scaled[:, rest].mean(0), 0, atol=1e-4)
        assert (scaled[:, found.flags] == selection["observation"][:, found.flags]).all()
        assert np.allclose(found.invert(scaled), selection["observation"], rtol=1e-4)


def test_constants_and_values_that_are_not_finite(record) -> None:
    definition = schema(observation=[*OBSERVATION[:2], column("constant"), column("hole"), column("none")])

    def extra(table: pa.Table) -> pa.Table:
        values = np.array(table["observation"].to_pylist(), np.float32)
        values[:, 2], values[:, 4] = 1e6, np.nan
        values[::2, 3] = [np.inf, -np.inf, np.nan, np.nan][:1] * len(values[::2])
        index = table.column_names.index("observation")
        return table.set_column(
            index, "observation", pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 5)
        )

    recording = record(20, definition, extra=extra)
    found = recording.normalization()
    assert (found.mean[2], found.std[2]) == (1e6, 1) and (found.mean[4], found.std[4], found.low[4]) == (0, 1, 0)
    column_values = recording["observation"][:, 3].astype(np.float64)
    assert found.mean[3] == pytest.approx(column_values[np.isfinite(column_values)].mean(), rel=1e-5)
    assert found.std[3] == pytest.approx(column_values[np.isfinite(column_values)].std(), rel=1e-5)


def test_a_large_mean_does_not_hide_a_small_deviation(record) -> None:
    def extra(table: pa.Table) -> pa.Table:
        values = (1e4 + np.arange(table.num_rows) % 2)[:, None].astype(np.float32)
        index = table.column_names.index("observation")
        return table.set_column(
            index, "observation", pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 1)
        )

    found = record(20, schema(observation=[column("x")]), extra=extra).normalization()
    assert found.std[0] == pytest.approx(0.5, rel=0.01)


def test_a_normalization_can_be_saved(record, tmp_path: Path) -> None:
    found = record(5).normalization()
    (tmp_path / "scale.json").write_text(found.to_json())
    for again in (bx.Normalization.from_json(found.to_json()), bx.Normalization.from_json(tmp_path / "scale.json")):
        assert (again.mean == found.mean).all() and again.std.dtype == np.float32 and again.features == found.features
        assert (again.flags == found.flags).all() and again.count == found.count
