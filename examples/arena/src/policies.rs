//! Policies of `--policy`: seats them in the arena.
