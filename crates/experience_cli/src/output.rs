//! Prints text, tables and JSON to standard output, and progress to standard error.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use core::fmt;
use experience_dataset::{DatasetError, Progress};
use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{self, Write};

/// Maximum lengths of a table cell and of a line, because names from a dataset may be long.
const MAX_CELL: usize = 80;
const MAX_LINE: usize = 1000;

/// An error of a command.
#[derive(Debug)]
pub enum CommandError {
    /// The dataset is invalid, or a file system operation failed.
    Dataset(DatasetError),
    /// The arguments do not fit the dataset.
    Arguments(String),
    /// Something was not done, and the output says what.
    NotDone(String),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl CommandError {
    /// The kind of the error in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dataset(DatasetError::Damaged { .. }) => "damaged",
            Self::Dataset(DatasetError::NoSuchRecording { .. }) => "no_such_recording",
            Self::Dataset(
                DatasetError::NotADataset { .. }
                | DatasetError::WithinDataset { .. }
                | DatasetError::HoldsDatasets { .. },
            ) => "not_a_dataset",
            Self::Dataset(DatasetError::Io { .. }) | Self::Output(_) => "io",
            Self::Dataset(_) => "refused",
            Self::Arguments(_) => "arguments",
            Self::NotDone(_) => "not_done",
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Of a command that takes no `--recording`.
            Self::Dataset(DatasetError::WithinDataset {
                path,
                dataset,
                recording,
            }) => write!(
                f,
                "`{}` belongs to the recording `{recording}`, and this command takes a dataset with all its recordings: `{}`",
                path.display(),
                dataset.display()
            ),
            Self::Dataset(error) => error.fmt(f),
            Self::Arguments(reason) | Self::NotDone(reason) => f.write_str(reason),
            Self::Output(error) => write!(f, "cannot print: {error}"),
        }
    }
}

impl From<DatasetError> for CommandError {
    fn from(error: DatasetError) -> Self {
        Self::Dataset(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Standard output, as text or JSON.
pub struct Printer {
    is_json: bool,
    is_quiet: bool,
    /// Whether the reader of the output has closed it, as `head` does. What a pipe reads does not change the exit code, so the
    /// command goes on without output.
    is_closed: bool,
    to: io::BufWriter<io::Stdout>,
}

impl Printer {
    pub fn new(is_json: bool, is_quiet: bool) -> Self {
        Self {
            is_json,
            is_quiet,
            is_closed: false,
            to: io::BufWriter::new(io::stdout()),
        }
    }

    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether the reader of the output has closed it.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn write(&mut self, write: impl FnOnce(&mut io::BufWriter<io::Stdout>) -> io::Result<()>) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        match write(&mut self.to) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written,
        }
    }

    /// Prints a line of text. Control characters are escaped, because names and reasons come from files.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), CommandError> {
        let text = escape_controls(text.as_ref(), MAX_LINE);
        Ok(self.write(|to| writeln!(to, "{text}"))?)
    }

    /// Prints a JSON document on one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        Ok(self.write(|to| {
            serde_json::to_writer(&mut *to, value).map_err(io::Error::from)?;
            writeln!(to)
        })?)
    }

    /// Prints a table. Columns of numbers are aligned right.
    pub fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> Result<(), CommandError> {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(head.iter().map(|cell| escape_controls(cell, MAX_CELL)));
        let is_number = |cell: &String| {
            cell.trim_start_matches('-')
                .starts_with(|char: char| char.is_ascii_digit())
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
            table.add_row(row.iter().map(|cell| escape_controls(cell, MAX_CELL)));
        }
        Ok(self.write(|to| writeln!(to, "{table}"))?)
    }

    /// Runs a long operation with a progress bar on standard error, if that is a terminal.
    pub fn with_progress<T>(&mut self, what: &str, work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
        let bar = if self.is_quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len} transitions, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(escape_controls(what, MAX_CELL));
        let result = work(&mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        });
        bar.finish_and_clear();
        result
    }

    /// Flushes the output.
    pub fn finish(mut self) -> io::Result<()> {
        let flushed = self.write(Write::flush);
        // The rest cannot be written, and is not tried again.
        drop(self.to.into_parts());
        flushed
    }

    /// Prints a remark about the arguments to standard error.
    pub fn remark(&mut self, text: &str) {
        // Without a standard error there is no place for it.
        let _ = writeln!(io::stderr(), "note: {text}");
    }
}

/// Escapes control characters, and truncates `text` to `max` characters.
fn escape_controls(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (index, char) in text.chars().enumerate() {
        if index == max {
            shown.push('…');
            break;
        }
        if char.is_control() && char != '\n' {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Formats a count: `66,096`.
pub fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A count of things: `1 shard`, `66,096 shards`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(number))
}

/// Formats a number with at most six digits: `0.25`, `-1200`, `3.14159`, `1.5e-7`.
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

/// Formats a number of bytes: `12.40 MiB`.
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
    fn control_characters_are_escaped() {
        assert_eq!(escape_controls("a\u{1b}[2Jb\0 🦀", 80), "a\\u{1b}[2Jb\\u{0} 🦀");
        assert_eq!(escape_controls("🦀🦀🦀", 2), "🦀🦀…");
    }
}
