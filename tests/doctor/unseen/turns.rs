//! Games of cells, turns and orders, whose state changes by whole numbers.

use super::Held;
use crate::game::{Age, Random, Rates, finish};
use bevy_app::prelude::*;
use bevy_ecs::prelude::*;
use bevy_experience::{dataset::Diagnosis, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::Time;

/// A held key moves from cell to cell every tenth of a second, in `Update`. The fault: it is captured at fixed ticks.
pub fn grid(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default, Clone, Copy)]
    #[require(Move, Held, Repeat)]
    struct Cell {
        column: i8,
        row: i8,
    }
    #[derive(Component, Default)]
    struct Repeat(f32);
    #[derive(Component, Reflect, Default, Clone, Copy)]
    enum Move {
        #[default]
        Stay,
        North,
        East,
        South,
        West,
    }
    fn press(time: Res<Time>, mut cells: Query<(&mut Move, &mut Held)>, mut random: ResMut<Random>) {
        for (mut to, mut held) in &mut cells {
            if held.expires(time.delta_secs(), &mut random) {
                *to = [Move::Stay, Move::North, Move::East, Move::South, Move::West][random.below(5) as usize];
            }
        }
    }
    fn step(time: Res<Time>, mut cells: Query<(&Move, &mut Repeat, &mut Cell)>) {
        for (to, mut repeat, mut cell) in &mut cells {
            repeat.0 += time.delta_secs();
            let (column, row) = match to {
                Move::Stay => continue,
                Move::North => (0, 1),
                Move::East => (1, 0),
                Move::South => (0, -1),
                Move::West => (-1, 0),
            };
            if repeat.0 >= 0.1 {
                repeat.0 = 0.0;
                cell.column = (cell.column + column).clamp(0, 8);
                cell.row = (cell.row + row).clamp(0, 8);
            }
        }
    }
    fn arrive(mut cells: Query<(Entity, &Cell, &mut Reward)>, mut commands: Commands) {
        for (entity, cell, mut reward) in &mut cells {
            if (cell.column, cell.row) == (8, 8) {
                reward.add("goal", 1.0);
                commands.trigger(EndEpisode::terminated(entity, "goal"));
            }
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut cells: Query<&mut Cell>, mut random: ResMut<Random>) {
        if let Ok(mut cell) = cells.get_mut(ended.entity) {
            *cell = Cell {
                column: random.below(5) as i8,
                row: random.below(5) as i8,
            };
        }
    }

    let rates = Rates { frames: 144, ticks: 64 };
    let recording = Recording::<Cell>::new("cell").observe::<Cell>().act::<Move>();
    let recording = if broken {
        recording.capture_after(FixedLast).read_actions_after(FixedLast)
    } else {
        recording
    };
    rates.diagnose(120, recording, |app| {
        app.add_systems(PreUpdate, press)
            .add_systems(Update, (step, arrive).chain())
            .add_observer(begin);
        for _ in 0..3 {
            app.world_mut().spawn(Cell::default());
        }
    })
}

/// Two players hop along a track by turns, one to three cells. The fault: the system that hops takes the choice away.
pub fn race_of_two(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Hop)]
    struct Track {
        mine: u8,
        theirs: u8,
    }
    #[derive(Component, Reflect, Default, Clone, Copy)]
    enum Hop {
        #[default]
        One,
        Two,
        Three,
    }
    #[derive(Resource)]
    struct Table {
        seats: [Entity; 2],
        turn: usize,
        wait: u32,
    }
    fn choose(mut table: ResMut<Table>, mut hops: Query<&mut Hop>, mut random: ResMut<Random>) {
        table.wait -= 1;
        let seat = table.seats[table.turn];
        if table.wait == 0
            && let Ok(mut hop) = hops.get_mut(seat)
        {
            *hop = [Hop::One, Hop::Two, Hop::Three][random.below(3) as usize];
        }
    }
    fn hop<const TAKES: bool>(
        mut table: ResMut<Table>,
        mut players: Query<(&mut Track, &mut Hop, &mut Reward)>,
        mut commands: Commands,
    ) {
        let (seat, other) = (table.seats[table.turn], table.seats[1 - table.turn]);
        if table.wait > 0 {
            return;
        }
        table.wait = 3;
        table.turn = 1 - table.turn;
        let Ok([mut mine, mut theirs]) = players.get_many_mut([seat, other]) else {
            return;
        };
        mine.0.mine += *mine.1 as u8 + 1;
        theirs.0.theirs = mine.0.mine;
        if TAKES {
            *mine.1 = Hop::default();
        }
        if mine.0.mine >= 20 {
            mine.2.add("result", 1.0);
            theirs.2.add("result", -1.0);
            commands.trigger(EndEpisode::terminated(seat, "win"));
            commands.trigger(EndEpisode::terminated(other, "loss"));
        }
        commands.trigger(RequestDecision::of(other));
    }
    fn begin(ended: On<EpisodeEnded>, mut tracks: Query<&mut Track>) {
        if let Ok(mut track) = tracks.get_mut(ended.entity) {
            *track = Track::default();
        }
    }

    let rates = Rates { frames: 60, ticks: 20 };
    let recording = Recording::<Track>::new("seat")
        .observe::<Track>()
        .act::<Hop>()
        .decision_on_demand();
    rates.diagnose(300, recording, |app| {
        if broken {
            app.add_systems(FixedUpdate, (choose, hop::<true>).chain());
        } else {
            app.add_systems(FixedUpdate, (choose, hop::<false>).chain());
        }
        app.add_observer(begin);
        let world = app.world_mut();
        let seats = [0, 1].map(|id| world.spawn((Track::default(), AgentId(id))).id());
        world.insert_resource(Table {
            seats,
            turn: 0,
            wait: 3,
        });
        world.trigger(RequestDecision::of(seats[0]));
    })
}

