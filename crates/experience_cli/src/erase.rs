//! The command `experience erase`.

use crate::{
    Verdict,
    args::EraseArgs,
    output::{CommandError, Printer, counted},
};
use experience_dataset::{Dataset, OUT_OF_REACH, OUT_OF_REACH_IN_STORE, is_address};
use serde_json::json;

pub fn run(erase: &EraseArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let dataset = Dataset::open(&erase.dataset)?;
    let (agent, is_stored) = (erase.agent, is_address(dataset.path()));
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
        let mut document = json!({ "agent": agent.to_string(), "erased": erased, "out_of_reach": OUT_OF_REACH });
        if is_stored {
            document["out_of_reach_in_store"] = json!(OUT_OF_REACH_IN_STORE);
        }
        output.json(&document)?;
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
            if is_stored {
                output.line(OUT_OF_REACH_IN_STORE)?;
            }
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
