fn main() {
    let mut app = arena::headless(arena::ArenaSettings::default());
    app.update();
    let start = std::time::Instant::now();
    for _ in 0..36000 {
        app.update();
    }
    println!("{:?} {:x}", start.elapsed(), arena::world_hash(app.world_mut()));
}
