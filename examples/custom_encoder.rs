//! Encodes components that reflection cannot flatten, with closures.
//!
//! Reflection flattens numbers, booleans, arrays and structs of them. A `Vec` has no fixed length, so `observe::<Bag>()`
//! is refused; `observe_with` and `act_with` take a closure that fills as many values as there are names.
//!
//!     cargo run --example custom_encoder
#![expect(clippy::print_stdout, reason = "the example prints its result")]

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::prelude::*;
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use std::time::Duration;

#[derive(Component)]
struct Trader;

#[derive(Clone, Copy, Reflect)]
enum Item {
    Apple,
    Coin,
}

#[derive(Component, Reflect)]
struct Bag {
    items: Vec<Item>,
}

/// The action: the prices of the apples on offer in this tick, a list of any length.
#[derive(Component)]
struct Offer {
    prices: Vec<f32>,
}

fn main() {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, ExperiencePlugin::default()))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1))
        .add_systems(FixedUpdate, (decide, trade).chain());

    let refused = app.try_add_recording(Recording::<Trader>::new("trader").observe::<Bag>());
    if let Err(error) = refused {
        println!("with `observe::<Bag>()`: {error}\n");
    }

    let sink = MemorySink::default();
    app.add_recording(
        Recording::<Trader>::new("trader")
            // Counts in place of the list. `out` may hold values of an earlier row, so it is filled first.
            .observe_with::<Bag>(["apples", "coins"], |bag, out| {
                out.fill(0.0);
                for item in &bag.items {
                    out[*item as usize] += 1.0;
                }
            })
            // The first two prices, padded with 0, so every row has the same width.
            .act_with::<Offer>(["first", "second"], |offer, out| {
                for (index, price) in out.iter_mut().enumerate() {
                    *price = offer.prices.get(index).copied().unwrap_or(0.0);
                }
            })
            .reward_terms(["sold"])
            .sink(sink.clone()),
    );
    app.world_mut().spawn((
        Trader,
        Bag {
            items: vec![Item::Apple; 5],
        },
        Offer { prices: Vec::new() },
    ));
    for _ in 0..5 {
        app.update();
    }
    app.world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));

    let schema = sink.schema().expect("the recording has begun");
    println!("observation: {:?}", schema.feature_names());
    for episode in sink.episodes() {
        for transition in episode.transitions() {
            println!(
                "{:?} → {:?}, reward {}, → {:?}",
                transition.observation(),
                transition.action().collect::<Vec<_>>(),
                transition.reward(),
                transition.next_observation()
            );
        }
    }
}

/// Offers one apple, or two when the bag holds more than three.
fn decide(mut traders: Query<(&Bag, &mut Offer)>) {
    for (bag, mut offer) in &mut traders {
        let apples = bag.items.iter().filter(|item| matches!(item, Item::Apple)).count();
        offer.prices.clear();
        offer.prices.extend([3.0, 2.0].iter().take(apples.div_ceil(3)));
    }
}

/// Sells an apple for each price on offer.
fn trade(mut traders: Query<(&mut Bag, &Offer, &mut Reward)>) {
    for (mut bag, offer, mut reward) in &mut traders {
        for price in &offer.prices {
            if let Some(sold) = bag.items.iter_mut().find(|item| matches!(item, Item::Apple)) {
                *sold = Item::Coin;
                reward.add("sold", f64::from(*price));
            }
        }
    }
}
