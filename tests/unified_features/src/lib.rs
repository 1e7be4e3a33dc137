//! Nothing: this package exists for the features of its dependencies, see its `Cargo.toml`.
