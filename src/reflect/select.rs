//! Field selection: matches the dotted paths of a recording with the leaves of a type.

use super::{
    error::FieldErrorKind,
    leaves::{FieldEntry, LeafSet, NameSegment},
};
use experience_core::schema::Column;
use std::collections::HashSet;

/// Selects the leaves at `paths` in the order of the paths, or all leaves if `paths` is `None`.
///
/// A path selects a leaf, or all leaves below it. It may contain or omit elided segments: `health.0` and `health` both
/// select the field of `struct Health(f32)`.
///
/// # Errors
/// When a path selects nothing or a leaf twice, a selected leaf is refused, two have one name, or there is none.
pub(super) fn select(
    entries: Vec<FieldEntry>,
    paths: Option<&[&str]>,
) -> Result<(Vec<LeafSet>, Vec<Column>), FieldErrorKind> {
    let order = match paths {
        None => (0..entries.len()).filter(|&index| !entries[index].is_detail).collect(),
        Some([]) => return Err(FieldErrorKind::EmptySelection),
        Some(paths) => {
            let mut order = Vec::new();
            for path in paths {
                order.extend(matching(&entries, path)?);
            }
            order
        }
    };
    let mut selected = HashSet::new();
    if let Some(&twice) = order.iter().find(|&&index| !selected.insert(index)) {
        return Err(FieldErrorKind::Duplicate(display_path(&entries[twice].path)));
    }
    let mut entries: Vec<_> = entries.into_iter().map(Some).collect();
    let mut names = HashSet::new();
    let mut refusals = Vec::new();
    let mut leaf_sets = Vec::new();
    let mut columns = Vec::new();
    for entry in order.into_iter().filter_map(|index| entries[index].take()) {
        match entry.result {
            Ok((leaves, column)) => {
                if !names.insert(column.name.clone()) {
                    return Err(FieldErrorKind::Duplicate(column.name));
                }
                leaf_sets.push(leaves);
                columns.push(column);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if !refusals.is_empty() {
        Err(FieldErrorKind::Refused(refusals))
    } else if leaf_sets.is_empty() {
        Err(FieldErrorKind::NoLeaf)
    } else {
        Ok((leaf_sets, columns))
    }
}

/// The indices of the entries that `path` selects.
fn matching(entries: &[FieldEntry], path: &str) -> Result<Vec<usize>, FieldErrorKind> {
    let wanted: Vec<_> = path.split('.').collect();
    // A match of the full path takes precedence over one that omits elided segments: in `struct Aim((f32, f32))`, `0`
    // selects the tuple.
    for may_omit in [false, true] {
        let matches: Vec<_> = (0..entries.len())
            .filter(|&index| starts_with(&entries[index].path, &wanted, may_omit))
            .collect();
        // A path to a whole value selects what is recorded of it by default.
        let defaults: Vec<_> = matches
            .iter()
            .copied()
            .filter(|&index| !entries[index].is_detail)
            .collect();
        if !defaults.is_empty() {
            return Ok(defaults);
        }
        if !matches.is_empty() {
            return Ok(matches);
        }
    }
    Err(FieldErrorKind::Unknown {
        path: path.to_owned(),
        known: entries
            .iter()
            .filter(|entry| entry.result.is_ok() && !entry.path.is_empty() && !entry.is_detail)
            .map(|entry| display_path(&entry.path))
            .collect(),
    })
}

fn starts_with(path: &[NameSegment], wanted: &[&str], may_omit: bool) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return true;
    };
    path.split_first().is_some_and(|(segment, below)| {
        (segment.text == *first && starts_with(below, rest, may_omit))
            || (may_omit && segment.is_elided && starts_with(below, wanted, may_omit))
    })
}

/// The shortest path that selects a leaf. Contains elided segments only if there are no others.
fn display_path(path: &[NameSegment]) -> String {
    let join = |path: &mut dyn Iterator<Item = &NameSegment>| {
        path.map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(".")
    };
    let name = join(&mut path.iter().filter(|segment| !segment.is_elided));
    if name.is_empty() { join(&mut path.iter()) } else { name }
}