/// A snake that moves eight times a second, and turns where a key was pressed since. The fault: the move takes the key away before
/// it is recorded.
pub fn snake(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect, Default)]
    #[require(Turn)]
    struct Head {
        column: i8,
        row: i8,
        direction: Direction,
    }
    #[derive(Reflect, Default, Clone, Copy)]
    enum Direction {
        #[default]
        North,
        East,
        South,
        West,
    }
    #[derive(Component, Reflect, Default, Clone, Copy)]
    enum Turn {
        #[default]
        Straight,
        Left,
        Right,
    }
    fn press(mut snakes: Query<&mut Turn>, mut random: ResMut<Random>) {
        for mut turn in &mut snakes {
            *turn = [Turn::Straight, Turn::Straight, Turn::Left, Turn::Right][random.below(4) as usize];
        }
    }
    fn crawl<const TAKES: bool>(mut snakes: Query<(&mut Turn, &mut Head, &mut Reward)>) {
        const AROUND: [Direction; 4] = [Direction::North, Direction::East, Direction::South, Direction::West];
        for (mut turn, mut head, mut reward) in &mut snakes {
            let by = match *turn {
                Turn::Straight => 0,
                Turn::Left => 3,
                Turn::Right => 1,
            };
            head.direction = AROUND[(head.direction as usize + by) % 4];
            match head.direction {
                Direction::North => head.row += 1,
                Direction::East => head.column += 1,
                Direction::South => head.row -= 1,
                Direction::West => head.column -= 1,
            }
            reward.add(
                "apple",
                if head.row == 0 && head.column % 3 == 0 {
                    1.0
                } else {
                    0.0
                },
            );
            if TAKES {
                *turn = Turn::Straight;
            }
        }
    }
    fn crash(snakes: Query<(Entity, &Head)>, mut commands: Commands) {
        for (entity, head) in &snakes {
            if head.column.abs().max(head.row.abs()) > 10 {
                commands.trigger(EndEpisode::terminated(entity, "wall"));
            }
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut snakes: Query<&mut Head>) {
        if let Ok(mut head) = snakes.get_mut(ended.entity) {
            *head = Head::default();
        }
    }

    let rates = Rates { frames: 30, ticks: 8 };
    let recording = Recording::<Head>::new("snake").observe::<Head>().act::<Turn>();
    let recording = if broken {
        recording.read_actions_after(FixedLast)
    } else {
        recording
    };
    rates.diagnose(200, recording, |app| {
        app.add_systems(FixedPreUpdate, press).add_observer(begin);
        if broken {
            app.add_systems(FixedUpdate, (crawl::<true>, crash).chain());
        } else {
            app.add_systems(FixedUpdate, (crawl::<false>, crash).chain());
        }
        for _ in 0..3 {
            app.world_mut().spawn(Head::default());
        }
    })
}

/// Orders at a price that walks at random. The fault: each tick ends with the order for the next.
pub fn trader(broken: bool) -> Diagnosis {
    #[derive(Component, Reflect)]
    #[require(Order, Age)]
    struct Account {
        price: f32,
        cash: f32,
        stock: i8,
    }
    #[derive(Component, Reflect, Default, Clone, Copy)]
    enum Order {
        #[default]
        Hold,
        Buy,
        Sell,
    }
    impl Default for Account {
        fn default() -> Self {
            Self {
                price: 10.0,
                cash: 100.0,
                stock: 5,
            }
        }
    }
    fn order(mut accounts: Query<&mut Order>, mut random: ResMut<Random>) {
        for mut order in &mut accounts {
            *order = [Order::Hold, Order::Hold, Order::Buy, Order::Sell][random.below(4) as usize];
        }
    }
    fn trade(mut accounts: Query<(&Order, &mut Account, &mut Reward, &mut Age)>, mut random: ResMut<Random>) {
        for (order, mut account, mut reward, mut age) in &mut accounts {
            let before = account.cash + f32::from(account.stock) * account.price;
            match order {
                Order::Buy if account.cash >= account.price && account.stock < 100 => {
                    account.cash -= account.price;
                    account.stock += 1;
                }
                Order::Sell if account.stock > 0 => {
                    account.cash += account.price;
                    account.stock -= 1;
                }
                _ => {}
            }
            account.price = (account.price + 0.3 * random.signed()).max(1.0);
            let after = account.cash + f32::from(account.stock) * account.price;
            reward.add("profit", f64::from(after - before));
            age.0 += 1;
        }
    }
    fn begin(ended: On<EpisodeEnded>, mut accounts: Query<(&mut Account, &mut Age)>) {
        if let Ok((mut account, mut age)) = accounts.get_mut(ended.entity) {
            *account = Account::default();
            age.0 = 0;
        }
    }

    let rates = Rates { frames: 60, ticks: 20 };
    let recording = Recording::<Account>::new("trader").observe::<Account>().act::<Order>();
    let recording = if broken {
        recording.read_actions_after(FixedLast)
    } else {
        recording
    };
    rates.diagnose(150, recording, |app| {
        if broken {
            app.add_systems(FixedUpdate, (trade, finish, order).chain());
        } else {
            app.add_systems(FixedUpdate, (order, trade, finish).chain());
        }
        app.add_observer(begin);
        for _ in 0..3 {
            app.world_mut().spawn(Account::default());
        }
    })
}
