//! Backlog of a slow sink in the journal: order, bounds, accounts, failures of the disk, and a killed process.

mod bounds;
mod failures;
mod game;
mod order;
