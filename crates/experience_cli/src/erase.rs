//! `experience erase`.

use crate::{
    Verdict,
    args::Erase,
    output::{Failure, Output, count},
};
use experience_dataset::{Dataset, OUT_OF_REACH};
use serde_json::json;

pub fn run(erase: &Erase, output: &mut Output) -> Result<Verdict, Failure> {
    let dataset = Dataset::open(&erase.dataset)?;
    let agent = erase.agent;
    let erased = output.watched("erasing", |watch| dataset.erase(agent, watch))?;
    // What may hold something of the agent is for somebody to look at.
    let verdict = if erased.unreached.is_empty() {
        Verdict::Fine
    } else {
        Verdict::Wrong
    };
    if output.is_json() {
        output.json(&json!({ "agent": agent, "erased": erased, "out_of_reach": OUT_OF_REACH }))?;
        return Ok(verdict);
    }
    if erased.transitions + erased.accounts == 0 {
        output.line(format!("agent {agent} is nowhere in `{}`", dataset.path().display()))?;
    } else {
        output.line(format!(
            "erased {} transitions in {} episodes of agent {agent}: {} shards and {} accounts were written anew, and nothing \
             of the agent is found in them",
            count(erased.transitions),
            count(erased.episodes),
            count(erased.shards),
            count(erased.accounts)
        ))?;
    }
    for unreached in &erased.unreached {
        output.line(format!("NOT REACHED: {unreached}"))?;
    }
    output.line(OUT_OF_REACH)?;
    Ok(verdict)
}
