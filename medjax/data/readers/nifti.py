"""NIfTI scans and label maps (.nii, .nii.gz) to arrays in one orientation, and label maps back onto the grid of their file.

The convention: arrays are (D, H, W), D from the feet to the head (superior), H from front to back (posterior), W from the
patient's right to the left. So `volume[d]` shown as a picture is the axial slice that radiologists look at: front on top,
the patient's right at the left edge. Axes are permuted and flipped, never resampled: an oblique scan stays oblique, and
what is written goes back voxel by voxel. `spacing` is in mm in the same order.

The content decides what a file is, not its name. Texts in headers (names, descriptions) are never read, shown or copied.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from medjax.data.case import Case, check_case
from medjax.data.storage import write_atomically
from medjax.errors import InputError

_GEOMETRY = (
    "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
_AXES = np.array([[0, 0, 1], [0, -1, 0], [-1, 0, 0]])  # D, H and W as directions right, anterior, superior
_SPACING = (1e-4, 100.0)  # mm; from electron microscopes to thick slices, anything else is a mistake in the header
_APART = 0.1  # voxels by which two grids may differ: what tools lose by rounding
_AGREE = 0.01  # share by which the two statements of the spacing in one header may differ
_LABELS = 256
_REST = 2**20  # bytes that may follow the voxels
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # NIfTI's codes: unknown (taken as mm), m, mm, um


class ScanError(InputError):
    """A file that cannot be used.

    Attributes:
        what: what is wrong with it, without the file and without a full stop.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}.")
        self.what = what


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a file lie, and how the file orders them.

    Attributes:
        shape: of the file's array, its own three axes.
        affine: (4, 4), from the file's voxel indices to mm (right, anterior, superior); exactly as stored.
        axes: for each of D, H, W the axis of the file.
        flipped: for each of D, H, W whether the file runs the other way.
        spacing: of D, H, W in mm.
        header: the fields of the header that say where the voxels lie, and the version of the format (1 or 2).
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]
    header: dict[str, Any]

    @property
    def turned(self) -> tuple[int, int, int]:
        """The shape as (D, H, W)."""
        depth, height, width = (self.shape[axis] for axis in self.axes)
        return depth, height, width


@dataclass(frozen=True)
class Head:
    """What the head of a file says, the voxels unread.

    Attributes:
        grid: of the voxels.
        channels: values a voxel.
    """

    grid: Grid
    channels: int


def read_head(path: Path | str) -> Head:
    """Read the head of a NIfTI file.

    Raises:
        ScanError: what the head shows of that which `read_scan` refuses.
    """
    path = Path(path)
    header, _ = _header(path, _start(path))
    return Head(_grid(path, header), _channels(path, header))


def read_scan(path: Path | str, channels: int = 1) -> tuple[Float32[np.ndarray, "D H W C"], Grid]:
    """Read a scan as (D, H, W, C) in float32, scaled as its header asks, and its grid.

    Args:
        path: the file.
        channels: values a voxel; more than one lie along the file's fourth axis.

    Raises:
        ScanError: a missing file, one that is no NIfTI, damaged or cut short, of other dimensions or channels, with NaN or
            infinite voxels, complex or in colour, with a spacing that is zero or cannot be meant in mm.
    """
    path = Path(path)
    array, grid = _read(path, channels)
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if wrong := int((~np.isfinite(values)).sum()):
        raise ScanError(path, f"{wrong} of its {values.size} voxels are NaN or infinite; mend or mask the scan")
    return np.ascontiguousarray(values), grid


