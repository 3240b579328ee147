"""The big pretrained models behind one interface: CLIP, ALIGN and ViLT through Transformers.

Their weights are no part of the book. With a network `load_rival` and `load_vit` download them,
once; without one a single line says what was wanted. `tiny_rival` makes the same networks small
and untrained, to try the interface on any machine.
"""

import contextlib
import io
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import torch
import torchvision
from torchvision.transforms import v2

from mmfuse_utils.metrics import check_count
from mmfuse_utils.retrieval import unit_rows
from mmfuse_utils.vision import DEVICE, Backbone

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

# What `benchmarks/rivals.py` can add a row for, and what each is.
RIVALS = {"openai/clip-vit-base-patch32": "CLIP, a dual encoder",
          "kakaobrain/align-base": "ALIGN, a dual encoder",
          "dandelin/vilt-b32-finetuned-coco": "ViLT, a cross-attention model"}
HUB = "https://huggingface.co"


class WeightsMissing(RuntimeError):
    """The weights of a model are not on this machine, and cannot be had; the message says why."""


class DualEncoder:
    """One network for texts, one for pictures; they meet only in the cosine of two vectors.

    model : with `get_text_features` and `get_image_features`. tokenizer : for lists of texts.
    image_processor : for lists of pictures. batch_size : texts or pictures a pass.

    So pictures can be embedded once, kept and searched. Source: Radford et al. (2021, CLIP), Jia
    et al. (2021, ALIGN).

    >>> clip = tiny_rival("clip")
    >>> clip.similarity(["a dog", "a red car"], np.zeros((3, 40, 40, 3), np.uint8)).shape
    (2, 3)
    """

    def __init__(self, model: "PreTrainedModel", tokenizer: Any, image_processor: Any,
                 batch_size: int = 16) -> None:
        check_count("batch_size", batch_size)
        self.model, self.tokenizer, self.image_processor = model.eval(), tokenizer, image_processor
        self.batch_size = batch_size

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows in the shared space: (n_texts, dim), float32."""
        return self._embed(_check_texts(texts), self._told, self.model.get_text_features)

    def embed_image(self, images: np.ndarray) -> np.ndarray:
        """Unit rows in the shared space from uint8 (n, height, width, 3): (n, dim), float32."""
        return self._embed(_check_images(images), self._seen, self.model.get_image_features)

    def similarity(self, texts: Sequence[str], images: np.ndarray) -> np.ndarray:
        """Cosine of each text with each picture: (n_texts, n_images)."""
        return self.embed_text(texts) @ self.embed_image(images).T

    def _told(self, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
        return _tokens(self.tokenizer, texts)

    def _seen(self, images: np.ndarray) -> Mapping[str, torch.Tensor]:
        pixels = self.image_processor(list(images), return_tensors="pt")
        return {"pixel_values": pixels["pixel_values"]}

    @torch.inference_mode()
    def _embed(self, items: Sequence, prepare: Any, features: Any) -> np.ndarray:
        found = [features(**prepare(some)) for some in _batches(items, self.batch_size)]
        rows = [getattr(made, "pooler_output", made) for made in found]
        return unit_rows(torch.cat(rows).float().numpy()).astype(np.float32)


class CrossEncoder:
    """One network that reads a text and a picture together, and says how well they fit.

    Each pair is a pass of its own: nothing can be kept of a picture before the text is known.
    So there is no `embed_text` and no `embed_image`, and no index. model : gives a logit for a
    pair. Other arguments : as of `DualEncoder`, batch_size in pairs.

    Source: Kim et al. (2021, ViLT).

    >>> vilt = tiny_rival("vilt")
    >>> vilt.similarity(["a dog", "a red car"], np.zeros((3, 40, 40, 3), np.uint8)).shape
    (2, 3)
    """

    def __init__(self, model: "PreTrainedModel", tokenizer: Any, image_processor: Any,
                 batch_size: int = 16) -> None:
        check_count("batch_size", batch_size)
        self.model, self.tokenizer, self.image_processor = model.eval(), tokenizer, image_processor
        self.batch_size = batch_size

    @torch.inference_mode()
    def similarity(self, texts: Sequence[str], images: np.ndarray) -> np.ndarray:
        """Score of each text with each picture, uint8 (n, height, width, 3): (n_texts, n)."""
        told = _tokens(self.tokenizer, _check_texts(texts))
        columns = []
        with torch.random.fork_rng():       # ViLT draws the order in which it reads the patches
            torch.manual_seed(0)
            for image in _check_images(images):
                seen = self.image_processor([image], return_tensors="pt")
                scores = [self._pairs(told, some, seen) for some in
                          _batches(np.arange(len(told["input_ids"])), self.batch_size)]
                columns.append(np.concatenate(scores))
        return np.stack(columns, axis=1)

    def _pairs(self, told: Mapping[str, torch.Tensor], rows: np.ndarray,
               seen: Mapping[str, torch.Tensor]) -> np.ndarray:
        words = {name: values[rows] for name, values in told.items()}
        pixels = {name: values.expand(len(rows), *values.shape[1:])
                  for name, values in seen.items()}
        return self.model(**words, **pixels).logits[:, 0].float().numpy()


def load_rival(name: str, batch_size: int = 16) -> DualEncoder | CrossEncoder:
    """A pretrained model by its name on the Hugging Face hub, such as those in `RIVALS`.

    The first call downloads the weights (0.5 to 1 GB), later ones find them.

    Raises `WeightsMissing` where they are neither here nor to be had, and ValueError for a model
    of another kind.
    """
    try:
        return _load(name, batch_size, local_files_only=True)
    except OSError:
        if not is_online():
            raise WeightsMissing(f"No network to fetch {name}; run this again online.") from None
    try:
        return _load(name, batch_size, local_files_only=False)
    except OSError as error:
        raise WeightsMissing(f"{name} cannot be fetched: {str(error).splitlines()[0]}") from error


def is_online(timeout: float = 3.0) -> bool:
    """Whether the hub can be reached, found out in seconds; a proxy is trusted to lead there."""
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    if getproxies().get("https"):
        return True
    place = urlsplit(os.environ.get("HF_ENDPOINT", HUB))
    port = place.port or {"http": 80}.get(place.scheme, 443)
    try:
        with socket.create_connection((place.hostname, port), timeout):
            return True
    except OSError:
        return False


def _load(name: str, batch_size: int, local_files_only: bool) -> DualEncoder | CrossEncoder:
    import transformers                                  # slow to import, and few pages need it

    where = {"local_files_only": local_files_only}
    kind = transformers.AutoConfig.from_pretrained(name, **where).model_type
    if kind not in ("clip", "align", "vilt"):
        raise ValueError(f"{name} is a model of the kind {kind!r}. Choose one of the kinds clip, "
                         f"align or vilt, for example {', '.join(RIVALS)}.")
    made = (transformers.ViltForImageAndTextRetrieval if kind == "vilt"
            else transformers.AutoModel).from_pretrained(name, **where)
    parts = (transformers.AutoTokenizer.from_pretrained(name, **where),
             transformers.AutoImageProcessor.from_pretrained(name, **where))
    return (CrossEncoder if kind == "vilt" else DualEncoder)(made, *parts, batch_size)


def tiny_rival(kind: str, seed: int = 0, batch_size: int = 16) -> DualEncoder | CrossEncoder:
    """The network of CLIP, ALIGN or ViLT, small and untrained: it knows nothing.

    kind : "clip", "align" or "vilt". seed : of the weights. Words are told apart by their letters.

    Raises ValueError for another kind.

    >>> tiny_rival("align").embed_text(["a dog", "a cat"]).shape
    (2, 16)
    """
    makers = {"clip": _tiny_clip, "align": _tiny_align, "vilt": _tiny_vilt}
    if kind not in makers:
        raise ValueError(f"kind must be one of {', '.join(makers)}; got {kind!r}.")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = makers[kind]()
    return (CrossEncoder if kind == "vilt" else DualEncoder)(model, _letters(), processor,
                                                             batch_size)


SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "initializer_range": 0.3}
VOCABULARY = 32                     # of `_letters`: the special tokens, the letters, a blank


def _tiny_clip() -> tuple["PreTrainedModel", Any]:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    text = {**SMALL, "vocab_size": VOCABULARY, "max_position_embeddings": 64, "bos_token_id": 1,
            "eos_token_id": 3, "pad_token_id": 0}
    picture = {**SMALL, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=picture, projection_dim=16)
    return CLIPModel(config), CLIPImageProcessor(size={"shortest_edge": 32},
                                                 crop_size={"height": 32, "width": 32})


def _tiny_align() -> tuple["PreTrainedModel", Any]:
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessor

    text = {**SMALL, "vocab_size": VOCABULARY, "max_position_embeddings": 64, "pad_token_id": 0}
    picture = {"image_size": 32, "width_coefficient": 0.05, "depth_coefficient": 0.1,
               "depthwise_padding": [], "initializer_range": 0.4}
    config = AlignConfig(text_config=text, vision_config=picture, projection_dim=16)
    return AlignModel(config), EfficientNetImageProcessor(size={"height": 32, "width": 32},
                                                          do_center_crop=False)


def _tiny_vilt() -> tuple["PreTrainedModel", Any]:
    from transformers import ViltConfig, ViltForImageAndTextRetrieval, ViltImageProcessor

    config = ViltConfig(**SMALL, vocab_size=VOCABULARY, max_position_embeddings=64,
                        image_size=32, patch_size=8)
    return ViltForImageAndTextRetrieval(config), ViltImageProcessor(
        size={"shortest_edge": 32}, size_divisor=8)


def _letters() -> "PreTrainedTokenizerFast":
    """A tokenizer that needs no file: a token for each letter."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["[PAD]", "[CLS]", "[UNK]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", "▁", "'"]
    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, "[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(),
                                                   pre_tokenizers.Split("", "isolated")])
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]",
                                   model_max_length=64)


