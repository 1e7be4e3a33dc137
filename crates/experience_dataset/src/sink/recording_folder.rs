//! Opens or creates the folder of a recording in a dataset.

use super::{
    SchemaMismatch,
    card::recordings,
    experience::{self, ExperienceFileError},
    files::{self, io_error},
    layout,
};
use experience_core::schema::{ExperienceFile, Schema};
use experience_export::{
    SinkError,
    disk::{self, atomic::AtomicFolder},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Checks that [`open_or_create`] can be expected to succeed, and changes nothing.
pub(super) fn check(root: &Path, schema: &Schema, on_mismatch: SchemaMismatch) -> Result<(), SinkError> {
    let existing = nearest_folder(root)?;
    if existing != root {
        return files::probe(existing);
    }
    check_root(root)?;
    files::probe(root)?;
    let mut folder = root.join(layout::folder_name(schema.name()));
    if let Some(existing) = read(&folder)?
        && existing.schema.hash() != schema.hash()
    {
        if on_mismatch == SchemaMismatch::Refuse {
            return Err(schema_mismatch(&folder, schema, &existing.schema));
        }
        folder = root.join(layout::sibling_name(schema.name(), schema.hash()));
        read(&folder)?;
    }
    for part in [&folder, &folder.join(layout::PARTIAL), &folder.join(layout::RUNS)] {
        if part.is_dir() {
            files::probe(part)?;
        }
    }
    let data = folder.join(layout::DATA);
    if data.is_dir() {
        files::probe_name(&data)?;
    }
    Ok(())
}

/// Checks that the folder `root` can be created, or be written to.
#[cfg(feature = "object_store")]
pub(super) fn check_new(root: &Path) -> Result<(), SinkError> {
    files::probe(nearest_folder(root)?)
}

/// The folder for episodes of `schema` in the dataset `root`, if it exists.
pub(super) fn find(root: &Path, schema: &Schema) -> Result<Option<PathBuf>, SinkError> {
    let names = [
        layout::folder_name(schema.name()),
        layout::sibling_name(schema.name(), schema.hash()),
    ];
    for folder in names.map(|name| root.join(name)) {
        if read(&folder)?.is_some_and(|existing| existing.schema.hash() == schema.hash()) {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// Returns the folder for episodes of `schema` in the dataset `root`, and creates it if it is missing.
pub(crate) fn open_or_create(root: &Path, schema: &Schema, on_mismatch: SchemaMismatch) -> Result<PathBuf, SinkError> {
    if nearest_folder(root)? == root {
        check_root(root)?;
    }
    disk::create_folders(root).map_err(io_error("create", root))?;
    let own = root.join(layout::folder_name(schema.name()));
    let existing = open_or_create_folder(&own, schema)?.schema;
    if existing.hash() == schema.hash() {
        return Ok(own);
    }
    if on_mismatch == SchemaMismatch::Refuse {
        return Err(schema_mismatch(&own, schema, &existing));
    }
    let sibling = root.join(layout::sibling_name(schema.name(), schema.hash()));
    tracing::warn!(
        "recording `{}` has another schema than `{}`, so it is written to `{}`; in the differences `here` is this run and \
         `there` is the existing folder: {}",
        schema.name(),
        own.display(),
        sibling.display(),
        differences(schema, &existing).join("; ")
    );
    let existing = open_or_create_folder(&sibling, schema)?.schema;
    if existing.hash() == schema.hash() {
        Ok(sibling)
    } else {
        Err(schema_mismatch(&sibling, schema, &existing))
    }
}

/// Reads the `experience.json` in `folder`, and creates the folder if it is missing.
///
/// Processes may race to create the folder. It appears complete, by a rename, so one of them wins and the others read what
/// that one wrote.
fn open_or_create_folder(folder: &Path, schema: &Schema) -> Result<ExperienceFile, SinkError> {
    let experience = match read(folder)? {
        Some(existing) => existing,
        None => match (create(folder, schema), read(folder)?) {
            (_, Some(existing)) => existing,
            (Err(error), None) => return Err(error),
            (Ok(()), None) => return Err(not_a_dataset(folder, "its `experience.json` is gone")),
        },
    };
    for part in [layout::DATA, layout::RUNS] {
        // Tools that copy a dataset may leave out empty folders.
        let part = folder.join(part);
        disk::create_folders(&part).map_err(io_error("create", &part))?;
    }
    Ok(experience)
}

fn create(folder: &Path, schema: &Schema) -> Result<(), SinkError> {
    let new = AtomicFolder::create(folder).map_err(io_error("create", folder))?;
    for part in [layout::DATA, layout::RUNS] {
        let part = new.temporary_path().join(part);
        disk::create_folders(&part).map_err(io_error("create", &part))?;
    }
    let experience = new.temporary_path().join(layout::EXPERIENCE);
    files::replace(&experience, &ExperienceFile::new(schema).to_json())?;
    new.commit().map_err(io_error("create", folder))
}

/// The `experience.json` in `folder`, or `None` where a recording may be created.
fn read(folder: &Path) -> Result<Option<ExperienceFile>, SinkError> {
    let is_missing = |read: &Result<_, ExperienceFileError>| matches!(read, Err(ExperienceFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound);
    let mut read = experience::read(folder);
    if is_missing(&read) && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        // Another process may have created the folder since.
        read = experience::read(folder);
        if is_missing(&read) {
            return Err(not_a_dataset(folder, "it is not empty and has no `experience.json`"));
        }
    }
    match read {
        Ok(existing) => Ok(Some(existing)),
        Err(ExperienceFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(ExperienceFileError::Io(error)) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(not_a_dataset(folder, "it is a file"))
        }
        Err(ExperienceFileError::Io(error)) => Err(io_error("read", &folder.join(layout::EXPERIENCE))(error)),
        Err(ExperienceFileError::Damaged(reason)) => Err(not_a_dataset(
            folder,
            &format!("its `experience.json` is damaged: {reason}"),
        )),
    }
}

/// `root`, or its nearest ancestor that exists.
fn nearest_folder(root: &Path) -> Result<&Path, SinkError> {
    for ancestor in root.ancestors() {
        let ancestor = if ancestor == Path::new("") {
            Path::new(".")
        } else {
            ancestor
        };
        match fs::metadata(ancestor) {
            Ok(metadata) if metadata.is_dir() => return Ok(ancestor),
            Ok(_) => return Err(not_a_dataset(ancestor, "it is a file")),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(io_error("open", ancestor)(error)),
        }
    }
    // Not even the working directory exists.
    Err(io_error("open", root)(io::ErrorKind::NotFound.into()))
}

/// Checks that the folder `root` is a dataset, or has nothing in it that is not one.
fn check_root(root: &Path) -> Result<(), SinkError> {
    let mut unknown = None;
    for entry in fs::read_dir(root).map_err(io_error("list", root))? {
        let name = entry.map_err(io_error("list", root))?.file_name();
        let name = name.to_string_lossy();
        // Hidden files belong to a repository, or are the temporary files of another process. Journals of recordings without a
        // dataset may lie beside one, and are made a dataset there.
        if !name.starts_with('.') && name != layout::CARD && name != layout::JOURNALS {
            unknown = Some(name.into_owned());
        }
    }
    // Recordings are listed last: the unknown entry may be a recording that another process has just created.
    match unknown {
        Some(name) if recordings(root).map_err(io_error("list", root))?.is_empty() => {
            Err(not_a_dataset(root, &format!("it holds `{name}` and no recording")))
        }
        _ => Ok(()),
    }
}

fn not_a_dataset(path: &Path, reason: &str) -> SinkError {
    SinkError::NotADataset {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn schema_mismatch(folder: &Path, here: &Schema, there: &Schema) -> SinkError {
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
