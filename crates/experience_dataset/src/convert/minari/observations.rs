//! The format of observations in Minari: a flat array, or a `Dict` with an array for each list and image.

use super::{
    hdf5::{Hdf5Types, link_name},
    spaces::{column_space, list_space, packed_space},
};
use experience_core::{
    schema::{Column, ColumnList, Schema},
    transition::Episode,
};
use hdf5_pure::GroupBuilder;
use serde_json::{Map, Value, json};

/// How observations that hold [lists](ColumnList) are written for Minari.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinariObservations {
    /// A `Dict`: `observation.<list>` has the entities of a list, `[capacity, features]`, `observation.<list>_mask` which of them
    /// are present, `[capacity]`, and `observation` the other features.
    #[default]
    Lists,
    /// One flat array of all features. Images are apart from it.
    Flat,
}

/// The features of an observation outside of lists, and the prefix of its other parts.
const FEATURES: &str = "observation";

/// The format of the observations of a recording: flat, or a `Dict` of its parts.
pub(super) struct ObservationFormat {
    /// The features outside of lists, and their indices in an observation.
    columns: Vec<Column>,
    elements: Vec<usize>,
    lists: Vec<ListPart>,
    images: Vec<(String, Column)>,
}

/// A list, and the names of its two arrays.
struct ListPart {
    name: String,
    mask: String,
    list: ColumnList,
    columns: Vec<Column>,
}

impl ObservationFormat {
    pub(super) fn of(schema: &Schema, observations: MinariObservations) -> Self {
        let lists: Vec<_> = match observations {
            MinariObservations::Lists => schema.lists().collect(),
            MinariObservations::Flat => Vec::new(),
        };
        let mut taken = Vec::new();
        let mut part = |name: &str| {
            let mut name = format!("{FEATURES}.{}", link_name(name));
            // A duplicate name would make the file unreadable.
            while taken.contains(&name) {
                name.push('_');
            }
            taken.push(name.clone());
            name
        };
        let columns = schema.observation();
        let is_listed = |column: &usize| lists.iter().any(|list| list.columns().contains(column));
        let is_listed_element = |element: &usize| lists.iter().any(|list| list.elements().contains(element));
        Self {
            columns: (0..columns.len())
                .filter(|column| !is_listed(column))
                .map(|column| columns[column].clone())
                .collect(),
            elements: (0..schema.observation_width())
                .filter(|element| !is_listed_element(element))
                .collect(),
            images: schema
                .images()
                .iter()
                .map(|image| (part(&image.name), image.clone()))
                .collect(),
            lists: lists
                .iter()
                .map(|list| ListPart {
                    name: part(list.name()),
                    mask: part(&format!("{}_mask", list.name())),
                    columns: columns[list.columns()].to_vec(),
                    list: list.clone(),
                })
                .collect(),
        }
    }

    fn is_flat(&self) -> bool {
        self.lists.is_empty() && self.images.is_empty()
    }

    pub(super) fn space(&self) -> Value {
        let features = packed_space(&self.columns, self.elements.len());
        if self.is_flat() {
            return features;
        }
        let mut spaces = Map::new();
        if !self.elements.is_empty() {
            spaces.insert(FEATURES.to_owned(), features);
        }
        for part in &self.lists {
            let capacity = part.list.capacity();
            spaces.insert(part.name.clone(), list_space(&part.columns, capacity));
            spaces.insert(part.mask.clone(), json!({ "type": "MultiBinary", "n": [capacity] }));
        }
        for (name, image) in &self.images {
            spaces.insert(name.clone(), column_space(image));
        }
        json!({ "type": "Dict", "subspaces": spaces })
    }

    /// Writes all T + 1 observations of an episode.
    pub(super) fn write(&self, group: &mut GroupBuilder, episode: &Episode, types: &Hdf5Types) {
        if self.is_flat() {
            self.write_features(group, "observations", episode);
            return;
        }
        let mut observations = group.create_group("observations");
        if !self.elements.is_empty() {
            self.write_features(&mut observations, FEATURES, episode);
        }
        for part in &self.lists {
            part.write(&mut observations, episode, types);
        }
        for (index, (name, image)) in self.images.iter().enumerate() {
            let rows = (0..=episode.len()).map(|row| episode.row(row).image(index));
            types.write(&mut observations, name, image, rows, &image.shape);
        }
        group.add_group(observations.finish());
    }

    fn write_features(&self, group: &mut GroupBuilder, name: &str, episode: &Episode) {
        let rows = (0..=episode.len()).map(|row| episode.row(row).observation());
        let features: Vec<f32> = rows
            .flat_map(|row| self.elements.iter().map(|&element| row[element]))
            .collect();
        let shape = [episode.len() as u64 + 1, self.elements.len() as u64];
        group.create_dataset(name).with_f32_data(&features).with_shape(&shape);
    }
}

impl ListPart {
    fn write(&self, group: &mut GroupBuilder, episode: &Episode, types: &Hdf5Types) {
        let list = &self.list;
        let (steps, capacity) = (episode.len() as u64 + 1, list.capacity() as u64);
        let rows = || (0..=episode.len()).map(|row| episode.row(row).observation());
        let values: Vec<f32> = rows().flat_map(|row| row[list.elements()].iter().copied()).collect();
        group.create_dataset(&self.name).with_f32_data(&values).with_shape(&[
            steps,
            capacity,
            list.features().len() as u64,
        ]);
        let flags: Vec<u8> = rows()
            .flat_map(|row| list.entities(row).map(|entity| u8::from(entity[0] > 0.0)))
            .collect();
        let count = flags.len() as u64;
        group
            .create_dataset(&self.mask)
            .with_raw_data(types.int8.clone(), flags, count)
            .with_shape(&[steps, capacity]);
    }
}
