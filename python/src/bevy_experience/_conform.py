"""Converts Arrow columns to NumPy arrays of the types that the schema states.

pandas, polars and DuckDB keep the values of a column and change its type: fixed-size lists become
lists of any size, integers with nulls become floats, and dictionaries and strings get other widths.
pandas also writes NaN as a missing value, in lists too.
A type is accepted if all of its values can be converted without a change of meaning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


class ColumnError(Exception):
    """A type or a value of a column has another meaning. The message is a sentence."""


class MissingValueError(Exception):
    """A value is missing in a column that has one in every row. The message is a sentence."""


class Values(NamedTuple):
    """The values of a column, and which rows have one."""

    data: NDArray[Any]
    """Shape ``(rows,)`` or ``(rows, width)``; 0 in a row without a value."""
    valid: NDArray[np.bool_] | None
    """``bool [rows]``; ``None`` if every row has a value."""


def numbers(
    name: str,
    column: Any,
    dtype: np.dtype[Any],
    width: int | None,
    *,
    nullable: bool = False,
    can_be_nan: bool = False,
) -> Values:
    """Convert a column of numbers, booleans or lists of them.

    Parameters
    ----------
    name : str
        The name of the column, for errors.
    column : pyarrow.Array
        The column.
    dtype : numpy.dtype
        The type of the result.
    width : int or None
        The length of each list; ``None`` for a column without lists.
    nullable : bool
        Whether a row may have no value.
    can_be_nan : bool
        Whether a value that is missing, other than a whole list, is NaN.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if can_be_nan and width is None:
        column = _missing_as_nan(column)
    valid = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
    if pa.types.is_null(column.type):
        shape = (len(column),) if width is None else (len(column), width)
        result = Values(np.zeros(shape, dtype), np.zeros(len(column), np.bool_))
    elif width is None:
        data, finite = _scalars(name, column, dtype)
        if finite is not None:
            valid = finite if valid is None else valid & finite
        result = Values(data, valid)
    else:
        result = Values(_lists(name, column, dtype, width, valid, can_be_nan=can_be_nan), valid)
    if not nullable and result.valid is not None and not result.valid.all():
        raise MissingValueError(f"a value is missing in column `{name}`")
    return result


def strings(name: str, column: Any) -> Any:
    """Convert a column of strings to a dictionary array of them."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string()).dictionary_encode()
    if not _is_string(kind):
        raise ColumnError(f"column `{name}` is {column.type} and should be strings")
    if pa.types.is_dictionary(column.type):
        return column
    return column.cast(pa.string()).dictionary_encode()


def binary(name: str, column: Any, width: int, *, nullable: bool = False) -> Values:
    """Convert a column of byte strings of ``width`` bytes to ``uint8 [rows, width]``."""
    kind = column.type
    if pa.types.is_null(kind) and nullable:
        return Values(np.zeros((len(column), width), np.uint8), np.zeros(len(column), np.bool_))
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        is_view = hasattr(pa.types, "is_binary_view") and pa.types.is_binary_view(kind)
        if is_view or pa.types.is_fixed_size_binary(kind):
            column = column.cast(pa.binary())
        else:
            raise ColumnError(f"column `{name}` is {column.type} and should be bytes")
    valid = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
    if valid is not None and not nullable:
        raise MissingValueError(f"a value is missing in column `{name}`")
    present = column if valid is None else column.drop_null()
    lengths = pc.binary_length(present)
    if len(present) and (pc.min(lengths).as_py(), pc.max(lengths).as_py()) != (width, width):
        raise ColumnError(f"column `{name}` has a value whose length is not {width} bytes")
    offsets = np.dtype(np.int64 if pa.types.is_large_binary(present.type) else np.int32)
    start = 0
    if len(present):
        buffer = present.buffers()[1]
        start = int(np.frombuffer(buffer, offsets)[present.offset])
    content = present.buffers()[2]
    flat = np.frombuffer(content or b"", np.uint8, count=len(present) * width, offset=start)
    flat = flat.reshape(len(present), width)
    return Values(_spread(flat, valid, len(column)), valid)


def _is_string(kind: Any) -> bool:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True
    return hasattr(pa.types, "is_string_view") and bool(pa.types.is_string_view(kind))


def _lists(
    name: str,
    column: Any,
    dtype: np.dtype[Any],
    width: int,
    valid: NDArray[np.bool_] | None,
    *,
    can_be_nan: bool,
) -> NDArray[Any]:
    """Convert lists of ``width`` values to ``dtype [rows, width]``."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        if kind.list_size != width:
            raise ColumnError(f"column `{name}` has lists of {kind.list_size} values, not of {width}")
        items = column.values[column.offset * width : (column.offset + len(column)) * width]
        # The values of a null list are null, or padding.
        flat = items if valid is None else items.filter(pa.array(np.repeat(valid, width)))
    elif _is_list(kind):
        present = column if valid is None else column.drop_null()
        lengths = pc.list_value_length(present)
        if len(present) and (pc.min(lengths).as_py(), pc.max(lengths).as_py()) != (width, width):
            raise ColumnError(f"column `{name}` has a list whose length is not {width}")
        flat = present.flatten()
    else:
        raise ColumnError(f"column `{name}` is {kind} and should be lists of {width} values")
    if can_be_nan:
        flat = _missing_as_nan(flat)
    if flat.null_count:
        raise MissingValueError(f"a value is missing in column `{name}`")
    data, finite = _scalars(name, flat, dtype)
    if finite is not None and not finite.all():
        raise MissingValueError(f"a value is missing in column `{name}`")
    return _spread(data.reshape(-1, width), valid, len(column))


