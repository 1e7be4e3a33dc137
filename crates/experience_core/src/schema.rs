//! Schemas: the named, typed columns of a recording, and the byte layout of its rows.
//!
//! A [`Schema`] is computed once, when a recording is set up, and is immutable afterwards. Buffers, the exporter, sinks
//! and dataset readers take names, widths and offsets from it.
//!
//! # Columns
//! A [`Column`] has a name, an element type ([`DType`]), a shape and a [`Space`], the set of values that an element can
//! take. A schema has six groups of columns:
//!
//! | group | elements | semantics |
//! |---|---|---|
//! | observation | `f32` | what the player observes: the input of a policy |
//! | images | `u8`, `[height, width, channels]` | what the player observes as pixels |
//! | action mask | bits | which alternatives of the action that observation allows |
//! | action | any [`DType`] | what the player did in the preceding observation |
//! | info | any [`DType`] | facts about that action, such as `behavior_logp` or `policy_version` |
//! | reward terms | `f32` | the named summands of the reward for that action |
//!
//! Observation columns can form [lists](ColumnList) of entities, each an array `[capacity, features]` with a mask.
//!
//! # Rows
//! A row is the in-memory encoding of one step: a 64-byte [`StepHeader`](crate::transition::StepHeader) followed by the
//! six groups at fixed offsets. All rows of a schema have the same size. What consecutive rows mean together is
//! defined by [`transition`](crate::transition).
//!
//! # Layout
//! [`RowLayout`] holds the offsets. An encoder writes through it; [`StepBytes`](crate::transition::StepBytes) reads
//! through it:
//!
//! ```
//! use experience_core::{schema::{Column, DType, Schema, Space}, transition::{StepBytes, StepHeader, StepKind}};
//!
//! let schema = Schema::new("fighter")
//!     .with_observation([Column::feature("health"), Column::feature("position.x")])
//!     .with_action([Column::scalar("jump", DType::Bool, Space::Discrete { n: 2, labels: vec![] })])
//!     .with_reward_terms(["coin", "hit"]);
//! let layout = schema.layout();
//! assert_eq!(layout.observation(), 64..72); // two `f32` after the header
//! assert_eq!(layout.action_offsets(), [72]); // one `bool`
//! assert_eq!(layout.reward_terms(), 80..88); // two `f32`
//! assert_eq!(layout.row_bytes(), 88);
//!
//! let mut row = vec![0_u64; layout.row_words()];
//! *StepHeader::of_mut(&mut row) = StepHeader::new(StepKind::Transition);
//! let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut row);
//! bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(&[0.5_f32, 3.0]));
//! bytes[layout.action_offsets()[0]] = 1;
//!
//! let step = StepBytes::new(&schema, &row);
//! assert_eq!(step.observation(), [0.5, 3.0]);
//! assert_eq!(step.action().collect::<Vec<_>>(), [1.0]);
//! ```
//!
//! # Identity
//! [`Schema::hash`] identifies a schema across processes and machines. Datasets, journals and ring files store it, so
//! that rows are never decoded with another schema. [`Schema::differences`] names the columns that differ.

mod column;
mod difference;
mod experience_file;
mod image;
mod layout;
mod list;

pub use layout::HEADER_BYTES;
pub use {
    column::{Column, DType, Space},
    experience_file::ExperienceFile,
    image::ImageShape,
    layout::RowLayout,
    list::ColumnList,
};

use core::hash::Hasher;
use list::ListDefinition;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::sync::Arc;

/// The columns of one recording, the layout of its rows, and a hash of both.
///
/// Schemas with equal [hashes](Schema::hash) are interchangeable, and their data can share one dataset directory.
///
/// ```
/// use experience_core::schema::{Column, Schema};
///
/// let schema = Schema::new("fighter").with_observation([Column::feature("health"), Column::feature("position.x")]);
/// assert_eq!(schema.observation_width(), 2);
/// assert_eq!(schema.feature_names(), ["health", "position.x"]);
/// assert_ne!(schema.hash(), schema.clone().with_version("2").hash());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SchemaDefinition", into = "SchemaDefinition")]
pub struct Schema {
    definition: SchemaDefinition,
    hash: u64,
    layout: RowLayout,
}

/// The serialized part of a schema. Hash and layout are computed from it, so field order and defaults are part of the
/// hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SchemaDefinition {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    observation: Vec<Column>,
    /// Absent from the JSON where there are none, so that such a schema keeps the hash that it had before images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    images: Vec<Column>,
    action: Vec<Column>,
    /// Bits of the action mask, 0 where there is none.
    #[serde(default)]
    action_mask: usize,
    #[serde(default)]
    info: Vec<Column>,
    #[serde(default)]
    reward_terms: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lists: Vec<ListDefinition>,
}

