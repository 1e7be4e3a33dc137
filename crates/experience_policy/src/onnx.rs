//! [`OnnxModel`]: a model in an ONNX file, checked against the layout of a recording and run by `tract`.

use crate::{
    ActionBatch, HeadKind, ModelError, ModelMetadata, ObservationBatch, PolicyError, PolicyLayout, PolicyModel,
};
use core::hash::Hasher;
use siphasher::sip::SipHasher24;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};
use tract_onnx::{pb, prelude::*, tract_hir::internal::ToDim};

/// The operator sets that `tract` is tested with.
const OPERATOR_SETS: core::ops::RangeInclusive<i64> = 9..=18;

/// A model in an ONNX file.
///
/// The graph has the input `observation`, `float32 [batch, features]`, as recorded: normalization is part of the graph. For each
/// column of the action it has the output `action.<column>`: logits `[batch, elements * n]` of a discrete head, or means
/// `[batch, elements]` of a continuous one. A continuous head may have an output `action.<column>.log_std` as well; otherwise the
/// metadata of the file has its deviation.
pub struct OnnxModel {
    path: String,
    metadata: ModelMetadata,
    version: i64,
    /// The plan, with memory that is used again at each decision.
    state: TypedSimpleState,
    /// The input of the last decision, whose memory is used again.
    input: Arc<Tensor>,
    /// One per head of the layout that it was loaded for.
    outputs: Vec<HeadOutputs>,
}

/// The outputs of the graph for one head.
struct HeadOutputs {
    name: String,
    /// The index among the outputs of the graph.
    index: usize,
    log_std: Option<usize>,
    /// The logarithm of the deviation of each element, where no output has it; NaN where there is none.
    log_stds: Vec<f32>,
}

