//! The check that finds actions of another tick.

use super::*;

#[test]
fn actions_that_are_off_by_a_tick_are_found() {
    for seed in 0..20 {
        let mut early = carts(seed);
        for trajectory in &mut early {
            // Beside each change is the action of the next one.
            trajectory.actions.rotate_left(1);
        }
        let found = diagnosis_of(schema(), &early);
        assert_eq!(symptoms(&found), [Symptom::ActionLeads], "{seed}: {found:#?}");
        assert!(
            found.findings[0].places[0].contains("follows from `push`"),
            "{found:#?}"
        );
        let mut late = carts(seed);
        for trajectory in &mut late {
            trajectory.actions.rotate_right(1);
        }
        let found = diagnosis_of(schema(), &late);
        assert_eq!(symptoms(&found), [Symptom::ActionLags], "{seed}: {found:#?}");
    }
}

#[test]
fn an_action_that_sets_a_feature_and_leads_is_found() {
    // A player faces where it aims: each change follows from two actions, one of them of the tick before.
    let mut numbers = Numbers(4);
    let mut trajectories = carts(4);
    for trajectory in &mut trajectories {
        for index in 0..trajectory.actions.len() {
            trajectory.actions[index] = numbers.below(1000) as f32 / 500.0 - 1.0;
            trajectory.observations[index + 1][1] = trajectory.actions[index];
        }
    }
    assert_eq!(symptoms(&diagnosis_of(schema(), &trajectories)), []);
    for trajectory in &mut trajectories {
        trajectory.actions.rotate_left(1);
    }
    assert_eq!(symptoms(&diagnosis_of(schema(), &trajectories)), [Symptom::ActionLeads]);
}

#[test]
fn a_player_that_reacts_to_observations_is_healthy() {
    let mut trajectories = carts(5);
    for trajectory in &mut trajectories {
        let (mut v, seen) = (0.0, trajectory.observations.clone());
        for index in 0..trajectory.actions.len() {
            trajectory.observations[index][1] = v;
            // Every action follows from the change before it, and changes the speed after it.
            let wind = if index > 0 {
                seen[index][2] - seen[index - 1][2]
            } else {
                0.0
            };
            trajectory.actions[index] = wind / 2.0;
            v += trajectory.actions[index];
        }
        trajectory.observations[seen.len() - 1][1] = v;
    }
    assert_eq!(symptoms(&diagnosis_of(schema(), &trajectories)), []);
}

#[test]
fn discrete_actions_that_are_off_by_a_tick_are_found() {
    // Left, none and right: as a number, the action would not correlate with the distance from the middle.
    let discrete = || {
        Schema::new("walk")
            .with_observation(["x", "y", "z"].map(Column::feature))
            .with_action([Column::scalar("go", DType::U8, choice(3))])
    };
    let mut numbers = Numbers(3);
    let mut trajectories = carts(3);
    for trajectory in &mut trajectories {
        let mut place = [0.0_f32; 3];
        for index in 0..trajectory.actions.len() {
            let go = numbers.below(3) as usize;
            trajectory.observations[index] = place.to_vec();
            place[go] += 1.0;
            trajectory.actions[index] = go as f32;
        }
        let last = trajectory.actions.len();
        trajectory.observations[last] = place.to_vec();
    }
    assert_eq!(symptoms(&diagnosis_of(discrete(), &trajectories)), []);
    for trajectory in &mut trajectories {
        trajectory.actions.rotate_left(1);
    }
    assert_eq!(
        symptoms(&diagnosis_of(discrete(), &trajectories)),
        [Symptom::ActionLeads]
    );
}