/// Bytes of an observation beyond which it is wide.
const WIDE_OBSERVATION: usize = 1024;

/// Schemas with more elements per row are refused on deserialization: they come from a damaged file, and their layout
/// could overflow.
const MAX_ROW_VALUES: usize = 1 << 26;

impl TryFrom<SchemaDefinition> for Schema {
    type Error = String;

    fn try_from(definition: SchemaDefinition) -> Result<Self, String> {
        let mut values = definition.action_mask.saturating_add(definition.reward_terms.len());
        for column in definition
            .observation
            .iter()
            .chain(&definition.images)
            .chain(&definition.action)
            .chain(&definition.info)
        {
            let width = column.shape.iter().try_fold(1_usize, |width, &n| width.checked_mul(n));
            values = values.saturating_add(width.unwrap_or(usize::MAX));
        }
        if values > MAX_ROW_VALUES {
            return Err(format!(
                "the columns hold {values} values a row, more than {MAX_ROW_VALUES}"
            ));
        }
        if definition.observation.iter().any(|column| column.dtype != DType::F32) {
            return Err("an observation column is not `f32`".to_owned());
        }
        if let Some(column) = definition.images.iter().find(|column| ImageShape::of(column).is_none()) {
            return Err(format!(
                "the image `{}` is not `u8` of [height, width, channels]",
                column.name
            ));
        }
        for list in &definition.lists {
            if ColumnList::find(&definition.observation, &list.name, list.capacity).is_none() {
                return Err(format!("the columns of the list `{}` are incomplete", list.name));
            }
        }
        Ok(Self::from_definition(definition))
    }
}

impl From<Schema> for SchemaDefinition {
    #[inline]
    fn from(schema: Schema) -> Self {
        schema.definition
    }
}

