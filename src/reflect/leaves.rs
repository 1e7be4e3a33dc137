//! Leaf discovery: collects the leaves of a type and their columns, or the reasons for refusal, from its `TypeInfo`.
//!
//! An array adds its length to the shape of each column below it. `[[f32; 20]; 20]` is one column of shape `[20, 20]`,
//! and a field `coins: [Vec2; 4]` is two columns of shape `[4]`, `coins.x` and `coins.y`.

use super::{
    LeafEncoding,
    attributes::{self, ColumnBounds},
    error::{RefusalReason, RefusedField},
    path::PathStep,
    scalar::Scalar,
    time::{self, TimeLeaf},
};
use bevy_math::{BVec3A, BVec4A};
use bevy_reflect::{
    Type, TypeInfo,
    attributes::CustomAttributes,
    enums::{EnumInfo, VariantInfo},
    structs::StructInfo,
};
use core::any::TypeId;
use experience_core::schema::{Column, DType, Space};

/// Columns with more elements are refused.
const MAX_WIDTH: usize = 1 << 20;

/// The leaves of one column. They share a path, in which the indices of arrays are left open.
#[derive(Clone, Debug)]
pub(super) struct LeafSet {
    pub(super) path: Box<[PathStep]>,
    pub(super) kind: LeafKind,
    /// The number of leaves: the product of the lengths of the arrays on the path.
    pub(super) count: usize,
}

/// What a leaf holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeafKind {
    Scalar(Scalar),
    /// The variant of an enum whose variants have no reflected fields.
    Variant {
        /// The number of variants.
        count: usize,
    },
    /// A number of a type of time, in an observation.
    Time(TimeLeaf),
    /// Whether an `Option` is `Some`, with its scalar if it is an `Option` of one.
    Presence(Option<Scalar>),
}

/// One segment of the dotted path of a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameSegment {
    /// The name of the field in Rust, by which it is selected.
    pub(super) text: String,
    /// Whether column names leave the segment out, as they do for the only field of a tuple struct.
    pub(super) is_elided: bool,
    /// The name that replaces `text` in column names.
    column: Option<&'static str>,
}

impl NameSegment {
    fn named(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_elided: false,
            column: None,
        }
    }

    /// The segment of a field with these attributes.
    fn with_attributes(mut self, attributes: &CustomAttributes) -> Self {
        self.column = attributes::name(attributes);
        // A name for the only field of a tuple struct is part of the column's name.
        self.is_elided &= self.column.is_none();
        self
    }
}

/// A field of a type: its leaves and their column, or why it is refused.
#[derive(Debug)]
pub(super) struct FieldEntry {
    pub(super) path: Vec<NameSegment>,
    /// Selected by its path only, not with all fields.
    pub(super) is_detail: bool,
    pub(super) result: Result<(LeafSet, Column), RefusedField>,
}

/// Lists the fields of a type in order of declaration. Column names begin with `root`; a column whose name would be
/// empty is called `fallback_name`.
pub(super) fn collect_leaves(
    root: &str,
    fallback_name: &str,
    info: &'static TypeInfo,
    encoding: LeafEncoding,
) -> Vec<FieldEntry> {
    let mut visitor = TypeVisitor {
        root,
        fallback_name,
        encoding,
        ancestors: Vec::new(),
        path: Vec::new(),
        steps: Vec::new(),
        shape: Vec::new(),
        field_type: info.type_path(),
        bounds: None,
        is_detail: false,
        entries: Vec::new(),
    };
    visitor.visit(Some(info), info.type_path());
    visitor.entries
}

/// A depth-first visitor of type information. All fields except `entries` describe the current position.
struct TypeVisitor<'a> {
    root: &'a str,
    fallback_name: &'a str,
    encoding: LeafEncoding,
    ancestors: Vec<TypeId>,
    path: Vec<NameSegment>,
    steps: Vec<PathStep>,
    shape: Vec<usize>,
    /// The type of the innermost field, including the arrays around the current type.
    field_type: &'static str,
    bounds: Option<ColumnBounds>,
    is_detail: bool,
    entries: Vec<FieldEntry>,
}

