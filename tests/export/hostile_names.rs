//! Names of recordings and agents are never used as paths.

use crate::player::{Age, Player};
use bevy_experience::{
    dataset::Dataset, export::ExportSettings, journal::JournalSettings, prelude::*, test_app::TestApp,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Component as Part, Path, PathBuf},
};

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

/// All paths under a folder. A folder that the exporter moves during the walk is skipped.
fn paths_under(folder: &Path) -> BTreeSet<PathBuf> {
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
fn no_recording_name_escapes_the_dataset_folder() {
    // The name of a recording is `'static`.
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
        // Its journal is in the folder of the settings, because its sink names no folder.
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
        for agent in [0, i64::MAX] {
            test.world_mut().spawn((Player, Age(0.0), AgentId(agent)));
        }
        // Without an `AgentId`, the id in the data is negative.
        test.world_mut().spawn((Player, Age(0.0)));
        test.world_mut().spawn((Player, Age(0.0)));
        for account in ["../..", "a\0b", "🦀", &"x".repeat(10_000)] {
            let id = AgentId::from_account(account, b"sixteen byte key");
            test.world_mut().spawn((Player, Age(0.0), id));
        }
        test.ticks(5);
        let outside: Vec<_> = paths_under(folder.path())
            .into_iter()
            .filter(|path| !path.starts_with(&home) && !home.starts_with(path))
            .collect();
        assert!(outside.is_empty(), "{shown}: {outside:?}");
        assert_eq!(test.finish().len(), 8, "{shown}");
        drop(test);
        for path in paths_under(&root) {
            let inside = path.strip_prefix(&root).unwrap();
            // The card, or files of a recording: no name adds a level of nesting.
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
        assert_eq!(recording.agent_totals().unwrap().len(), 8, "{shown}");
        // The card begins with YAML, in which the recording is one config.
        let card = fs::read_to_string(root.join("README.md")).unwrap();
        assert_eq!(card.matches("config_name:").count(), 1, "{shown}: {card}");
    }
}
