//! [`ModelSource`]: where the model of a policy comes from.

use experience_core::schema::Schema;
use experience_policy::{ModelError, ModelWatcher, PolicyLayout, PolicyModel};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Loads a model from a file.
pub(super) type LoadFn =
    Arc<dyn Fn(&Path, &PolicyLayout) -> Result<Box<dyn PolicyModel>, ModelError> + Send + Sync + 'static>;

/// Where the model of a policy comes from.
pub(super) enum ModelSource {
    Model(Box<dyn PolicyModel>),
    File { path: PathBuf, load: LoadFn },
}

impl ModelSource {
    /// Loads and checks the model. A file is watched from before it is loaded, every `interval`, unless that is zero.
    ///
    /// # Errors
    /// When it cannot act for `layout`.
    pub(super) fn open(
        self,
        schema: &Schema,
        layout: &Arc<PolicyLayout>,
        interval: Duration,
    ) -> Result<(Box<dyn PolicyModel>, Option<ModelWatcher>), ModelError> {
        match self {
            Self::Model(mut model) => {
                model.prepare(schema, layout)?;
                Ok((model, None))
            }
            Self::File { path, load } => {
                let (watched, reload) = (layout.clone(), load.clone());
                let watcher = (!interval.is_zero()).then(|| {
                    ModelWatcher::new(&path, interval, move |path| checked(reload(path, &watched)?, &watched))
                });
                let watcher = watcher.and_then(|watcher| {
                    watcher
                        .inspect_err(|error| {
                            tracing::warn!("`{}` is not watched for changes: {error}", path.display());
                        })
                        .ok()
                });
                let model = checked(load(&path, layout)?, layout)?;
                Ok((model, watcher))
            }
        }
    }
}

fn checked(model: Box<dyn PolicyModel>, layout: &PolicyLayout) -> Result<Box<dyn PolicyModel>, ModelError> {
    model.check(layout)?;
    Ok(model)
}
