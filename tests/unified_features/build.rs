//! Makes Cargo resolve the build dependencies.

fn main() {}
