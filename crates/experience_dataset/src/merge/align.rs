//! Merges schemas, and maps rows of one schema to another by column name.

use core::ops::Range;
use experience_core::{
    schema::{Column, ColumnList, DType, HEADER_BYTES, Schema, Space},
    transition::Episode,
};
use std::{collections::HashSet, sync::Arc};

/// The schema with the columns of `a`, then those that only `b` has. Bounds become the wider ones.
pub(super) fn union(a: &Schema, b: &Schema) -> Result<Schema, String> {
    if a.version() != b.version() {
        return Err(format!(
            "its schema is version {:?} and another is {:?}, so columns of one name may differ in meaning; merge them separately",
            b.version(),
            a.version()
        ));
    }
    let mut union = Schema::new(a.name())
        .with_observation(columns("observation", a.observation(), b.observation())?)
        .with_images(columns("image", a.images(), b.images())?)
        .with_action(columns("action", a.action(), b.action())?)
        .with_info(columns("info", a.info(), b.info())?)
        .with_reward_terms(a.reward_terms().iter().cloned())
        .with_reward_terms(
            b.reward_terms()
                .iter()
                .filter(|term| !a.reward_terms().contains(term))
                .cloned(),
        );
    if let Some(version) = a.version() {
        union = union.with_version(version);
    }
    for list in a.lists().chain(b.lists()) {
        if union
            .list(list.name())
            .is_some_and(|known| known.capacity() == list.capacity())
        {
            continue;
        }
        if ColumnList::find(union.observation(), list.name(), list.capacity()).is_none()
            || union.list(list.name()).is_some()
        {
            return Err(format!(
                "its list `{}` has other places or features than another; merge them separately",
                list.name()
            ));
        }
        union = union.with_list(list.name(), list.capacity());
    }
    match (a.action_mask_width(), b.action_mask_width()) {
        (width, other) if width == other || other == 0 => Ok(union.with_action_mask(width)),
        (0, width) => Ok(union.with_action_mask(width)),
        (width, other) => Err(format!("its action mask has {other} entries, and another has {width}")),
    }
}

fn columns(kind: &str, a: &[Column], b: &[Column]) -> Result<Vec<Column>, String> {
    for columns in [a, b] {
        let mut names = HashSet::new();
        if let Some(duplicate) = columns.iter().find(|column| !names.insert(&column.name)) {
            return Err(format!(
                "it has two {kind} columns called `{}`, which cannot be matched by name",
                duplicate.name
            ));
        }
    }
    let mut union = a.to_vec();
    for column in b {
        let Some(known) = union.iter_mut().find(|known| known.name == column.name) else {
            union.push(column.clone());
            continue;
        };
        let name = &column.name;
        if known.dtype != column.dtype {
            return Err(format!(
                "its {kind} column `{name}` is {:?}, and another is {:?}",
                column.dtype, known.dtype
            ));
        }
        if known.shape != column.shape || known.labels != column.labels {
            return Err(format!("its {kind} column `{name}` has another shape or other labels"));
        }
        known.space = wider(&known.space, &column.space)
            .ok_or_else(|| format!("its {kind} column `{name}` has other alternatives"))?;
    }
    Ok(union)
}

fn wider(a: &Space, b: &Space) -> Option<Space> {
    match (a, b) {
        (Space::Box { low: a, high: c }, Space::Box { low: b, high: d }) => Some(Space::Box {
            low: a.zip(*b).map(|(a, b)| a.min(b)),
            high: c.zip(*d).map(|(c, d)| c.max(d)),
        }),
        _ => (a == b).then(|| a.clone()),
    }
}

/// Maps rows of one schema to rows of another.
pub(super) struct RowMapping {
    /// A row of the new schema with the fill value in missing columns.
    blank: Vec<u64>,
    /// Byte ranges of the old row, and their offsets in the new one.
    copies: Vec<(Range<usize>, usize)>,
    words: usize,
}

