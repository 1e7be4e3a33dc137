//! Whatever recordings and agents are called, no name is a path.

use bevy_ecs::prelude::*;
use bevy_experience::{
    dataset::Dataset, export::ExportSettings, journal::JournalSettings, prelude::*, test_app::TestApp,
};
use bevy_reflect::Reflect;
use std::{
    collections::BTreeSet,
    fs,
    path::{Component as Part, Path, PathBuf},
};

#[derive(Component)]
struct Player;

#[derive(Component, Reflect)]
struct Age(f32);

fn names() -> Vec<String> {
    let mut names: Vec<_> = [
        "../escaped",
        "..",
        ".",
        "/etc/escaped",
        "a/../../escaped",
        "a\\..\\escaped",
        "nul\0in the middle",
        "🦀",
        "CON",
        "README.md",
        ".hidden",
        "a\nb: c",
        "%2e%2e",
        "data",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(10_000));
    names.push("../".repeat(3_000));
    names
}

/// Everything under a folder, where the exporter may be at work: a folder that it has moved meanwhile is passed over.
fn everything(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", folder.display()),
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

#[test]
fn a_recording_stays_in_its_dataset_whatever_it_is_called() {
    // A recording is called by a word that lives as long as the program.
    let names: Vec<&'static str> = names().into_iter().map(|name| &*name.leak()).collect();
    for name in names {
        let shown: String = name.chars().take(20).collect();
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("a/b/c");
        fs::create_dir_all(&home).unwrap();
        let (root, buffers, journals) = (home.join("data"), home.join("buffers"), home.join("journals"));
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            export: ExportSettings {
                journal: Some(JournalSettings {
                    folder: Some(journals.clone()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        });
        // Its journal lies in the folder of the settings, because its sink has none.
        test.add_recording(
            Recording::<Player>::new(format!("{name}/beside"))
                .observe::<Age>()
                .sink(MemorySink::default()),
        );
        test.record(
            Recording::<Player>::new(name)
                .observe::<Age>()
                .buffers(BufferSettings {
                    memory: Memory::File(buffers.clone()),
                    ..Default::default()
                })
                .sink(DatasetSink::new(&root)),
        );
        for agent in [i64::MIN, -1, 0, i64::MAX] {
            test.world_mut().spawn((Player, Age(0.0), AgentId(agent)));
        }
        for account in ["../..", "a\0b", "🦀", &"x".repeat(10_000)] {
            let id = AgentId::from_account(account, b"sixteen byte key");
            test.world_mut().spawn((Player, Age(0.0), id));
        }
        test.ticks(5);
        let outside: Vec<_> = everything(folder.path())
            .into_iter()
            .filter(|path| !path.starts_with(&home) && !home.starts_with(path))
            .collect();
        assert!(outside.is_empty(), "{shown}: {outside:?}");
        assert_eq!(test.finish().len(), 8, "{shown}");
        drop(test);
        for path in everything(&root) {
            let inside = path.strip_prefix(&root).unwrap();
            // The card, or a folder of a recording: nothing of a name is nested any deeper than a plain one would be.
            assert!(inside.components().count() <= 3, "{shown}: {}", inside.display());
            assert!(inside.components().all(|part| matches!(part, Part::Normal(_))));
        }
        let children: BTreeSet<_> = fs::read_dir(&home)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            children
                .iter()
                .all(|child| child == "data" || child == "buffers" || child == "journals"),
            "{shown}"
        );
        assert_eq!(fs::read_dir(&journals).unwrap().count(), 0, "{shown}");
        let dataset = Dataset::open(&root).unwrap();
        let recording = dataset.recording(name).unwrap();
        assert_eq!(recording.name(), name, "{shown}");
        let validation = recording.validate(&mut |_| {}).unwrap();
        assert!(validation.is_valid(), "{shown}: {validation:?}");
        assert_eq!(recording.runs().unwrap()[0].account.agents.len(), 8, "{shown}");
        // The card is YAML at its top, and one recording is one config.
        let card = fs::read_to_string(root.join("README.md")).unwrap();
        assert_eq!(card.matches("config_name:").count(), 1, "{shown}: {card}");
    }
}
