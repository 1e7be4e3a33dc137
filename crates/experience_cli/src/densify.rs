//! `experience densify`.

use crate::{
    Verdict,
    args::Densify,
    output::{Failure, Output, count},
};
use experience_dataset::{Dataset, DensifySettings, densify};
use serde_json::json;

pub fn run(arguments: &Densify, output: &mut Output) -> Result<Verdict, Failure> {
    let dataset = Dataset::open(&arguments.dataset)?;
    let settings = DensifySettings {
        spread_rewards: arguments.spread_rewards,
        max_steps: arguments.max_steps,
    };
    let to = &arguments.output;
    let done = output.watched("filling in", |watch| densify(&dataset, to, settings, watch))?;
    if output.is_json() {
        output.json(&json!({ "output": to, "densified": done }))?;
        return Ok(Verdict::Fine);
    }
    for recording in done {
        output.line(format!(
            "`{}`: {} transitions became {}",
            recording.recording,
            count(recording.before),
            count(recording.after)
        ))?;
    }
    output.line(format!("in `{}`", to.display()))?;
    Ok(Verdict::Fine)
}
