//! Generates the JavaScript with which Node.js runs a WebAssembly module: `browser_bindgen <module> <folder>`.

use std::{env, error::Error, path::PathBuf};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, folder] = &*arguments else {
        return Err("the arguments are a module and a folder for the JavaScript".into());
    };
    Bindgen::new()
        .input_path(module)
        .nodejs(true)?
        .typescript(false)
        .generate(folder)?;
    Ok(())
}
