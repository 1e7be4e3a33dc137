//! A game whose players have the states of a script, one for each tick, and what a ghost shows of them.

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::{Dataset, EpisodeQuery},
    prelude::*,
    test_app::TestApp,
    transition::Episode,
};
use bevy_experience_replay::{Replay, ReplayPlugin};
use bevy_math::Vec2;
use bevy_reflect::prelude::*;
use std::path::Path;

#[derive(Component)]
pub struct Hero;

#[derive(Reflect, Clone, Copy, Debug, PartialEq, Default)]
pub enum Stance {
    #[default]
    Stand,
    Crouch,
    Lie,
}

#[derive(Component, Reflect, Clone, Debug, Default)]
pub struct Body {
    pub place: Vec2,
    pub lives: u8,
    pub debt: i16,
    pub fuel: u32,
    pub stance: Stance,
    pub is_wet: [bool; 3],
    pub charge: Option<f32>,
    pub mood: Option<Stance>,
}

/// Two of its fields are recorded.
#[derive(Component, Reflect, Clone, Debug, Default)]
pub struct Mind {
    pub fear: f32,
    pub hope: f32,
    pub secret: f32,
}

#[derive(Component, Reflect, Clone, Debug, Default)]
pub struct Screen([[u8; 4]; 3]);

impl Screen {
    pub fn new(pixels: [[u8; 4]; 3]) -> Self {
        Self(pixels)
    }
}

/// Comes and goes.
#[derive(Component, Reflect, Clone, Debug, Default)]
#[reflect(Component, Default)]
pub struct Shield {
    pub strength: f32,
    pub layers: u8,
}

/// Comes and goes, without fields.
#[derive(Component, Reflect, Clone, Debug, Default)]
#[reflect(Component, Default)]
pub struct Stunned;

#[derive(Component, Reflect, Clone, Debug, Default)]
pub struct Intent {
    pub turn: f32,
    pub fine: f64,
    pub target: i64,
    pub stance: Stance,
    pub stances: [Stance; 2],
    pub is_shooting: bool,
}

/// What is recorded of a player, and restored.
#[derive(Clone, Debug, Default)]
pub struct HeroState {
    pub body: Body,
    pub mind: Mind,
    pub screen: Screen,
    pub shield: Option<Shield>,
    pub stunned: Option<Stunned>,
    pub intent: Intent,
}

/// The states of the next ticks, last first.
#[derive(Resource)]
struct Script(Vec<HeroState>);

pub fn recording() -> Recording<Hero> {
    Recording::<Hero>::new("hero")
        .observe::<Body>()
        .observe_fields::<Mind>(["hope", "fear"])
        .observe_optional::<Shield>()
        .observe_has::<Stunned>()
        .observe_image::<Screen>()
        .act::<Intent>()
        .reward_terms(["tick"])
}

/// An app with the recording and replays.
pub fn app() -> TestApp {
    let mut app = TestApp::new();
    app.record(recording());
    with_replays(app)
}

pub fn with_replays(mut app: TestApp) -> TestApp {
    app.add_plugins(ReplayPlugin)
        .register_type::<Shield>()
        .register_type::<Stunned>();
    app
}

/// A script in which nothing changes.
pub fn still(ticks: usize) -> Vec<HeroState> {
    vec![HeroState::default(); ticks]
}

/// Plays a script, and writes it to a dataset in `folder`.
pub fn play(folder: &Path, script: &[HeroState]) {
    let mut app = TestApp::new();
    app.record(recording().sink(DatasetSink::new(folder)));
    app.insert_resource(Script(script.iter().rev().cloned().collect()))
        .add_systems(FixedUpdate, follow_script);
    let hero = (
        Hero,
        AgentId(7),
        Body::default(),
        Mind::default(),
        Screen::default(),
        Intent::default(),
    );
    app.world_mut().spawn(hero);
    app.ticks(script.len());
    app.finish();
}

fn follow_script(
    mut script: ResMut<Script>,
    mut heroes: Query<(Entity, &mut Body, &mut Mind, &mut Screen, &mut Intent, &mut Reward)>,
    mut commands: Commands,
) {
    let Some(state) = script.0.pop() else { return };
    for (hero, mut body, mut mind, mut screen, mut intent, mut reward) in &mut heroes {
        reward.add("tick", 1.0);
        *body = state.body.clone();
        *mind = state.mind.clone();
        *screen = state.screen.clone();
        *intent = state.intent.clone();
        let mut hero = commands.entity(hero);
        match state.shield.clone() {
            Some(shield) => hero.insert(shield),
            None => hero.remove::<Shield>(),
        };
        match state.stunned.clone() {
            Some(stunned) => hero.insert(stunned),
            None => hero.remove::<Stunned>(),
        };
    }
}

/// The only episode of a dataset.
pub fn episode(folder: &Path) -> Episode {
    let dataset = Dataset::open(folder).unwrap();
    let recording = dataset.recording("hero").unwrap();
    recording.episode(&EpisodeQuery::new().agent(7)).unwrap()
}

/// A ghost with all components that are always there.
pub fn spawn_ghost(app: &mut TestApp, replay: Replay) -> Entity {
    let ghost = (
        replay,
        Body::default(),
        Mind::default(),
        Screen::default(),
        Intent::default(),
    );
    app.world_mut().spawn(ghost).id()
}

/// What a ghost shows.
pub fn state_of(app: &mut TestApp, ghost: Entity) -> HeroState {
    let ghost = app.world_mut().entity(ghost);
    HeroState {
        body: ghost.get::<Body>().unwrap().clone(),
        mind: ghost.get::<Mind>().unwrap().clone(),
        screen: ghost.get::<Screen>().unwrap().clone(),
        shield: ghost.get::<Shield>().cloned(),
        stunned: ghost.get::<Stunned>().cloned(),
        intent: ghost.get::<Intent>().unwrap().clone(),
    }
}

pub fn replay(app: &mut TestApp, ghost: Entity) -> Mut<'_, Replay> {
    app.world_mut().get_mut::<Replay>(ghost).unwrap()
}

/// What a replay shows of a script at step `step`: the observed state, and the action that the next tick consumed.
pub fn expected(script: &[HeroState], step: usize) -> HeroState {
    let mut state = script[step].clone();
    state.intent = script[(step + 1).min(script.len() - 1)].intent.clone();
    // Not recorded.
    state.mind.secret = 0.0;
    state
}
