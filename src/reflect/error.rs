//! [`FieldError`]: why a type or a field cannot be recorded, and the remedy.

use super::LeafEncoding;
use core::fmt;

/// Why a type, or some of its fields, cannot be recorded, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    type_path: &'static str,
    encoding: LeafEncoding,
    method: Option<RecordingMethod>,
    kind: FieldErrorKind,
}

/// The method of `Recording` that a type was given to, if its remedies differ from those of its [`LeafEncoding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordingMethod {
    Act,
    ObserveNearest,
    ObserveResource,
}

impl RecordingMethod {
    /// How to record a type or a field in another way than through reflection.
    fn alternative(self) -> &'static str {
        match self {
            Self::Act => {
                "compute values from it with `act_with` or `act_discrete_with`, or from a component to which you copy them"
            }
            Self::ObserveNearest => {
                "select other fields with `Nearest::with_field`, if need be of a component to which you copy the values"
            }
            Self::ObserveResource => "copy the values to observe into a separate resource",
        }
    }
}

/// What is wrong with a type or with a selection of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldErrorKind {
    /// Selected fields, at least one, cannot be recorded.
    Refused(Vec<RefusedField>),
    /// The type has no field at `path`; `known` lists those that can be recorded.
    Unknown { path: String, known: Vec<String> },
    /// A field is selected twice, or two selected fields have one name.
    Duplicate(String),
    /// The selection is an empty list.
    EmptySelection,
    /// The type has no leaf.
    NoLeaf,
}

/// A field that cannot be recorded, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedField {
    pub(super) name: String,
    pub(super) type_path: &'static str,
    pub(super) reason: RefusalReason,
}

/// Why a field cannot be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    Text,
    Entity,
    Handle,
    Opaque,
    DataEnum,
    EmptyEnum,
    Collection,
    Wide,
    NotBool,
    Optional,
    NestedOption,
    Recursive,
    TooLarge,
    BadBounds,
    EmptyName,
}

impl RefusalReason {
    /// The reason for a well-known type that is always refused, regardless of its type information.
    pub(super) fn of_type(type_path: &str) -> Option<Self> {
        match type_path {
            "alloc::string::String" | "alloc::borrow::Cow<str>" | "&str" | "char" => Some(Self::Text),
            "bevy_ecs::entity::Entity" => Some(Self::Entity),
            path if path.starts_with("bevy_asset::handle::") => Some(Self::Handle),
            _ => None,
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::Text => "text is not a number",
            Self::Entity => "an entity's id is not meaningful outside its world",
            Self::Handle => "a handle is not meaningful outside its process",
            Self::Opaque => "reflection exposes no numbers in it",
            Self::DataEnum => "an enum whose variants hold data has no fixed set of values",
            Self::EmptyEnum => "an enum without variants has no value",
            Self::Collection => "a collection has no fixed length",
            Self::Wide => "an `f32` cannot hold all of its 64 bits",
            Self::NotBool => "an action mask consists of `bool`s only",
            Self::Optional => "an action or info must have a value in every row",
            Self::NestedOption => "an `Option` in an `Option` has two ways to be absent",
            Self::Recursive => "it contains itself",
            Self::TooLarge => "it holds more than a million values",
            Self::BadBounds => "the bounds in its attributes are not an interval",
            Self::EmptyName => "the `ColumnName` in its attributes is empty",
        }
    }

    fn remedy(self, encoding: LeafEncoding) -> &'static str {
        match (self, encoding) {
            (Self::Wide, _) => {
                "accept the rounding with `.allow_lossy()`, leave the field out with `observe_fields`, or compute features from it with `observe_with`"
            }
            (Self::BadBounds, _) => "give `ColumnBounds::new(low, high)`, or the range, two numbers with `low <= high`",
            (Self::EmptyName, _) => "give it a name, or remove the attribute",
            (Self::NotBool, _) => "use a separate component for the mask, with one `bool` per choice",
            (Self::Optional, _) => "use a neutral value, with a separate `bool` field for its presence",
            (Self::Entity, LeafEncoding::Observation { .. }) => {
                "leave it out with `observe_fields`, or observe components of that entity with `observe_nearest` or `observe_with`"
            }
            (Self::Collection, LeafEncoding::Observation { .. }) => {
                "use an array, leave it out with `observe_fields`, or compute features from it with `observe_with`"
            }
            (_, LeafEncoding::Observation { .. }) => {
                "leave it out with `observe_fields` or `#[reflect(ignore)]`, or compute features from it with `observe_with`"
            }
            (_, LeafEncoding::Exact | LeafEncoding::Mask) => {
                "leave it out with `#[reflect(ignore)]`, or copy the values to record into a separate component"
            }
        }
    }
}

impl FieldError {
    pub(super) fn new(type_path: &'static str, encoding: LeafEncoding, kind: FieldErrorKind) -> Self {
        Self {
            type_path,
            encoding,
            method: None,
            kind,
        }
    }

    /// The same error with the remedies for a type that was given to `method`.
    pub(crate) fn with_method(self, method: RecordingMethod) -> Self {
        Self {
            method: Some(method),
            ..self
        }
    }

    fn remedy(&self, reason: RefusalReason) -> String {
        use RefusalReason::{BadBounds, EmptyName, Optional, Wide};
        match (self.method, reason) {
            (None, _) | (_, BadBounds | EmptyName | Optional) => reason.remedy(self.encoding).to_owned(),
            (Some(method), Wide) => format!("accept the rounding with `.allow_lossy()`, or {}", method.alternative()),
            (Some(method), _) => format!("leave it out with `#[reflect(ignore)]`, or {}", method.alternative()),
        }
    }

    fn write_refused(&self, f: &mut fmt::Formatter<'_>, field: &RefusedField) -> fmt::Result {
        let RefusedField {
            name,
            type_path,
            reason,
        } = field;
        let (explanation, remedy) = (reason.explanation(), self.remedy(*reason));
        write!(f, "`{name}` is of type `{type_path}`, and {explanation}: {remedy}")
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let type_path = self.type_path;
        match &self.kind {
            FieldErrorKind::Refused(fields) => {
                if let [field] = fields.as_slice() {
                    return self.write_refused(f, field);
                }
                write!(f, "{} fields of `{type_path}` cannot be recorded", fields.len())?;
                for field in fields {
                    f.write_str("\n- ")?;
                    self.write_refused(f, field)?;
                }
                Ok(())
            }
            FieldErrorKind::Unknown { path, known } => {
                write!(f, "`{type_path}` has no field `{path}`; ")?;
                if known.is_empty() {
                    return f.write_str("it has no fields that could be recorded");
                }
                f.write_str("it has ")?;
                for (index, name) in known.iter().enumerate() {
                    write!(f, "{}`{name}`", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            FieldErrorKind::Duplicate(name) => write!(
                f,
                "`{name}` of `{type_path}` would be recorded twice: select each field once, and not together with a field that contains it"
            ),
            FieldErrorKind::EmptySelection => write!(
                f,
                "no field of `{type_path}` was selected: select at least one, or record all of them"
            ),
            FieldErrorKind::NoLeaf => {
                write!(
                    f,
                    "`{type_path}` holds no value that could be recorded: give it a field that is reflected"
                )?;
                match (self.method, self.encoding) {
                    (Some(method), _) => write!(f, ", or {}", method.alternative()),
                    (None, LeafEncoding::Observation { .. }) => f.write_str(", or compute one with `observe_with`"),
                    (None, LeafEncoding::Exact | LeafEncoding::Mask) => Ok(()),
                }
            }
        }
    }
}

impl core::error::Error for FieldError {}
