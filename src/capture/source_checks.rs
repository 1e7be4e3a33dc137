//! What the sources of a recording read, never found, and could not read.

use super::{RowEncoder, Source};
use bevy_ecs::{component::ComponentId, world::World};

impl RowEncoder {
    /// The id and the name of each optional component that no recorded player ever had.
    pub(crate) fn optional_never_found<'a>(
        &'a self,
        world: &'a World,
    ) -> impl Iterator<Item = (ComponentId, &'static str)> + 'a {
        let archetypes = || self.archetypes.matched().iter().map(|&id| &world.archetypes()[id]);
        let is_found = move |source: &Source| archetypes().any(|archetype| archetype.contains(source.component()));
        let optional = self.sources.iter().filter(|source| source.is_optional());
        let never_found = optional.filter(move |source| !is_found(source));
        never_found.map(|source| (source.component(), source.name()))
    }

    /// Why no player could be encoded: what the first source that could not be read lacks, and the remedy.
    pub(crate) fn unavailable(&self) -> Option<String> {
        self.world_sources.iter().find_map(|placed| placed.source.unavailable())
    }

    /// A warning about what a source read since the last call.
    pub(crate) fn take_source_warning(&mut self) -> Option<String> {
        let mut sources = self.world_sources.iter_mut();
        sources.find_map(|placed| placed.source.take_warning())
    }

    /// What sources never found, and the remedies.
    pub(crate) fn sources_never_found(&self) -> impl Iterator<Item = String> + '_ {
        self.world_sources
            .iter()
            .filter_map(|placed| placed.source.never_found())
    }
}
