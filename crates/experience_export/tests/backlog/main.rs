//! Backlog of a slow sink in the journal: order, bounds, reports and disk failures.

mod bounds;
mod failures;
#[path = "../support/harness.rs"]
mod harness;
mod lost;
mod order;
