//! [`FieldError`]: why a type or a field cannot be recorded, and the remedy.

use super::LeafEncoding;
use core::fmt;
use std::borrow::Cow;

/// Why a type, or some of its fields, cannot be recorded, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    type_path: &'static str,
    usage: FieldUsage,
    kind: FieldErrorKind,
}

/// What the fields of a type were to be recorded as. It determines which remedies exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldUsage {
    /// Features of a player's component: `observe`, `observe_fields`.
    Observation,
    /// Features of a component that players may lack: `observe_optional`.
    Optional,
    /// Features of a resource: `observe_resource`.
    Resource,
    /// Features of a unique entity: `observe_single`.
    Single,
    /// Features of a related entity: `observe_related`.
    Related,
    /// Features of a neighbour's component: `with_field` of `Nearest` and `EntityList`.
    Neighbor,
    /// Columns of a component's own types: `act`.
    Action,
    /// Pixels of a component: `observe_image`.
    Image,
    /// Columns of a resource: `act_resource`.
    ResourceAction,
    /// Columns of a related entity: `act_related`.
    RelatedAction,
    /// As an action: `info`.
    Info,
    /// `action_mask`.
    Mask,
    /// `match_id`.
    MatchId,
}

impl FieldUsage {
    fn of(encoding: LeafEncoding) -> Self {
        match encoding {
            LeafEncoding::Observation { .. } => Self::Observation,
            LeafEncoding::Exact => Self::Info,
            LeafEncoding::Image => Self::Image,
            LeafEncoding::Mask => Self::Mask,
        }
    }

    /// How to record a type without the field that is refused, or a value computed from the field.
    fn alternative(self) -> &'static str {
        match self {
            Self::Observation => {
                "leave it out with `observe_fields` or `#[reflect(ignore)]`, or compute features from it with `observe_with`"
            }
            Self::Optional => {
                "leave it out with `observe_optional_fields` or `#[reflect(ignore)]`, or compute features from it with \
                 `observe_optional_with`"
            }
            Self::Resource => {
                "leave it out with `observe_resource_fields` or `#[reflect(ignore)]`, or compute features from it with \
                 `observe_resource_with`"
            }
            Self::Single => {
                "leave it out with `observe_single_fields` or `#[reflect(ignore)]`, or compute features from it with \
                 `observe_single_with`"
            }
            Self::Related => {
                "leave it out with `observe_related_fields` or `#[reflect(ignore)]`, or compute features from it with \
                 `observe_related_with`"
            }
            Self::Image => {
                "leave it out with `#[reflect(ignore)]`, observe it with `observe_fields`, or write the pixels with \
                 `observe_image_with`"
            }
            Self::Neighbor => {
                "name other fields in `with_field`, or copy the values to record into a separate component"
            }
            Self::Action => {
                "leave it out with `#[reflect(ignore)]`, compute the action from it with `act_with` or `act_discrete_with`, or \
                 copy the values to record into a separate component"
            }
            Self::ResourceAction => {
                "leave it out with `#[reflect(ignore)]`, or compute the action from it with `act_resource_with` or \
                 `act_resource_discrete_with`"
            }
            Self::RelatedAction => {
                "leave it out with `#[reflect(ignore)]`, or compute the action from it with `act_related_with` or \
                 `act_related_discrete_with`"
            }
            Self::Info | Self::Mask => {
                "leave it out with `#[reflect(ignore)]`, or copy the values to record into a separate component"
            }
            Self::MatchId => "give `match_id` a component with one integer",
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
    NotImage,
    Optional,
    Time,
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
            Self::NotImage => {
                "an image is an array of `u8`: `[[[u8; CHANNELS]; WIDTH]; HEIGHT]`, or `[[u8; WIDTH]; HEIGHT]`"
            }
            Self::NotBool => "an action mask consists of `bool`s only",
            Self::Optional => "an action or info must have a value in every row",
            Self::Time => "a duration is recorded as seconds in observations only",
            Self::NestedOption => "an `Option` in an `Option` has two ways to be absent",
            Self::Recursive => "it contains itself",
            Self::TooLarge => "it holds more than a million values",
            Self::BadBounds => "the bounds in its attributes are not an interval",
            Self::EmptyName => "the `ColumnName` in its attributes is empty",
        }
    }

    fn remedy(self, usage: FieldUsage) -> Cow<'static, str> {
        let text = match (self, usage) {
            (Self::Wide, FieldUsage::Observation) => {
                "accept the rounding with `.allow_lossy()`, leave the field out with `observe_fields`, or compute features from it with `observe_with`"
            }
            (Self::Wide, _) => {
                return format!("accept the rounding with `.allow_lossy()`, {}", usage.alternative()).into();
            }
            (Self::BadBounds, _) => "give `ColumnBounds::new(low, high)`, or the range, two numbers with `low <= high`",
            (Self::EmptyName, _) => "give it a name, or remove the attribute",
            (Self::NotBool, _) => "use a separate component for the mask, with one `bool` per choice",
            (Self::Optional, _) if usage != FieldUsage::MatchId => {
                "use a neutral value, with a separate `bool` field for its presence"
            }
            (Self::Entity, FieldUsage::Observation) => {
                "leave it out with `observe_fields`, or observe components of that entity with `observe_related`, `observe_nearest` or `observe_system`"
            }
            (Self::Collection, FieldUsage::Observation) => {
                "use an array, leave it out with `observe_fields`, or compute features from it with `observe_with`"
            }
            _ => usage.alternative(),
        };
        text.into()
    }
}

impl FieldError {
    pub(super) fn new(type_path: &'static str, encoding: LeafEncoding, kind: FieldErrorKind) -> Self {
        Self {
            type_path,
            usage: FieldUsage::of(encoding),
            kind,
        }
    }

    /// The error, with the remedies for this use of the type.
    pub(crate) fn for_usage(self, usage: FieldUsage) -> Self {
        Self { usage, ..self }
    }

    fn write_refused(&self, f: &mut fmt::Formatter<'_>, field: &RefusedField) -> fmt::Result {
        let RefusedField {
            name,
            type_path,
            reason,
        } = field;
        let (explanation, remedy) = (reason.explanation(), reason.remedy(self.usage));
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
                match self.usage {
                    FieldUsage::Observation => f.write_str(", or compute one with `observe_with`"),
                    FieldUsage::Image => f.write_str(", or write the pixels with `observe_image_with`"),
                    FieldUsage::Resource => f.write_str(", or compute one with `observe_resource_with`"),
                    FieldUsage::Single => f.write_str(", or compute one with `observe_single_with`"),
                    FieldUsage::Related => f.write_str(", or compute one with `observe_related_with`"),
                    FieldUsage::Optional => f.write_str(", or observe whether it is there with `observe_has`"),
                    FieldUsage::Action => f.write_str(", or compute one with `act_with` or `act_discrete_with`"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl core::error::Error for FieldError {}