impl RowMapping {
    /// Matches the columns of `to` with those of `from`. Missing columns get the value `fill`.
    pub(super) fn new(from: &Schema, to: &Schema, fill: Option<f64>) -> Result<Self, String> {
        let (old, new) = (from.layout(), to.layout());
        let mut mapping = Self {
            blank: vec![0; new.row_words()],
            copies: vec![(0..HEADER_BYTES, 0)],
            words: old.row_words(),
        };
        let mut missing = Vec::new();
        let starts = |columns: &[Column], start: usize| -> Vec<usize> {
            let widths = columns.iter().map(|column| column.width() * DType::F32.size());
            widths
                .scan(start, |at, bytes| Some(core::mem::replace(at, *at + bytes)))
                .collect()
        };
        let parts: [(&[Column], Vec<usize>, &[Column], Vec<usize>); 4] = [
            (
                from.observation(),
                starts(from.observation(), old.observation().start),
                to.observation(),
                starts(to.observation(), new.observation().start),
            ),
            (
                from.images(),
                old.image_offsets().to_vec(),
                to.images(),
                new.image_offsets().to_vec(),
            ),
            (
                from.action(),
                old.action_offsets().to_vec(),
                to.action(),
                new.action_offsets().to_vec(),
            ),
            (
                from.info(),
                old.info_offsets().to_vec(),
                to.info(),
                new.info_offsets().to_vec(),
            ),
        ];
        for (old_columns, old_offsets, new_columns, new_offsets) in parts {
            for (column, at) in new_columns.iter().zip(new_offsets) {
                match old_columns.iter().position(|other| other.name == column.name) {
                    Some(index) => {
                        let bytes = column.width() * column.dtype.size();
                        mapping
                            .copies
                            .push((old_offsets[index]..old_offsets[index] + bytes, at));
                    }
                    None => match fill {
                        Some(fill) => mapping.fill(column, at, fill)?,
                        None => missing.push(column.name.clone()),
                    },
                }
            }
        }
        for (index, term) in to.reward_terms().iter().enumerate() {
            let new_at = new.reward_terms().start + index * DType::F32.size();
            match from.reward_terms().iter().position(|other| other == term) {
                Some(index) => {
                    let at = old.reward_terms().start + index * DType::F32.size();
                    mapping.copies.push((at..at + DType::F32.size(), new_at));
                }
                // A reward term that did not exist is 0, whatever the fill value is.
                None if fill.is_some() => {}
                None => missing.push(format!("reward.{term}")),
            }
        }
        match (from.action_mask_width(), to.action_mask_width()) {
            (_, 0) => {}
            (0, width) if fill.is_some() => {
                let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut mapping.blank);
                for alternative in 0..width {
                    bytes[new.mask().start + alternative / 8] |= 1 << (alternative % 8);
                }
            }
            (0, _) => missing.push("action_mask".to_owned()),
            _ => mapping.copies.push((old.mask(), new.mask().start)),
        }
        if missing.is_empty() {
            Ok(mapping)
        } else {
            Err(format!(
                "it has no {}; choose a fill value, or keep recordings with different schemas apart",
                missing
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ))
        }
    }

    fn fill(&mut self, column: &Column, at: usize, fill: f64) -> Result<(), String> {
        let fits = match column.space {
            Space::Discrete { n, .. } => fill >= 0.0 && fill < n as f64 && fill.fract() == 0.0,
            Space::Box { low, high } => {
                fill.is_nan() || (low.is_none_or(|low| fill >= low) && high.is_none_or(|high| fill <= high))
            }
        };
        let value = bytes_of(fill, column.dtype).filter(|_| fits);
        let value = value.ok_or_else(|| {
            format!(
                "{fill} is not a valid value of its missing column `{}`; choose another fill value",
                column.name
            )
        })?;
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut self.blank);
        for slot in bytes[at..][..column.width() * value.len()].chunks_exact_mut(value.len()) {
            slot.copy_from_slice(&value);
        }
        Ok(())
    }

    /// Converts an episode to the schema `to`.
    pub(super) fn convert(&self, episode: &Episode, to: &Arc<Schema>) -> Episode {
        let old = episode.rows();
        let mut rows = Vec::with_capacity(old.len() / self.words * self.blank.len());
        for (index, row) in old.chunks_exact(self.words).enumerate() {
            let start = rows.len();
            rows.extend_from_slice(&self.blank);
            let (from, into) = (bytemuck::cast_slice::<u64, u8>(row), &mut rows[start..]);
            let into = bytemuck::cast_slice_mut::<u64, u8>(into);
            if index == 0 {
                // The first row has no action.
                into[to.layout().action().start..].fill(0);
            }
            for (bytes, at) in &self.copies {
                into[*at..at + bytes.len()].copy_from_slice(&from[bytes.clone()]);
            }
        }
        Episode::new(
            to.clone(),
            *episode.info(),
            rows,
            episode.outcome(),
            episode.reason().clone(),
        )
        .with_controllers(episode.controllers().iter().cloned())
    }
}

/// The bytes of `value` in a type, or `None` if the type cannot represent it.
fn bytes_of(value: f64, dtype: DType) -> Option<Vec<u8>> {
    macro_rules! integer {
        ($type:ty) => {{
            // The conversion saturates and turns NaN into 0. Neither converts back to `value`.
            let converted = value as $type;
            (converted as f64 == value).then(|| converted.to_ne_bytes().to_vec())
        }};
    }
    match dtype {
        DType::F32 => Some((value as f32).to_ne_bytes().to_vec()),
        DType::F64 => Some(value.to_ne_bytes().to_vec()),
        DType::I8 => integer!(i8),
        DType::I16 => integer!(i16),
        DType::I32 => integer!(i32),
        DType::I64 => integer!(i64),
        DType::U8 => integer!(u8),
        DType::U16 => integer!(u16),
        DType::U32 => integer!(u32),
        DType::U64 => integer!(u64),
        DType::Bool => (value == 0.0 || value == 1.0).then(|| vec![value as u8]),
    }
}
