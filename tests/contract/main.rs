//! Tests of the transition contract (the rules of `bevy_experience::transition`) and of what a recording can capture.

#[path = "../support/log_lines.rs"]
mod log_lines;
#[path = "../support/player.rs"]
mod player;
mod support;

mod agent_ids;
mod alignment;
mod archetype_moves;
mod beginnings;
mod change_ticks;
mod changes;
mod clock;
mod column_attributes;
mod consent;
mod controllers;
mod discarding;
mod ends;
mod entity_lists;
mod final_observation;
mod images;
mod late_rewards;
mod matches;
mod model;
mod nearest;
mod non_interference;
mod observations;
mod observed_systems;
mod other_entities;
mod parallel_capture;
mod pausing;
mod placement;
mod players;
mod policies;
mod presence;
mod reentrancy;
mod resource_sources;
mod rollback;
mod saved_worlds;
mod schedule_warnings;
mod setup_warnings;
mod shared_pool;
mod termination;
mod timing;
mod turn_based;
