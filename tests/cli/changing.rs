//! Verbs that change a dataset, or make another.

use crate::command::{dataset, documents, printed, text};

#[test]
fn erase_says_what_is_gone_and_what_is_not_reached() {
    let root = dataset();
    let told = printed(&["erase", text(root.path()), "--agent", "1"], 0);
    assert!(
        told.contains("erased 20 transitions in 2 episodes of agent 1"),
        "{told}"
    );
    assert!(told.contains("as others saw it"), "{told}");
    printed(&["validate", text(root.path())], 0);
    let told = printed(&["erase", text(root.path()), "--agent", "-1"], 0);
    assert!(told.contains("agent -1 is nowhere"), "{told}");
    let document = &documents(&["erase", text(root.path()), "--agent", "2"], 0)[0];
    assert_eq!(document["erased"]["episodes"], 2);
    std::fs::write(root.path().join("p/data/00000009-00000.parquet.tmp"), "half").expect("it can be written");
    let told = printed(&["erase", text(root.path()), "--agent", "0"], 1);
    assert!(
        told.contains("NOT REACHED") && told.contains("00000009-00000.parquet.tmp"),
        "{told}"
    );
    for nonsense in [
        &["erase", text(root.path())][..],
        &["erase", text(root.path()), "--agent", "../x"],
    ] {
        printed(nonsense, 2);
    }
    printed(&["erase", "/no/such/folder", "--agent", "1"], 3);
    assert!(printed(&["erase", "--help"], 0).contains("as others saw it"));
}
