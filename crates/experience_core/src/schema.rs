//! What a row means: named, typed columns, and the hash that tells two meanings apart.
//!
//! A [`Schema`] is computed once, when a recording is set up, and never changes afterwards. Everything downstream
//! (buffers, the exporter, sinks, readers of a dataset) takes its widths and offsets from here.

#[cfg(feature = "bevy")]
pub(crate) mod reflect;

mod layout;

pub(crate) use layout::HEADER_BYTES;
pub use layout::RowLayout;
#[cfg(feature = "bevy")]
pub use reflect::{ColumnBounds, ColumnName};

use core::hash::Hasher;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::sync::Arc;

/// The storage type of one value of a [`Column`].
///
/// Observations are always [`F32`](DType::F32). Actions and info keep the type that the component has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants are the names of Rust's own types")]
pub enum DType {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl DType {
    /// Bytes that one value takes in a row; also its alignment there.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Whether this is a floating-point type.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// The values that a column may take: Gymnasium's `Box` and `Discrete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Space {
    /// A number between two bounds; an absent bound is infinite.
    Box {
        /// The lowest value, or `None` for no bound.
        low: Option<f64>,
        /// The highest value, or `None` for no bound.
        high: Option<f64>,
    },
    /// One of `n` alternatives, counted from 0.
    Discrete {
        /// How many alternatives there are.
        n: u64,
        /// Their names, in order, where the type has names for them (a fieldless enum); otherwise empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        labels: Vec<String>,
    },
}

impl Space {
    /// A number without bounds.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self::Box { low: None, high: None }
    }

    /// A number from `low` to `high`.
    #[must_use]
    pub const fn bounded(low: f64, high: f64) -> Self {
        Self::Box {
            low: Some(low),
            high: Some(high),
        }
    }
}

/// A named value, or a tensor of values, with one type and one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The dotted path of the value, such as `transform.translation.x`.
    pub name: String,
    /// How one value is stored.
    pub dtype: DType,
    /// The shape in C order: empty for a scalar, `[20, 20]` for a board of 20 by 20.
    #[serde(default)]
    pub shape: Vec<usize>,
    /// What each value may be.
    pub space: Space,
    /// Names of the elements of a one-dimensional column, where they have names (the alternatives of a one-hot).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Column {
    /// A scalar column.
    pub fn scalar(name: impl Into<String>, dtype: DType, space: Space) -> Self {
        Self {
            name: name.into(),
            dtype,
            shape: Vec::new(),
            space,
            labels: Vec::new(),
        }
    }

    /// An unbounded `f32`, which is what most features of an observation are.
    pub fn feature(name: impl Into<String>) -> Self {
        Self::scalar(name, DType::F32, Space::unbounded())
    }

    /// How many values the column holds: the product of its shape, 1 for a scalar.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// One name for each value: `name` itself for a scalar, `name=label` for labelled elements, `name[i][j]` otherwise.
    pub fn element_names(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.width()).map(|flat| {
            if self.shape.is_empty() {
                return self.name.clone();
            }
            if let Some(label) = self.labels.get(flat) {
                return format!("{}={label}", self.name);
            }
            let mut index = vec![0; self.shape.len()];
            let mut rest = flat;
            for (place, extent) in index.iter_mut().zip(&self.shape).rev() {
                *place = rest % extent;
                rest /= extent;
            }
            index
                .iter()
                .fold(self.name.clone(), |name, place| format!("{name}[{place}]"))
        })
    }
}

/// The columns of one recording and what they mean.
///
/// Two recordings with equal schemas have the same [`hash`](Schema::hash), and their data may stand in one folder.
///
/// ```
/// use experience_core::schema::{Column, DType, Schema, Space};
///
/// let schema = Schema::new("fighter")
///     .with_observation([Column::feature("health"), Column::feature("position.x")])
///     .with_action([Column::scalar("jump", DType::Bool, Space::Discrete { n: 2, labels: vec![] })])
///     .with_reward_terms(["coin", "hit"]);
/// assert_eq!(schema.observation_width(), 2);
/// assert_eq!(schema.layout().row_bytes() % 8, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub struct Schema {
    columns: Columns,
    hash: u64,
    layout: RowLayout,
}

/// The part of a schema that is written down; hash and layout follow from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Columns {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    observation: Vec<Column>,
    action: Vec<Column>,
    /// Width of the action mask, 0 where there is none.
    #[serde(default)]
    action_mask: usize,
    #[serde(default)]
    info: Vec<Column>,
    #[serde(default)]
    reward_terms: Vec<String>,
}

/// Rows wider than this are refused: they come from a damaged file, not from a game.
const MAX_ROW_VALUES: usize = 1 << 26;

impl TryFrom<Columns> for Schema {
    type Error = String;

    fn try_from(columns: Columns) -> Result<Self, String> {
        let mut values = columns.action_mask.saturating_add(columns.reward_terms.len());
        for column in columns.observation.iter().chain(&columns.action).chain(&columns.info) {
            let width = column.shape.iter().try_fold(1_usize, |width, &n| width.checked_mul(n));
            values = values.saturating_add(width.unwrap_or(usize::MAX));
        }
        if values > MAX_ROW_VALUES {
            return Err(format!(
                "the columns hold {values} values a row, more than {MAX_ROW_VALUES}"
            ));
        }
        if columns.observation.iter().any(|column| column.dtype != DType::F32) {
            return Err("an observation column is not `f32`".to_owned());
        }
        Ok(Self::from_columns(columns))
    }
}

impl From<Schema> for Columns {
    fn from(schema: Schema) -> Self {
        schema.columns
    }
}