def read_labels(path: Path | str, scan: Grid | None = None) -> tuple[UInt8[np.ndarray, "D H W"], Grid]:
    """Read a label map as (D, H, W), and its grid.

    Args:
        path: the file.
        scan: the grid of its scan; a label map on another one is refused. The file may order its voxels otherwise.

    Raises:
        ScanError: as for `read_scan`; labels that are no whole numbers from 0 to 255; another grid than the scan's.
    """
    path = Path(path)
    array, grid = _read(path, 1)
    if scan is not None:
        _check_same_grid(path, grid, scan)
    labels = array[..., 0]
    with np.errstate(invalid="ignore"):
        wrong = ~((labels >= 0) & (labels < _LABELS) & (labels == np.round(labels)))  # NaN is wrong, too
    if wrong.any():
        found = labels[wrong][0]
        raise ScanError(
            path,
            f"{int(wrong.sum())} of its {labels.size} voxels, such as {found:.4g}, are no labels, which are whole numbers "
            f"from 0 to {_LABELS - 1}; is this the scan, or a map of probabilities?",
        )
    return np.ascontiguousarray(labels.astype(np.uint8)), grid


def write_labels(path: Path | str, labels: UInt8[np.ndarray, "D H W"], grid: Grid) -> None:
    """Write a label map on the grid that a scan was read from: its shape, order of voxels, affine and units.

    The file appears whole or not at all; the same labels give the same bytes. A name that ends in .gz is compressed.

    Raises:
        InputError: the labels have another shape than the grid, or the path does not end in .nii or .nii.gz.
    """
    import nibabel

    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise InputError(f"{path}: a label map is written as NIfTI; let the name end in .nii.gz (or .nii)")
    if labels.shape != grid.turned:
        raise InputError(f"{path}: labels of shape {labels.shape} do not fit a grid of shape {grid.turned}")
    header = (nibabel.Nifti2Header if grid.header["version"] == 2 else nibabel.Nifti1Header)()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(grid.shape)
    for name in _GEOMETRY:
        header[name] = grid.header[name]
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["vox_offset"] = header.single_vox_offset
    content = io.BytesIO()
    header.write_to(content)
    content.write(bytes(header.single_vox_offset - content.tell()))  # no extension
    content.write(to_file(labels, grid).tobytes(order="F"))
    data = content.getvalue()
    write_atomically(path, gzip.compress(data, 6, mtime=0) if path.name.endswith(".gz") else data)


def to_house(array: Shaped[np.ndarray, "X Y Z *rest"], grid: Grid) -> Shaped[np.ndarray, "D H W *rest"]:
    """Turn an array from the order of the file into (D, H, W, ...)."""
    array = np.moveaxis(array, grid.axes, (0, 1, 2))
    return np.flip(array, tuple(axis for axis in range(3) if grid.flipped[axis]))


def to_file(array: Shaped[np.ndarray, "D H W *rest"], grid: Grid) -> Shaped[np.ndarray, "X Y Z *rest"]:
    """Turn an array from (D, H, W, ...) back into the order of the file; the inverse of `to_house`."""
    array = np.flip(array, tuple(axis for axis in range(3) if grid.flipped[axis]))
    return np.moveaxis(array, (0, 1, 2), grid.axes)


def house_affine(grid: Grid) -> Float[np.ndarray, "4 4"]:
    """The affine from (d, h, w) to mm (right, anterior, superior)."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    origin = np.zeros(3)
    for place, (axis, flipped) in enumerate(zip(grid.axes, grid.flipped, strict=True)):
        matrix[:3, place] = -grid.affine[:3, axis] if flipped else grid.affine[:3, axis]
        origin[axis] = grid.shape[axis] - 1 if flipped else 0
    matrix[:3, 3] = grid.affine[:3, :3] @ origin + grid.affine[:3, 3]
    return matrix


def read_scan_case(path: Path | str, channels: int = 1) -> tuple[Case, Grid]:
    """Read a scan as a case without a target: its file's name is the id, and the group, since the patient is unknown.

    Returns:
        The case (`id`, `group`, `volume`, `spacing`), and the grid on which `write_labels` puts a prediction back.

    Raises:
        ScanError: see `read_scan`.
    """
    path = Path(path)
    volume, grid = read_scan(path, channels)
    spacing = np.array(grid.spacing, np.float32)
    case: Case = {"id": path.name, "group": path.name, "volume": volume, "spacing": spacing}
    check_case(case, where=str(path))
    return case, grid


# The bytes of a file.


def _start(path: Path) -> bytes:
    """The first bytes, unpacked: as many as the longer of the two headers has."""
    with _opened(path) as stream:
        return _take(path, stream, 544)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file for reading, packed or not, whatever its name."""
    try:
        stream = path.open("rb")
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        raise ScanError(path, "there is no such file" if gone else f"it cannot be opened ({error.strerror})") from error
    with stream:
        packed = stream.peek(2)[:2] == b"\x1f\x8b"
        if not packed:
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield unpacked


