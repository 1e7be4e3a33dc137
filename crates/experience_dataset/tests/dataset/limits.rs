//! Limits of the process and what a killed process leaves: sizes of files, and unfinished files.

use crate::episodes::{episodes, generated, info, listing, recording, report, write};
use experience_core::{
    schema::{Column, Schema},
    transition::RunId,
};
use experience_dataset::DatasetSink;
use experience_export::Sink;
use std::{fs, path::Path};
use tempfile::tempdir;

fn schema() -> Schema {
    Schema::new("fighter").with_observation((0..64).map(|column| Column::feature(format!("x{column}"))))
}

/// Writes until the sink fails. The parent of this process has limited the sizes of files.
fn write_until_refused(root: &Path) {
    let (schema, run) = (schema().into_shared(), RunId::from_bits(7));
    let mut sink = DatasetSink::new(root)
        .with_shard_bytes(usize::MAX)
        .with_row_group_rows(64);
    sink.open(&recording(&schema, run)).unwrap();
    for number in 0..500 {
        let episode = generated(&schema, info(run, number, 1), 0, 60, number.into());
        if let Err(error) = sink.write(&[episode]) {
            assert!(error.is_storage_full(), "{error:?}");
            return;
        }
    }
    panic!("the limit was not reached");
}

#[cfg(unix)]
#[test]
fn a_write_beyond_the_limit_of_file_sizes_is_a_full_disk() {
    const ROOT: &str = "EXPERIENCE_TEST_LIMITED_ROOT";
    if let Some(root) = std::env::var_os(ROOT) {
        write_until_refused(Path::new(&root));
        return;
    }
    let root = tempdir().unwrap();
    // A block of `ulimit` has 512 or 1024 bytes.
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -f 256 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "limits::a_write_beyond_the_limit_of_file_sizes_is_a_full_disk",
        ])
        .env(ROOT, root.path().join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{output:?}"
    );
}

#[test]
fn unfinished_files_of_killed_processes_are_removed_by_the_next_one() {
    let root = tempdir().unwrap();
    let run = RunId::from_bits(7);
    let all = episodes(&schema().into_shared(), run, 2);
    write(root.path(), &all);
    let fighter = root.path().join("fighter");
    let before = listing(&fighter.join("data"));
    for folder in [root.path(), &fighter, &fighter.join("runs")] {
        fs::write(folder.join(".experience-0123456789abcdef.tmp"), "unfinished").unwrap();
        fs::create_dir_all(folder.join(".experience-fedcba9876543210.tmp/data")).unwrap();
    }
    // A probe.
    let probe = fighter.join("data/.experience-0123456789abcdef.tmp");
    fs::write(&probe, "").unwrap();
    // A file of an erasure, which the next erasure removes.
    let erased = fighter.join("data/.experience-1123456789abcdef.tmp");
    fs::write(&erased, "rows").unwrap();
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(all[0].schema(), RunId::from_bits(8))).unwrap();
    sink.close(&report(&[])).unwrap();
    assert!(erased.exists() && !probe.exists());
    experience_dataset::Dataset::open(root.path())
        .unwrap()
        .erase(99, &mut |_| {})
        .unwrap();
    let is_unfinished = |name: &String| name.contains(".experience-");
    for folder in [root.path(), &fighter, &fighter.join("runs"), &fighter.join("data")] {
        assert!(!listing(folder).iter().any(is_unfinished), "{:?}", listing(folder));
    }
    assert_eq!(listing(&fighter.join("data")), before);
}
