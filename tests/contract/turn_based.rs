//! Decisions on demand: a board game for two players with the rules of Connect Four, checked against the log of the game.

mod decisions;
mod sources;

use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{
    prelude::*,
    test_app::TestApp,
    transition::{Episode, Transition},
};
use bevy_reflect::Reflect;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

const WIDTH: usize = 4;
const HEIGHT: usize = 4;
const CELLS: usize = WIDTH * HEIGHT;

#[derive(Component)]
struct Seat;

/// The board as one player sees it: 1 for its own pieces, -1 for those of the other.
#[derive(Component, Reflect, Clone, Copy, Debug, PartialEq)]
struct View([f32; CELLS]);

/// The chosen column.
#[derive(Component, Reflect, Clone, Copy, PartialEq, Debug)]
enum Column {
    A,
    B,
    C,
    D,
}

const COLUMNS: [Column; WIDTH] = [Column::A, Column::B, Column::C, Column::D];

/// The columns that are not full.
#[derive(Component, Reflect, Clone, Copy, Debug, PartialEq)]
struct Open([bool; WIDTH]);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Result {
    Win(usize),
    Draw,
}

#[derive(Clone, Default)]
struct Board([[i8; HEIGHT]; WIDTH]);

impl Board {
    fn view(&self, seat: usize) -> View {
        let own = if seat == 0 { 1 } else { -1 };
        let mut view = [0.0; CELLS];
        for (cell, piece) in view.iter_mut().zip(self.0.as_flattened()) {
            *cell = f32::from(piece * own);
        }
        View(view)
    }

    fn open(&self) -> Open {
        Open(self.0.map(|column| column[HEIGHT - 1] == 0))
    }

    fn drop_piece(&mut self, seat: usize, column: usize) -> Option<Result> {
        let free = self.0[column].iter_mut().find(|cell| **cell == 0);
        *free.expect("an illegal move") = if seat == 0 { 1 } else { -1 };
        let piece = if seat == 0 { 1 } else { -1 };
        let line = |x: usize, y: usize, dx: isize, dy: isize| {
            (0..4).all(|step| {
                let column = self.0.get(x.wrapping_add_signed(dx * step));
                column.and_then(|column| column.get(y.wrapping_add_signed(dy * step))) == Some(&piece)
            })
        };
        for x in 0..WIDTH {
            for y in 0..HEIGHT {
                if [(1, 0), (0, 1), (1, 1), (1, -1)]
                    .iter()
                    .any(|&(dx, dy)| line(x, y, dx, dy))
                {
                    return Some(Result::Win(seat));
                }
            }
        }
        (self.open().0 == [false; WIDTH]).then_some(Result::Draw)
    }
}

/// One decision of a seat, as the game itself logs it.
#[derive(Clone, Debug, PartialEq)]
struct Logged {
    before: View,
    mask: Open,
    column: usize,
    reward: f64,
    ticks: u32,
    after: View,
    /// The board after the last decision of a game.
    end: Option<(Outcome, &'static str)>,
}

/// How long a player thinks, and how the move is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    /// All moves of a tick are made by one exclusive system: several decisions in one tick.
    ManyPerTick(usize),
    /// A decision takes between one and so many ticks.
    Thinking(u32),
}

#[derive(Resource)]
struct Table {
    seats: [Entity; 2],
    board: Board,
    turn: usize,
    thinking: u32,
    pace: Pace,
    random: StdRng,
    tick: u32,
    requested_at: [u32; 2],
    open: [Option<Logged>; 2],
    log: [Vec<Vec<Logged>>; 2],
    games: usize,
    ended_at: Option<u32>,
    clears_action: bool,
    repeats_request: bool,
}