def _take(path: Path, stream: Any, size: int) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, OSError, zlib.error) as error:
        raise ScanError(path, f"it is damaged or cut short ({error}); copy it again") from error


def _header(path: Path, start: bytes) -> tuple[Any, int]:
    """The header, unchecked, and the version of the format."""
    import nibabel

    sizes = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    version = 1 if 348 in sizes else 2 if 540 in sizes else 0
    magic = start[344:348] if version == 1 else start[4:8]
    kind = nibabel.Nifti2Header if version == 2 else nibabel.Nifti1Header
    if not version or magic[:2] not in (b"n+", b"ni"):
        raise ScanError(
            path,
            "this is no NIfTI file (.nii or .nii.gz), or its head is damaged" if start else "it is empty (0 bytes)",
        )
    if magic[:2] == b"ni":
        raise ScanError(path, "its voxels lie in a second file (.hdr and .img); save it as one .nii.gz")
    try:
        # Unchecked: nibabel would mend a zero spacing to 1 mm without a word.
        return kind.from_fileobj(io.BytesIO(start), check=False), version
    except Exception as error:  # damaged bytes make it fall over whatever comes first
        raise ScanError(path, "its head is damaged or cut short; copy it again") from error


def _channels(path: Path, header: Any) -> int:
    """The values a voxel; refuses everything but three dimensions of space and one of channels."""
    try:
        shape = tuple(int(size) for size in header.get_data_shape())
    except Exception as error:
        raise ScanError(path, "its head is damaged: it tells no dimensions") from error
    shown = " x ".join(map(str, shape)) or "none"
    if any(size < 1 for size in shape):
        raise ScanError(path, f"its head is damaged: dimensions {shown}")
    if len(shape) < 3:
        raise ScanError(path, f"it has {len(shape)} dimensions ({shown}) where a volume has 3")
    if len(shape) > 4 and any(size > 1 for size in shape[3:4] + shape[5:]):
        raise ScanError(path, f"it has {len(shape)} dimensions ({shown}) where a volume has 3, and 4 with channels")
    return shape[4] if len(shape) > 4 else shape[3] if len(shape) == 4 else 1


def _grid(path: Path, header: Any) -> Grid:
    """Where the voxels lie."""
    from nibabel.orientations import io_orientation

    try:
        affine = np.asarray(header.get_best_affine(), np.float64)
    except Exception as error:  # impossible quaternions
        raise ScanError(
            path, "its head tells no orientation that exists; save it again with the scanner's tools"
        ) from error
    stated = np.abs(np.asarray(header["pixdim"], np.float64)[1:4])
    if not np.isfinite(affine).all() or not np.isfinite(stated).all():
        raise ScanError(path, "its spacing or its affine holds NaN or infinity")
    scale = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    steps = np.sqrt((affine[:3, :3] ** 2).sum(0))
    for spacing in (stated, steps):
        if not (((low := spacing * scale) >= _SPACING[0]) & (low <= _SPACING[1])).all():
            shown = " x ".join(f"{one:g}" for one in low)
            raise ScanError(path, f"its spacing of {shown} mm cannot be meant; mend the header")
    if (np.abs(stated - steps) > _AGREE * steps).any():
        both = " and ".join(" x ".join(f"{one:.4g}" for one in found * scale) for found in (stated, steps))
        raise ScanError(path, f"its header tells two spacings, {both} mm (pixdim and affine); mend the wrong one")
    orientation = io_orientation(affine)  # for each axis of the file: right, anterior or superior, and its sign
    if np.isnan(orientation).any():
        raise ScanError(path, "two axes of its affine point the same way; mend the header")
    axes, flipped = [], []
    for direction in _AXES:
        place = int(np.flatnonzero(direction)[0])
        axis = int(np.flatnonzero(orientation[:, 0] == place)[0])
        axes.append(axis)
        flipped.append(bool(orientation[axis, 1] != direction[place]))
    fields: dict[str, Any] = {name: np.array(header[name]) for name in _GEOMETRY}
    fields["pixdim"][4:] = 0  # of time and channels, which a label map has not
    fields["version"] = 2 if type(header).__name__.startswith("Nifti2") else 1
    shape = tuple(int(size) for size in header.get_data_shape())[:3]
    spacing = [float(steps[axis] * scale) for axis in axes]
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        affine=affine,
        axes=(axes[0], axes[1], axes[2]),
        flipped=(flipped[0], flipped[1], flipped[2]),
        spacing=(spacing[0], spacing[1], spacing[2]),
        header=fields,
    )