/// A simulated game of a player in the plane, for the check of alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Game {
    /// The action accelerates, and is smooth.
    Cart,
    /// The action moves; no velocity is observed.
    Steps,
    /// The action sets the velocity.
    TopDown,
    /// The action sets the velocity of the next tick's movement.
    Euler,
    /// The player follows an observed direction exactly.
    Direction,
    /// The action is a linear function of position and velocity.
    Deterministic,
    /// The action is a linear function of the position, and moves with noise.
    DeterministicSteps,
    /// The player copies a changing wind, with which its action moves.
    Wind,
    /// The player reacts to a wind, and its action changes nothing that is observed.
    Spectator,
    /// The action is noise.
    Explorer,
    /// The action changes every eighth tick.
    Repeated,
    /// The second action starts a cooldown.
    Shooter,
    /// A controller whose velocity is not observed.
    Controller,
}

const GAMES: [Game; 13] = [
    Game::Cart,
    Game::Steps,
    Game::TopDown,
    Game::Euler,
    Game::Direction,
    Game::Deterministic,
    Game::DeterministicSteps,
    Game::Wind,
    Game::Spectator,
    Game::Explorer,
    Game::Repeated,
    Game::Shooter,
    Game::Controller,
];

/// Observations of four features, and actions of two numbers, of one episode.
fn played(game: Game, numbers: &mut Numbers, len: usize) -> (Vec<[f64; 4]>, Vec<[f64; 2]>) {
    // The sum of uniform numbers, with a deviation of 1.
    let mut noise = || (0..3).map(|_| numbers.below(2001) as f64 / 1000.0 - 1.0).sum::<f64>();
    let mut pair = || [noise(), noise()];
    let [mut x, mut goal] = [pair().map(|value| 3.0 * value), pair().map(|value| 3.0 * value)];
    let (mut v, mut u, mut wind, mut cooldown) = ([0.0; 2], [0.0; 2], pair(), 0.0_f64);
    let each = |value: &dyn Fn(usize) -> f64| [value(0), value(1)];
    let (mut observations, mut actions) = (Vec::new(), Vec::new());
    for tick in 0..=len {
        let away = each(&|axis| goal[axis] - x[axis]);
        let distance = away[0].hypot(away[1]).max(1e-6);
        let direction = away.map(|value| value / distance);
        let other = match game {
            Game::Cart | Game::Deterministic | Game::Explorer | Game::TopDown | Game::Euler => v,
            Game::Wind | Game::Spectator => wind,
            Game::Direction => direction,
            Game::Shooter => [cooldown, away[0]],
            _ => goal,
        };
        observations.push([x[0], x[1], other[0], other[1]]);
        if tick == len {
            break;
        }
        let (random, step) = (pair(), pair());
        u = each(&|axis| {
            let (away, random) = (away[axis], random[axis]);
            match game {
                Game::Cart => (0.9 * u[axis] - 0.1 * x[axis] - 0.2 * v[axis] + 0.1 * random).clamp(-1.0, 1.0),
                Game::Steps => (0.3 * away + 0.3 * random).clamp(-1.0, 1.0),
                Game::Direction => direction[axis],
                Game::Deterministic => -0.3 * x[axis] - 0.5 * v[axis],
                Game::DeterministicSteps => -0.3 * x[axis],
                Game::Wind => wind[axis].clamp(-1.0, 1.0),
                Game::Spectator => 0.3 * random - wind[axis],
                Game::Explorer => random.clamp(-1.0, 1.0),
                Game::Repeated if tick % 8 > 0 => u[axis],
                Game::Repeated => (away + random).clamp(-1.0, 1.0),
                Game::Shooter if axis == 1 => f64::from(u8::from(cooldown <= 0.0 && random > 0.0)),
                Game::Shooter | Game::TopDown | Game::Euler => (away + 0.3 * random).clamp(-1.0, 1.0),
                Game::Controller => (0.5 * away - v[axis]).clamp(-1.0, 1.0),
            }
        });
        for axis in 0..2 {
            let before = v[axis];
            v[axis] = match game {
                Game::Cart | Game::Deterministic | Game::Explorer => v[axis] + 0.2 * u[axis] + 0.02 * step[axis],
                Game::Controller => v[axis] + 0.3 * u[axis] + 0.02 * step[axis],
                Game::Spectator => step[axis],
                Game::Steps | Game::DeterministicSteps | Game::Wind => 2.0 * u[axis] + step[axis],
                _ => 2.0 * u[axis],
            };
            match game {
                Game::Euler => x[axis] += 0.1 * before,
                Game::Shooter if axis == 1 => {}
                _ => x[axis] += 0.1 * v[axis],
            }
            wind[axis] = 0.95 * wind[axis] + 0.3 * step[axis];
        }
        if game == Game::Shooter {
            cooldown = if u[1] > 0.0 { 1.0 } else { (cooldown - 0.1).max(0.0) };
        }
        if distance < 0.3 {
            goal = pair().map(|value| 3.0 * value);
        }
        actions.push(u);
    }
    (observations, actions)
}

