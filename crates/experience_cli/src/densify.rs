//! The command `experience densify`.

use crate::{
    Verdict,
    args::DensifyArgs,
    output::{CommandError, Printer, count, counted},
    output_place::OutputPlace,
};
use experience_dataset::{Dataset, DensifySettings, densify};
use serde_json::json;

pub fn run(arguments: &DensifyArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&arguments.dataset)?;
    let settings = DensifySettings {
        spread_rewards: arguments.spread_rewards,
        max_steps: arguments.max_steps,
    };
    let place = OutputPlace::new(&arguments.output)?;
    let densified = output.with_progress("densifying", |watch| densify(&dataset, &place.path(), settings, watch))?;
    let to = place.finish()?;
    if output.is_json() {
        output.json(&json!({ "output": to, "densified": densified }))?;
        return Ok(Verdict::Clean);
    }
    for recording in densified {
        output.line(format!(
            "`{}`: {} became {}",
            recording.recording,
            counted(recording.before, "transition"),
            count(recording.after)
        ))?;
    }
    output.line(format!("written to `{}`", to.display()))?;
    Ok(Verdict::Clean)
}
