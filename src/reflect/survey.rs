//! From type information alone: which leaves a type has, what they are called, and which of them are refused.
//!
//! An array adds its length to the shape of every leaf below it. So `[[f32; 20]; 20]` is one column of shape `[20, 20]`,
//! and `[Vec2; 4]` in a field `coins` is two columns of shape `[4]`: `coins.x` and `coins.y`.

use super::{
    Target,
    attributes::{self, ColumnBounds},
    error::{Reason, Refusal},
    scalar::Scalar,
    walk::Step,
};
use bevy_math::{BVec3A, BVec4A};
use bevy_reflect::{
    Type, TypeInfo,
    attributes::CustomAttributes,
    enums::{EnumInfo, VariantInfo},
};
use core::any::TypeId;
use experience_core::schema::{Column, DType, Space};

/// Columns wider than this are refused.
const MAX_WIDTH: usize = 1 << 20;

/// The leaves of one column: the same path but for the indices of arrays.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    pub(super) steps: Box<[Step]>,
    pub(super) kind: Kind,
    /// How many leaves there are.
    pub(super) leaves: usize,
}

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(Scalar),
    /// The variant of an enum without data.
    Variant {
        id: TypeId,
        count: usize,
        /// Whether the variants cannot even hold data that reflection does not see.
        unit: bool,
    },
    /// Whether an `Option` is `Some`; of this scalar, if of any.
    Presence(Option<Scalar>),
}

/// A part of a leaf's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The name of the field in Rust, by which it is selected.
    pub(super) text: String,
    /// Whether the leaf's name leaves it out: the only field of a tuple struct.
    pub(super) silent: bool,
    /// What replaces the field's name in the names of columns.
    column: Option<&'static str>,
}

impl Segment {
    fn named(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            silent: false,
            column: None,
        }
    }

    /// The segment of a field with these attributes.
    fn with_attributes(mut self, attributes: &CustomAttributes) -> Self {
        self.column = attributes::name(attributes);
        // A name for the only field of a tuple struct is part of the column's name.
        self.silent &= self.column.is_none();
        self
    }
}

/// A column, or why there is none.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) path: Vec<Segment>,
    pub(super) found: Result<(Feature, Column), Refusal>,
}

/// Lists the leaves of a type, each name beginning with `root`. A leaf that has no name otherwise is called `alone`.
pub(super) fn survey(root: &str, alone: &str, info: &'static TypeInfo, target: Target) -> Vec<Surveyed> {
    let mut surveyor = Surveyor {
        root,
        alone,
        target,
        ancestors: Vec::new(),
        path: Vec::new(),
        steps: Vec::new(),
        shape: Vec::new(),
        field_type: info.type_path(),
        bounds: None,
        surveyed: Vec::new(),
    };
    surveyor.visit(Some(info), info.type_path());
    surveyor.surveyed
}

/// The way to where the survey is.
struct Surveyor<'a> {
    root: &'a str,
    alone: &'a str,
    target: Target,
    ancestors: Vec<TypeId>,
    path: Vec<Segment>,
    steps: Vec<Step>,
    shape: Vec<usize>,
    /// The type of the field, arrays and all.
    field_type: &'static str,
    bounds: Option<ColumnBounds>,
    surveyed: Vec<Surveyed>,
}

