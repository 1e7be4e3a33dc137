//! What cameras draw offscreen is in the rows, with the tick that it shows. Needs a graphics driver, of which Mesa's lavapipe is
//! enough; without one each test states on the standard error that it is skipped, or fails if `EXPERIENCE_REQUIRE_GPU` is set.

mod budget;
mod failures;
mod game;
mod harmless;
mod latency;
mod players;
mod targets;
mod ticks;
