//! Whole episodes in the segments of a journal.

use super::segment_ranges::SegmentRange;
use experience_core::transition::{Episode, Outcome, StepHeader, WordTable};
use experience_export::journal::{Journal, Record};
use std::{collections::BTreeMap, io};

/// Appends episodes, which are accepted at the time `committed`. Returns the segments that hold them.
pub(super) fn append(
    journal: &mut Journal,
    words: &WordTable,
    episodes: &[Episode],
    committed: u64,
) -> io::Result<Vec<SegmentRange>> {
    let codes: Vec<_> = episodes
        .iter()
        .map(|episode| controller_codes(words, episode))
        .collect();
    let mut written = Vec::new();
    journal.begin()?;
    for (episode, codes) in episodes.iter().zip(&codes) {
        if journal.frame_bytes_left() == 0 {
            journal.commit()?;
            journal.begin()?;
        }
        let first = journal.segment();
        put_episode(journal, codes, episode)?;
        written.push(SegmentRange {
            first,
            last: journal.segment(),
            episodes: 1,
            transitions: episode.len() as u64,
            committed,
        });
    }
    journal.commit()?;
    Ok(written)
}

/// The codes that `words`, the table of a journal, assigns to the controllers of an episode, by the codes in the rows. The next frame
/// that begins holds the words that are new.
pub(crate) fn controller_codes(words: &WordTable, episode: &Episode) -> BTreeMap<u16, u16> {
    let code = |(code, label): &(u16, Box<str>)| {
        let assigned = words.controller_code(|known| *known == **label, || label.to_string());
        (*code, assigned.unwrap_or_else(|| words.other_code()))
    };
    episode.controllers().iter().map(code).collect()
}

/// The rows with other codes of their controllers. `None` if they have none.
fn recoded_controllers(codes: &BTreeMap<u16, u16>, episode: &Episode) -> Option<Vec<u64>> {
    if codes.is_empty() {
        return None;
    }
    let mut rows = episode.rows().to_vec();
    // The first row has no action.
    for row in rows.chunks_exact_mut(episode.schema().layout().row_words()).skip(1) {
        let header = StepHeader::of_mut(row);
        header.set_controller(codes.get(&header.controller()).copied().unwrap_or(0));
    }
    Some(rows)
}

/// Adds an episode to the frame of a journal, and commits the frame whenever it is full. `codes` are the [`controller_codes`] of the
/// episode, assigned before the frame was begun.
///
/// # Errors
/// If the file system refuses.
pub(crate) fn put_episode(journal: &mut Journal, codes: &BTreeMap<u16, u16>, episode: &Episode) -> io::Result<()> {
    let info = episode.info();
    let episode_id = info.episode_id;
    journal.put(&Record::Open {
        episode_id,
        captured_as: episode_id as u32,
        agent_id: info.agent_id,
        continues: info.continues,
    });
    let recoded = recoded_controllers(codes, episode);
    let words = episode.schema().layout().row_words();
    let mut rest = recoded.as_deref().unwrap_or(episode.rows());
    loop {
        let limit = (journal.frame_bytes_left() / (words * size_of::<u64>()))
            .max(1)
            .saturating_mul(words);
        let (now, later) = rest.split_at(rest.len().min(limit));
        let _ = journal.put_rows(episode_id, now);
        rest = later;
        if rest.is_empty() {
            break;
        }
        journal.commit()?;
        journal.begin()?;
    }
    journal.put(&Record::Close {
        episode_id,
        terminated: episode.outcome() == Outcome::Terminated,
        reason: episode.reason().as_str(),
        end: &[],
    });
    Ok(())
}
