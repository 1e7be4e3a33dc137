//! Origins of columns: the source that fills each column of a row, and its inverse.

use super::{RowEncoder, writers::ComponentAccess};
use crate::{
    reflect::FieldWriter,
    restore::{ColumnGroup, Unrestored},
};
use core::ops::Range;

/// The source of neighbouring columns of one group of a schema.
#[derive(Clone, Debug)]
pub(crate) struct ColumnOrigin {
    pub(crate) group: ColumnGroup,
    /// Indices of the columns in the group.
    pub(crate) columns: Range<usize>,
    pub(crate) source: OriginSource,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum OriginSource {
    /// The component source of this index.
    Component(usize),
    /// A source that has no inverse.
    Other(Unrestored),
}

/// The inverse of a source.
pub(crate) enum SourceInverse {
    Component {
        access: ComponentAccess,
        /// `None` where only the presence of the component is recorded.
        fields: Option<FieldWriter>,
        /// The last column is the presence of the component.
        has_presence: bool,
    },
    None(Unrestored),
}

impl RowEncoder {
    /// The encoder, which knows the origins of its columns.
    pub(crate) fn with_origins(self, origins: Vec<ColumnOrigin>) -> Self {
        Self { origins, ..self }
    }

    /// The inverse of each source of the observation, the images and the action, in the order of their columns.
    pub(crate) fn inverses(&self) -> impl Iterator<Item = (ColumnGroup, Range<usize>, SourceInverse)> + '_ {
        self.origins.iter().map(|origin| {
            let inverse = match origin.source {
                OriginSource::Component(index) => self.sources[index].inverse(),
                OriginSource::Other(reason) => SourceInverse::None(reason),
            };
            (origin.group, origin.columns.clone(), inverse)
        })
    }
}