impl Schema {
    /// An empty schema for the recording `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self::from_definition(SchemaDefinition {
            name: name.into(),
            version: None,
            observation: Vec::new(),
            images: Vec::new(),
            action: Vec::new(),
            action_mask: 0,
            info: Vec::new(),
            reward_terms: Vec::new(),
            lists: Vec::new(),
        })
    }

    #[inline]
    fn from_definition(definition: SchemaDefinition) -> Self {
        Self {
            hash: hash(&definition),
            layout: RowLayout::new(
                &definition.observation,
                &definition.images,
                definition.action_mask,
                &definition.action,
                &definition.info,
                definition.reward_terms.len(),
            ),
            definition,
        }
    }

    fn edit(mut self, change: impl FnOnce(&mut SchemaDefinition)) -> Self {
        change(&mut self.definition);
        Self::from_definition(self.definition)
    }

    /// Appends observation columns.
    ///
    /// # Panics
    /// When a column's `dtype` is not [`DType::F32`].
    #[must_use]
    pub fn with_observation(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|definition| {
            definition.observation.extend(columns);
            for column in &definition.observation {
                assert_eq!(
                    column.dtype,
                    DType::F32,
                    "observation column `{}` must be `f32`",
                    column.name
                );
            }
        })
    }

    /// Appends images, which are part of the observation.
    ///
    /// ```
    /// use experience_core::schema::{Column, ImageShape, Schema};
    ///
    /// let shape = ImageShape { height: 84, width: 84, channels: 3 };
    /// let schema = Schema::new("fighter").with_images([Column::image("camera", shape)]);
    /// assert_eq!(schema.layout().images().len(), 84 * 84 * 3);
    /// assert_eq!(schema.observation_width(), 0);
    /// ```
    ///
    /// # Panics
    /// When a column is not `u8` with the shape `[height, width, channels]`, or its shape has a 0.
    #[must_use]
    pub fn with_images(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|definition| {
            definition.images.extend(columns);
            for column in &definition.images {
                assert!(
                    ImageShape::of(column).is_some(),
                    "the image `{}` must be `u8` with the shape [height, width, channels], all of them above 0",
                    column.name
                );
            }
        })
    }

    /// Appends action columns.
    #[must_use]
    pub fn with_action(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|definition| definition.action.extend(columns))
    }

    /// Sets the number of alternatives that the action mask covers. 0, the default, means no mask.
    #[must_use]
    #[inline]
    pub fn with_action_mask(self, width: usize) -> Self {
        self.edit(|definition| definition.action_mask = width)
    }

    /// Appends info columns, such as `behavior_logp` and `policy_version`. They describe the action.
    #[must_use]
    pub fn with_info(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|definition| definition.info.extend(columns))
    }

    /// Appends the names of the terms whose sum is the reward.
    #[must_use]
    pub fn with_reward_terms<S: Into<String>>(self, terms: impl IntoIterator<Item = S>) -> Self {
        self.edit(|definition| definition.reward_terms.extend(terms.into_iter().map(Into::into)))
    }

    /// Declares that observation columns are a [list](ColumnList) of up to `capacity` entities.
    ///
    /// # Panics
    /// When [`ColumnList::find`] does not find the list.
    #[must_use]
    pub fn with_list(self, name: impl Into<String>, capacity: usize) -> Self {
        let name = name.into();
        assert!(
            ColumnList::find(self.observation(), &name, capacity).is_some(),
            "the observation has no list `{name}` of {capacity} entities: add its columns first"
        );
        self.edit(|definition| definition.lists.push(ListDefinition { name, capacity }))
    }

    /// Sets the user-defined version. It is part of the hash, for columns that keep their names and change their
    /// meaning.
    #[must_use]
    pub fn with_version(self, version: impl Into<String>) -> Self {
        self.edit(|definition| definition.version = Some(version.into()))
    }

    /// The recording's name.
    #[must_use]
    #[inline]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The user-defined version of the columns' meaning.
    #[must_use]
    #[inline]
    pub fn version(&self) -> Option<&str> {
        self.definition.version.as_deref()
    }

    /// The observation columns, in order.
    #[must_use]
    #[inline]
    pub fn observation(&self) -> &[Column] {
        &self.definition.observation
    }

    /// The images, in order.
    #[must_use]
    #[inline]
    pub fn images(&self) -> &[Column] {
        &self.definition.images
    }

    /// Whether anything is observed: features or images.
    #[must_use]
    #[inline]
    pub fn has_observation(&self) -> bool {
        self.observation_width() > 0 || !self.images().is_empty()
    }

    /// The action columns, in order.
    #[must_use]
    #[inline]
    pub fn action(&self) -> &[Column] {
        &self.definition.action
    }

    /// The number of alternatives that the action mask covers, one bit each; 0 where there is no mask.
    #[must_use]
    #[inline]
    pub fn action_mask_width(&self) -> usize {
        self.definition.action_mask
    }

    /// The info columns, in order.
    #[must_use]
    #[inline]
    pub fn info(&self) -> &[Column] {
        &self.definition.info
    }

    /// The names of the reward terms, in order.
    #[must_use]
    #[inline]
    pub fn reward_terms(&self) -> &[String] {
        &self.definition.reward_terms
    }

    /// The lists of entities among the observation columns, in the order in which they were declared.
    pub fn lists(&self) -> impl Iterator<Item = ColumnList> + '_ {
        self.definition
            .lists
            .iter()
            .filter_map(|list| ColumnList::find(self.observation(), &list.name, list.capacity))
    }

    /// The list of entities with this name.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<ColumnList> {
        self.lists().find(|list| list.name() == name)
    }

    /// Number of `f32` values in one observation.
    #[must_use]
    #[inline]
    pub fn observation_width(&self) -> usize {
        self.layout.observation_width()
    }

    /// Whether an observation is over 1 KiB. Datasets then store `next_observation` in the last row of an episode only.
    #[must_use]
    #[inline]
    pub fn has_wide_observation(&self) -> bool {
        self.layout.observation().len() > WIDE_OBSERVATION
    }

    /// Number of elements in one action, over all its columns.
    #[must_use]
    #[inline]
    pub fn action_width(&self) -> usize {
        self.definition.action.iter().map(Column::width).sum()
    }

    /// Whether the action is a single [`Space::Discrete`] scalar. Datasets store such an action as a plain integer.
    #[must_use]
    #[inline]
    pub fn is_single_discrete(&self) -> bool {
        matches!(self.definition.action.as_slice(), [column]
            if column.width() == 1 && matches!(column.space, Space::Discrete { .. }))
    }

    /// The name of each `f32` of the observation, `[observation_width]`.
    #[must_use]
    #[inline]
    pub fn feature_names(&self) -> Vec<String> {
        self.definition
            .observation
            .iter()
            .flat_map(Column::element_names)
            .collect()
    }

    /// The identity of the schema: SipHash-2-4 (zero key) of its JSON, equal in every process and on every machine.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The byte offsets of a row.
    #[must_use]
    #[inline]
    pub fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// Wraps the schema in an [`Arc`].
    #[must_use]
    #[inline]
    pub fn into_shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

#[inline]
fn hash(definition: &SchemaDefinition) -> u64 {
    let json = serde_json::to_vec(definition).expect("a schema holds only strings, numbers and lists");
    let mut hasher = SipHasher24::new();
    hasher.write(&json);
    hasher.finish()
}
