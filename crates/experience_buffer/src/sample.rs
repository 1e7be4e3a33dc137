//! Transitions drawn at random from live buffers, while they are being written.
//!
//! Each *transition* is as likely as any other, whichever player it belongs to: a player with twice as many rows is drawn
//! twice as often. A draw picks a row; one that is no transition (an episode's beginning), or whose observation before is
//! gone, is put back and another drawn, which leaves the rest equally likely. A row that the writer overtakes while it is
//! being copied is put back too, so no sample is torn and none pairs two episodes.

mod batch;
mod sources;

pub use batch::{Actions, Batch};

use super::{
    BufferError,
    ring::{Reader, links::Chain},
    shape::Links,
    sync::{AtomicU64, Ordering},
};
use batch::Plan;
use core::fmt;
use experience_core::{
    schema::Schema,
    transition::{Outcome, StepHeader, StepKind, header_words},
};
use rand::Rng;
use sources::{Drawn, Sources};

/// Draws batches of transitions from buffers that are being written.
///
/// Nothing is allocated once a batch of the wanted size was drawn.
///
/// ```
/// use experience_buffer::{BufferSettings, PlayerBuffers, Sampler};
/// use experience_core::{schema::{Column, Schema}, transition::{StepHeader, StepKind}};
/// use rand::{SeedableRng, rngs::StdRng};
///
/// let schema = Schema::new("walker").with_observation([Column::feature("x")]);
/// let players = PlayerBuffers::new(BufferSettings::default(), schema.layout().row_words())?;
/// let (mut writer, _buffer) = players.open(1)?;
/// // An episode of two transitions, 0 → 1 → 2.
/// for step in 0..3_u8 {
///     let mut row = vec![0; schema.layout().row_words()];
///     let kind = if step == 0 { StepKind::Begin } else { StepKind::Transition };
///     *StepHeader::of_mut(&mut row) = StepHeader::new(kind);
///     StepHeader::of_mut(&mut row).ordinal = step.into();
///     row[8] = f32::from(step).to_bits().into();
///     writer.push(&row)?;
/// }
///
/// let mut sampler = Sampler::new(&schema);
/// sampler.watch(players.readers())?;
/// let batch = sampler.sample(100, &mut StdRng::seed_from_u64(7));
/// assert_eq!(batch.len(), 100);
/// assert!(batch.observation.iter().zip(&batch.next_observation).all(|(x, next)| *next == x + 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sampler {
    plan: Plan,
    sources: Sources,
    batch: Batch,
}

/// Draws that may fail for each that is wanted, before a sampler gives up: of two rows at least one is a transition, but
/// for episodes without any.
const PATIENCE: usize = 64;

/// Draws that are under way at once. Rows drawn at random lie in no cache: those of later draws are fetched while
/// earlier ones are copied.
const AHEAD: usize = 16;

/// Words of a row's header.
const HEADER: usize = size_of::<StepHeader>() / 8;

impl Sampler {
    /// A sampler of a recording's transitions, which watches nothing yet.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self {
            plan: Plan::new(schema),
            sources: Sources::default(),
            batch: Plan::empty_batch(schema),
        }
    }

    /// Draws from these rings from now on, and no longer from those before. Where the readers stand does not matter.
    ///
    /// To be called again when players have joined or left: a ring that is watched keeps its memory.
    ///
    /// # Errors
    /// When a ring's rows are not the schema's. The sampler then watches nothing.
    pub fn watch(&mut self, readers: impl IntoIterator<Item = Reader>) -> Result<(), BufferError> {
        let (wanted, mut found) = (self.plan.row_words, None);
        self.sources.set(readers.into_iter().map(|reader| {
            if reader.row_words() != wanted {
                found = Some(reader.row_words());
            }
            reader.slots().clone()
        }));
        match found {
            None => Ok(()),
            Some(found) => {
                self.sources.set([]);
                Err(BufferError::OtherRows { wanted, found })
            }
        }
    }

    /// Draws `count` transitions, with replacement. They are fewer, or none, where there are hardly any.
    ///
    /// The same generator gives the same batch while nothing is pushed.
    pub fn sample(&mut self, count: usize, rng: &mut (impl Rng + ?Sized)) -> &Batch {
        let Self { plan, sources, batch } = self;
        sources.look();
        batch.resize(count, plan);
        let mut drawn = 0;
        let mut patience = PATIENCE.saturating_mul(count).max(1024);
        let mut ahead = [None; AHEAD];
        let (mut begun, mut done) = (0, 0);
        while sources.total() > 0 && drawn < count && patience > 0 {
            // Never more than are wanted: a draw that succeeds is used.
            while begun - done < AHEAD.min(count - drawn) {
                let row = sources.draw(rng);
                prefetch(&row);
                ahead[begun % AHEAD] = Some(row);
                begun += 1;
            }
            let row = &ahead[done % AHEAD];
            done += 1;
            if row.as_ref().and_then(|row| take(plan, row, batch, drawn)).is_some() {
                drawn += 1;
            } else {
                patience -= 1;
            }
        }
        batch.resize(drawn, plan);
        batch
    }
}

