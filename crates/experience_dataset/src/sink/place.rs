//! Where a recording's files go: the dataset's folder and the recording's folder in it.

use super::{
    OtherSchema,
    card::recordings,
    experience::{Experience, Unreadable},
    files::{self, failed},
    layout,
};
use experience_core::schema::Schema;
use experience_export::{SinkError, disk};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Checks that [`prepare`] can be expected to succeed. Leaves nothing behind.
pub(super) fn check(root: &Path, schema: &Schema, others: OtherSchema) -> Result<(), SinkError> {
    let standing = nearest_folder(root)?;
    if standing != root {
        return files::probe(standing);
    }
    inspect(root)?;
    files::probe(root)?;
    let mut folder = root.join(layout::folder_name(schema.name()));
    if let Some(there) = read(&folder)?
        && there.schema.hash() != schema.hash()
    {
        if others == OtherSchema::Refuse {
            return Err(refused(&folder, schema, &there.schema));
        }
        folder = root.join(layout::sibling_name(schema.name(), schema.hash()));
        read(&folder)?;
    }
    for part in [&folder, &folder.join(layout::DATA), &folder.join(layout::RUNS)] {
        if part.is_dir() {
            files::probe(part)?;
        }
    }
    Ok(())
}

/// Makes the folder that episodes of `schema` go to, and returns it.
pub(crate) fn prepare(root: &Path, schema: &Schema, others: OtherSchema) -> Result<PathBuf, SinkError> {
    if nearest_folder(root)? == root {
        inspect(root)?;
    }
    disk::create_folders(root).map_err(failed("create", root))?;
    let own = root.join(layout::folder_name(schema.name()));
    let there = settle(root, &own, schema)?.schema;
    if there.hash() == schema.hash() {
        return Ok(own);
    }
    if others == OtherSchema::Refuse {
        return Err(refused(&own, schema, &there));
    }
    let sibling = root.join(layout::sibling_name(schema.name(), schema.hash()));
    tracing::warn!(
        "recording `{}` has other columns than `{}` holds, so it goes to `{}`; here is this run and there is the folder: {}",
        schema.name(),
        own.display(),
        sibling.display(),
        differences(schema, &there).join("; ")
    );
    let there = settle(root, &sibling, schema)?.schema;
    if there.hash() == schema.hash() {
        Ok(sibling)
    } else {
        Err(refused(&sibling, schema, &there))
    }
}

/// The description of the recording in `folder`, which is made where it is missing.
///
/// Several processes may be at it at once. The folder comes into being whole, by a rename, so that one of them wins and
/// the others find what it made.
fn settle(root: &Path, folder: &Path, schema: &Schema) -> Result<Experience, SinkError> {
    let experience = match read(folder)? {
        Some(there) => there,
        None => {
            let experience = Experience::new(schema);
            let beside = disk::temporary(root);
            let renamed = build(&beside, &experience)
                .and_then(|()| disk::rename(&beside, folder).map_err(failed("create", folder)));
            if renamed.is_err() {
                // It holds nothing but what was built just now.
                let _ = disk::remove_folder(&beside);
            }
            disk::sync_folder(root);
            match (renamed, read(folder)?) {
                (_, Some(there)) => there,
                (Err(error), None) => return Err(error),
                (Ok(()), None) => return Err(no_recording(folder, "its `experience.json` is gone")),
            }
        }
    };
    for part in [layout::DATA, layout::RUNS] {
        // A folder that was copied without its empty folders gets them back.
        let part = folder.join(part);
        disk::create_folders(&part).map_err(failed("create", &part))?;
    }
    Ok(experience)
}

fn build(beside: &Path, experience: &Experience) -> Result<(), SinkError> {
    for part in [layout::DATA, layout::RUNS] {
        let part = beside.join(part);
        disk::create_folders(&part).map_err(failed("create", &part))?;
    }
    files::replace(&beside.join(layout::EXPERIENCE), &experience.to_json())
}

/// The description in `folder`, or `None` where a recording may be made.
fn read(folder: &Path) -> Result<Option<Experience>, SinkError> {
    let missing = |read: &Result<_, Unreadable>| matches!(read, Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound);
    let mut read = Experience::read(folder);
    if missing(&read) && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        // Another process may have brought the folder into being since the first look.
        read = Experience::read(folder);
        if missing(&read) {
            return Err(no_recording(folder, "it is not empty and has no `experience.json`"));
        }
    }
    match read {
        Ok(there) => Ok(Some(there)),
        Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(no_recording(folder, "it is a file"))
        }
        Err(Unreadable::Io(error)) => Err(failed("read", &folder.join(layout::EXPERIENCE))(error)),
        Err(Unreadable::Damaged(what)) => Err(no_recording(
            folder,
            &format!("its `experience.json` is damaged: {what}"),
        )),
    }
}

/// `root`, or the part of its path that exists already.
fn nearest_folder(root: &Path) -> Result<&Path, SinkError> {
    for ancestor in root.ancestors() {
        let ancestor = if ancestor == Path::new("") {
            Path::new(".")
        } else {
            ancestor
        };
        match fs::metadata(ancestor) {
            Ok(found) if found.is_dir() => return Ok(ancestor),
            Ok(_) => return Err(no_recording(ancestor, "it is a file")),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(failed("open", ancestor)(error)),
        }
    }
    // Neither the path nor any part of it exists, so not even the folder that the process is in.
    Err(failed("open", root)(io::ErrorKind::NotFound.into()))
}

/// Whether a dataset may be in the folder `root`, or may come to be in it.
fn inspect(root: &Path) -> Result<(), SinkError> {
    let mut stray = None;
    for entry in fs::read_dir(root).map_err(failed("list", root))? {
        let name = entry.map_err(failed("list", root))?.file_name();
        let name = name.to_string_lossy();
        // Hidden files are a repository's, or what another process is making just now.
        if !name.starts_with('.') && name != layout::CARD {
            stray = Some(name.into_owned());
        }
    }
    // In this order: what stood there already may be a recording that another process has just brought into being.
    match stray {
        Some(name) if recordings(root).map_err(failed("list", root))?.is_empty() => {
            Err(no_recording(root, &format!("it holds `{name}` and no recording")))
        }
        _ => Ok(()),
    }
}

fn no_recording(path: &Path, reason: &str) -> SinkError {
    SinkError::NotADataset {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn refused(folder: &Path, here: &Schema, there: &Schema) -> SinkError {
    SinkError::OtherSchema {
        path: folder.to_owned(),
        differences: differences(here, there),
    }
}

fn differences(here: &Schema, there: &Schema) -> Vec<String> {
    if here.name() == there.name() {
        here.differences(there)
    } else {
        vec![format!(
            "the recording is called `{}` here and `{}` there",
            here.name(),
            there.name()
        )]
    }
}