def _read(path: Path, channels: int) -> tuple[np.ndarray, Grid]:
    """The scaled voxels as (D, H, W, C), in the precision of the file, and the grid."""
    with _opened(path) as stream:
        start = _take(path, stream, 544)
        header, _ = _header(path, start)
        found, grid = _channels(path, header), _grid(path, header)
        if found != channels:
            more = f"a fourth axis of {found}" if found > 1 else "no fourth axis"
            expected = f"{channels} channels are expected" if channels > 1 else "one volume of 3 dimensions is expected"
            raise ScanError(
                path, f"it has {more} where {expected}; {'give one volume a file' if found > 1 else 'check channels'}"
            )
        try:
            dtype = header.get_data_dtype()
        except Exception as error:
            raise ScanError(path, "its head names no type of voxels that is known") from error
        if dtype.kind not in "uif":
            raise ScanError(path, f"its voxels are {dtype}; only real numbers, one a channel, are read")
        size = int(np.prod(grid.shape, dtype=object)) * found * dtype.itemsize
        offset = int(header.get_data_offset())
        if offset < header.sizeof_hdr or offset > _REST:
            raise ScanError(path, f"its head is damaged: the voxels would begin at byte {offset}")
        content = start + _take(path, stream, max(offset + size - len(start), 0))
        if len(content) < offset + size:
            raise ScanError(
                path, f"it is cut short: {len(content)} bytes where its head announces {offset + size}; copy it again"
            )
        _take(path, stream, _REST)  # the end of a packed file holds its checksum
    array = np.frombuffer(content, dtype, size // dtype.itemsize, offset).reshape((*grid.shape, found), order="F")
    slope, intercept = header.get_slope_inter()
    if slope is not None and (slope != 1 or intercept):
        array = array * np.float64(slope) + np.float64(intercept)
    return to_house(array, grid), grid


def _check_same_grid(path: Path, grid: Grid, scan: Grid) -> None:
    """Refuse a label map whose voxels are not those of its scan."""
    if grid.turned != scan.turned:
        shapes = " and ".join(" x ".join(map(str, one.turned)) for one in (grid, scan))
        raise ScanError(
            path, f"its grid differs from that of its scan: {shapes} voxels (D x H x W); resample it onto the scan"
        )
    corners = np.array([[d, h, w, 1.0] for d in (0, 1) for h in (0, 1) for w in (0, 1)])
    corners[:, :3] *= np.array(scan.turned) - 1.0
    apart = np.abs((house_affine(grid) - house_affine(scan))[:3] @ corners.T).max()
    if apart > _APART * np.sqrt((scan.affine[:3, :3] ** 2).sum(0)).min():
        raise ScanError(
            path,
            f"its grid differs from that of its scan: the affines are up to {apart:.3g} mm apart; resample it onto the scan",
        )
