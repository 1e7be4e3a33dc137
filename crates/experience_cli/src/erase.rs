//! The command `experience erase`.

use crate::{
    Verdict,
    args::EraseArgs,
    output::{CommandError, Printer, count},
};
use experience_dataset::{Dataset, OUT_OF_REACH};
use serde_json::json;

pub fn run(erase: &EraseArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&erase.dataset)?;
    let agent = erase.agent;
    let erased = output.with_progress("erasing", |watch| dataset.erase(agent, watch))?;
    // Files that may still hold data of the agent need the user's attention.
    let verdict = if erased.unreached.is_empty() {
        Verdict::Clean
    } else {
        Verdict::Problems
    };
    if output.is_json() {
        output.json(&json!({ "agent": agent, "erased": erased, "out_of_reach": OUT_OF_REACH }))?;
        return Ok(verdict);
    }
    if erased.transitions + erased.accounts == 0 {
        output.line(format!("agent {agent} is not in `{}`", dataset.path().display()))?;
    } else {
        output.line(format!(
            "erased {} transitions in {} episodes of agent {agent}; {} shards and {} accounts were rewritten, and verified to \
             hold nothing of the agent",
            count(erased.transitions),
            count(erased.episodes),
            count(erased.shards),
            count(erased.accounts)
        ))?;
    }
    for unreached in &erased.unreached {
        output.line(format!("NOT ERASED: {unreached}"))?;
    }
    output.line(OUT_OF_REACH)?;
    Ok(verdict)
}
