//! The handshake: the game says what it records, and the server whether it has a policy for that.

use crate::{RemoteError, address::Address};
use experience_core::schema::Schema;
use experience_policy::{Head, HeadKind, ModelMetadata, PolicyLayout};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The version of the protocol.
pub(crate) const PROTOCOL: u32 = 1;

/// What the game says of itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hello<'a> {
    pub(crate) protocol: u32,
    pub(crate) recording: &'a str,
    pub(crate) schema_hash: String,
    /// As in `experience.json`.
    pub(crate) schema: &'a Schema,
    pub(crate) features: &'a [String],
    pub(crate) heads: Vec<Value>,
    pub(crate) action_mask: usize,
    pub(crate) lockstep: bool,
    pub(crate) seed: Option<u64>,
    /// What the server has named this game, if it has started it.
    pub(crate) game: Option<&'a str>,
    pub(crate) process: u32,
}

/// What a server says that accepts a game.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Accepted {
    #[serde(default)]
    pub(crate) protocol: u32,
    /// What its policy takes and decides, if it was made for a schema.
    #[serde(default)]
    pub(crate) model: Option<ModelDescription>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct ModelDescription {
    #[serde(default)]
    recording: String,
    #[serde(default)]
    schema_hash: String,
    features: Value,
    heads: Value,
    #[serde(default)]
    action_mask: usize,
}

/// A head as in the metadata of a model file.
pub(crate) fn describe_head(head: &Head) -> Value {
    match &head.kind {
        HeadKind::Discrete { n, labels } => json!({
            "name": head.name, "output": format!("action.{}", head.name), "kind": "discrete",
            "shape": head.shape, "n": n, "labels": labels,
        }),
        HeadKind::Continuous { .. } => json!({
            "name": head.name, "output": format!("action.{}", head.name), "kind": "box", "shape": head.shape,
        }),
    }
}

impl Accepted {
    /// Whether the server can decide for `layout`.
    pub(crate) fn check(&self, address: &Address, layout: &PolicyLayout) -> Result<(), RemoteError> {
        let refuse = |differences: Vec<String>| RemoteError::Schema {
            address: address.text.clone(),
            differences,
        };
        if self.protocol != PROTOCOL {
            return Err(refuse(vec![format!(
                "its protocol is {} and that of the game {PROTOCOL}: use the same version of both packages",
                self.protocol
            )]));
        }
        let Some(model) = &self.model else { return Ok(()) };
        let (features, heads, mask) = (
            model.features.to_string(),
            model.heads.to_string(),
            model.action_mask.to_string(),
        );
        let metadata = ModelMetadata::parse(
            &address.text,
            [
                ("bevy_experience.format", "1"),
                ("bevy_experience.features", &features),
                ("bevy_experience.heads", &heads),
                ("bevy_experience.action_mask", &mask),
                ("bevy_experience.recording", &model.recording),
                ("bevy_experience.schema_hash", &model.schema_hash),
            ],
        );
        let differences = metadata
            .map_err(|error| refuse(vec![error.to_string()]))?
            .differences(layout);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(refuse(differences))
        }
    }
}