def load_vit(name: str = "vit_b_16") -> Backbone:
    """A vision transformer that torchvision trained on ImageNet, for `vision.picture_features`.

    name : "vit_b_16", "vit_b_32" or "vit_l_16". Pictures are brought to 224 pixels.

    Raises `WeightsMissing` where the weights (0.3 to 1.2 GB) are neither here nor to be had, and
    ValueError for another name. Source: Dosovitskiy et al. (2021).
    """
    if name not in ("vit_b_16", "vit_b_32", "vit_l_16"):
        raise ValueError(f"There is no vision transformer {name!r}. Choose one of: vit_b_16, "
                         "vit_b_32, vit_l_16.")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # torch names a folder of this machine
            model = torchvision.models.get_model(name, weights=weights)
    except (URLError, ConnectionError, TimeoutError):
        raise WeightsMissing(f"No network to fetch {name}; run this again online.") from None
    head, model.heads = model.heads.eval().to(DEVICE), torch.nn.Identity()
    side = v2.Resize((224, 224), antialias=True)
    even = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Backbone(name, str(weights), model.hidden_dim, model.eval().to(DEVICE), head,
                    v2.Compose([side, v2.ToDtype(torch.float32, scale=True), even]))


def _tokens(tokenizer: Any, texts: Sequence[str]) -> Mapping[str, torch.Tensor]:
    told = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    return {name: told[name] for name in ("input_ids", "attention_mask", "token_type_ids")
            if name in told}


def _batches(items: Sequence, size: int) -> Iterator[Sequence]:
    for start in range(0, len(items), size):
        yield items[start:start + size]


def _check_texts(texts: Sequence[str]) -> list[str]:
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("Expected a list of texts, at least one; vectors of words are for the "
                         "book's own methods.")
    return texts


def _check_images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError("Expected pictures as uint8 of shape (n, height, width, 3), at least "
                         f"one; got {images.dtype} of shape {images.shape}.")
    return images