/// The findings about alignment in a game whose recorded actions are those of `shift` ticks later.
fn alignment(game: Game, seed: u64, shift: isize) -> Vec<Symptom> {
    let number = |name| Column::scalar(name, DType::F32, Space::unbounded());
    let schema = Schema::new("plane")
        .with_observation(["x", "y", "a", "b"].map(Column::feature))
        .with_action([number("u"), number("w")])
        .into_shared();
    let layout = schema.layout();
    let mut numbers = Numbers(seed);
    let episodes: Vec<_> = (0..30_u32)
        .map(|counter| {
            let (mut observations, mut actions) = played(game, &mut numbers, 100);
            if shift > 0 {
                actions.remove(0);
                observations.pop();
            } else if shift < 0 {
                actions.pop();
                observations.remove(0);
            }
            let mut rows = vec![0_u64; observations.len() * layout.row_words()];
            for (index, row) in rows.chunks_exact_mut(layout.row_words()).enumerate() {
                let header = StepHeader::of_mut(row);
                (header.tick, header.ticks) = (200 * i64::from(counter) + index as i64, 1);
                (header.timestamp, header.reward) = (header.tick as f64 / 60.0, f64::from(index as u8 % 3));
                let bytes = bytemuck::cast_slice_mut::<u64, u8>(row);
                let seen = observations[index].map(|value| value as f32);
                bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(&seen));
                if index > 0 {
                    let action = actions[index - 1].map(|value| value as f32);
                    bytes[layout.action_offsets()[0]..][..8].copy_from_slice(bytemuck::cast_slice(&action));
                }
            }
            Episode::new(
                schema.clone(),
                info(RUN, counter, 0),
                rows,
                Outcome::Terminated,
                EndReason::GOAL,
            )
        })
        .collect();
    let mut found = symptoms(&diagnosis(&episodes));
    found.retain(|symptom| matches!(symptom, Symptom::ActionLeads | Symptom::ActionLags));
    found
}

#[test]
fn sound_games_raise_no_alarm() {
    for game in GAMES {
        for seed in 0..4 {
            assert_eq!(alignment(game, seed, 0), [], "{game:?} {seed}");
        }
    }
}

#[test]
fn actions_of_neighbouring_ticks_are_found_in_most_games() {
    let mut missed = Vec::new();
    for game in GAMES {
        for seed in 0..2 {
            for (shift, symptom) in [(1, Symptom::ActionLeads), (-1, Symptom::ActionLags)] {
                match *alignment(game, seed, shift) {
                    [found] => assert_eq!(found, symptom, "{game:?} {seed}"),
                    _ if seed == 0 => missed.push((game, shift)),
                    _ => assert!(missed.contains(&(game, shift)), "{game:?} {seed}: {symptom:?}"),
                }
            }
        }
    }
    let expected = [
        // An action that sets an observed feature follows from the observation, as a reaction does.
        (Game::TopDown, -1),
        (Game::Euler, -1),
        // The action follows from the observation.
        (Game::Direction, 1),
        (Game::Direction, -1),
        (Game::Deterministic, 1),
        (Game::Deterministic, -1),
        (Game::DeterministicSteps, 1),
        (Game::DeterministicSteps, -1),
        (Game::Wind, 1),
        (Game::Wind, -1),
        // No action has an effect.
        (Game::Spectator, 1),
        (Game::Spectator, -1),
    ];
    assert_eq!(missed, expected);
}
