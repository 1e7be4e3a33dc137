"""What DuckDB and Hugging Face `datasets` do in a way of their own: joins, configurations, streaming."""

from pathlib import Path

import datasets
import duckdb


def test_duckdb_joins_players_by_tick(recording: Path) -> None:
    query = """
        SELECT a.run, count(*) AS pairs, bool_and(a.timestamp = b.timestamp) AS together
        FROM read_parquet($shards) a
        JOIN read_parquet($shards) b
          ON a.run = b.run AND a.match_id IS NOT DISTINCT FROM b.match_id AND a.tick = b.tick AND a.agent_id < b.agent_id
        GROUP BY a.run ORDER BY pairs LIMIT 1
    """
    joined = duckdb.sql(query, params={"shards": str(recording / "data" / "*.parquet")}).fetchall()
    assert joined, "no tick has two players"
    [(_, pairs, together)] = joined
    assert pairs > 0 and together


def test_the_card_names_every_recording(root: Path) -> None:
    recordings = sorted(path.parent.name for path in root.glob("*/experience.json"))
    assert sorted(datasets.get_dataset_config_names(str(root))) == recordings


def test_datasets_streams(recording: Path, experience: dict, tmp_path: Path) -> None:
    streamed = datasets.load_dataset(
        str(recording.parent), recording.name, split="train", streaming=True, cache_dir=str(tmp_path)
    )
    row = next(iter(streamed))
    assert row["step"] == 0
    assert len(row["observation"]) == len(experience["features"])
