//! A dataset on disk: what goes in comes out, several writers share it, and damage is an error that names its place.
#![cfg(feature = "parquet")]

mod columns;
mod convert;
mod damage;
mod densify;
mod doctor;
mod episodes;
mod erase;
mod folder;
mod merge;
mod reading;
mod refusals;
mod retention;
mod round_trip;
mod sharing;
mod validate;
