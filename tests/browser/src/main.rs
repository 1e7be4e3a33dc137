//! Plays the game natively and prints its rows.
#![expect(clippy::print_stdout, reason = "the program prints what it recorded")]

fn main() {
    print!("{}", browser_game::play());
}