/// The rules: a reward of 0.125 for each move of the other, given in the other's turn; 1 and -1 for the result.
fn play_move(world: &mut World) {
    world.resource_scope(|world, mut table: Mut<Table>| {
        let table = &mut *table;
        let seat = table.turn;
        let open: Vec<usize> = (0..WIDTH).filter(|&column| table.board.open().0[column]).collect();
        let column = *open.choose(&mut table.random).unwrap();
        world
            .get_mut::<Column>(table.seats[seat])
            .unwrap()
            .clone_from(&COLUMNS[column]);
        table.open[seat].as_mut().unwrap().column = column;
        if table.clears_action {
            world.trigger(DecisionMade::by(table.seats[seat]));
            *world.get_mut::<Column>(table.seats[seat]).unwrap() = Column::A;
        }
        let result = table.board.drop_piece(seat, column);
        show(world, table);
        let other = 1 - seat;
        give(world, table, other, 0.125);
        match result {
            None => {
                table.turn = other;
                request(world, table, other);
            }
            Some(result) => {
                let rewards = match result {
                    Result::Win(winner) => [0, 1].map(|seat| if seat == winner { 1.0 } else { -1.0 }),
                    Result::Draw => [0.0; 2],
                };
                for seat in [0, 1] {
                    give(world, table, seat, rewards[seat]);
                    let reason = match result {
                        Result::Win(winner) if winner == seat => "win",
                        Result::Win(_) => "loss",
                        Result::Draw => "draw",
                    };
                    close(table, seat, Some((Outcome::Terminated, reason)));
                    world.trigger(EndEpisode::terminated(table.seats[seat], reason));
                }
                for seat in [0, 1] {
                    table.log[seat].push(Vec::new());
                }
                table.games += 1;
                table.ended_at = Some(table.tick);
                table.board = Board::default();
                table.turn = table.games % 2;
                show(world, table);
                let first = table.turn;
                request(world, table, first);
            }
        }
    });
}

fn show(world: &mut World, table: &Table) {
    for seat in [0, 1] {
        let view = table.board.view(seat);
        let open = table.board.open();
        world.entity_mut(table.seats[seat]).insert((view, open));
    }
}

fn give(world: &mut World, table: &mut Table, seat: usize, amount: f64) {
    world.get_mut::<Reward>(table.seats[seat]).unwrap().add("game", amount);
    if let Some(open) = &mut table.open[seat] {
        open.reward += amount;
    } else if table.ended_at == Some(table.tick) {
        // Until the capture it belongs to the game that has ended.
        let ended = table.log[seat].iter_mut().rev().nth(1);
        ended.and_then(|game| game.last_mut()).unwrap().reward += amount;
    }
}

fn request(world: &mut World, table: &mut Table, seat: usize) {
    close(table, seat, None);
    table.open[seat] = Some(Logged {
        before: table.board.view(seat),
        mask: table.board.open(),
        column: 0,
        reward: 0.0,
        ticks: 0,
        after: View([0.0; CELLS]),
        end: None,
    });
    table.requested_at[seat] = table.tick;
    world.trigger(RequestDecision::of(table.seats[seat]));
}

