//! What is no module, or not named, is refused.

use std::process::Command;

#[test]
fn other_arguments_than_a_module_and_a_folder_are_refused() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_browser_bindgen"))
            .args(arguments)
            .output()
            .expect("the program was built with this test");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&[]).contains("a module and a folder"));
    let error = refused(&["absent.wasm", "absent"]);
    assert!(error.contains("absent.wasm"), "{error}");
}
