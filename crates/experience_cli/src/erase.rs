//! The command `experience erase`.

use crate::{
    Verdict,
    args::EraseArgs,
    output::{CommandError, Printer, counted},
};
use experience_dataset::{Dataset, OUT_OF_REACH};
use serde_json::json;

pub fn run(erase: &EraseArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&erase.dataset)?;
    let agent = erase.agent;
    let erased = output.with_progress("erasing", |watch| dataset.erase(agent, watch))?;
    let is_found = erased.transitions + erased.accounts > 0;
    // Files that may still hold data of the agent need the user's attention.
    let verdict = if erased.unreached.is_empty() {
        Verdict::Clean
    } else {
        Verdict::Problems
    };
    if output.is_json() {
        // A string, because JSON readers round large numbers.
        output.json(&json!({ "agent": agent.to_string(), "erased": erased, "out_of_reach": OUT_OF_REACH }))?;
    } else {
        if is_found {
            output.line(format!(
                "erased {} in {} of agent {agent}; {} and {} were rewritten, and verified to hold nothing of the agent",
                counted(erased.transitions, "transition"),
                counted(erased.episodes, "episode"),
                counted(erased.shards, "shard"),
                counted(erased.accounts, "account")
            ))?;
        }
        for unreached in &erased.unreached {
            output.line(format!("NOT ERASED: {unreached}"))?;
        }
        if is_found {
            output.line(OUT_OF_REACH)?;
        }
    }
    if is_found {
        return Ok(verdict);
    }
    Err(CommandError::NotDone(format!(
        "agent {agent} is not in `{}`, so nothing was erased; `experience info --json` prints the agents (`agent_totals`){}",
        dataset.path().display(),
        if erased.unreached.is_empty() {
            ""
        } else {
            ", except those of data that could not be searched"
        }
    )))
}
