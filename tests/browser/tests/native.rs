//! The game on this machine, whose rows `run` compares with those of the same game in WebAssembly.

use std::process::Command;

#[test]
fn both_sinks_have_the_same_number_of_rows() {
    let output = Command::new(env!("CARGO_BIN_EXE_browser_game_natively"))
        .output()
        .expect("the game was built with this test");
    assert!(output.status.success(), "{output:?}");
    let rows = String::from_utf8(output.stdout).expect("rows are text");
    let count = |sink| rows.lines().filter(|row| row.starts_with(sink)).count();
    assert!(count("memory") >= 600, "{rows}");
    assert_eq!(count("memory"), count("channel"));
}