impl Surveyor<'_> {
    fn visit(&mut self, info: Option<&'static TypeInfo>, type_path: &'static str) {
        let Some(info) = info else {
            return self.refuse(type_path, Reason::Opaque);
        };
        // No value contains another of its type, but a hand-written description may say so.
        if self.ancestors.contains(&info.type_id()) {
            return self.refuse(type_path, Reason::Recursive);
        }
        if let Some(reason) = Reason::of_known(type_path) {
            return self.refuse(type_path, reason);
        }
        self.ancestors.push(info.type_id());
        match info {
            TypeInfo::Struct(info) => {
                for (index, field) in info.iter().enumerate() {
                    let segment = Segment::named(field.name()).with_attributes(field.custom_attributes());
                    self.bounded(field.custom_attributes(), |this| {
                        this.field(index, segment, field.ty(), field.type_info());
                    });
                }
            }
            TypeInfo::TupleStruct(info) => {
                for (index, field) in info.iter().enumerate() {
                    let segment = Segment {
                        silent: info.field_len() == 1,
                        ..Segment::named(index.to_string())
                    }
                    .with_attributes(field.custom_attributes());
                    self.bounded(field.custom_attributes(), |this| {
                        this.field(index, segment, field.ty(), field.type_info());
                    });
                }
            }
            TypeInfo::Tuple(info) => {
                for (index, field) in info.iter().enumerate() {
                    self.field(index, Segment::named(index.to_string()), field.ty(), field.type_info());
                }
            }
            TypeInfo::Array(info) => self.array(info.capacity(), info.item_info(), info.item_ty().path()),
            TypeInfo::Enum(info) => self.enumeration(info),
            TypeInfo::Opaque(info) => self.opaque(info.ty().id(), type_path),
            TypeInfo::List(_) | TypeInfo::Map(_) | TypeInfo::Set(_) => self.refuse(type_path, Reason::Collection),
        }
        self.ancestors.pop();
    }

    /// Visits a field with the bounds that its attributes give to all numbers in it.
    fn bounded(&mut self, attributes: &CustomAttributes, visit: impl FnOnce(&mut Self)) {
        let outer = self.bounds;
        self.bounds = attributes::bounds(attributes).or(outer);
        visit(self);
        self.bounds = outer;
    }

    fn field(&mut self, index: usize, segment: Segment, ty: &Type, info: Option<&'static TypeInfo>) {
        let outer = core::mem::replace(&mut self.field_type, ty.path());
        self.path.push(segment);
        self.steps.push(Step::Field(index));
        match self.path.last() {
            Some(Segment { column: Some(""), .. }) => self.refuse(ty.path(), Reason::EmptyName),
            _ => self.visit(info, ty.path()),
        }
        self.steps.pop();
        self.path.pop();
        self.field_type = outer;
    }

    fn array(&mut self, extent: usize, item: Option<&'static TypeInfo>, item_path: &'static str) {
        let width = self.shape.iter().try_fold(extent, |width, &n| width.checked_mul(n));
        if width.is_none_or(|width| width > MAX_WIDTH) {
            return self.refuse(self.field_type, Reason::TooLarge);
        }
        if extent == 0 {
            return;
        }
        self.shape.push(extent);
        self.steps.push(Step::Element { extent, divisor: 1 });
        self.visit(item, item_path);
        self.steps.pop();
        self.shape.pop();
    }

    fn enumeration(&mut self, info: &'static EnumInfo) {
        if let Some(VariantInfo::Tuple(some)) = option(info) {
            let Some(value) = some.field_at(0) else {
                return;
            };
            return self.option(info.type_path(), value.type_info(), value.type_path());
        }
        let fields = |variant: &VariantInfo| match variant {
            VariantInfo::Struct(info) => info.field_len(),
            VariantInfo::Tuple(info) => info.field_len(),
            VariantInfo::Unit(_) => 0,
        };
        if info.iter().any(|variant| fields(variant) > 0) {
            return self.refuse(info.type_path(), Reason::DataEnum);
        }
        if info.variant_len() == 0 {
            return self.refuse(info.type_path(), Reason::EmptyEnum);
        }
        let count = info.variant_len();
        let labels: Vec<_> = info.iter().map(|variant| variant.name().to_owned()).collect();
        let kind = Kind::Variant {
            id: info.ty().id(),
            count,
            unit: info.iter().all(|variant| matches!(variant, VariantInfo::Unit(_))),
        };
        match self.target {
            Target::Observation { .. } => {
                let width: usize = self.shape.iter().product();
                if width.saturating_mul(count) > MAX_WIDTH {
                    return self.refuse(self.field_type, Reason::TooLarge);
                }
                let mut column = self.column(DType::F32, Space::bounded(0.0, 1.0));
                // Only a single choice can name its alternatives: labels belong to one dimension.
                if column.shape.is_empty() {
                    column.labels = labels;
                }
                column.shape.push(count);
                self.keep(kind, column);
            }
            Target::Exact => {
                let n = count as u64;
                let column = self.column(DType::I64, Space::Discrete { n, labels });
                self.keep(kind, column);
            }
            Target::Mask => self.refuse(info.type_path(), Reason::NotBool),
        }
    }

    fn option(&mut self, type_path: &'static str, value: Option<&'static TypeInfo>, value_path: &'static str) {
        match self.target {
            Target::Observation { .. } => {}
            Target::Exact => return self.refuse(type_path, Reason::Optional),
            Target::Mask => return self.refuse(type_path, Reason::NotBool),
        }
        if matches!(value, Some(TypeInfo::Enum(info)) if option(info).is_some()) {
            return self.refuse(type_path, Reason::NestedOption);
        }
        self.steps.push(Step::Some);
        self.visit(value, value_path);
        self.steps.pop();
        self.path.push(Segment::named("is_some"));
        let column = self.column(DType::F32, Space::bounded(0.0, 1.0));
        let scalar = value.and_then(|info| Scalar::of(info.type_id()));
        self.keep(Kind::Presence(scalar), column);
        self.path.pop();
    }

    fn opaque(&mut self, id: TypeId, type_path: &'static str) {
        let lanes = if id == TypeId::of::<BVec3A>() {
            3
        } else if id == TypeId::of::<BVec4A>() {
            4
        } else {
            0
        };
        for (lane, name) in ["x", "y", "z", "w"].into_iter().take(lanes).enumerate() {
            self.path.push(Segment::named(name));
            self.steps.push(Step::Lane(lane));
            self.scalar(Scalar::Bool, type_path);
            self.steps.pop();
            self.path.pop();
        }
        match Scalar::of(id) {
            Some(scalar) => self.scalar(scalar, type_path),
            None if lanes > 0 => {}
            None => self.refuse(type_path, Reason::Opaque),
        }
    }

    fn scalar(&mut self, scalar: Scalar, type_path: &'static str) {
        let (dtype, mut space) = match self.target {
            Target::Observation { narrow: false } if scalar.is_wide() => return self.refuse(type_path, Reason::Wide),
            Target::Mask if scalar != Scalar::Bool => return self.refuse(type_path, Reason::NotBool),
            Target::Observation { .. } => (DType::F32, scalar.feature_space()),
            Target::Exact | Target::Mask => (scalar.dtype(), scalar.exact_space()),
        };
        if let Some(bounds) = self.bounds
            && scalar != Scalar::Bool
        {
            match bounds.space() {
                Some(bounded) => space = bounded,
                None => return self.refuse(type_path, Reason::BadBounds),
            }
        }
        let column = self.column(dtype, space);
        self.keep(Kind::Scalar(scalar), column);
    }

    fn keep(&mut self, kind: Kind, column: Column) {
        let mut steps: Box<[_]> = self.steps.as_slice().into();
        let mut leaves = 1;
        for step in steps.iter_mut().rev() {
            if let Step::Element { extent, divisor } = step {
                *divisor = leaves;
                leaves *= *extent;
            }
        }
        let feature = Feature { steps, kind, leaves };
        self.surveyed.push(Surveyed {
            path: self.path.clone(),
            found: Ok((feature, column)),
        });
    }

    fn refuse(&mut self, type_path: &'static str, reason: Reason) {
        self.surveyed.push(Surveyed {
            path: self.path.clone(),
            found: Err(Refusal {
                name: self.name(),
                type_path,
                reason,
            }),
        });
    }

    fn column(&self, dtype: DType, space: Space) -> Column {
        Column {
            shape: self.shape.clone(),
            ..Column::scalar(self.name(), dtype, space)
        }
    }

    fn name(&self) -> String {
        let mut name = self.root.to_owned();
        for segment in self.path.iter().filter(|segment| !segment.silent) {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(segment.column.unwrap_or(&segment.text));
        }
        if name.is_empty() { self.alone.to_owned() } else { name }
    }
}

/// The `Some` of an `Option`.
fn option(info: &EnumInfo) -> Option<&VariantInfo> {
    let table = info.type_path_table();
    let is_option = table.module_path() == Some("core::option") && table.ident() == Some("Option");
    info.variant("Some").filter(|_| is_option)
}
