//! `recover` in a process of its own, beside the process of a live run.

use crate::{
    command::{documents, printed, text},
    episodes::{assert_valid, episodes, fighter, listing, read, recording, report},
    unfinished::{lock_path, unfinished},
};
use experience_core::transition::{RunId, WordTable};
use experience_dataset::JournalSink;
use experience_export::{
    RunLabel, Sink,
    journal::{Journal, JournalSettings, Owner},
};
use std::{fs, path::Path, sync::Arc};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(5);

#[test]
#[cfg(target_os = "linux")]
fn a_live_run_of_another_process_is_unchanged_whatever_became_of_its_lock() {
    let folder = tempdir().expect("a folder can be made");
    let root = folder.path();
    let all = episodes(&fighter().into_shared(), RUN, 6);
    let mut sink = unfinished(root, &all, None);
    let lock = lock_path(root, RUN);
    for is_replaced in [true, false] {
        fs::remove_file(&lock).expect("it can be removed");
        if is_replaced {
            fs::write(&lock, "").expect("it can be written");
        }
        let document = &documents(&["recover", text(root), "--include-unclear"], 0)[0];
        assert_eq!(document["recordings"][0]["alive"][0], 5, "{document}");
        assert!(printed(&["recover", text(root)], 0).contains("run 00000005 is alive, and is unchanged"));
    }
    let files = listing(root);
    for left in [
        "fighter/journal/00000005/00000.journal",
        "fighter/partial/00000005-00000.parquet.tmp",
    ] {
        assert!(files.iter().any(|path| path == left), "{left}: {files:?}");
    }
    sink.flush(&report(&all)).expect_err("the lock was replaced");
    sink.close(&report(&all)).expect("it is not recovered");
    assert_valid(root);
    assert_eq!(read(root).len(), 6);
}

#[test]
fn info_names_the_segments_of_a_closed_run_and_recover_writes_them_to_shards() {
    let folder = tempdir().expect("a folder can be made");
    let root = folder.path();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 6);
    let mut sink = JournalSink::new(root);
    sink.open(&recording(&schema, RUN)).expect("the folder is empty");
    sink.write(&all).expect("the disk has space");
    let printed_while_alive = printed(&["recover", text(root)], 0);
    assert!(
        printed_while_alive.contains("run 00000005 is alive"),
        "{printed_while_alive}"
    );
    sink.close(&report(&all)).expect("the disk has space");
    let info = printed(&["info", text(root)], 0);
    assert!(
        info.contains("in segments") && info.contains("`experience recover` writes them to shards"),
        "{info}"
    );
    let recovered = printed(&["recover", text(root)], 0);
    assert!(
        recovered.contains(
            "run 00000005: wrote 60 transitions in 6 episodes from its segments to shards; lost 0 transitions"
        ),
        "{recovered}"
    );
    assert_valid(root);
    assert_eq!(read(root).len(), 6);
    let info = printed(&["info", text(root)], 0);
    assert!(!info.contains("segments"), "{info}");
}

/// A journal without rows, as a recording without a dataset leaves it.
fn journal(folder: &Path) {
    let owner = Owner {
        run: RUN,
        schema: fighter().into_shared(),
        tick_rate: Some(60.0),
        started: 1e9,
        rings: None,
        label: RunLabel::default(),
    };
    Journal::create(folder, owner, Arc::<WordTable>::default(), JournalSettings::default())
        .expect("a journal can be written");
}

#[test]
fn a_folder_of_journals_becomes_a_dataset() {
    let folder = tempdir().expect("a folder can be made");
    let root = folder.path();
    let path = root.join("journal/00000005-0");
    journal(&path);
    assert!(printed(&["info", text(root)], 3).contains("`experience recover`"));
    // It has no lock file, so its process may be alive.
    assert!(printed(&["recover", text(root)], 1).contains("may be alive"));
    let document = &documents(&["recover", text(root)], 1)[0];
    assert_eq!(document["journals"]["unclear"][0], text(&path), "{document}");
    let document = &documents(&["recover", text(root), "--include-unclear"], 0)[0];
    assert_eq!(document["journals"]["adopted"][0]["recording"], "fighter", "{document}");
    assert_eq!(document["recordings"][0]["recovered"][0]["run"], 5, "{document}");
    assert!(!path.exists());
    assert!(printed(&["recover", text(root)], 0).contains("there is nothing to recover"));
    assert!(printed(&["info", text(root)], 0).contains("fighter"));
}
