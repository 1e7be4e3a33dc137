"""Adapters to d3rlpy, imitation, TorchRL and RLlib. Each needs its own package."""

from __future__ import annotations

import numpy as np
import pytest
from writer import CONTINUOUS, DISCRETE, Life, column, schema

import bevy_experience as bx


@pytest.fixture
def mixed(record) -> bx.Recording:
    return record([Life(length=4), Life(length=3, terminated=False, reason="left"), Life(length=5)])


def only(record, action: list) -> bx.Recording:
    return record(
        [Life(length=4), Life(length=3, terminated=False, reason="left"), Life(length=5)], schema(action=action)
    )


class TestD3rlpy:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("d3rlpy")

    def test_episodes_are_those_of_the_recording(self, record) -> None:
        from bevy_experience.d3rlpy import to_mdp_dataset

        recording = only(record, CONTINUOUS)
        dataset = to_mdp_dataset(recording)
        assert [episode.terminated for episode in dataset.episodes] == [True, False, True]
        for own, other in zip(recording.episodes, dataset.episodes, strict=True):
            assert np.allclose(own.rewards, other.rewards[:, 0]) and (other.observations == own.observations[:-1]).all()
            assert (other.actions == own.flat_actions).all()

    def test_heads(self, record, mixed) -> None:
        from bevy_experience.d3rlpy import to_mdp_dataset

        with pytest.raises(bx.UnsuitableError, match=r'name a head, `action=` one of "steer", "deed", "boost"'):
            to_mdp_dataset(mixed)
        with pytest.raises(bx.UnsuitableError, match="has no head `jump`; it has steer"):
            to_mdp_dataset(mixed, action="jump")
        deed = to_mdp_dataset(mixed, action="deed")
        assert deed.episodes[0].actions.dtype == np.int64 and deed.dataset_info.action_size == 3
        assert to_mdp_dataset(mixed, action="steer").episodes[0].actions.shape == (4, 2)
        assert to_mdp_dataset(mixed, flat=True).episodes[0].actions.shape == (4, 4)
        single = to_mdp_dataset(only(record, DISCRETE))
        assert single.dataset_info.action_size == 3 and single.dataset_info.action_space.name == "DISCRETE"

    def test_it_trains(self, record) -> None:
        import d3rlpy

        from bevy_experience.d3rlpy import to_mdp_dataset

        algorithm = d3rlpy.algos.BCConfig(batch_size=4).create()
        algorithm.fit(
            to_mdp_dataset(only(record, CONTINUOUS)),
            n_steps=2,
            n_steps_per_epoch=2,
            show_progress=False,
            logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        )


class TestImitation:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("imitation")

    def test_transitions_and_trajectories(self, record) -> None:
        from bevy_experience.imitation import to_trajectories, to_transitions

        recording = only(record, DISCRETE)
        scale = recording.normalization()
        made = to_transitions(recording, scale=scale.apply)
        assert (made.obs == scale.apply(recording["observation"])).all() and (
            made.dones == recording["terminated"]
        ).all()
        assert made.acts.tolist() == recording["action"].tolist()
        paths = to_trajectories(recording)
        assert [(len(path), path.terminal) for path in paths] == [(4, True), (3, False), (5, True)]
        assert (paths[1].obs == recording.episodes[1].observations).all()

    def test_it_trains(self, mixed) -> None:
        from imitation.algorithms.bc import BC

        from bevy_experience.imitation import to_transitions
        from bevy_experience.spaces import head_space, observation_space

        schema = mixed.schema
        made = to_transitions(mixed, action="deed")
        bc = BC(
            observation_space=observation_space(schema),
            action_space=head_space(schema.heads["deed"]),
            demonstrations=made,
            rng=np.random.default_rng(0),
            batch_size=4,
        )
        bc.train(n_batches=2, progress_bar=False)


class TestTorchRL:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("torchrl")

    def test_a_tensordict_has_the_heads(self, mixed) -> None:
        from bevy_experience.torchrl import to_tensordict

        data = to_tensordict(mixed)
        assert (
            data.batch_size == (12,)
            and data["action", "deed"].shape == (12, 1)
            and data["action", "steer"].shape == (12, 2)
        )
        assert (data["next", "observation"].numpy() == mixed["next_observation"]).all()
        assert (
            data["next", "done"].sum() == 3
            and data["next", "terminated"].sum() == 2
            and data["next", "reward"].shape == (12, 1)
        )
        assert to_tensordict(mixed, [1, 2], flat=True)["action"].shape == (2, 4)

    def test_a_replay_buffer_holds_every_row(self, record, tmp_path) -> None:
        from bevy_experience.torchrl import to_replay_buffer

        recording = only(record, CONTINUOUS)
        buffer = to_replay_buffer(recording, 8, scratch_dir=str(tmp_path / "buffer"), chunk=5)
        assert len(buffer) == 12 and (buffer[:]["observation"].numpy() == recording["observation"]).all()
        assert buffer.sample()["action"].shape == (8, 3)


class TestRLlib:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("ray.rllib")

    def test_single_agent_episodes(self, mixed) -> None:
        from bevy_experience.rllib import to_single_agent_episodes

        for own, other in zip(mixed.episodes, to_single_agent_episodes(mixed), strict=True):
            assert (
                len(other) == len(own) and other.is_terminated == own.terminated and other.is_truncated == own.truncated
            )
            assert (np.array(other.get_observations()) == own.observations).all()
            assert np.allclose(other.get_rewards(), own.rewards)
            assert other.get_actions(0)["deed"] == own.actions["deed"][0]

    def test_multi_agent_episodes(self, record) -> None:
        from bevy_experience.rllib import to_multi_agent_episodes

        episodes = [
            Life(agent=1, length=4),
            Life(agent=2, length=2, ticks=2),
            Life(agent=3, length=3, match=1, terminated=False, reason="left"),
        ]
        recording = record(episodes, schema(action=DISCRETE, images=[column("eye", "u8", (2, 2, 1))]))
        first, second = to_multi_agent_episodes(recording)
        ids = [str(own.episode_id) for own in recording.episodes]
        assert set(first.agent_ids) == {f"1/{ids[0]}", f"2/{ids[1]}"} and first.env_t == 4
        assert set(second.agent_ids) == {f"3/{ids[2]}"}
        for own in recording.episodes:
            holder = first if own.match_id == 0 else second
            other = holder.agent_episodes[f"{own.agent_id}/{own.episode_id}"]
            assert len(other) == len(own) and np.allclose(other.get_rewards(), own.rewards)
            assert [int(a) for a in other.get_actions()] == own.actions["deed"].tolist()
            found = other.get_observations()
            assert all(
                (frame["observation"] == expected).all()
                for frame, expected in zip(found, own.observations, strict=True)
            )
            assert other.is_terminated == own.terminated and other.is_truncated == own.truncated


def test_trainers_of_one_array_refuse_images(record) -> None:
    from bevy_experience._extras import observation_only

    with pytest.raises(bx.UnsuitableError, match=r"has images \(eye\)"):
        observation_only(record(1, schema(images=[column("eye", "u8", (2, 2, 1))])).schema)


def test_a_package_that_is_not_installed_is_named() -> None:
    from bevy_experience._extras import extra

    with pytest.raises(
        bx.MissingExtraError, match=r"`no_such_package` is not installed: `pip install 'bevy-experience\[torch\]'`"
    ):
        extra("no_such_package.part", "torch")
