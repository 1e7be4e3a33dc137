//! Columns: a name, an element type, a shape and the space of the values.

use serde::{Deserialize, Serialize};

/// The element type of a [`Column`].
///
/// Observation columns are always [`F32`](DType::F32), and images [`U8`](DType::U8). Action and info columns keep the type of the recorded field.
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
    /// Size of one element in bytes. Elements are aligned to their size within a row.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The name of the type in `NumPy`.
    #[must_use]
    pub const fn numpy_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
        }
    }

    /// Whether this is a floating-point type.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// The values that one element of a column can take, after Gymnasium's `Box` and `Discrete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Space {
    /// A number in a closed interval. An absent bound is infinite.
    Box {
        /// The lower bound, or `None` where there is none.
        low: Option<f64>,
        /// The upper bound, or `None` where there is none.
        high: Option<f64>,
    },
    /// An integer from 0 to `n` - 1.
    Discrete {
        /// The number of alternatives.
        n: u64,
        /// One label per alternative, in order: the variant names of a fieldless enum. Empty where alternatives have no
        /// names.
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

    /// A number from `low` to `high`, both included.
    #[must_use]
    pub const fn bounded(low: f64, high: f64) -> Self {
        Self::Box {
            low: Some(low),
            high: Some(high),
        }
    }
}

/// A named scalar or tensor of one element type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The dotted path of the recorded field, such as `transform.translation.x`.
    pub name: String,
    /// The type of each element.
    pub dtype: DType,
    /// The shape in C order: empty for a scalar, `[20, 20]` for a board of 20 by 20.
    #[serde(default)]
    pub shape: Vec<usize>,
    /// The values that each element can take.
    pub space: Space,
    /// One label per element of a one-dimensional column, such as the alternatives of a one-hot. Empty where elements
    /// have no names.
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

    /// An unbounded `f32` scalar, the common case in observations.
    pub fn feature(name: impl Into<String>) -> Self {
        Self::scalar(name, DType::F32, Space::unbounded())
    }

    /// The number of elements: the product of the shape, 1 for a scalar.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// One name per element, in C order: `name` for a scalar, `name=label` for labelled elements, `name[i][j]`
    /// otherwise.
    ///
    /// ```
    /// use experience_core::schema::Column;
    ///
    /// let board = Column { shape: vec![2, 2], ..Column::feature("board") };
    /// let names: Vec<_> = board.element_names().collect();
    /// assert_eq!(names, ["board[0][0]", "board[0][1]", "board[1][0]", "board[1][1]"]);
    /// ```
    pub fn element_names(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.width()).map(|element| {
            if self.shape.is_empty() {
                return self.name.clone();
            }
            if let Some(label) = self.labels.get(element) {
                return format!("{}={label}", self.name);
            }
            let mut indices = vec![0; self.shape.len()];
            let mut rest = element;
            for (index, extent) in indices.iter_mut().zip(&self.shape).rev() {
                *index = rest % extent;
                rest /= extent;
            }
            indices
                .iter()
                .fold(self.name.clone(), |name, index| format!("{name}[{index}]"))
        })
    }
}
