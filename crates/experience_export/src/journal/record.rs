//! What is written down: the one place that knows the codec.

use bincode::{
    BorrowDecode, Encode,
    config::{Configuration, Fixint, Limit, LittleEndian},
};

/// No batch is longer: what says so is damaged.
pub(super) const MAX_BATCH: usize = 1 << 30;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_BATCH>> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<MAX_BATCH>();

/// One piece of what happened, as [the format](crate::journal) has it. Numbers of records are the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Encode, BorrowDecode)]
pub enum Record<'a> {
    /// Whose journal it is.
    Head(Head<'a>),
    /// An episode began.
    Open {
        /// The episode.
        episode_id: i64,
        /// The number that it was captured as: the pieces of an episode with gaps share it.
        captured_as: u32,
        /// Whose it is.
        agent_id: i64,
        /// The episode that it continues.
        continues: Option<i64>,
    },
    /// It went on.
    Rows {
        /// The episode.
        episode_id: i64,
        /// Whole rows.
        rows: &'a [u8],
    },
    /// It ended.
    Close {
        /// The episode.
        episode_id: i64,
        /// Whether the world ended it; watching stopped, where not.
        terminated: bool,
        /// Why.
        reason: &'a str,
        /// A row whose reward adds to the last one's, or nothing.
        end: &'a [u8],
    },
    /// It must leave no trace.
    Discard {
        /// The number that it was captured as.
        captured_as: u32,
    },
    /// What a code in a row's header means.
    Reason {
        /// The code.
        code: u16,
        /// What it means.
        word: &'a str,
    },
    /// Every sink has it for good: nothing of it is needed any more.
    Settled {
        /// The episode.
        episode_id: i64,
    },
    /// The account of the recording.
    Counts(Counts),
}

/// Whose journal it is, and what it takes to read it without anything else.
#[derive(Clone, Copy, Debug, PartialEq, Encode, BorrowDecode)]
pub struct Head<'a> {
    /// The run's 31 bits.
    pub run: u32,
    /// The number of this segment.
    pub segment: u32,
    /// The schema's hash.
    pub schema_hash: u64,
    /// Bytes of a row.
    pub row_bytes: u32,
    /// The schema, as JSON.
    pub schema: &'a str,
    /// Ticks in a second of game time, where the recording has a fixed tick.
    pub tick_rate: Option<f64>,
    /// When the run began, in seconds since 1970 (UTC).
    pub started: f64,
    /// Where the buffers' files lie, where they do.
    pub rings: Option<&'a str>,
    /// What wrote the journal.
    pub writer: &'a str,
}

/// The account of a recording, as [`RunReport`](experience_core::account::RunReport) explains it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
#[expect(missing_docs, reason = "they are explained there")]
pub struct Counts {
    pub recorded: u64,
    pub non_finite: u64,
    pub lost: u64,
    pub discarded: u64,
    pub empty_episodes: u64,
    pub orphaned_rewards: u64,
    pub ignored_ends: u64,
    pub refused_agents: u64,
    pub unbuffered_agents: u64,
}

impl<'a> Record<'a> {
    /// Appends the record to `batch`. Its last bytes are those of its last field.
    pub(super) fn encode(&self, batch: &mut Vec<u8>) {
        bincode::encode_into_std_write(self, batch, CONFIG).expect("a vector takes everything");
    }

    /// The first record of `batch`, and its bytes. Nothing is allocated, whatever lengths stand there.
    pub(super) fn decode(batch: &'a [u8]) -> Option<(Self, usize)> {
        bincode::borrow_decode_from_slice(batch, CONFIG).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head<'static> {
        Head {
            run: 1,
            segment: 2,
            schema_hash: 3,
            row_bytes: 4,
            schema: "{}",
            tick_rate: Some(60.0),
            started: 5.0,
            rings: None,
            writer: "w",
        }
    }

    fn records() -> [Record<'static>; 9] {
        [
            Record::Head(head()),
            Record::Open {
                episode_id: -1,
                captured_as: 2,
                agent_id: 3,
                continues: Some(4),
            },
            Record::Rows {
                episode_id: 1,
                rows: &[1, 2, 3],
            },
            Record::Close {
                episode_id: 1,
                terminated: true,
                reason: "🦀",
                end: &[],
            },
            Record::Close {
                episode_id: 1,
                terminated: false,
                reason: "",
                end: &[9],
            },
            Record::Discard { captured_as: 7 },
            Record::Reason { code: 3, word: "death" },
            Record::Settled { episode_id: 5 },
            Record::Counts(Counts {
                recorded: 1,
                ..Counts::default()
            }),
        ]
    }

    #[test]
    fn records_come_back_as_they_were() {
        let mut batch = Vec::new();
        for record in records() {
            record.encode(&mut batch);
        }
        let mut rest = batch.as_slice();
        for record in records() {
            let (found, bytes) = Record::decode(rest).unwrap();
            assert_eq!(found, record);
            rest = &rest[bytes..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn the_bytes_are_those_of_the_documentation() {
        let mut batch = Vec::new();
        records()[2].encode(&mut batch);
        let expected = [
            &[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 2, 3],
        ]
        .concat();
        assert_eq!(batch, expected);
        batch.clear();
        records()[1].encode(&mut batch);
        let expected = [
            &1_u32.to_le_bytes()[..],
            &(-1_i64).to_le_bytes(),
            &2_u32.to_le_bytes(),
            &3_i64.to_le_bytes(),
            &[1],
            &4_i64.to_le_bytes(),
        ];
        assert_eq!(batch, expected.concat());
        batch.clear();
        records()[3].encode(&mut batch);
        let expected = [
            &3_u32.to_le_bytes()[..],
            &1_i64.to_le_bytes(),
            &[1],
            &4_u64.to_le_bytes(),
            "🦀".as_bytes(),
            &0_u64.to_le_bytes(),
        ];
        assert_eq!(batch, expected.concat());
    }

    #[test]
    fn what_is_cut_or_claims_to_be_endless_is_refused() {
        for record in records() {
            let mut batch = Vec::new();
            record.encode(&mut batch);
            for end in 0..batch.len() {
                assert!(Record::decode(&batch[..end]).is_none(), "{record:?} cut at {end}");
            }
        }
        for length in [4, 1 << 20, u64::MAX / 2, u64::MAX] {
            let mut batch = Vec::new();
            records()[2].encode(&mut batch);
            batch[12..20].copy_from_slice(&length.to_le_bytes());
            assert!(Record::decode(&batch).is_none(), "{length}");
        }
        assert!(
            Record::decode(&8_u32.to_le_bytes()).is_none(),
            "there is no such record"
        );
    }
}
