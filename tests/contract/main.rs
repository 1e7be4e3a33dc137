//! The contract of a recorded transition: a module for each rule.

mod alignment;
mod beginnings;
mod changes;
mod column_attributes;
mod consent;
mod crowd;
mod ends;
mod final_observation;
mod harmless;
mod model;
mod nearest;
mod observations;
mod parallel;
mod pausing;
mod players;
mod reentrancy;
mod regrouping;
mod timing;
mod trust;
