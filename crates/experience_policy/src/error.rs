//! Errors of policies: [`PolicyError`] at a decision, and [`ModelError`] when a model is loaded.

/// Why a model made no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The model returned an error.
    #[error("the model failed: {0}")]
    Model(String),
    /// The model has not decided in time. What it was told has reached it.
    #[error("no decision within {0:?}")]
    Late(core::time::Duration),
    /// The model is still busy with an earlier decision, and was not asked.
    #[error("no decision, because an earlier one is still awaited")]
    Busy,
    /// The model panicked.
    #[error("the model panicked: {0}")]
    Panicked(String),
    /// An output of the model has another size than the action needs.
    #[error("the output `{output}` has {found} values, and {expected} are needed")]
    OutputSize {
        /// The name of the output.
        output: String,
        /// The number of its values.
        found: usize,
        /// The number of values of the head, for all players.
        expected: usize,
    },
}

/// Why a model cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("`{path}` cannot be read: {source}; give the path of a model file that exists")]
    Io {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not a model, or not all of one.
    #[error("`{path}` is damaged: {reason}; export the model again")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file does not say which recording it was made for.
    #[error(
        "`{path}` has no `{key}` in its metadata, so it is not known which observations it takes: export it with \
         `bevy-experience train`, or add the metadata with `onnx.helper.set_model_props`"
    )]
    NoMetadata {
        /// The file.
        path: String,
        /// The key that is missing.
        key: String,
    },
    /// The metadata has another form than is known.
    #[error(
        "the metadata `{key}` of `{path}` cannot be read: {reason}; export the model with this version of `bevy-experience`"
    )]
    Metadata {
        /// The file.
        path: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model was made for another schema.
    #[error(
        "`{path}` was trained for another schema of recording `{recording}`: {}; train a model on data of this recording",
        differences.join("; ")
    )]
    Schema {
        /// The file.
        path: String,
        /// The recording that it is to act for.
        recording: String,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// The operator set of the file is too new, or too old.
    #[error(
        "`{path}` uses operator set {found}, and {oldest} to {newest} are supported: export it with `opset_version={newest}`"
    )]
    OperatorSet {
        /// The file.
        path: String,
        /// The version of the operator set.
        found: i64,
        /// The oldest that is supported.
        oldest: i64,
        /// The newest that is supported.
        newest: i64,
    },
    /// The inputs of the graph are not those that are provided.
    #[error(
        "`{path}` takes the inputs {found}, and one input `observation` of `float32 [batch, {features}]` is provided: export it with that input"
    )]
    Inputs {
        /// The file.
        path: String,
        /// The inputs, with their shapes.
        found: String,
        /// The number of features.
        features: usize,
    },
    /// The graph lacks an output that a head needs.
    #[error(
        "`{path}` has no output `{output}`, which decides the action `{head}`; its outputs are {found}: name them `action.<column>`"
    )]
    NoOutput {
        /// The file.
        path: String,
        /// The name of the output.
        output: String,
        /// The column of the action.
        head: String,
        /// The outputs that it has.
        found: String,
    },
    /// An output has another shape than its head needs.
    #[error(
        "the output `{output}` of `{path}` has the shape {found}, and `[batch, {expected}]` is needed for the action `{head}`"
    )]
    OutputShape {
        /// The file.
        path: String,
        /// The name of the output.
        output: String,
        /// The column of the action.
        head: String,
        /// Its shape.
        found: String,
        /// The number of values that are needed for each player.
        expected: usize,
    },
    /// A weight is NaN or infinite.
    #[error(
        "the weight `{weight}` of `{path}` is NaN or infinite at {count} places: train it again with a lower learning rate"
    )]
    NonFinite {
        /// The file.
        path: String,
        /// The name of the weight.
        weight: String,
        /// The number of values that are not finite.
        count: usize,
    },
    /// The graph cannot be run.
    #[error(
        "`{path}` cannot be run: {reason}; export it with the operators of `bevy-experience train`: Gemm, Relu, Sub, Div, Clip, Mul, Add"
    )]
    Graph {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A model of the game's own cannot act for this recording.
    #[error("{0}")]
    Other(String),
}
