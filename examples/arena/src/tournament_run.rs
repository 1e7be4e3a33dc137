//! Run of `arena --tournament`: plays rounds with rotating seats, and compares the controllers.

use arena::{
    ArenaSettings, headless,
    seating::SeatController,
    tournament::{Estimate, RoundResult, TournamentPlugin, TournamentResults},
};
use bevy_app::TerminalCtrlCHandlerPlugin;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Map, Value, json};

use crate::{
    cli::{Args, SummaryFormat},
    policies,
    run::{exit_code, play},
};

/// Plays the rounds. Returns the table or JSON to print, and the exit code of the process.
///
/// # Errors
/// A message for the user when a policy cannot be loaded.
pub fn run(args: &Args, rounds: u32) -> Result<(String, u8), String> {
    let settings = args.settings();
    let ticks = u64::from(rounds) * settings.round_ticks();
    let mut app = headless(settings.clone());
    app.add_plugins((TournamentPlugin, TerminalCtrlCHandlerPlugin));
    policies::add_unrecorded(&mut app, args)?;
    app.finish();
    app.cleanup();
    app.update();
    let exit = play(&mut app, args, ticks);
    let results = app.world().resource::<TournamentResults>();
    let text = match args.summary {
        SummaryFormat::Text => table(results, args, &settings),
        SummaryFormat::Json => report(results, args).to_string() + "\n",
    };
    Ok((text, exit_code(&exit)))
}

/// The name of a controller in the results: the kind of bot, or the file of the policy.
fn name(controller: SeatController, args: &Args) -> String {
    match controller {
        SeatController::Script(skill) => format!("{skill:?}").to_lowercase(),
        SeatController::Policy(index) => policies::name(args, index),
    }
}

fn table(results: &TournamentResults, args: &Args, settings: &ArenaSettings) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "rounds"].into_iter().chain(RoundResult::NAMES));
    for controller in results.controllers() {
        let estimates = results.estimates(controller);
        let cell = |Estimate { mean, margin }| format!("{mean:.2} ± {margin:.2}");
        let rounds = results.rounds(controller).len().to_string();
        table.add_row([name(controller, args), rounds].into_iter().chain(estimates.map(cell)));
    }
    for column in 1..=RoundResult::NAMES.len() + 1 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!(
        "{table}\nMeans of a fighter in a round of {} ticks, with 95 % confidence intervals over rounds.\n",
        settings.round_ticks()
    )
}

fn report(results: &TournamentResults, args: &Args) -> Value {
    let controllers = results.controllers().map(|controller| {
        let estimates = RoundResult::NAMES.iter().zip(results.estimates(controller));
        let mut report: Map<_, _> = estimates
            .map(|(quantity, Estimate { mean, margin })| {
                ((*quantity).to_owned(), json!({ "mean": mean, "margin": margin }))
            })
            .collect();
        report.insert("rounds".to_owned(), results.rounds(controller).len().into());
        (name(controller, args), report.into())
    });
    Value::Object(controllers.collect())
}
