//! Controllers of recovered episodes: the journal and the files of rings hold codes, and the journal their labels.

use crate::{
    game::{Game, manual_flush},
    player::Age,
};
use bevy_experience::{buffer::Memory, export::ExportSettings, prelude::*, transition::Episode};
use core::time::Duration;

fn labels(episodes: &[Episode]) -> Vec<Option<&str>> {
    let transitions = episodes.iter().flat_map(Episode::transitions);
    transitions
        .map(bevy_experience::transition::Transition::controller)
        .collect()
}

#[test]
fn recovered_episodes_say_who_acted() {
    let rings = tempfile::tempdir().unwrap();
    for in_files in [false, true] {
        let memory = if in_files {
            Memory::File(rings.path().to_owned())
        } else {
            Memory::default()
        };
        // Nothing is drained without a flush.
        let settings = ExportSettings {
            poll_interval: Duration::from_secs(3600),
            ..manual_flush()
        };
        let mut game = Game::new(settings, |recording| {
            recording.buffers(BufferSettings {
                memory,
                ..BufferSettings::default()
            })
        });
        let player = game.spawn(1);
        let ticks = |game: &mut Game, controller: Option<Controller>, count| {
            let mut player = game.test.world_mut().entity_mut(player);
            match controller {
                Some(controller) => player.insert(controller),
                None => player.remove::<Controller>(),
            };
            game.test.ticks(count);
        };
        // One tick joins.
        ticks(&mut game, Some(Controller::script("hunter")), 4);
        ticks(&mut game, Some(Controller::policy("fighter", 3)), 2);
        game.flush();
        ticks(&mut game, None, 2);
        ticks(&mut game, Some(Controller::Person), 1);
        // A new episode after the last segment's head.
        game.test.world_mut().trigger(EndEpisode::terminated(player, "goal"));
        ticks(&mut game, Some(Controller::Person), 3);
        game.flush();
        // Only the files of rings have these rows. The journal does not have the label, which the process took along.
        ticks(&mut game, Some(Controller::script("hunter")), 1);
        ticks(&mut game, Some(Controller::script("lost")), 1);
        let copy = game.killed();
        copy.recover();
        let (hunter, fighter, person) = (Some("script:hunter"), Some("policy:fighter@3"), Some("person"));
        let mut expected = vec![
            hunter, hunter, hunter, fighter, fighter, None, None, person, person, person,
        ];
        if in_files {
            expected.extend([hunter, Some("unknown")]);
        }
        let found = copy.episodes();
        assert_eq!(labels(&found), expected, "in files: {in_files}");
        assert_eq!(
            game.test.world_mut().get::<Age>(player).map(|age| age.0 > 0.0),
            Some(true)
        );
    }
}
