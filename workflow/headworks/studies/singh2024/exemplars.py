"""What the classes look like: drawings or feature vectors of several sources, and invented characters.

Drawings have ink 1 on 0. Classes come in one fixed order; the first `n_classes` of it are trained on and the last
`n_test_classes` evaluated only, so that more training classes leave the others where they are.
"""

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import PIL
import pooch
from PIL import Image, ImageDraw, ImageOps

from headworks.corpora import cache_folder
from headworks.errors import HeadworksError
from headworks.studies.singh2024.spec import EpisodesSpec

OMNIGLOT_URL = "https://github.com/brendenlake/omniglot/raw/master/python"
OMNIGLOT_MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
GLYPHS = 1623
D_GAUSSIAN = 512
ROLES = {"order": 0, "class": 1, "drawing": 2, "vectors": 3}

Drawings = dict[str, list[Callable[[], np.ndarray]]]
"""By class, how to get each drawing, [side, side]."""


@dataclass
class Exemplars:
    """float32 drawings [class, drawing, side, side] or features [class, drawing, feature], training classes first."""

    values: np.ndarray
    names: list[str]
    """Of the classes."""
    facts: dict[str, str | int | list]


def load(spec: EpisodesSpec) -> Exemplars:
    """The n_classes + n_test_classes classes of the source, n_drawings each.

    Raises HeadworksError for a source that cannot be had or read, or that has fewer classes or drawings.
    """
    sources = {
        "glyphs": _glyphs,
        "omniglot": _omniglot,
        "images": _images,
        "gaussian": _gaussian,
        "features": _features,
    }
    return sources[spec.source](spec)


def _chosen(spec: EpisodesSpec, order: np.ndarray, what: str) -> np.ndarray:
    """First and last classes of the order."""
    needed = spec.n_classes + spec.n_test_classes
    if needed > len(order):
        raise HeadworksError(
            f"n_classes + n_test_classes: {spec.n_classes} + {spec.n_test_classes} classes asked for; {what} has "
            f"{len(order)}."
        )
    return np.concatenate([order[: spec.n_classes], order[len(order) - spec.n_test_classes :]])


# ---------------------------------------------------------------- vectors


def _gaussian(spec: EpisodesSpec) -> Exemplars:
    """sqrt(b) g + sqrt(w - b) m + sqrt(1 - w) z: g is shared by all, m by a class, z is a drawing's own.

    w and b are the correlations within and between classes; with b = 0 this is sqrt(w) m + sqrt(1 - w) z.
    """
    generator = np.random.default_rng([spec.seed, ROLES["vectors"]])
    n = spec.n_classes + spec.n_test_classes
    within, between = spec.correlations
    values = (
        math.sqrt(between) * generator.standard_normal((1, 1, D_GAUSSIAN))
        + math.sqrt(within - between) * generator.standard_normal((n, 1, D_GAUSSIAN))
        + math.sqrt(1 - within) * generator.standard_normal((n, spec.n_drawings, D_GAUSSIAN))
    )
    names = [f"gaussian{i}" for i in range(n)]
    return Exemplars(
        values.astype(np.float32), names, {"source": "gaussian vectors", "licence": "none: computed"}
    )


def _features(spec: EpisodesSpec) -> Exemplars:
    found = _only_array(Path(spec.path))
    if found.ndim != 3 or not np.issubdtype(found.dtype, np.number) or not np.isfinite(found).all():
        raise HeadworksError(
            f"path: the features in {spec.path} are {found.dtype} of shape {found.shape}; needed are finite "
            f"numbers [class, drawing, feature]."
        )
    if found.shape[1] < spec.n_drawings:
        raise HeadworksError(
            f"n_drawings: {spec.n_drawings} asked for; {spec.path} has {found.shape[1]} drawings of each class."
        )
    chosen = _chosen(spec, np.arange(len(found)), spec.path)
    values = found[chosen, : spec.n_drawings].astype(np.float32)
    facts = {"source": f"features of {spec.path}", "licence": "the user's own"}
    return Exemplars(values, [f"class{i}" for i in chosen], facts)


