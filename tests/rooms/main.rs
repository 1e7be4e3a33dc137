//! Which room of the library may know which: reads the paths in its source.

mod source;

use source::paths;
use std::{collections::BTreeSet, fs, path::Path};

/// A module at the top of the crate.
struct Room {
    name: &'static str,
    /// Never names Bevy: a trainer, a tool or a model checker uses it without an engine.
    plain: bool,
    /// The rooms that it may name. They all stand above it, so there are no cycles.
    knows: &'static [&'static str],
}

const fn plain(name: &'static str, knows: &'static [&'static str]) -> Room {
    Room {
        name,
        plain: true,
        knows,
    }
}

const fn ecs(name: &'static str, knows: &'static [&'static str]) -> Room {
    Room {
        name,
        plain: false,
        knows,
    }
}

/// The words that all rooms share.
const WORDS: [&str; 2] = ["schema", "transition"];

/// All rooms but the words. Only `lib.rs` knows everything.
const ROOMS: [Room; 17] = [
    plain("cache", &[]),
    plain("disk", &[]),
    plain("journal", &["disk"]),
    plain("account", &[]),
    plain("buffer", &["cache"]),
    plain("assembly", &["journal"]),
    plain("sink", &["account", "assembly", "buffer", "disk", "journal"]),
    plain("export", &["account", "assembly", "buffer", "journal", "sink"]),
    // Its tests write journals as an exporter does, with everything that goes wrong.
    plain("dataset", &["assembly", "disk", "journal", "sink"]),
    ecs("player", &[]),
    ecs("capture", &["cache", "player"]),
    ecs("episode", &["account", "buffer", "cache", "capture", "player"]),
    ecs("recording", &["buffer", "capture", "episode", "sink"]),
    ecs(
        "plugin",
        &[
            "account",
            "buffer",
            "capture",
            "episode",
            "export",
            "player",
            "recording",
            "sink",
        ],
    ),
    ecs("diagnostics", &["plugin"]),
    ecs("inspector", &["buffer", "plugin"]),
    ecs("test_app", &["account", "plugin", "recording", "sink"]),
];

/// What of `sink` the exporter may name: the trait and its words, and no sink.
const SINK_WORDS: [&str; 3] = ["RecordingInfo", "Sink", "SinkError"];

/// What the command line may name of the library, beside the words: it asks, and the rooms do the work.
const COMMAND_LINE: [&str; 2] = ["dataset", "sink"];

/// The one place among the words that knows Bevy: a reflected type becomes a plan.
const REFLECT: [&str; 2] = ["schema", "reflect"];

/// What is wrong in `source`, the text of the file with this module path.
fn violations(module: &[&str], source: &str) -> Vec<String> {
    let Some((&own, _)) = module.split_first() else {
        return Vec::new();
    };
    if own == "bin" {
        return command_line_violations(module, source);
    }
    let is_word = WORDS.contains(&own);
    let room = ROOMS.iter().find(|room| room.name == own);
    if !is_word && room.is_none() {
        return vec![format!("`{own}` is a room without a rule: give it one")];
    }
    let is_plain = room.map_or(!module.starts_with(&REFLECT), |room| room.plain);
    let knows = room.map_or(&[][..], |room| room.knows);
    let mut wrong = Vec::new();
    for path in paths(module, source) {
        let text = path.text();
        let Some(inside) = path.in_crate() else {
            if is_plain && path.names_bevy() {
                wrong.push(format!("`{own}` is plain and names `{text}`"));
            }
            continue;
        };
        match inside.first().map(String::as_str) {
            // What stands in `lib.rs` itself is everything at once.
            None | Some("*" | "self" | "prelude") => wrong.push(format!("`{own}` names `{text}`: name one room")),
            Some(other) if other == own || WORDS.contains(&other) => {}
            Some(other) if !knows.contains(&other) => {
                wrong.push(format!("`{own}` may not know `{other}`, and names `{text}`"));
            }
            Some("sink")
                if own == "export" && !inside.get(1).is_some_and(|item| SINK_WORDS.contains(&item.as_str())) =>
            {
                wrong.push(format!(
                    "`export` knows the trait `Sink` and no sink, and names `{text}`"
                ));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// What is wrong in a file of the command line, which is a crate of its own.
fn command_line_violations(module: &[&str], source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in paths(module, source) {
        let text = path.text();
        let room = path
            .in_library()
            .map(|inside| inside.first().map_or("*", String::as_str));
        let is_open = |room: &str| WORDS.contains(&room) || COMMAND_LINE.contains(&room);
        if path.names_bevy() {
            wrong.push(format!("the command line is plain and names `{text}`"));
        } else if room.is_some_and(|room| !is_open(room)) {
            wrong.push(format!(
                "the command line names `{text}`: what it does is a function of `dataset`"
            ));
        }
    }
    wrong
}

/// Every file under `folder`, with its module path.
fn files(folder: &Path, module: &[String], found: &mut Vec<(Vec<String>, String)>) {
    for entry in fs::read_dir(folder).expect("the source can be listed") {
        let path = entry.expect("the source can be listed").path();
        let name = path.file_stem().expect("a file has a name");
        let mut inner = module.to_vec();
        inner.push(name.to_str().expect("names are plain").to_owned());
        if path.is_dir() {
            files(&path, &inner, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((inner, fs::read_to_string(&path).expect("the source can be read")));
        }
    }
}

#[test]
fn every_room_keeps_to_its_doors() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (module, source) in &found {
        let module: Vec<_> = module.iter().map(String::as_str).collect();
        if module == ["lib"] {
            continue;
        }
        if module[0] != "bin" {
            seen.insert(module[0].to_owned());
        }
        wrong.extend(violations(&module, source));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let ruled: BTreeSet<_> = ROOMS
        .iter()
        .map(|room| room.name)
        .chain(WORDS)
        .map(str::to_owned)
        .collect();
    assert_eq!(seen, ruled, "every rule is about a room that there is");
}

#[test]
fn rooms_know_only_those_above_them() {
    for (place, room) in ROOMS.iter().enumerate() {
        for known in room.knows {
            let above = ROOMS[..place].iter().find(|other| other.name == *known);
            let above = above.unwrap_or_else(|| panic!("`{}` knows `{known}`, which is not above it", room.name));
            assert!(above.plain || !room.plain, "`{}` is plain, `{known}` is not", room.name);
        }
    }
}

#[test]
fn planted_violations_are_found() {
    for (module, source) in [
        (&["buffer", "ring"][..], "use bevy_ecs::prelude::*;"),
        (&["buffer"], "fn f(app: &mut bevy::app::App) {}"),
        (&["schema", "layout"], "use bevy_reflect as reflection;"),
        (&["transition"], "use {core::fmt, bevy_math::Vec2};"),
        (&["sink", "memory"], "use crate::export::Counters;"),
        (&["sink"], "use crate::{schema::Schema, export::{Count, Exporter}};"),
        (&["sink"], "impl Sink for X { fn f() { crate::export::f() } }"),
        (&["sink", "arrow", "encode"], "use super::super::super::export::Count;"),
        (&["sink"], "mod tests { use super::super::export::Count; }"),
        (&["export", "worker"], "use crate::sink::MemorySink;"),
        (&["export"], "use crate::sink::{Sink, memory};"),
        (&["export"], "use crate::sink::*;"),
        (&["export"], "use crate::sink;"),
        (&["export"], "use crate::capture::diff;"),
        (&["capture", "source"], "use crate::episode::Life;"),
        (&["recording"], "use crate::plugin::Experience;"),
        (&["episode"], "use crate::prelude::*;"),
        (&["episode"], "use crate::*;"),
        (
            &["bin", "experience", "info"],
            "use bevy_experience::{dataset::Dataset, export::Exporter};",
        ),
        (&["bin", "experience", "info"], "use bevy_experience::prelude::*;"),
        (&["bin", "experience", "info"], "use bevy_app::App;"),
        (&["attic"], ""),
    ] {
        assert!(!violations(module, source).is_empty(), "{module:?}: {source}");
    }
}

#[test]
fn what_only_looks_like_a_violation_is_none() {
    for (module, source) in [
        (
            &["buffer"][..],
            "//! See [`capture`](crate::capture).\n/* bevy_ecs /* nested */ crate::plugin */",
        ),
        (
            &["buffer"],
            r##"const A: &str = "crate::plugin"; const B: &str = r#"bevy_ecs " crate::sink"#;"##,
        ),
        (
            &["buffer"],
            "fn f<'a>(quote: char) -> bool { quote == '\"' || quote == '\\'' } // \"crate::sink\n",
        ),
        (
            &["buffer"],
            "#[cfg(feature = \"bevy\")] pub(crate) mod ring; pub(super) fn f() {}",
        ),
        (
            &["schema", "reflect", "scalar"],
            "use bevy_reflect::Reflect; use crate::schema::DType;",
        ),
        (
            &["export"],
            "use crate::sink::{RecordingInfo, Sink}; mod tests { use super::*; }",
        ),
        (&["export", "outlet"], "use super::account::Counters;"),
        (
            &["bin", "experience", "info"],
            "use crate::{args::What, output::Output}; use bevy_experience::{dataset::Dataset, schema::Schema};",
        ),
    ] {
        assert_eq!(violations(module, source), [""; 0], "{module:?}: {source}");
    }
}
