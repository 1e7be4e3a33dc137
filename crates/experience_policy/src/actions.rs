//! [`ActionBatch`]: the outputs of a model for each head, and the values that are decided from them.

use crate::{Head, HeadKind, PolicyLayout};
use std::sync::Arc;

/// The actions of several players: a model writes its outputs, and [`decide`](Self::decide) makes values of them.
///
/// Outputs are NaN until a model writes them.
#[derive(Clone, Debug)]
pub struct ActionBatch {
    layout: Arc<PolicyLayout>,
    players: usize,
    /// One per head.
    pub(crate) outputs: Vec<HeadOutput>,
    /// `[players, values]`.
    pub(crate) values: Vec<f64>,
    /// The logarithm of the probability with which each action was chosen.
    pub(crate) log_probs: Vec<f64>,
    /// Whether each player has an action.
    pub(crate) is_decided: Vec<bool>,
    /// Whether the model leaves the action of each player as it is.
    pub(crate) is_kept: Vec<bool>,
    version: Option<i64>,
    /// The weights of the alternatives of one element.
    pub(crate) scratch: Vec<f64>,
}

/// The outputs of a model for one head and all players.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadOutput {
    /// `[players, elements, n]`; empty for a continuous head.
    pub(crate) logits: Vec<f32>,
    /// `[players, elements]`; empty for a discrete head.
    pub(crate) means: Vec<f64>,
    /// As `means`. NaN where the mean is the action.
    pub(crate) log_stds: Vec<f32>,
}

impl ActionBatch {
    /// A batch without players.
    #[must_use]
    pub fn new(layout: Arc<PolicyLayout>) -> Self {
        Self {
            players: 0,
            outputs: layout.heads().iter().map(|_| HeadOutput::default()).collect(),
            values: Vec::new(),
            log_probs: Vec::new(),
            is_decided: Vec::new(),
            is_kept: Vec::new(),
            version: None,
            scratch: Vec::new(),
            layout,
        }
    }

    /// Begins a decision for this many players, without outputs.
    pub fn begin(&mut self, players: usize) {
        self.players = players;
        for (head, output) in self.layout.heads().iter().zip(&mut self.outputs) {
            let count = players * head.outputs();
            match head.kind {
                HeadKind::Discrete { .. } => refill(&mut output.logits, count, f32::NAN),
                HeadKind::Continuous { .. } => {
                    refill(&mut output.means, count, f64::NAN);
                    refill(&mut output.log_stds, count, f32::NAN);
                }
            }
        }
        refill(&mut self.values, players * self.layout.value_count(), 0.0);
        refill(&mut self.log_probs, players, 0.0);
        refill(&mut self.is_decided, players, false);
        refill(&mut self.is_kept, players, false);
        self.version = None;
    }

    /// The number of players.
    #[must_use]
    pub fn len(&self) -> usize {
        self.players
    }

