//! Uniform random sampling of transitions from rings that are being written.
//!
//! Every *transition* is equally likely, whichever player it is of. This is rejection sampling: a draw picks a row, and is
//! rejected if the row is not a transition (but the beginning of an episode), if the observation before it is no longer in the
//! ring, or if the row is overwritten while it is copied. So no sample is torn, and none combines two episodes.

mod batch;
mod sources;

pub use batch::{Actions, Batch};

use super::{
    BufferError,
    ring::{Reader, links::RowLinks},
    shape::Links,
    sync::{AtomicU64, Ordering},
};
use batch::{Plan, Target};
use core::fmt;
use experience_core::{
    schema::Schema,
    transition::{StepHeader, StepKind, header_words},
};
use rand::Rng;
use sources::{Drawn, Sources};

/// Draws batches of transitions from rings, while they are being written.
///
/// Allocates nothing after the first batch of a size.
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

/// Rejected draws for each requested transition before a batch is returned short. Usually at least every second row is a
/// transition.
const MAX_REJECTIONS: usize = 64;

/// Draws that are prefetched ahead: rows drawn at random are in no cache.
const PREFETCHED: usize = 16;

/// Words of a row's header.
const HEADER: usize = size_of::<StepHeader>() / 8;

impl Sampler {
    /// A sampler of transitions with this schema, which watches no rings yet.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self {
            plan: Plan::new(schema),
            sources: Sources::default(),
            batch: Plan::empty_batch(schema),
        }
    }

    /// Replaces the rings to draw from. The positions of the readers do not matter.
    ///
    /// Call this again when players have joined or left: the sampler keeps the memory of the rings that it watches.
    ///
    /// # Errors
    /// When the rows of a ring have another width than the schema's. The sampler then watches no rings.
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

    /// Draws `count` transitions with replacement. Returns fewer, or none, where the rings hold hardly any.
    ///
    /// With the same state of `rng`, it returns the same batch as long as no row is pushed.
    pub fn sample(&mut self, count: usize, rng: &mut (impl Rng + ?Sized)) -> &Batch {
        let Self { plan, sources, batch } = self;
        sources.update();
        batch.resize(count, plan);
        let drawn = if sources.total() > 0 {
            draw(plan, sources, batch, count, rng)
        } else {
            0
        };
        batch.resize(drawn, plan);
        batch
    }
}

/// Draws `count` transitions into `batch`, which has place for them. Returns how many were drawn.
fn draw(plan: &mut Plan, sources: &Sources, batch: &mut Batch, count: usize, rng: &mut (impl Rng + ?Sized)) -> usize {
    let mut target = plan.target(batch);
    let mut rejections_left = MAX_REJECTIONS.saturating_mul(count).max(1024);
    let mut prefetched = [None; PREFETCHED];
    let (mut begun, mut done, mut drawn) = (0, 0, 0);
    while drawn < count && rejections_left > 0 {
        // At most as many as are needed: every draw that is not rejected is used.
        while begun - done < PREFETCHED.min(count - drawn) {
            let row = sources.draw(rng);
            prefetch(&row);
            prefetched[begun % PREFETCHED] = Some(row);
            begun += 1;
        }
        let row = &prefetched[done % PREFETCHED];
        done += 1;
        if row
            .as_ref()
            .and_then(|row| copy_transition(row, &mut target, drawn))
            .is_some()
        {
            drawn += 1;
        } else {
            rejections_left -= 1;
        }
    }
    drawn
}

/// Prefetches the rows that [`copy_transition`] will read, as far as they are known.
#[inline(always)]
fn prefetch(drawn: &Drawn<'_>) {
    let (slots, number) = (drawn.slots, drawn.number);
    let cells = slots.view();
    if slots.links() == Links::Chain {
        cells.prefetch(slots.index(number), cells.stride());
    } else {
        // The row before, the row, and the next one's header.
        let words = 2 * cells.stride() + cells.row().start + HEADER;
        cells.prefetch(slots.index(number.wrapping_sub(1)), words);
    }
}

/// Copies the transition that ends with the drawn row to index `index` of the batch. `None` if the draw is rejected.
#[inline(always)]
fn copy_transition(drawn: &Drawn<'_>, to: &mut Target<'_>, index: usize) -> Option<()> {
    let &Drawn {
        slots,
        number,
        first: oldest,
        head,
    } = drawn;
    let cells = slots.view();
    let links = cells.row().start;
    let content = |number| cells.content(slots.index(number));
    // All that is loaded here may be of later rows, until `is_whole` at the end.
    let read = content(number);
    let chain = (slots.links() == Links::Chain).then(|| RowLinks::of(read));
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
    to.after(read, index);

    let previous = match chain {
        None => number.checked_sub(1).filter(|&previous| previous >= oldest)?,
        Some(chain) => chain.previous?,
    };
    let read = &content(previous)[links..];
    let before = header(read, [header_words::EPISODE, header_words::ORDINAL]);
    // The rows may not be consecutive in their episode: a ring may have refused those in between.
    if before.episode != after.episode || after.ordinal.wrapping_sub(before.ordinal) != 1 {
        return None;
    }
    to.before(read, index);

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
    // The older of the two rows decides; but `previous` was read from the row itself, so that must be whole too.
    let older = number.min(previous);
    if !slots.is_whole(older) || older < slots.floor() {
        return None;
    }
    to.outcome(index, reward, outcome);
    Some(())
}

/// The header of a row with the words `wanted`; the others are 0.
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
