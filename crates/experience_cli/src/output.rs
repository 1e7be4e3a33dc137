//! Where words, tables and progress go.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use core::fmt;
use experience_dataset::{DatasetError, Progress};
use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, Write};

/// Names are as long as a game makes them; a cell and a line of text are not.
const MAX_CELL: usize = 80;
const MAX_LINE: usize = 1000;

/// Why a verb could not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The dataset is not what it should be, or the file system refused.
    Dataset(DatasetError),
    /// The arguments do not fit the dataset.
    Arguments(String),
    /// Nobody can be told.
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dataset(error) => error.fmt(f),
            Self::Arguments(reason) => f.write_str(reason),
            Self::Output(error) => write!(f, "cannot print: {error}"),
        }
    }
}

impl From<DatasetError> for Failure {
    fn from(error: DatasetError) -> Self {
        Self::Dataset(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Standard output, for people or for programs.
pub struct Output {
    is_json: bool,
    is_quiet: bool,
    to: io::BufWriter<io::Stdout>,
}

impl Output {
    pub fn new(is_json: bool, is_quiet: bool) -> Self {
        Self {
            is_json,
            is_quiet,
            to: io::BufWriter::new(io::stdout()),
        }
    }

    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// A line of text. Names and reasons in it come from files: signs that a terminal would obey are shown, not sent.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        writeln!(self.to, "{}", harmless(text.as_ref(), MAX_LINE))?;
        Ok(())
    }

    /// One JSON document, on one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        writeln!(self.to)?;
        Ok(())
    }

    /// A table, with columns of numbers at the right.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(head.iter().map(|cell| harmless(cell, MAX_CELL)));
        let is_number = |cell: &String| {
            cell.trim_start_matches('-')
                .starts_with(|sign: char| sign.is_ascii_digit())
        };
        for (index, column) in table.column_iter_mut().enumerate() {
            let mut cells = rows
                .iter()
                .filter_map(|row| row.get(index))
                .filter(|cell| !cell.is_empty());
            if cells.all(is_number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| harmless(cell, MAX_CELL)));
        }
        writeln!(self.to, "{table}")?;
        Ok(())
    }

    /// Does long work under a bar on standard error, which is not there where nobody looks.
    pub fn watched<T>(&mut self, what: &str, work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
        let bar = if self.is_quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} transitions, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(harmless(what, MAX_CELL));
        let done = work(&mut |progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.done);
        });
        bar.finish_and_clear();
        done
    }

    /// Brings out what was printed.
    pub fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Text of a length that a terminal bears, without signs that move its cursor or change its colours.
fn harmless(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (place, sign) in text.chars().enumerate() {
        if place == most {
            shown.push('…');
            break;
        }
        if sign.is_control() && sign != '\n' {
            shown.extend(sign.escape_default());
        } else {
            shown.push(sign);
        }
    }
    shown
}

/// `66,096`.
pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `0.25`, `-1200`, `3.14159`, `1.5e-7`: six digits at most.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = (5 - size.log10().floor() as i32).clamp(0, 6);
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `12.40 MiB`.
pub fn bytes(number: u64) -> String {
    BinaryBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [
            0.0,
            0.25,
            -1200.0,
            core::f64::consts::PI,
            1.5e-7,
            123_456.78,
            f64::NAN,
            1e9,
            100.0,
        ];
        assert_eq!(
            numbers.map(number),
            [
                "0", "0.25", "-1200", "3.14159", "1.500e-7", "123457", "NaN", "1.000e9", "100"
            ]
        );
    }

    #[test]
    fn a_name_moves_no_cursor() {
        assert_eq!(harmless("a\u{1b}[2Jb\0 🦀", 80), "a\\u{1b}[2Jb\\u{0} 🦀");
        assert_eq!(harmless("🦀🦀🦀", 2), "🦀🦀…");
    }
}
