//! Names and element types of HDF5.

use experience_core::schema::{Column, DType};
use hdf5_pure::{
    Datatype, EnumTypeBuilder, FormatError, GroupBuilder, make_f32_type, make_f64_type, make_i8_type, make_i16_type,
    make_i32_type, make_i64_type, make_u8_type, make_u16_type, make_u32_type, make_u64_type,
};

/// Escapes a name for one HDF5 link, so that it is not a path.
pub(super) fn link_name(name: &str) -> String {
    let mut link = String::with_capacity(name.len());
    for sign in name.chars() {
        match sign {
            '/' | '\0' | '%' => link.push_str(&format!("%{:02X}", u32::from(sign))),
            _ => link.push(sign),
        }
    }
    match link.as_str() {
        "" => "%empty".to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => link,
    }
}

/// Little-endian HDF5 types.
pub(super) struct Hdf5Types {
    /// An enumeration of one byte, as `h5py` writes bools.
    pub(super) bool: Datatype,
    pub(super) int8: Datatype,
}

impl Hdf5Types {
    pub(super) fn new() -> Result<Self, FormatError> {
        let bool = EnumTypeBuilder::with_base(make_i8_type())
            .value("FALSE", 0)
            .value("TRUE", 1)
            .build()?;
        Ok(Self {
            bool,
            int8: make_i8_type(),
        })
    }

    fn of(&self, dtype: DType) -> Datatype {
        match dtype {
            DType::F32 => make_f32_type(),
            DType::F64 => make_f64_type(),
            DType::I8 => make_i8_type(),
            DType::I16 => make_i16_type(),
            DType::I32 => make_i32_type(),
            DType::I64 => make_i64_type(),
            DType::U8 => make_u8_type(),
            DType::U16 => make_u16_type(),
            DType::U32 => make_u32_type(),
            DType::U64 => make_u64_type(),
            DType::Bool => self.bool.clone(),
        }
    }

    /// Writes the rows of a column in its own type, each with the shape `shape`.
    pub(super) fn write<'a>(
        &self,
        group: &mut GroupBuilder,
        name: &str,
        column: &Column,
        rows: impl Iterator<Item = &'a [u8]>,
        shape: &[usize],
    ) {
        let rows: Vec<&[u8]> = rows.collect();
        let mut extents = vec![rows.len() as u64];
        extents.extend(shape.iter().map(|extent| *extent as u64));
        let values = extents.iter().product();
        let mut bytes: Vec<u8> = rows.concat();
        if cfg!(target_endian = "big") {
            bytes.chunks_exact_mut(column.dtype.size()).for_each(<[u8]>::reverse);
        }
        group
            .create_dataset(name)
            .with_raw_data(self.of(column.dtype), bytes, values)
            .with_shape(&extents);
    }
}
