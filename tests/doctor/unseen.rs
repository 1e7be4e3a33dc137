//! Games that none of the doctor's thresholds was tuned on: each with one known fault, and without it.
//!
//! The table states what the doctor finds, misses and reports without reason. It is a measurement: a change of the doctor that
//! changes it is not repaired by tuning the doctor on these games.

mod bodies;
mod crowds;
mod turns;
mod vehicles;

use crate::game::{Random, problems};
use bevy_ecs::prelude::*;
use bevy_experience::dataset::{Diagnosis, Symptom};
use std::{panic::resume_unwind, thread};

/// How long the key that a player holds stays pressed, in seconds.
#[derive(Component, Default)]
struct Held(f32);

impl Held {
    /// Whether the player presses another key, which it then holds for 0.05 to 0.45 seconds.
    fn expires(&mut self, delta: f32, random: &mut Random) -> bool {
        self.0 -= delta;
        let expires = self.0 <= 0.0;
        if expires {
            self.0 = 0.05 + 0.4 * random.next();
        }
        expires
    }
}

/// What the doctor says of a game with a fault.
#[derive(Clone, Debug, PartialEq)]
enum Broken {
    /// The symptom of the fault, and no other problem.
    Found,
    /// The symptom of the fault, and others.
    FoundWith(Vec<Symptom>),
    /// Other symptoms.
    Misnamed(Vec<Symptom>),
    /// Nothing.
    Missed,
}

/// What the doctor says of the same game without the fault.
#[derive(Clone, Debug, PartialEq)]
enum Sound {
    Silent,
    FalseAlarm(Vec<Symptom>),
}

/// A game, which is played with its fault or without.
struct Case {
    game: &'static str,
    symptom: Symptom,
    play: fn(bool) -> Diagnosis,
}

/// The problems, and notes of the symptom of the fault.
fn symptoms(found: &Diagnosis, symptom: Symptom) -> Vec<Symptom> {
    let notes = found.findings.iter().map(|finding| finding.symptom);
    let mut symptoms = problems(found);
    symptoms.extend(notes.filter(|&note| note == symptom && !problems(found).contains(&note)));
    symptoms
}

impl Case {
    fn verdicts(&self) -> (&'static str, Broken, Sound) {
        let broken = (self.play)(true);
        let sound = (self.play)(false);
        for found in [&broken, &sound] {
            assert!(
                found.transitions > 1000 && found.episodes > 5,
                "{}: {found:#?}",
                self.game
            );
        }
        let mut others = symptoms(&broken, self.symptom);
        let is_found = others.contains(&self.symptom);
        others.retain(|&symptom| symptom != self.symptom);
        let broken = match (is_found, others.is_empty()) {
            (true, true) => Broken::Found,
            (true, false) => Broken::FoundWith(others),
            (false, false) => Broken::Misnamed(others),
            (false, true) => Broken::Missed,
        };
        let alarms = symptoms(&sound, self.symptom);
        let sound = if alarms.is_empty() {
            Sound::Silent
        } else {
            Sound::FalseAlarm(alarms)
        };
        (self.game, broken, sound)
    }
}

const CASES: [Case; 14] = [
    Case {
        game: "lander",
        symptom: Symptom::ActionLeads,
        play: vehicles::lander,
    },
    Case {
        game: "tank",
        symptom: Symptom::LateFeature,
        play: vehicles::tank,
    },
    Case {
        game: "spaceship",
        symptom: Symptom::ActionLags,
        play: vehicles::spaceship,
    },
    Case {
        game: "racer",
        symptom: Symptom::ResetTooEarly,
        play: vehicles::racer,
    },
    Case {
        game: "grid",
        symptom: Symptom::ActionLeads,
        play: turns::grid,
    },
    Case {
        game: "race of two",
        symptom: Symptom::ConstantAction,
        play: turns::race_of_two,
    },
    Case {
        game: "snake",
        symptom: Symptom::ConstantAction,
        play: turns::snake,
    },
    Case {
        game: "trader",
        symptom: Symptom::ActionLeads,
        play: turns::trader,
    },
    Case {
        game: "jumper",
        symptom: Symptom::StaleFinalObservation,
        play: bodies::jumper,
    },
    Case {
        game: "pendulum",
        symptom: Symptom::ActionLags,
        play: bodies::pendulum,
    },
    Case {
        game: "cart and pole",
        symptom: Symptom::LateFeature,
        play: bodies::cart_and_pole,
    },
    Case {
        game: "arm",
        symptom: Symptom::ActionLeads,
        play: bodies::arm,
    },
    Case {
        game: "soldiers",
        symptom: Symptom::OrphanedRewards,
        play: crowds::soldiers,
    },
    Case {
        game: "dashers",
        symptom: Symptom::StaleFinalObservation,
        play: crowds::dashers,
    },
];

#[test]
fn verdicts_on_games_that_no_threshold_was_tuned_on() {
    // Two threads, because it takes longer than all other tests of this program.
    let (some, others) = CASES.split_at(CASES.len() / 2);
    let all = |cases: &[Case]| cases.iter().map(Case::verdicts).collect::<Vec<_>>();
    let verdicts = thread::scope(|scope| {
        let some = scope.spawn(|| all(some));
        let others = all(others);
        [some.join().unwrap_or_else(|panic| resume_unwind(panic)), others].concat()
    });
    let expected = [
        ("lander", Broken::Found, Sound::Silent),
        // What the rangefinder shows is far from linear.
        ("tank", Broken::Missed, Sound::Silent),
        // What a key does depends on the heading, so it does nothing on average.
        ("spaceship", Broken::Missed, Sound::Silent),
        ("racer", Broken::Found, Sound::Silent),
        // A player moves by one cell in six ticks or more: few rows are wrong.
        ("grid", Broken::Missed, Sound::Silent),
        ("race of two", Broken::Found, Sound::Silent),
        ("snake", Broken::Found, Sound::Silent),
        ("trader", Broken::Found, Sound::Silent),
        ("jumper", Broken::Found, Sound::Silent),
        ("pendulum", Broken::Found, Sound::Silent),
        // A push moves the tip three ticks later, and accelerates the cart in its own.
        ("cart and pole", Broken::Missed, Sound::Silent),
        ("arm", Broken::Found, Sound::Silent),
        // The bounty is the only reward, and is lost.
        (
            "soldiers",
            Broken::FoundWith(vec![Symptom::ConstantReward]),
            Sound::Silent,
        ),
        ("dashers", Broken::Found, Sound::Silent),
    ];
    assert_eq!(verdicts, expected, "{verdicts:#?}");
}