def _missing_as_nan(column: Any) -> Any:
    """Fill what is missing of numbers. Other types are returned as they are."""
    if pa.types.is_null(column.type):
        return pa.array(np.full(len(column), np.nan))
    if not column.null_count:
        return column
    if pa.types.is_integer(column.type):
        column = column.cast(pa.float64(), safe=False)
    return column.fill_null(float("nan")) if pa.types.is_floating(column.type) else column


def _is_list(kind: Any) -> bool:
    checks = ("is_list", "is_large_list", "is_list_view", "is_large_list_view")
    return any(hasattr(pa.types, check) and getattr(pa.types, check)(kind) for check in checks)


def _spread(data: NDArray[Any], valid: NDArray[np.bool_] | None, rows: int) -> NDArray[Any]:
    """Put the values of the rows that have one in their places."""
    if valid is None:
        return data
    full = np.zeros((rows, *data.shape[1:]), data.dtype)
    full[valid] = data
    return full


def _scalars(name: str, column: Any, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Convert numbers or booleans. The second result is ``False`` where a float stood for a null."""
    kind = column.type
    if dtype.kind == "b":
        if not pa.types.is_boolean(kind):
            raise ColumnError(f"column `{name}` is {kind} and should be bool")
        return column.fill_null(False).to_numpy(zero_copy_only=False), None
    if pa.types.is_boolean(kind) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ColumnError(f"column `{name}` is {kind} and should be {dtype}")
    values = column.fill_null(0) if column.null_count else column
    found = values.to_numpy(zero_copy_only=False)
    if found.dtype == dtype:
        return found, None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            rounded = found.astype(dtype)
        if (np.isinf(rounded) & np.isfinite(found)).any():
            raise ColumnError(f"column `{name}` has a value that is out of the range of {dtype}")
        return rounded, None
    return _integers(name, found, dtype)


def _integers(name: str, found: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Convert numbers to integers. pandas makes floats of integers with nulls, and NaN of nulls."""
    finite = None
    if found.dtype.kind == "f":
        finite = ~np.isnan(found)
        present = found[finite]
        if (present != np.trunc(present)).any() or np.isinf(present).any():
            raise ColumnError(f"column `{name}` has a value that is no integer")
        exact = 1 << 24 if found.dtype == np.float32 else 1 << 53
        if (np.abs(present) > exact).any():
            raise ColumnError(
                f"column `{name}` has a value that has lost its last digits as a float; write integers "
                'with nulls, as pandas does with `dtype_backend="numpy_nullable"`'
            )
        found = np.where(finite, found, 0).astype(np.int64)
    limits = np.iinfo(dtype)
    if len(found) and (int(found.min()) < limits.min or int(found.max()) > limits.max):
        raise ColumnError(f"column `{name}` has a value that is out of the range of {dtype}")
    return found.astype(dtype), finite