impl Schema {
    /// An empty schema for the recording `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self::from_columns(Columns {
            name: name.into(),
            version: None,
            observation: Vec::new(),
            action: Vec::new(),
            action_mask: 0,
            info: Vec::new(),
            reward_terms: Vec::new(),
        })
    }

    fn from_columns(columns: Columns) -> Self {
        Self {
            hash: hash(&columns),
            layout: RowLayout::new(
                &columns.observation,
                columns.action_mask,
                &columns.action,
                &columns.info,
                columns.reward_terms.len(),
            ),
            columns,
        }
    }

    fn edit(mut self, change: impl FnOnce(&mut Columns)) -> Self {
        change(&mut self.columns);
        Self::from_columns(self.columns)
    }

    /// Appends columns to the observation. Their `dtype` must be [`DType::F32`].
    ///
    /// # Panics
    /// When a column is not `f32`.
    #[must_use]
    pub fn with_observation(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|schema| {
            schema.observation.extend(columns);
            for column in &schema.observation {
                assert_eq!(
                    column.dtype,
                    DType::F32,
                    "observation column `{}` must be `f32`",
                    column.name
                );
            }
        })
    }

    /// Appends columns to the action.
    #[must_use]
    pub fn with_action(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|schema| schema.action.extend(columns))
    }

    /// Sets the width of the action mask; 0 means that there is none.
    #[must_use]
    pub fn with_action_mask(self, width: usize) -> Self {
        self.edit(|schema| schema.action_mask = width)
    }

    /// Appends info columns, which belong to the action (`behavior_logp`, `policy_version`).
    #[must_use]
    pub fn with_info(self, columns: impl IntoIterator<Item = Column>) -> Self {
        self.edit(|schema| schema.info.extend(columns))
    }

    /// Names the terms that the reward is the sum of.
    #[must_use]
    pub fn with_reward_terms<S: Into<String>>(self, terms: impl IntoIterator<Item = S>) -> Self {
        self.edit(|schema| schema.reward_terms.extend(terms.into_iter().map(Into::into)))
    }

    /// Sets the user's own version, which is part of the hash: same columns, new meaning.
    #[must_use]
    pub fn with_version(self, version: impl Into<String>) -> Self {
        self.edit(|schema| schema.version = Some(version.into()))
    }

    /// The recording's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.columns.name
    }

    /// The user's own version of what the columns mean.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.columns.version.as_deref()
    }

    /// The observation's columns, in order.
    #[must_use]
    pub fn observation(&self) -> &[Column] {
        &self.columns.observation
    }

    /// The action's columns, in order.
    #[must_use]
    pub fn action(&self) -> &[Column] {
        &self.columns.action
    }

    /// How many alternatives the action mask speaks of; 0 where there is no mask.
    #[must_use]
    pub fn action_mask_width(&self) -> usize {
        self.columns.action_mask
    }

    /// The info columns, in order.
    #[must_use]
    pub fn info(&self) -> &[Column] {
        &self.columns.info
    }

    /// The names of the reward's terms, in order.
    #[must_use]
    pub fn reward_terms(&self) -> &[String] {
        &self.columns.reward_terms
    }

    /// Number of `f32` values in one observation.
    #[must_use]
    pub fn observation_width(&self) -> usize {
        self.layout.observation_width()
    }

    /// Number of values in one action.
    #[must_use]
    pub fn action_width(&self) -> usize {
        self.columns.action.iter().map(Column::width).sum()
    }

    /// Whether the action is one discrete choice, which datasets store as a plain integer.
    #[must_use]
    pub fn is_single_discrete(&self) -> bool {
        matches!(self.columns.action.as_slice(), [column]
            if column.width() == 1 && matches!(column.space, Space::Discrete { .. }))
    }

    /// The name of every `f32` of the observation.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        self.columns
            .observation
            .iter()
            .flat_map(Column::element_names)
            .collect()
    }

    /// A 64-bit hash (SipHash-2-4 of the columns as JSON) that is the same in every process and on every machine.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Where each value of a row lies.
    #[must_use]
    pub fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// What differs between this schema and `other`, one sentence for each difference; empty when they are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.version() != other.version() {
            found.push(format!(
                "version is {:?} here and {:?} there",
                self.version(),
                other.version()
            ));
        }
        for (what, here, there) in [
            ("observation", self.observation(), other.observation()),
            ("action", self.action(), other.action()),
            ("info", self.info(), other.info()),
        ] {
            let same = |a: &Column, b: &Column| a.name == b.name;
            for column in here {
                match there.iter().find(|b| same(column, b)) {
                    None => found.push(format!("{what} column `{}` is only here", column.name)),
                    Some(other) if other != column => {
                        found.push(format!(
                            "{what} column `{}` has another type, shape or space",
                            column.name
                        ));
                    }
                    Some(_) => {}
                }
            }
            for column in there.iter().filter(|b| !here.iter().any(|a| same(a, b))) {
                found.push(format!("{what} column `{}` is only there", column.name));
            }
        }
        if self.action_mask_width() != other.action_mask_width() {
            found.push(format!(
                "the action mask is {} wide here and {} there",
                self.action_mask_width(),
                other.action_mask_width()
            ));
        }
        if self.reward_terms() != other.reward_terms() {
            found.push(format!(
                "reward terms are {:?} here and {:?} there",
                self.reward_terms(),
                other.reward_terms()
            ));
        }
        if found.is_empty() && self != other {
            found.push("the same columns stand in another order".to_owned());
        }
        found
    }

    /// Shares the schema.
    #[must_use]
    pub fn into_shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

fn hash(columns: &Columns) -> u64 {
    let json = serde_json::to_vec(columns).expect("columns hold only strings, numbers and lists");
    let mut hasher = SipHasher24::new();
    hasher.write(&json);
    hasher.finish()
}