/// Asks for the rows that [`take`] will read, as far as is known which.
#[inline(always)]
fn prefetch(drawn: &Drawn<'_>) {
    let (slots, number) = (drawn.slots, drawn.number);
    let cells = slots.cells().view();
    if slots.links() == Links::Chain {
        cells.prefetch(slots.index(number), cells.stride());
    } else {
        // The row before, the row, and the next one's header.
        let words = 2 * cells.stride() + cells.row().start + HEADER + 1;
        cells.prefetch(slots.index(number.wrapping_sub(1)), words);
    }
}

/// Copies the transition that the row closes to place `index` of the batch. `None` if it closes none that is there.
#[inline]
fn take(plan: &mut Plan, drawn: &Drawn<'_>, batch: &mut Batch, index: usize) -> Option<()> {
    let &Drawn {
        slots,
        number,
        first: oldest,
        head,
    } = drawn;
    let cells = slots.cells().view();
    let links = cells.row().start;
    let content = |number| cells.content(slots.index(number));
    // Whatever is loaded here may be of other rows, as long as it is not known that these were there all the time.
    let read = content(number);
    let chain = (slots.links() == Links::Chain).then(|| Chain::of(read));
    let read = &read[links..];
    let after = header(
        read,
        [
            header_words::REWARD,
            header_words::EPISODE,
            header_words::ORDINAL,
            header_words::KIND,
        ],
    );
    if after.kind() != StepKind::Transition || chain.is_some_and(|chain| chain.hidden) {
        return None;
    }
    plan.observation(read, &mut batch.next_observation, index);
    plan.action(read, &mut batch.action, index);

    let previous = match chain {
        None => number.checked_sub(1).filter(|&previous| previous >= oldest)?,
        Some(chain) => chain.previous?,
    };
    let read = &content(previous)[links..];
    let before = header(read, [header_words::EPISODE, header_words::ORDINAL]);
    // Neighbours in the buffer may be strangers: the buffer may have refused what stood between.
    if before.episode != after.episode || after.ordinal.wrapping_sub(before.ordinal) != 1 {
        return None;
    }
    plan.observation(read, &mut batch.observation, index);

    let (mut outcome, mut reward) = (after.outcome(), after.reward);
    let end = match chain {
        None => Some(number + 1).filter(|&end| end < head),
        Some(chain) => chain.end,
    };
    if let Some(end) = end.filter(|_| outcome.is_none()) {
        let read = &content(end)[links..];
        let kind = header(read, [header_words::KIND]);
        if kind.kind() == StepKind::End {
            let end = header(read, [header_words::REWARD, header_words::EPISODE, header_words::KIND]);
            if end.episode == after.episode {
                outcome = end.outcome();
                reward += end.reward;
            }
        }
    }
    // The row before is the older one, and its end the younger; but who the row before is, the row itself must be whole to
    // tell.
    if !slots.is_whole(number.min(previous)) {
        return None;
    }
    batch.reward[index] = reward as f32;
    batch.terminated[index] = outcome == Some(Outcome::Terminated);
    batch.truncated[index] = outcome == Some(Outcome::Truncated);
    Some(())
}

/// The words of a row's header that are wanted; the others are zero.
#[inline(always)]
fn header<const N: usize>(row: &[AtomicU64], wanted: [usize; N]) -> StepHeader {
    let row = &row[..HEADER];
    let mut header = [0_u64; HEADER];
    for word in wanted {
        header[word] = row[word].load(Ordering::Relaxed);
    }
    bytemuck::cast(header)
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("rows", &self.sources.total())
            .finish_non_exhaustive()
    }
}