    /// Whether there is no player.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.players == 0
    }

    /// What the policy sees and decides.
    #[must_use]
    pub fn layout(&self) -> &Arc<PolicyLayout> {
        &self.layout
    }

    /// The logits of a discrete head, `[players, elements, n]` in C order. Negative infinity is a probability of 0.
    ///
    /// # Panics
    /// When there is no such head, or it is continuous.
    pub fn logits_mut(&mut self, head: usize) -> &mut [f32] {
        self.assert_kind(head, true);
        &mut self.outputs[head].logits
    }

    /// The means of a continuous head, `[players, elements]` in C order, in the units of the action.
    ///
    /// # Panics
    /// When there is no such head, or it is discrete.
    pub fn means_mut(&mut self, head: usize) -> &mut [f64] {
        self.assert_kind(head, false);
        &mut self.outputs[head].means
    }

    /// The logarithms of the standard deviations of a continuous head, `[players, elements]` in C order. Without them, the
    /// action is the mean.
    ///
    /// # Panics
    /// When there is no such head, or it is discrete.
    pub fn log_stds_mut(&mut self, head: usize) -> &mut [f32] {
        self.assert_kind(head, false);
        &mut self.outputs[head].log_stds
    }

    /// Chooses an alternative for an element of a discrete head, with a probability of 1. Where the mask forbids it, an
    /// alternative that it allows is chosen instead, and counted.
    ///
    /// # Panics
    /// When there is no such player, head, element or alternative, or the head is continuous.
    pub fn choose(&mut self, player: usize, head: usize, element: usize, alternative: usize) {
        self.assert_kind(head, true);
        let described = &self.layout.heads()[head];
        let n = described.alternatives().unwrap_or(0);
        assert!(
            element < described.elements,
            "`{}` has no element {element}",
            described.name
        );
        let at = (player * described.elements + element) * n;
        let logits = &mut self.outputs[head].logits[at..at + n];
        logits.fill(f32::NEG_INFINITY);
        logits[alternative] = 0.0;
    }

    /// Sets the mean of an element of a continuous head. It is the action, unless a deviation is set.
    ///
    /// # Panics
    /// When there is no such player, head or element, or the head is discrete.
    pub fn set(&mut self, player: usize, head: usize, element: usize, value: f64) {
        self.assert_kind(head, false);
        let described = &self.layout.heads()[head];
        assert!(
            element < described.elements,
            "`{}` has no element {element}",
            described.name
        );
        self.outputs[head].means[player * described.elements + element] = value;
    }

    /// Adds to the logarithm of the probability of a player's action, for what the model has sampled itself.
    ///
    /// # Panics
    /// When there is no such player.
    pub fn add_log_prob(&mut self, player: usize, log_prob: f64) {
        self.log_probs[player] += log_prob;
    }

    /// Leaves the action of a player as it is. That is a decision: it does not count as an output that is missing.
    ///
    /// # Panics
    /// When there is no such player.
    pub fn keep_action(&mut self, player: usize) {
        self.is_kept[player] = true;
    }

    /// Whether the model leaves the action of a player as it is.
    ///
    /// # Panics
    /// When there is no such player.
    #[must_use]
    pub fn is_kept(&self, player: usize) -> bool {
        self.is_kept[player]
    }

    /// Sets the version of the model that has decided, a number above 0, where it changes while the game runs.
    pub fn set_version(&mut self, version: i64) {
        self.version = (version > 0).then_some(version);
    }

    /// The version that the model has set for this decision.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.version
    }

    /// The values of a player's action after [`decide`](Self::decide): the elements of all heads, in order. An alternative is its
    /// index.
    ///
    /// # Panics
    /// When there is no such player.
    #[must_use]
    pub fn values(&self, player: usize) -> &[f64] {
        let width = self.layout.value_count();
        &self.values[player * width..][..width]
    }

    /// The outputs of a discrete head for a player, `[elements, n]`; empty for a continuous one.
    ///
    /// # Panics
    /// When there is no such player or head.
    #[must_use]
    pub fn logits(&self, player: usize, head: usize) -> &[f32] {
        let width = self.layout.heads()[head].outputs();
        self.outputs[head]
            .logits
            .get(player * width..(player + 1) * width)
            .unwrap_or(&[])
    }

    /// The means of a continuous head for a player, `[elements]`; empty for a discrete one.
    ///
    /// # Panics
    /// When there is no such player or head.
    #[must_use]
    pub fn means(&self, player: usize, head: usize) -> &[f64] {
        let width = self.layout.heads()[head].outputs();
        self.outputs[head]
            .means
            .get(player * width..(player + 1) * width)
            .unwrap_or(&[])
    }

    /// The logarithms of the standard deviations of a continuous head for a player, `[elements]`; empty for a discrete one. NaN
    /// where the mean is the action.
    ///
    /// # Panics
    /// When there is no such player or head.
    #[must_use]
    pub fn log_stds(&self, player: usize, head: usize) -> &[f32] {
        let width = self.layout.heads()[head].outputs();
        self.outputs[head]
            .log_stds
            .get(player * width..(player + 1) * width)
            .unwrap_or(&[])
    }

    /// The logarithm of the probability with which a player's action was chosen: of the density, for what is continuous. What is
    /// not random counts 0.
    ///
    /// # Panics
    /// When there is no such player.
    #[must_use]
    pub fn log_prob(&self, player: usize) -> f64 {
        self.log_probs[player]
    }

    /// Whether a player has an action. Without one, an output is missing or NaN.
    ///
    /// # Panics
    /// When there is no such player.
    #[must_use]
    pub fn is_decided(&self, player: usize) -> bool {
        self.is_decided[player]
    }

    fn assert_kind(&self, head: usize, is_discrete: bool) {
        let described: &Head = &self.layout.heads()[head];
        assert_eq!(
            described.alternatives().is_some(),
            is_discrete,
            "`{}` is {}",
            described.name,
            if is_discrete {
                "continuous: it has means"
            } else {
                "discrete: it has logits"
            }
        );
    }
}

/// Sets `len` elements to `value`, in the memory that there is.
fn refill<T: Clone>(values: &mut Vec<T>, len: usize, value: T) {
    values.clear();
    values.resize(len, value);
}
