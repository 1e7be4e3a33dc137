//! Datasets on disk: round trips, concurrent writers, damage, and the operations on datasets.

mod accounts;
mod columns;
mod compact;
mod controllers;
mod convert;
mod damage;
mod densify;
mod doctor;
mod episodes;
mod erase;
mod filter;
mod folder;
#[cfg(feature = "foreign")]
mod foreign;
mod images;
mod journal_sink;
mod limits;
mod lists;
mod liveness;
mod merge;
mod one_episode;
mod reading;
mod refusals;
mod retention;
mod rewritten;
mod round_trip;
mod row_groups;
mod segment_retention;
mod sharing;
mod split;
mod summary;
mod unfinished;
mod validate;
