//! Columns of one schema find their places in another, by name.

use core::ops::Range;
use experience_core::{
    schema::{Column, DType, HEADER_BYTES, Schema, Space},
    transition::Episode,
};
use std::{collections::HashSet, sync::Arc};

/// The columns of both schemas: those of `a`, then what only `b` has. Bounds become the wider ones.
pub(super) fn union(a: &Schema, b: &Schema) -> Result<Schema, String> {
    if a.version() != b.version() {
        return Err(format!(
            "its columns are version {:?} and others are {:?}: the same names mean something else; merge them apart",
            b.version(),
            a.version()
        ));
    }
    let mut union = Schema::new(a.name())
        .with_observation(columns("observation", a.observation(), b.observation())?)
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
    match (a.action_mask_width(), b.action_mask_width()) {
        (width, other) if width == other || other == 0 => Ok(union.with_action_mask(width)),
        (0, width) => Ok(union.with_action_mask(width)),
        (width, other) => Err(format!("its action mask is {other} wide, and another {width}")),
    }
}

fn columns(kind: &str, a: &[Column], b: &[Column]) -> Result<Vec<Column>, String> {
    for columns in [a, b] {
        let mut names = HashSet::new();
        if let Some(twice) = columns.iter().find(|column| !names.insert(&column.name)) {
            return Err(format!(
                "{kind} column `{}` stands there twice, so its name does not find it",
                twice.name
            ));
        }
    }
    let mut union = a.to_vec();
    for column in b {
        let Some(there) = union.iter_mut().find(|there| there.name == column.name) else {
            union.push(column.clone());
            continue;
        };
        let name = &column.name;
        if there.dtype != column.dtype {
            return Err(format!(
                "{kind} column `{name}` is {:?} there, and {:?} elsewhere",
                column.dtype, there.dtype
            ));
        }
        if there.shape != column.shape || there.labels != column.labels {
            return Err(format!("{kind} column `{name}` has another shape, or other labels"));
        }
        there.space = wider(&there.space, &column.space)
            .ok_or_else(|| format!("{kind} column `{name}` is a choice among other alternatives"))?;
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

/// How a row of one schema becomes a row of another.
pub(super) struct RowPlan {
    /// A row of the new schema in which everything is filled in.
    blank: Vec<u64>,
    /// From which bytes of the old row to where in the new one.
    copies: Vec<(Range<usize>, usize)>,
    words: usize,
}

impl RowPlan {
    /// Finds the columns of `to` in `from`; `fill` is for those that are not there.
    pub(super) fn new(from: &Schema, to: &Schema, fill: Option<f64>) -> Result<Self, String> {
        let (old, new) = (from.layout(), to.layout());
        let mut plan = Self {
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
        let parts: [(&[Column], Vec<usize>, &[Column], Vec<usize>); 3] = [
            (
                from.observation(),
                starts(from.observation(), old.observation().start),
                to.observation(),
                starts(to.observation(), new.observation().start),
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
        for (there, offsets, wanted, places) in parts {
            for (column, place) in wanted.iter().zip(places) {
                match there.iter().position(|other| other.name == column.name) {
                    Some(index) => {
                        let bytes = column.width() * column.dtype.size();
                        plan.copies.push((offsets[index]..offsets[index] + bytes, place));
                    }
                    None => match fill {
                        Some(fill) => plan.fill(column, place, fill)?,
                        None => missing.push(column.name.clone()),
                    },
                }
            }
        }
        for (index, term) in to.reward_terms().iter().enumerate() {
            let place = new.reward_terms().start + index * DType::F32.size();
            match from.reward_terms().iter().position(|other| other == term) {
                Some(index) => {
                    let at = old.reward_terms().start + index * DType::F32.size();
                    plan.copies.push((at..at + DType::F32.size(), place));
                }
                // A term that did not exist gave nothing: that is no guess.
                None if fill.is_some() => {}
                None => missing.push(format!("reward.{term}")),
            }
        }
        match (from.action_mask_width(), to.action_mask_width()) {
            (_, 0) => {}
            (0, width) if fill.is_some() => {
                let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut plan.blank);
                for alternative in 0..width {
                    bytes[new.mask().start + alternative / 8] |= 1 << (alternative % 8);
                }
            }
            (0, _) => missing.push("action_mask".to_owned()),
            _ => plan.copies.push((old.mask(), new.mask().start)),
        }
        if missing.is_empty() {
            Ok(plan)
        } else {
            Err(format!(
                "it has no {}; fill it with a number, or keep recordings of other columns apart",
                missing
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ))
        }
    }

    fn fill(&mut self, column: &Column, place: usize, fill: f64) -> Result<(), String> {
        let fits = match column.space {
            Space::Discrete { n, .. } => fill >= 0.0 && fill < n as f64 && fill.fract() == 0.0,
            Space::Box { low, high } => {
                fill.is_nan() || (low.is_none_or(|low| fill >= low) && high.is_none_or(|high| fill <= high))
            }
        };
        let value = bytes_of(fill, column.dtype).filter(|_| fits);
        let value = value.ok_or_else(|| {
            format!(
                "{fill} is no value of its missing column `{}`: fill it with another",
                column.name
            )
        })?;
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut self.blank);
        for slot in bytes[place..][..column.width() * value.len()].chunks_exact_mut(value.len()) {
            slot.copy_from_slice(&value);
        }
        Ok(())
    }

    /// The same episode with the columns of `to`.
    pub(super) fn convert(&self, episode: &Episode, to: &Arc<Schema>) -> Episode {
        let old = episode.rows();
        let mut rows = Vec::with_capacity(old.len() / self.words * self.blank.len());
        for (index, row) in old.chunks_exact(self.words).enumerate() {
            let start = rows.len();
            rows.extend_from_slice(&self.blank);
            let (from, into) = (bytemuck::cast_slice::<u64, u8>(row), &mut rows[start..]);
            let into = bytemuck::cast_slice_mut::<u64, u8>(into);
            if index == 0 {
                // No action led to the first observation.
                into[to.layout().action().start..].fill(0);
            }
            for (bytes, place) in &self.copies {
                into[*place..place + bytes.len()].copy_from_slice(&from[bytes.clone()]);
            }
        }
        Episode::new(
            to.clone(),
            *episode.info(),
            rows,
            episode.outcome(),
            episode.reason().clone(),
        )
    }
}

/// A number in the bytes of a type, where the type has it.
fn bytes_of(value: f64, dtype: DType) -> Option<Vec<u8>> {
    macro_rules! integer {
        ($type:ty) => {{
            // The conversion saturates, and makes 0 of a NaN; what comes back then is another number.
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