def _only_array(path: Path) -> np.ndarray:
    """The array named `features`, else the only array of three axes, or of any, of an .npz or HDF5 file."""
    arrays: dict[str, np.ndarray] = {}

    def keep(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    try:
        if path.suffix == ".npz":
            with np.load(path) as opened:
                arrays = {name: opened[name] for name in opened.files}
        else:
            with h5py.File(path, "r") as opened:
                opened.visititems(keep)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise HeadworksError(
            f"path: {path} cannot be read as an .npz or .h5 file of features ({error})."
        ) from error
    solid = [name for name, array in arrays.items() if np.ndim(array) == 3]
    for names in (["features"] if "features" in arrays else [], solid, list(arrays)):
        if len(names) == 1:
            return np.asarray(arrays[names[0]])
    raise HeadworksError(
        f"path: {path} holds the arrays {sorted(arrays)}; needed is one named 'features', or only one with the "
        f"axes [class, drawing, feature]."
    )


# ---------------------------------------------------------------- drawings in files


def _omniglot(spec: EpisodesSpec) -> Exemplars:
    facts = {"source": "Omniglot (Lake et al. 2015)", "licence": "MIT"}
    if spec.path is None:
        archives = [_download(name, md5) for name, md5 in OMNIGLOT_MD5.items()]
        facts["archives_md5"] = list(OMNIGLOT_MD5.values())
        return _drawn(spec, _zipped(archives, spec.image_size), "Omniglot", facts)
    path = Path(spec.path)
    if path.is_file() and path.suffix == ".npz":
        return _drawn(spec, _packed(path, spec.image_size), spec.path, facts)
    archives = sorted(path.glob("*.zip"))
    if not archives:
        raise HeadworksError(
            f"path: {path} is neither an .npz file nor a folder with {' and '.join(OMNIGLOT_MD5)}; for a folder "
            f"of images use source: images."
        )
    return _drawn(spec, _zipped(archives, spec.image_size), spec.path, facts)


def _images(spec: EpisodesSpec) -> Exemplars:
    """Every folder at or below `path` that holds images is a class."""
    root = Path(spec.path)
    if not root.is_dir():
        raise HeadworksError(
            f"path: {root} is not a folder; source: images needs one with a folder for each class."
        )
    classes: Drawings = {}
    for file in sorted(root.rglob("*")):
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
            name = file.parent.relative_to(root).as_posix()
            classes.setdefault(name, []).append(
                lambda file=file: _drawing(file.read_bytes(), spec.image_size, str(file))
            )
    facts = {"source": f"images of {root}", "licence": "the user's own"}
    return _drawn(spec, classes, f"{root} (a class is a folder that holds images)", facts)


def _drawn(spec: EpisodesSpec, classes: Drawings, what: str, facts: dict) -> Exemplars:
    """Read the first n_drawings of the chosen classes, which `seed` puts in order."""
    names = sorted(classes)
    order = np.random.default_rng([spec.seed, ROLES["order"]]).permutation(len(names))
    chosen = [names[i] for i in _chosen(spec, order, what)]
    for name in chosen:
        if len(classes[name]) < spec.n_drawings:
            raise HeadworksError(
                f"n_drawings: {spec.n_drawings} asked for; class {name} of {what} has {len(classes[name])}."
            )
    values = np.stack([[read() for read in classes[name][: spec.n_drawings]] for name in chosen])
    return Exemplars(values, chosen, facts | {"source_classes": len(names)})


def _download(name: str, md5: str) -> Path:
    folder = cache_folder() / "omniglot"
    try:
        found = pooch.retrieve(
            f"{OMNIGLOT_URL}/{name}", known_hash=f"md5:{md5}", fname=name, path=folder, progressbar=True
        )
    except (OSError, ValueError) as error:  # no network; wrong checksum
        raise HeadworksError(
            f"Omniglot could not be had from {OMNIGLOT_URL}/{name} ({error}). Without a network, use source: "
            f"glyphs, or put {' and '.join(OMNIGLOT_MD5)} into {folder}, or into a folder of your own and name it "
            f"under path."
        ) from error
    return Path(found)


def _zipped(archives: list[Path], size: int) -> Drawings:
    """Classes are named alphabet/character; members are read when asked for."""
    classes: dict[str, dict[str, Callable[[], np.ndarray]]] = {}
    for archive in archives:
        try:
            opened = zipfile.ZipFile(archive)
        except zipfile.BadZipFile as error:
            raise HeadworksError(f"path: {archive} is not a zip file ({error}).") from error
        for member in opened.namelist():
            parts = member.split("/")
            if member.lower().endswith(".png") and len(parts) >= 3 and parts[0] != "__MACOSX":
                classes.setdefault("/".join(parts[-3:-1]), {})[parts[-1]] = (
                    lambda opened=opened, member=member: _drawing(
                        opened.read(member), size, f"{opened.filename}:{member}"
                    )
                )
    return {name: [found[drawing] for drawing in sorted(found)] for name, found in classes.items()}


def _packed(path: Path, size: int) -> Drawings:
    try:
        with np.load(path) as opened:
            bits, label, classes, name = (opened[key] for key in ("bits", "label", "classes", "name"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise HeadworksError(
            f"path: {path} cannot be read ({error}); needed are the arrays bits [drawing, 98], label [drawing], "
            f"classes [class] and name [drawing]."
        ) from error
    fitting = bits.ndim == 2 and bits.shape[1] == 98 and len(bits) == len(label) == len(name)
    if not fitting or not set(np.unique(label)) <= set(range(len(classes))):
        raise HeadworksError(
            f"path: {path} has bits of shape {bits.shape}, {len(label)} labels and {len(classes)} classes; needed "
            f"are bits [drawing, 98], 28 x 28 packed, and for each the number of its class."
        )
    found: Drawings = {str(one): [] for one in classes}
    for i in np.lexsort((name, label)):
        found[str(classes[label[i]])].append(
            lambda row=bits[i]: _inked(Image.fromarray(255 * np.unpackbits(row).reshape(28, 28)), size)
        )
    return found


def _drawing(data: bytes, size: int, where: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.has_transparency_data:  # ink on nothing is ink on white paper
                opened = Image.alpha_composite(
                    Image.new("RGBA", opened.size, "white"), opened.convert("RGBA")
                )
            return _inked(opened.convert("L"), size)
    except OSError as error:
        raise HeadworksError(f"path: {where} cannot be read as an image ({error}).") from error


def _inked(image: Image.Image, size: int) -> np.ndarray:
    """[size, size] with ink 1 on 0; the commoner shade is the paper, and fills up what is not square."""
    if np.median(np.asarray(image)) > 127:
        image = ImageOps.invert(image)
    image = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR, color=0)
    return np.asarray(image, dtype=np.float32) / 255


# ---------------------------------------------------------------- invented characters


def _glyphs(spec: EpisodesSpec) -> Exemplars:
    numbers = _chosen(spec, np.arange(GLYPHS), "source: glyphs")
    values = np.stack(
        [[draw_glyph(spec.seed, int(i), j, spec.image_size) for j in range(spec.n_drawings)] for i in numbers]
    )
    facts = {"source": "invented characters", "licence": "none: computed", "pillow": PIL.__version__}
    return Exemplars(values, [f"glyph{i}" for i in numbers], facts | {"source_classes": GLYPHS})


def draw_glyph(seed: int, number: int, drawing: int, size: int) -> np.ndarray:
    """One drawing of an invented character, float32 [size, size], ink 1 on 0; the same for the same arguments.

    The character is a few strokes; a drawing moves their points, deforms the plane smoothly, tilts and scales,
    and has its own pen.
    """
    generator = np.random.default_rng([seed, ROLES["drawing"], number, drawing])
    tilt, slant, stretch = generator.normal(0, (0.08, 0.10, 0.08))
    turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    frame = turn @ np.array([[1 + stretch, slant], [0, 1 - stretch]]) * generator.uniform(0.58, 0.78)
    shift = 0.5 + generator.normal(0, 0.04, 2)
    waves = (
        generator.normal(0, 0.8, (2, 2)),
        generator.uniform(0, 2 * np.pi, 2),
        generator.normal(0, 0.03, (2, 2)),
    )
    pen = generator.uniform(0.036, 0.05)
    side = 4 * size
    canvas = Image.new("L", (side, side), 0)
    brush = ImageDraw.Draw(canvas)
    for points in _strokes(seed, number):
        points = _spline(points + generator.normal(0, 0.01, points.shape) + generator.normal(0, 0.025, 2))
        points = points + np.sin(2 * np.pi * points @ waves[0] + waves[1]) @ waves[2]
        _pull(brush, side * (points @ frame.T + shift), side * pen)
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255


def _pull(brush: ImageDraw.ImageDraw, points: np.ndarray, width: float) -> None:
    """A line [point, 2] with round ends."""
    brush.line([tuple(point) for point in points], fill=255, width=round(width), joint="curve")
    for x, y in points[[0, -1]]:
        brush.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)


def _strokes(seed: int, number: int) -> list[np.ndarray]:
    """Strokes [point, 2] of one character, centred, the longer side 1 and the shorter at least half of it."""
    generator = np.random.default_rng([seed, ROLES["class"], number])
    while True:
        strokes = _draft(generator)
        everything = np.concatenate(strokes)
        low, high = everything.min(0), everything.max(0)
        if (high - low).min() >= 0.5 * (high - low).max():
            return [(stroke - (low + high) / 2) / (high - low).max() for stroke in strokes]


def _draft(generator: np.random.Generator) -> list[np.ndarray]:
    """2 to 4 strokes. Each turns evenly: not at all, into an arc, into a loop, or one way and then the other. Most
    begin on an earlier stroke, at an end or in between, or are centred on it, as strokes of letters are."""
    strokes = [_path(generator)]
    for _ in range(generator.choice([1, 2, 3], p=[0.4, 0.4, 0.2])):
        earlier = strokes[generator.integers(len(strokes))]
        anchor = earlier[generator.choice([0, -1, generator.integers(len(earlier))])]
        path = _path(generator)
        kind = generator.random()
        if kind < 0.25:
            path = path - path.mean(0)
        elif kind > 0.75:
            anchor = anchor + generator.uniform(-0.4, 0.4, 2)
        strokes.append(anchor + path)
    return strokes


def _path(generator: np.random.Generator, n_points: int = 7) -> np.ndarray:
    """Points [point, 2] from the origin on."""
    heading = generator.integers(8) * np.pi / 4 + generator.normal(0, 0.15)
    total = generator.choice([0.0, 0.8, 1.0, 2.0], p=[0.4, 0.25, 0.2, 0.15]) * np.pi
    total *= generator.choice([-1, 1]) * generator.uniform(0.8, 1.1)
    turns = np.full(n_points - 2, total / (n_points - 2))
    if generator.random() < 0.25:
        turns[len(turns) // 2 :] *= -1
    headings = heading + np.concatenate([[0], np.cumsum(turns)])
    length = generator.uniform(0.5, 1.0) * (1 + abs(total) / np.pi / 2)
    steps = length / (n_points - 1) * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def _spline(points: np.ndarray, per_segment: int = 6) -> np.ndarray:
    """Catmull-Rom curve through the points [point, 2], with its end segments mirrored."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    a, b, c, d = (padded[i : i + len(points) - 1, None] for i in range(4))
    t = np.linspace(0, 1, per_segment, endpoint=False)[None, :, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3)
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])