impl OnnxModel {
    /// Loads a file, and checks it: metadata, operator set, inputs, outputs and weights. One observation of zeros is passed
    /// through it.
    ///
    /// # Errors
    /// When it cannot act for `layout`: what differs, and what to do.
    pub fn load(path: impl AsRef<Path>, layout: &PolicyLayout) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|source| ModelError::Io {
            path: name.clone(),
            source,
        })?;
        Self::from_bytes(name, &bytes, layout)
    }

    /// As [`load`](Self::load), from the content of a file. `path` is its name in messages.
    ///
    /// # Errors
    /// As those of [`load`](Self::load).
    pub fn from_bytes(path: impl Into<String>, bytes: &[u8], layout: &PolicyLayout) -> Result<Self, ModelError> {
        let path = path.into();
        // A damaged graph can contradict itself in ways in which `tract` panics.
        match catch_unwind(AssertUnwindSafe(|| Self::build(&path, bytes, layout))) {
            Ok(result) => result,
            Err(panic) => Err(ModelError::Damaged {
                reason: panic_message(&*panic),
                path,
            }),
        }
    }

    fn build(path: &str, bytes: &[u8], layout: &PolicyLayout) -> Result<Self, ModelError> {
        let damaged = |reason: String| ModelError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let mut reader = bytes;
        let framework = onnx();
        let proto = framework
            .proto_model_for_read(&mut reader)
            .map_err(|error| damaged(message(&error)))?;
        let Some(graph) = proto.graph.as_ref() else {
            return Err(damaged("it has no graph".to_owned()));
        };
        let entries = proto.metadata_props.iter();
        let metadata = ModelMetadata::parse(path, entries.map(|entry| (entry.key.as_str(), entry.value.as_str())))?;
        let differences = metadata.differences(layout);
        if !differences.is_empty() {
            return Err(ModelError::Schema {
                path: path.to_owned(),
                recording: layout.recording().to_owned(),
                differences,
            });
        }
        check_operator_set(path, &proto)?;
        check_input(path, graph, layout.features().len())?;
        let outputs = find_outputs(path, graph, &metadata, layout)?;
        let graph_error = |error: TractError| ModelError::Graph {
            path: path.to_owned(),
            reason: message(&error),
        };
        check_weights(path, graph)?;
        let mut model = framework.model_for_proto_model(&proto).map_err(graph_error)?;
        let batch = model.symbols.sym("batch").to_dim();
        let width = layout.features().len().to_dim();
        model
            .set_input_fact(0, f32::fact([batch, width]).into())
            .map_err(graph_error)?;
        let plan = model
            .into_optimized()
            .and_then(IntoRunnable::into_runnable)
            .map_err(graph_error)?;
        let mut hasher = SipHasher24::new();
        hasher.write(bytes);
        // 53 bits, so that a `float64` column has it exactly. 0 is no policy.
        let content = (hasher.finish() >> 11).cast_signed().max(1);
        let mut model = Self {
            path: path.to_owned(),
            version: metadata.version.unwrap_or(content),
            metadata,
            state: TypedSimpleState::new(&plan).map_err(graph_error)?,
            input: Arc::new(Tensor::zero::<f32>(&[0, layout.features().len()]).map_err(graph_error)?),
            outputs,
        };
        model.try_run(layout)?;
        Ok(model)
    }

    /// What the file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    /// Runs two observations of zeros, and checks the sizes of the outputs.
    fn try_run(&mut self, layout: &PolicyLayout) -> Result<(), ModelError> {
        const PLAYERS: usize = 2;
        let found = self
            .run(PLAYERS, &vec![0.0; PLAYERS * layout.features().len()])
            .map_err(|error| ModelError::Graph {
                path: self.path.clone(),
                reason: message(&error),
            })?;
        for (head, outputs) in layout.heads().iter().zip(&self.outputs) {
            for index in [Some(outputs.index), outputs.log_std].into_iter().flatten() {
                let tensor = &found[index];
                if tensor.len() != PLAYERS * head.outputs() || tensor.datum_type() != f32::datum_type() {
                    return Err(ModelError::OutputShape {
                        path: self.path.clone(),
                        output: outputs.name.clone(),
                        head: head.name.clone(),
                        found: format!("{:?} of {:?}", tensor.shape(), tensor.datum_type()),
                        expected: head.outputs(),
                    });
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, players: usize, features: &[f32]) -> TractResult<TVec<TValue>> {
        let shape = [players, features.len() / players.max(1)];
        match Arc::get_mut(&mut self.input).filter(|input| input.shape() == shape) {
            Some(input) => {
                let mut view = input.try_as_plain_ram_mut()?;
                view.as_slice_mut::<f32>()?.copy_from_slice(features);
            }
            None => self.input = Arc::new(Tensor::from_shape(&shape, features)?),
        }
        let found = self.state.run(tvec!(self.input.clone().into_tvalue()));
        if found.is_err() {
            // The values of a run that failed would be taken for those of the next.
            self.state.reset_turn()?;
        }
        found
    }
}

impl PolicyModel for OnnxModel {
    fn act(&mut self, observations: &ObservationBatch, actions: &mut ActionBatch) -> Result<(), PolicyError> {
        let failed = |error: TractError| PolicyError::Model(message(&error));
        let found = self
            .run(observations.len(), observations.all_features())
            .map_err(failed)?;
        for (index, outputs) in self.outputs.iter().enumerate() {
            let view = |output: usize| -> Result<&[f32], PolicyError> {
                let tensor = found[output].try_as_plain_ram().map_err(failed)?;
                tensor.as_slice::<f32>().map_err(failed)
            };
            let output = view(outputs.index)?;
            let expected = observations.len() * actions.layout().heads()[index].outputs();
            if output.len() != expected {
                return Err(PolicyError::OutputSize {
                    output: outputs.name.clone(),
                    found: output.len(),
                    expected,
                });
            }
            if actions.layout().heads()[index].alternatives().is_some() {
                actions.logits_mut(index).copy_from_slice(output);
                continue;
            }
            for (mean, &output) in actions.means_mut(index).iter_mut().zip(output) {
                *mean = f64::from(output);
            }
            match outputs.log_std {
                Some(log_std) => {
                    let output = view(log_std)?;
                    if output.len() != expected {
                        return Err(PolicyError::OutputSize {
                            output: format!("{}.log_std", outputs.name),
                            found: output.len(),
                            expected,
                        });
                    }
                    actions.log_stds_mut(index).copy_from_slice(output);
                }
                None => {
                    for row in actions
                        .log_stds_mut(index)
                        .chunks_exact_mut(outputs.log_stds.len().max(1))
                    {
                        row.copy_from_slice(&outputs.log_stds);
                    }
                }
            }
        }
        Ok(())
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn describe(&self) -> String {
        format!("`{}`", self.path)
    }

    fn check(&self, layout: &PolicyLayout) -> Result<(), ModelError> {
        let differences = self.metadata.differences(layout);
        if differences.is_empty() {
            return Ok(());
        }
        Err(ModelError::Schema {
            path: self.path.clone(),
            recording: layout.recording().to_owned(),
            differences,
        })
    }
}

fn check_operator_set(path: &str, proto: &pb::ModelProto) -> Result<(), ModelError> {
    let mut imports = proto.opset_import.iter();
    let default = imports.find(|import| import.domain.is_empty() || import.domain == "ai.onnx");
    match default.map(|import| import.version) {
        Some(found) if !OPERATOR_SETS.contains(&found) => Err(ModelError::OperatorSet {
            path: path.to_owned(),
            found,
            oldest: *OPERATOR_SETS.start(),
            newest: *OPERATOR_SETS.end(),
        }),
        Some(_) => Ok(()),
        None => Err(ModelError::Damaged {
            path: path.to_owned(),
            reason: "it names no operator set".to_owned(),
        }),
    }
}

fn check_input(path: &str, graph: &pb::GraphProto, features: usize) -> Result<(), ModelError> {
    // Old files list the weights among the inputs.
    let is_weight = |name: &str| graph.initializer.iter().any(|weight| weight.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !is_weight(&input.name)).collect();
    let shape = |input: &pb::ValueInfoProto| dimensions(input).unwrap_or_default();
    let is_right = match inputs.as_slice() {
        [input] => {
            input.name == "observation"
                && matches!(shape(input).as_slice(), [_, width] if width.is_none_or(|width| width == features as i64))
        }
        _ => false,
    };
    if is_right {
        return Ok(());
    }
    let found: Vec<_> = inputs
        .iter()
        .map(|input| format!("`{}` {}", input.name, display(&shape(input))))
        .collect();
    Err(ModelError::Inputs {
        path: path.to_owned(),
        found: if found.is_empty() {
            "(none)".to_owned()
        } else {
            found.join(", ")
        },
        features,
    })
}

fn find_outputs(
    path: &str,
    graph: &pb::GraphProto,
    metadata: &ModelMetadata,
    layout: &PolicyLayout,
) -> Result<Vec<HeadOutputs>, ModelError> {
    let position = |name: &str| graph.output.iter().position(|output| output.name == name);
    let heads = layout.heads().iter().map(|head| {
        let described = metadata.heads.iter().find(|described| described.name == head.name);
        let name = described.map_or_else(|| format!("action.{}", head.name), |described| described.output.clone());
        let index = position(&name).ok_or_else(|| {
            let found: Vec<_> = graph.output.iter().map(|output| format!("`{}`", output.name)).collect();
            ModelError::NoOutput {
                path: path.to_owned(),
                output: name.clone(),
                head: head.name.clone(),
                found: if found.is_empty() {
                    "(none)".to_owned()
                } else {
                    found.join(", ")
                },
            }
        })?;
        let shape = dimensions(&graph.output[index]);
        let width = shape.as_ref().and_then(|shape| match shape.as_slice() {
            [_, width] => *width,
            _ => None,
        });
        if let (Some(shape), Some(width)) = (&shape, width)
            && width != head.outputs() as i64
        {
            return Err(ModelError::OutputShape {
                path: path.to_owned(),
                output: name,
                head: head.name.clone(),
                found: display(shape),
                expected: head.outputs(),
            });
        }
        let log_std = match head.kind {
            HeadKind::Continuous { .. } => position(&format!("{name}.log_std")),
            HeadKind::Discrete { .. } => None,
        };
        let std = described.map_or(&[][..], |described| &described.std);
        let log_stds = (0..head.elements).map(|element| match std.get(element).copied().flatten() {
            Some(std) if std > 0.0 => std.ln() as f32,
            _ => f32::NAN,
        });
        Ok(HeadOutputs {
            name,
            index,
            log_std,
            log_stds: log_stds.collect(),
        })
    });
    heads.collect()
}

fn check_weights(path: &str, graph: &pb::GraphProto) -> Result<(), ModelError> {
    for weight in &graph.initializer {
        if weight.data_type != pb::tensor_proto::DataType::Float as i32 {
            continue;
        }
        let raw = weight.raw_data.chunks_exact(size_of::<f32>());
        let raw = raw.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let count = raw
            .chain(weight.float_data.iter().copied())
            .filter(|value| !value.is_finite())
            .count();
        if count > 0 {
            return Err(ModelError::NonFinite {
                path: path.to_owned(),
                weight: weight.name.clone(),
                count,
            });
        }
    }
    Ok(())
}

/// The dimensions of an input or output, `None` for each that is not fixed.
fn dimensions(value: &pb::ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let pb::type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let dims = &tensor.shape.as_ref()?.dim;
    Some(
        dims.iter()
            .map(|dim| match dim.value {
                Some(pb::tensor_shape_proto::dimension::Value::DimValue(value)) => Some(value),
                _ => None,
            })
            .collect(),
    )
}

fn display(shape: &[Option<i64>]) -> String {
    let dims: Vec<_> = shape
        .iter()
        .map(|dim| dim.map_or("batch".to_owned(), |dim| dim.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}

/// An error with its causes, on one line.
fn message(error: &TractError) -> String {
    format!("{error:#}").replace('\n', " ")
}

fn panic_message(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it cannot be parsed".to_owned())
}
