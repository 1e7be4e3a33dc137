//! Which of a type's leaves are recorded, and in which order.

use super::{
    error::Problem,
    survey::{Feature, Segment, Surveyed},
};
use experience_core::schema::Column;
use std::collections::HashSet;

/// Takes the leaves at `paths`, in that order, or every leaf.
///
/// A path selects the leaf or all leaves below it. The number of a tuple struct's only field, which the leaf's name
/// leaves out, may be written or left out.
pub(super) fn select(surveyed: Vec<Surveyed>, paths: Option<&[&str]>) -> Result<(Vec<Feature>, Vec<Column>), Problem> {
    let order = match paths {
        None => (0..surveyed.len()).collect(),
        Some([]) => return Err(Problem::NoneNamed),
        Some(paths) => {
            let mut order = Vec::new();
            for path in paths {
                order.extend(find(&surveyed, path)?);
            }
            order
        }
    };
    let mut taken = HashSet::new();
    if let Some(&twice) = order.iter().find(|&&index| !taken.insert(index)) {
        return Err(Problem::Twice(spell(&surveyed[twice].path)));
    }
    let mut surveyed: Vec<_> = surveyed.into_iter().map(Some).collect();
    let mut names = HashSet::new();
    let mut refusals = Vec::new();
    let mut features = Vec::new();
    let mut columns = Vec::new();
    for leaf in order.into_iter().filter_map(|index| surveyed[index].take()) {
        match leaf.found {
            Ok((feature, column)) => {
                if !names.insert(column.name.clone()) {
                    return Err(Problem::Twice(column.name));
                }
                features.push(feature);
                columns.push(column);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if !refusals.is_empty() {
        Err(Problem::Refused(refusals))
    } else if features.is_empty() {
        Err(Problem::Empty)
    } else {
        Ok((features, columns))
    }
}

/// The leaves that `path` selects.
fn find(surveyed: &[Surveyed], path: &str) -> Result<Vec<usize>, Problem> {
    let wanted: Vec<_> = path.split('.').collect();
    // What is written out in full goes before what leaves something out: in `struct Aim((f32, f32))`, `0` is the tuple.
    for may_skip in [false, true] {
        let found: Vec<_> = (0..surveyed.len())
            .filter(|&index| begins_with(&surveyed[index].path, &wanted, may_skip))
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(Problem::Unknown {
        path: path.to_owned(),
        known: surveyed
            .iter()
            .filter(|leaf| leaf.found.is_ok() && !leaf.path.is_empty())
            .map(|leaf| spell(&leaf.path))
            .collect(),
    })
}

fn begins_with(path: &[Segment], wanted: &[&str], may_skip: bool) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return true;
    };
    path.split_first().is_some_and(|(segment, below)| {
        (segment.text == *first && begins_with(below, rest, may_skip))
            || (may_skip && segment.silent && begins_with(below, wanted, may_skip))
    })
}

/// How a leaf is selected: its name below the root, or the number of the only field where there is nothing else.
fn spell(path: &[Segment]) -> String {
    let join = |path: &mut dyn Iterator<Item = &Segment>| {
        path.map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(".")
    };
    let name = join(&mut path.iter().filter(|segment| !segment.silent));
    if name.is_empty() { join(&mut path.iter()) } else { name }
}
