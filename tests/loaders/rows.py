"""Rows as NumPy arrays, sorted by episode and step, converted from Arrow tables and pandas frames."""

from dataclasses import dataclass

import numpy
import pandas
import pyarrow


@dataclass
class Rows:
    """Columns with one entry, or one row of a matrix, per transition."""

    columns: dict[str, numpy.ndarray]
    # Whether the row has a next observation. Wide observations are written only in the last row of an episode.
    has_next: numpy.ndarray
    has_reason: numpy.ndarray
    has_match: numpy.ndarray

    def __post_init__(self) -> None:
        order = numpy.lexsort((self["step"], self["episode_id"]))
        self.columns = {name: values[order] for name, values in self.columns.items()}
        self.has_next, self.has_reason, self.has_match = (
            mask[order] for mask in (self.has_next, self.has_reason, self.has_match)
        )

    def __getitem__(self, name: str) -> numpy.ndarray:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self["episode_id"])

    @property
    def first(self) -> numpy.ndarray:
        """Whether the row is the first of its episode."""
        ids = self["episode_id"]
        return numpy.concatenate(([True], ids[1:] != ids[:-1]))

    @property
    def last(self) -> numpy.ndarray:
        """Whether the row is the last of its episode."""
        return numpy.concatenate((self.first[1:], [True]))


# Loaders give lists and strings of several widths.
LISTS = (pyarrow.types.is_fixed_size_list, pyarrow.types.is_list, pyarrow.types.is_large_list)
STRINGS = (pyarrow.types.is_dictionary, pyarrow.types.is_string, pyarrow.types.is_large_string)
if hasattr(pyarrow.types, "is_string_view"):
    STRINGS += (pyarrow.types.is_string_view,)


def bits(values: numpy.ndarray) -> numpy.ndarray:
    """Floats as integers, so that a NaN equals itself and the two zeros differ."""
    return values.view(numpy.uint32)


def rows_of_arrow(table: pyarrow.Table) -> Rows:
    columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if isinstance(column, pyarrow.ChunkedArray):
            column = column.chunk(0)
        kind = column.type
        if any(is_kind(kind) for is_kind in LISTS):
            columns[name] = lines(column)
        elif pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind) or kind == "binary_view":
            columns[name] = numpy.array(column.to_pylist(), dtype=object)
        elif any(is_kind(kind) for is_kind in STRINGS):
            columns[name] = numpy.array(column.to_pylist(), dtype=object)
        else:
            # Nulls become 0; the masks of `Rows` tell them apart.
            zero = pyarrow.scalar(False if pyarrow.types.is_boolean(kind) else 0).cast(kind)
            columns[name] = column.fill_null(zero).to_numpy(zero_copy_only=False)
    valid = {name: table.column(name).is_valid().to_numpy() for name in ("next_observation", "end_reason", "match_id")}
    return Rows(columns, valid["next_observation"], valid["end_reason"], valid["match_id"])


def lines(column: pyarrow.Array) -> numpy.ndarray:
    """A column of lists as a matrix, with zeros for null lists."""
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    values = column.flatten().to_numpy(zero_copy_only=False)
    width, rest = divmod(len(values), int(valid.sum()))
    assert rest == 0, "the lists of a column have different lengths"
    filled = numpy.zeros((len(column), width), values.dtype)
    filled[valid] = values.reshape(-1, width)
    return filled


def rows_of_pandas(frame: pandas.DataFrame) -> Rows:
    columns = {}
    for name in frame.columns:
        column = frame[name]
        present = column.notna().to_numpy()
        # Images are bytes, and stay objects.
        is_image = name.removeprefix("next_").startswith("observation.")
        is_word = name in ("end_reason", "controller")
        if not is_word and not is_image and column.dtype == object:
            stacked = numpy.stack(column[present].to_numpy())
            filled = numpy.zeros((len(column), stacked.shape[1]), stacked.dtype)
            filled[present] = stacked
            columns[name] = filled
        elif is_word or is_image:
            columns[name] = column.astype(object).to_numpy()
        else:
            # pandas converts a column of integers with nulls to floats, which lose the last bits of an id.
            columns[name] = column.fillna(0).to_numpy()
    valid = {name: frame[name].notna().to_numpy() for name in ("next_observation", "end_reason", "match_id")}
    return Rows(columns, valid["next_observation"], valid["end_reason"], valid["match_id"])