impl TypeVisitor<'_> {
    fn visit(&mut self, info: Option<&'static TypeInfo>, type_path: &'static str) {
        let Some(info) = info else {
            return self.refuse(type_path, RefusalReason::Opaque);
        };
        // A type cannot contain itself by value, but hand-written type information can be wrong.
        if self.ancestors.contains(&info.type_id()) {
            return self.refuse(type_path, RefusalReason::Recursive);
        }
        if let Some(reason) = RefusalReason::of_type(type_path) {
            return self.refuse(type_path, reason);
        }
        self.ancestors.push(info.type_id());
        match info {
            TypeInfo::Struct(info) if time::is_timer(info.type_id()) => self.timer(info),
            TypeInfo::Struct(info) => {
                for (index, field) in info.iter().enumerate() {
                    let segment = NameSegment::named(field.name()).with_attributes(field.custom_attributes());
                    self.bounded(field.custom_attributes(), |this| {
                        this.field(index, segment, field.ty(), field.type_info());
                    });
                }
            }
            TypeInfo::TupleStruct(info) => {
                for (index, field) in info.iter().enumerate() {
                    let segment = NameSegment {
                        is_elided: info.field_len() == 1,
                        ..NameSegment::named(index.to_string())
                    }
                    .with_attributes(field.custom_attributes());
                    self.bounded(field.custom_attributes(), |this| {
                        this.field(index, segment, field.ty(), field.type_info());
                    });
                }
            }
            TypeInfo::Tuple(info) => {
                for (index, field) in info.iter().enumerate() {
                    self.field(
                        index,
                        NameSegment::named(index.to_string()),
                        field.ty(),
                        field.type_info(),
                    );
                }
            }
            TypeInfo::Array(info) => self.array(info.capacity(), info.item_info(), info.item_ty().path()),
            TypeInfo::Enum(info) => self.enumeration(info),
            TypeInfo::Opaque(info) => self.opaque(info.ty().id(), type_path),
            TypeInfo::List(_) | TypeInfo::Map(_) | TypeInfo::Set(_) => {
                self.refuse(type_path, RefusalReason::Collection);
            }
        }
        self.ancestors.pop();
    }

    /// Runs `visit` for a field, with the bounds that the field's attributes set for all numbers in it.
    fn bounded(&mut self, attributes: &CustomAttributes, visit: impl FnOnce(&mut Self)) {
        let outer = self.bounds;
        self.bounds = attributes::bounds(attributes).or(outer);
        visit(self);
        self.bounds = outer;
    }

    fn field(&mut self, index: usize, segment: NameSegment, ty: &Type, info: Option<&'static TypeInfo>) {
        let outer = core::mem::replace(&mut self.field_type, ty.path());
        self.path.push(segment);
        self.steps.push(PathStep::Field(index));
        match self.path.last() {
            Some(NameSegment { column: Some(""), .. }) => self.refuse(ty.path(), RefusalReason::EmptyName),
            _ => self.visit(info, ty.path()),
        }
        self.steps.pop();
        self.path.pop();
        self.field_type = outer;
    }

    fn array(&mut self, extent: usize, item: Option<&'static TypeInfo>, item_path: &'static str) {
        let width = self.shape.iter().try_fold(extent, |width, &n| width.checked_mul(n));
        if width.is_none_or(|width| width > MAX_WIDTH) {
            return self.refuse(self.field_type, RefusalReason::TooLarge);
        }
        if extent == 0 {
            return;
        }
        self.shape.push(extent);
        self.steps.push(PathStep::Element { extent, divisor: 1 });
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
            return self.refuse(info.type_path(), RefusalReason::DataEnum);
        }
        if info.variant_len() == 0 {
            return self.refuse(info.type_path(), RefusalReason::EmptyEnum);
        }
        let count = info.variant_len();
        let labels: Vec<_> = info.iter().map(|variant| variant.name().to_owned()).collect();
        let kind = LeafKind::Variant { count };
        match self.encoding {
            LeafEncoding::Observation { .. } => {
                let width: usize = self.shape.iter().product();
                if width.saturating_mul(count) > MAX_WIDTH {
                    return self.refuse(self.field_type, RefusalReason::TooLarge);
                }
                let mut column = self.column(DType::F32, Space::bounded(0.0, 1.0));
                // Labels name the elements of one dimension, so an array of enums has none.
                if column.shape.is_empty() {
                    column.labels = labels;
                }
                column.shape.push(count);
                self.push_leaves(kind, column);
            }
            LeafEncoding::Exact => {
                let n = count as u64;
                let column = self.column(DType::I64, Space::Discrete { n, labels });
                self.push_leaves(kind, column);
            }
            LeafEncoding::Image => self.refuse(info.type_path(), RefusalReason::NotImage),
            LeafEncoding::Mask => self.refuse(info.type_path(), RefusalReason::NotBool),
        }
    }

    fn option(&mut self, type_path: &'static str, value: Option<&'static TypeInfo>, value_path: &'static str) {
        match self.encoding {
            LeafEncoding::Observation { .. } => {}
            LeafEncoding::Exact => return self.refuse(type_path, RefusalReason::Optional),
            LeafEncoding::Image => return self.refuse(type_path, RefusalReason::NotImage),
            LeafEncoding::Mask => return self.refuse(type_path, RefusalReason::NotBool),
        }
        if matches!(value, Some(TypeInfo::Enum(info)) if option(info).is_some()) {
            return self.refuse(type_path, RefusalReason::NestedOption);
        }
        self.steps.push(PathStep::Some);
        self.visit(value, value_path);
        self.steps.pop();
        self.path.push(NameSegment::named("is_some"));
        let column = self.column(DType::F32, Space::bounded(0.0, 1.0));
        let scalar = value.and_then(|info| Scalar::of(info.type_id()));
        self.push_leaves(LeafKind::Presence(scalar), column);
        self.path.pop();
    }

    /// A timer is observed as the elapsed seconds, the fraction, and whether it is finished. Its other fields can be selected.
    fn timer(&mut self, info: &'static StructInfo) {
        match self.encoding {
            LeafEncoding::Observation { .. } => {}
            LeafEncoding::Exact => return self.refuse(info.type_path(), RefusalReason::Time),
            LeafEncoding::Mask => return self.refuse(info.type_path(), RefusalReason::NotBool),
            LeafEncoding::Image => return self.refuse(info.type_path(), RefusalReason::NotImage),
        }
        for (name, leaf) in [("elapsed", TimeLeaf::Elapsed), ("fraction", TimeLeaf::Fraction)] {
            self.path.push(NameSegment::named(name));
            self.time(leaf, info.type_path());
            self.path.pop();
        }
        let outer = self.is_detail;
        for (index, field) in info.iter().enumerate() {
            self.is_detail = outer || field.name() != "finished";
            self.field(index, NameSegment::named(field.name()), field.ty(), field.type_info());
        }
        self.is_detail = outer;
    }

    fn time(&mut self, leaf: TimeLeaf, type_path: &'static str) {
        match self.encoding {
            LeafEncoding::Observation { .. } => {}
            LeafEncoding::Exact => return self.refuse(type_path, RefusalReason::Time),
            LeafEncoding::Mask => return self.refuse(type_path, RefusalReason::NotBool),
            LeafEncoding::Image => return self.refuse(type_path, RefusalReason::NotImage),
        }
        let Some(space) = self.bounds.map_or_else(|| Some(leaf.space()), ColumnBounds::space) else {
            return self.refuse(type_path, RefusalReason::BadBounds);
        };
        let column = self.column(DType::F32, space);
        self.push_leaves(LeafKind::Time(leaf), column);
    }

    fn opaque(&mut self, id: TypeId, type_path: &'static str) {
        if time::is_duration(id) {
            return self.time(TimeLeaf::Seconds, type_path);
        }
        let lanes = if id == TypeId::of::<BVec3A>() {
            3
        } else if id == TypeId::of::<BVec4A>() {
            4
        } else {
            0
        };
        for (lane, name) in ["x", "y", "z", "w"].into_iter().take(lanes).enumerate() {
            self.path.push(NameSegment::named(name));
            self.steps.push(PathStep::Lane(lane));
            self.scalar(Scalar::Bool, type_path);
            self.steps.pop();
            self.path.pop();
        }
        match Scalar::of(id) {
            Some(scalar) => self.scalar(scalar, type_path),
            None if lanes > 0 => {}
            None => self.refuse(type_path, RefusalReason::Opaque),
        }
    }

    fn scalar(&mut self, scalar: Scalar, type_path: &'static str) {
        let (dtype, mut space) = match self.encoding {
            LeafEncoding::Observation { allow_lossy: false } if scalar.is_wide() => {
                return self.refuse(type_path, RefusalReason::Wide);
            }
            LeafEncoding::Mask if scalar != Scalar::Bool => return self.refuse(type_path, RefusalReason::NotBool),
            LeafEncoding::Image if scalar != Scalar::U8 || !matches!(self.shape.len(), 2 | 3) => {
                return self.refuse(self.field_type, RefusalReason::NotImage);
            }
            LeafEncoding::Observation { .. } => (DType::F32, scalar.feature_space()),
            LeafEncoding::Image => (DType::U8, Space::bounded(0.0, 255.0)),
            LeafEncoding::Exact | LeafEncoding::Mask => (scalar.dtype(), scalar.exact_space()),
        };
        if let Some(bounds) = self.bounds
            && scalar != Scalar::Bool
        {
            match bounds.space() {
                Some(bounded) => space = bounded,
                None => return self.refuse(type_path, RefusalReason::BadBounds),
            }
        }
        let mut column = self.column(dtype, space);
        if self.encoding == LeafEncoding::Image && column.shape.len() == 2 {
            column.shape.push(1);
        }
        self.push_leaves(LeafKind::Scalar(scalar), column);
    }

    fn push_leaves(&mut self, kind: LeafKind, column: Column) {
        let mut path: Box<[_]> = self.steps.as_slice().into();
        let mut count = 1;
        for step in path.iter_mut().rev() {
            if let PathStep::Element { extent, divisor } = step {
                *divisor = count;
                count *= *extent;
            }
        }
        self.entries.push(FieldEntry {
            path: self.path.clone(),
            is_detail: self.is_detail,
            result: Ok((LeafSet { path, kind, count }, column)),
        });
    }

    fn refuse(&mut self, type_path: &'static str, reason: RefusalReason) {
        self.entries.push(FieldEntry {
            path: self.path.clone(),
            is_detail: self.is_detail,
            result: Err(RefusedField {
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
        for segment in self.path.iter().filter(|segment| !segment.is_elided) {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(segment.column.unwrap_or(&segment.text));
        }
        if name.is_empty() {
            self.fallback_name.to_owned()
        } else {
            name
        }
    }
}

/// The `Some` variant of `core::option::Option`; `None` for any other enum.
fn option(info: &EnumInfo) -> Option<&VariantInfo> {
    let table = info.type_path_table();
    let is_option = table.module_path() == Some("core::option") && table.ident() == Some("Option");
    info.variant("Some").filter(|_| is_option)
}
