//! Why a type cannot be recorded.

/// Why a type, or one of its fields, cannot be recorded, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    message: String,
}
