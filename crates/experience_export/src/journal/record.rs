//! Records of a journal and their encoding. No other module uses the codec.

use bincode::{
    BorrowDecode, Encode,
    config::{Configuration, Fixint, Limit, LittleEndian},
};
use experience_core::{account::Counters, schema::Schema, transition::RunId};

/// Longest batch. A longer length is damage.
pub(super) const MAX_BATCH: usize = 1 << 30;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_BATCH>> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<MAX_BATCH>();

/// Record of [the format](crate::journal). The tag of a record is the index of its variant.
#[derive(Clone, Copy, Debug, PartialEq, Encode, BorrowDecode)]
pub enum Record<'a> {
    /// Recording and run of the journal.
    Head(Head<'a>),
    /// An episode began.
    Open {
        /// The episode.
        episode_id: i64,
        /// The number under which it was captured. The pieces of an episode with gaps share it.
        captured_as: u32,
        /// Its agent.
        agent_id: i64,
        /// The episode that it continues.
        continues: Option<i64>,
    },
    /// Rows of an episode, behind those before.
    Rows {
        /// The episode.
        episode_id: i64,
        /// Whole rows.
        rows: &'a [u8],
    },
    /// An episode ended.
    Close {
        /// The episode.
        episode_id: i64,
        /// Whether the episode was terminated; truncated otherwise.
        terminated: bool,
        /// Why it ended.
        reason: &'a str,
        /// A row whose reward is added to that of the last row; or empty.
        end: &'a [u8],
    },
    /// An episode was discarded: its records are void.
    Discard {
        /// The number under which it was captured.
        captured_as: u32,
    },
    /// Word of a code in row headers: an end reason, or a controller.
    Word {
        /// The code.
        code: u16,
        /// The word.
        word: &'a str,
    },
    /// An episode is durable at every sink: its records are not needed any more.
    Settled {
        /// The episode.
        episode_id: i64,
    },
    /// The account of the recording.
    Counts(Counts),
    /// A tick rate that holds until the next one, if the game changed its timestep.
    TickRate {
        /// The first tick of which the next is `1 / ticks_per_second` seconds of game time away.
        from_tick: i64,
        /// Ticks per second of game time.
        ticks_per_second: f64,
    },
    /// An episode was tagged.
    Tag {
        /// The episode.
        episode_id: i64,
        /// Its agent.
        agent_id: i64,
        /// The tag.
        tag: &'a str,
    },
    /// All earlier tags of an episode were removed.
    Untag {
        /// The episode.
        episode_id: i64,
    },
    /// The label of the run; see [`RunLabel`](crate::RunLabel).
    Label {
        /// The seed of the game's random numbers.
        seed: Option<u64>,
        /// The build of the game.
        build: Option<&'a str>,
    },
    /// [Failures](experience_core::account::RunReport::failures) of the sink whose folder contains the journal.
    Failures {
        /// Their number so far.
        failures: u64,
    },
    /// The last segment that was deleted has left a mark: if there is none, the first segment is 0.
    MarksReleases,
}

/// Recording and run of a journal, with everything that a reader of it needs.
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
    /// Folder of the buffers' files. `None` where the buffers are not in files.
    pub rings: Option<&'a str>,
    /// Crate and version that wrote the journal.
    pub writer: &'a str,
}

impl Head<'_> {
    /// What the segment is of, if not of `run` and `schema`: the rest of a sentence about it. `None` if it is of them.
    #[must_use]
    pub fn mismatch(&self, run: RunId, schema: &Schema) -> Option<String> {
        let is_same = self.run == run.get() as u32
            && self.schema_hash == schema.hash()
            && self.row_bytes as usize == schema.layout().row_bytes();
        (!is_same).then(|| {
            format!(
                "is of run {:08x} and the schema {:016x}, not of {run} and {:016x}",
                self.run,
                self.schema_hash,
                schema.hash()
            )
        })
    }
}

/// The account of a recording, as [`RunReport`](experience_core::account::RunReport) explains it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
#[expect(missing_docs, reason = "`RunReport` documents them")]
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

impl Counts {
    /// The counts at this moment.
    pub(crate) fn of(counters: &Counters) -> Self {
        // Counts of transitions that left are read before `recorded`, so that no transition seems to leave before it was recorded.
        let (lost, non_finite, discarded) = (counters.lost.get(), counters.non_finite.get(), counters.discarded.get());
        Self {
            recorded: counters.recorded.get(),
            non_finite,
            lost,
            discarded,
            empty_episodes: counters.empty_episodes.get(),
            orphaned_rewards: counters.orphaned_rewards.get(),
            ignored_ends: counters.ignored_ends.get(),
            refused_agents: counters.refused_agents.get(),
            unbuffered_agents: counters.unbuffered_agents.get(),
        }
    }
}

impl<'a> Record<'a> {
    /// The tag of the last variant.
    pub(super) const LAST_TAG: u32 = 13;

    /// Appends the record to `batch`. The bytes of its last field come last.
    pub(super) fn encode(&self, batch: &mut Vec<u8>) {
        bincode::encode_into_std_write(self, batch, CONFIG).expect("writing to a vector does not fail");
    }

    /// The first record of `batch`, and its length in bytes. Nothing is allocated, whatever lengths it contains.
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

    fn records() -> [Record<'static>; 16] {
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
            Record::Word { code: 3, word: "death" },
            Record::Settled { episode_id: 5 },
            Record::Counts(Counts {
                recorded: 1,
                ..Counts::default()
            }),
            Record::TickRate {
                from_tick: 4,
                ticks_per_second: 20.0,
            },
            Record::Tag {
                episode_id: 1,
                agent_id: 2,
                tag: "t",
            },
            Record::Untag { episode_id: 1 },
            Record::Label {
                seed: Some(7),
                build: Some("1.2"),
            },
            Record::Label {
                seed: None,
                build: None,
            },
            Record::Failures { failures: 3 },
            Record::MarksReleases,
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
        batch.clear();
        records()[9].encode(&mut batch);
        let expected = [&8_u32.to_le_bytes()[..], &4_i64.to_le_bytes(), &20_f64.to_le_bytes()];
        assert_eq!(batch, expected.concat());
        batch.clear();
        records()[12].encode(&mut batch);
        let expected = [
            &11_u32.to_le_bytes()[..],
            &[1],
            &7_u64.to_le_bytes(),
            &[1],
            &3_u64.to_le_bytes(),
            b"1.2",
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
            Record::decode(&14_u32.to_le_bytes()).is_none(),
            "there is no such record"
        );
    }
}
