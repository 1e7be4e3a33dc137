//! A dataset on disk: what goes in comes out, several writers share it, and damage is an error that names its place.
#![cfg(feature = "dataset")]

mod columns;
mod episodes;
mod folder;
