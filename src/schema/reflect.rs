//! Reflect.