fn close(table: &mut Table, seat: usize, end: Option<(Outcome, &'static str)>) {
    if let Some(mut open) = table.open[seat].take() {
        open.after = table.board.view(seat);
        open.ticks = table.tick - table.requested_at[seat];
        open.end = end;
        table.log[seat].last_mut().unwrap().push(open);
    }
}

fn advance(world: &mut World) {
    advance_table(world);
    // The number of captures, which is the tick of requests from now on.
    world.resource_mut::<Table>().tick += 1;
}

fn advance_table(world: &mut World) {
    let mut table = world.resource_mut::<Table>();
    match table.pace {
        Pace::ManyPerTick(moves) => {
            for _ in 0..moves {
                play_move(world);
            }
        }
        Pace::Thinking(longest) => {
            if table.thinking > 0 {
                table.thinking -= 1;
                if table.repeats_request {
                    let player = table.seats[table.turn];
                    world.trigger(RequestDecision::of(player));
                }
                return;
            }
            table.thinking = table.random.random_range(0..longest);
            play_move(world);
        }
    }
}

fn recording(name: &str) -> Recording<Seat> {
    Recording::new(name)
        .observe::<View>()
        .act::<Column>()
        .action_mask::<Open>()
        .reward_terms(["game"])
        .buffers(BufferSettings {
            capacity: 1 << 14,
            ..Default::default()
        })
        .decision_on_demand()
}

fn table(pace: Pace, seed: u64) -> TestApp {
    let mut test = TestApp::new();
    test.record(recording("own"));
    test.record(recording("shared").scaling(PlayerScaling {
        pool_above: Some(0),
        ..Default::default()
    }));
    let board = Board::default();
    let seats = [0, 1].map(|seat: i64| {
        let view = board.view(seat as usize);
        test.world_mut()
            .spawn((Seat, AgentId(seat), view, board.open(), Column::A))
            .id()
    });
    test.insert_resource(Table {
        seats,
        board,
        turn: 0,
        thinking: 0,
        pace,
        random: StdRng::seed_from_u64(seed),
        tick: 0,
        requested_at: [0; 2],
        open: [None, None],
        log: [vec![Vec::new()], vec![Vec::new()]],
        games: 0,
        ended_at: None,
        clears_action: false,
        repeats_request: false,
    });
    // The first request comes before the first capture.
    test.world_mut()
        .resource_scope(|world, mut table: Mut<Table>| request(world, &mut table, 0));
    test.add_systems(FixedUpdate, advance);
    test
}

fn steps(episode: &Episode) -> Vec<Logged> {
    let step = |transition: Transition<'_>| Logged {
        before: View(transition.observation().try_into().unwrap()),
        mask: Open(core::array::from_fn(|column| transition.before().allows(column))),
        column: transition.action().next().unwrap() as usize,
        reward: transition.reward(),
        ticks: transition.ticks(),
        after: View(transition.next_observation().try_into().unwrap()),
        end: transition.end_reason().map(|reason| {
            let known = ["win", "loss", "draw"]
                .into_iter()
                .find(|known| *known == reason.as_str());
            (transition.episode().outcome(), known.unwrap_or("other"))
        }),
    };
    episode.transitions().map(step).collect()
}

/// Compares every row with the log. The last game is open when recording ends, and is left out.
fn check(mut test: TestApp) -> Vec<&'static str> {
    let games = test.world().resource::<Table>().games;
    let log = test.world().resource::<Table>().log.clone();
    let mut ends = Vec::new();
    for name in ["own", "shared"] {
        let episodes = test.finish_recording(name);
        for (seat, log) in log.iter().enumerate() {
            let own = episodes.iter().filter(|episode| episode.info().agent_id == seat as i64);
            let recorded: Vec<_> = own.map(steps).take(games).collect();
            assert_eq!(recorded, log[..games], "{name}, seat {seat}");
            for game in &recorded {
                for step in game {
                    assert!(step.mask.0[step.column], "each recorded move is legal");
                }
                ends.push(game.last().unwrap().end.unwrap().1);
            }
        }
        for episode in &episodes {
            for pair in 1..episode.len() {
                assert_eq!(
                    episode.transition(pair - 1).next_observation(),
                    episode.transition(pair).observation()
                );
                let (before, after) = (episode.transition(pair - 1), episode.transition(pair));
                assert_eq!(before.tick() + i64::from(before.ticks()), after.tick());
            }
        }
    }
    let report = test.report();
    assert_eq!(
        (report.recorded, report.dropped, report.pending),
        (report.exported, 0, 0)
    );
    ends
}

#[test]
fn each_row_of_a_board_game_is_what_the_game_logged() {
    let mut ends = Vec::new();
    for (pace, ticks) in [
        (Pace::Thinking(1), 400),
        (Pace::Thinking(40), 3000),
        (Pace::ManyPerTick(7), 100),
    ] {
        for seed in 0..3 {
            let mut test = table(pace, seed);
            test.ticks(ticks);
            ends.extend(check(test));
        }
    }
    for end in ["win", "loss", "draw"] {
        assert!(ends.iter().filter(|known| **known == end).count() > 3, "{end}");
    }
}

#[test]
fn a_request_that_is_repeated_in_each_frame_begins_one_step() {
    let mut test = table(Pace::Thinking(20), 5);
    test.world_mut().resource_mut::<Table>().repeats_request = true;
    test.ticks(1500);
    assert!(check(test).len() > 10);
}

#[test]
fn an_action_that_is_cleared_is_read_when_the_decision_is_made() {
    for pace in [Pace::Thinking(10), Pace::ManyPerTick(5)] {
        let mut test = table(pace, 6);
        test.world_mut().resource_mut::<Table>().clears_action = true;
        test.ticks(300);
        assert!(check(test).len() > 10);
    }
}
