"""Tables of the VGG Image Annotator (VIA), which annotate pictures with rectangles."""

import ast
import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading

HEADER = "# CSV_HEADER ="
COLUMNS = ("file_list", "spatial_coordinates", "metadata")
RECTANGLE = 2  # of VIA's kinds of shapes


@dataclass(frozen=True)
class Region:
    """A rectangle in a picture.

    Attributes:
        line: number of the line of the table.
        file: file of the picture, as the table names it.
        rectangle: `(x, y, width, height)` in pixels.
        attributes: words that describe it, by the number of the attribute.
    """

    line: int
    file: PurePosixPath
    rectangle: tuple[float, float, float, float]
    attributes: dict[str, str]


def read_regions(path: Path) -> list[Region]:
    """Reads the rectangles of a table; lines without one say nothing about a picture's content.

    Args:
        path: `.csv` with the columns `COLUMNS` among others, named by a comment as VIA writes it
            or by its first line.

    Returns:
        At least one region, in the order of the table.

    Raises:
        InputError: missing, no such table, or a line that is not what VIA writes.
    """
    with reading(path):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not a text file, expected a table (.csv) of VIA") from error
    columns: dict[str, int] = {}
    regions = []
    for number, line in enumerate(lines, start=1):
        comment = line.startswith("#") and not line.startswith(HEADER)
        if comment or not line.strip(" ,"):
            continue
        fields = next(csv.reader([line.removeprefix(HEADER)]))
        if not columns:
            columns = {name.strip(): index for index, name in enumerate(fields)}
            if not set(COLUMNS) <= set(columns):
                raise InputError(
                    f"{path}, line {number}: expected the columns {', '.join(COLUMNS)}"
                )
            continue
        region = _region(path, number, fields, columns)
        if region is not None:
            regions.append(region)
    if not regions:
        raise InputError(f"{path}: no rectangle in this table, expected a line for each")
    return regions


def _region(path: Path, line: int, fields: list[str], columns: dict[str, int]) -> Region | None:
    try:
        file, shape, said = (fields[columns[name]] for name in COLUMNS)
        if file.startswith("["):  # VIA names a list of files, of which a picture has one
            (file,) = ast.literal_eval(file)
        values = ast.literal_eval(shape)
        if values == []:
            return None
        kind, x, y, width, height = (float(value) for value in values)
        attributes = {str(key): str(value) for key, value in ast.literal_eval(said).items()}
    except (ValueError, SyntaxError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}, line {line}: expected a file, a rectangle [2,x,y,width,height] and attributes"
        ) from error
    if kind != RECTANGLE or not np.isfinite([x, y, width, height]).all():
        raise InputError(f"{path}, line {line}: {shape}, expected a rectangle [2,x,y,width,height]")
    return Region(line, PurePosixPath(file), (x, y, width, height), attributes)
