//! [`PolicyLayout`]: what a policy sees and decides, from the schema of a recording.

use experience_core::schema::{Column, DType, Schema, Space};

/// What a policy of a recording sees and decides: its features, its mask and its heads.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLayout {
    recording: String,
    schema_hash: u64,
    features: Vec<String>,
    images: Vec<Column>,
    reward_terms: Vec<String>,
    mask_width: usize,
    applies_mask: bool,
    heads: Vec<Head>,
    value_count: usize,
}

/// One column of the action.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The name of the column.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// The shape of the column; empty for a scalar.
    pub shape: Vec<usize>,
    /// The number of its elements.
    pub elements: usize,
    /// The values that an element can take.
    pub kind: HeadKind,
    /// The bit of the mask at which the alternatives of its first element begin; `None` if it has no mask.
    pub(crate) first_mask_bit: Option<usize>,
    /// The index of its first value among those of a player.
    pub(crate) first_value: usize,
}

/// The values of an element of a [`Head`].
#[derive(Clone, Debug, PartialEq)]
pub enum HeadKind {
    /// One of `n` alternatives: an enum, a `bool`, a choice.
    Discrete {
        /// The number of alternatives.
        n: usize,
        /// Their names; empty where they have none.
        labels: Vec<String>,
    },
    /// A number: a float, or an integer, to which it is rounded.
    Continuous {
        /// The lower bound.
        low: Option<f64>,
        /// The upper bound.
        high: Option<f64>,
    },
}

impl Head {
    /// The number of outputs of a model for one player: a logit for each alternative of each element, or a mean for each
    /// element.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self.kind {
            HeadKind::Discrete { n, .. } => self.elements * n,
            HeadKind::Continuous { .. } => self.elements,
        }
    }

    /// The number of alternatives of an element; `None` for a continuous head.
    #[must_use]
    pub fn alternatives(&self) -> Option<usize> {
        match self.kind {
            HeadKind::Discrete { n, .. } => Some(n),
            HeadKind::Continuous { .. } => None,
        }
    }

    /// The index of its first value in [`ActionBatch::values`](crate::ActionBatch::values).
    #[must_use]
    pub fn first_value(&self) -> usize {
        self.first_value
    }
}

impl PolicyLayout {
    /// The layout of policies for this schema.
    #[must_use]
    pub fn of(schema: &Schema) -> Self {
        let mut heads = Vec::new();
        let (mut bits, mut values) = (0, 0);
        for column in schema.action() {
            let elements = column.width();
            let kind = match &column.space {
                Space::Discrete { n, labels } => HeadKind::Discrete {
                    n: usize::try_from(*n).unwrap_or(usize::MAX),
                    labels: labels.clone(),
                },
                Space::Box { low, high } => HeadKind::Continuous { low: *low, high: *high },
            };
            let alternatives = match kind {
                HeadKind::Discrete { n, .. } => Some(n),
                HeadKind::Continuous { .. } => None,
            };
            heads.push(Head {
                name: column.name.clone(),
                dtype: column.dtype,
                shape: column.shape.clone(),
                elements,
                kind,
                first_mask_bit: alternatives.map(|_| bits),
                first_value: values,
            });
            bits += elements.saturating_mul(alternatives.unwrap_or(0));
            values += elements;
        }
        let mask_width = schema.action_mask_width();
        let applies_mask = mask_width > 0 && mask_width == bits;
        if !applies_mask {
            for head in &mut heads {
                head.first_mask_bit = None;
            }
        }
        Self {
            recording: schema.name().to_owned(),
            schema_hash: schema.hash(),
            features: schema.feature_names(),
            images: schema.images().to_vec(),
            reward_terms: schema.reward_terms().to_vec(),
            mask_width,
            applies_mask,
            heads,
            value_count: values,
        }
    }

    /// The name of the recording.
    #[must_use]
    pub fn recording(&self) -> &str {
        &self.recording
    }

    /// The [hash](Schema::hash) of its schema.
    #[must_use]
    pub fn schema_hash(&self) -> u64 {
        self.schema_hash
    }

    /// The name of each feature of the observation.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The images of the observation.
    #[must_use]
    pub fn images(&self) -> &[Column] {
        &self.images
    }

    /// The names of the reward terms.
    #[must_use]
    pub fn reward_terms(&self) -> &[String] {
        &self.reward_terms
    }

    /// The number of bits of the action mask; 0 where there is none.
    #[must_use]
    pub fn mask_width(&self) -> usize {
        self.mask_width
    }

    /// Whether the mask has one bit for each alternative of the discrete heads, in their order. A mask of another width is
    /// passed to the model, and does not restrict its choices.
    #[must_use]
    pub fn applies_mask(&self) -> bool {
        self.applies_mask
    }

    /// The heads, in the order of the columns.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The index of the head with this name.
    #[must_use]
    pub fn head(&self, name: &str) -> Option<usize> {
        self.heads.iter().position(|head| head.name == name)
    }

    /// The number of values of an action: the elements of all heads.
    #[must_use]
    pub fn value_count(&self) -> usize {
        self.value_count
    }
}
