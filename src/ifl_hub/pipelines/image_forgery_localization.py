"""`pipeline("image-forgery-localization")`: a picture in; a heat map, a mask and a score out.

Small or huge, every picture takes the same road: it is cut into tiles (a small one is a single tile), each tile goes
through the network, and the logits are averaged back onto the original pixel grid.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..image_processing.loading import load_image
from .base import IflPipeline, check_probability, refuse_unknown
from .tiling import JPEG_GRID, Tile, TileAccumulator, split_image


@dataclass(frozen=True)
class _Chunk:
    """A tile on its way: what to do with its logits once they exist. Opaque to transformers' collation."""

    tile: Tile
    image_size: tuple[int, int]


@dataclass(frozen=True)
class _ChunkMap:
    """A tile's logits `(h, w)` float32 and, for models with a detection head, its image logit."""

    chunk: _Chunk
    logits: np.ndarray
    image_logit: float | None


class ImageForgeryLocalizationPipeline(IflPipeline):
    """Localizes forged regions in photos; every result lies on the original pixel grid, after EXIF orientation.

    Built by `pipeline("image-forgery-localization", model=…)`, or directly from `model=` and `image_processor=`. The
    model may be a folder that `ifl-hub export` wrote; `backend=` then says which runtime is expected.

    Example:
        >>> import numpy as np
        >>> from ifl_hub import IflImageProcessor, SumiIflConfig, SumiIflForImageForgeryLocalization
        >>> model = SumiIflForImageForgeryLocalization(SumiIflConfig.tiny())
        >>> localize = ImageForgeryLocalizationPipeline(model=model, image_processor=IflImageProcessor())
        >>> result = localize(np.zeros((48, 64, 3), dtype=np.uint8))
        >>> sorted(result), result["heatmap"].shape, result["mask"].size
        (['heatmap', 'label', 'mask', 'score'], (48, 64), (64, 48))
    """

    task = "image-forgery-localization"

    def __init__(self, *args: Any, backend: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = getattr(self.model, "backend", "torch")
        if backend not in (None, own):
            raise ValueError(f"this model runs on {own}; for {backend!r}, export its checkpoint with `ifl-hub export`")

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Localize forgeries in one picture or many.

        Args:
            inputs: A path, URL, PIL image or array (`load_image` lists all), or a list, generator or dataset of them.
            kwargs: `threshold` (of the mask) and `score_threshold` (of the label), in [0, 1]; `tile_size` (0: never
                tile) and `tile_overlap`, in pixels; None is the checkpoint's own. `batch_size` tiles go through the
                model at once.

        Returns:
            Per picture a dict (a list of them for a list, an iterator for a generator): `label` "forged" or
            "authentic", `score` the probability in [0, 1] that the picture is forged, `mask` a PIL "L" image of 0 and
            255, `heatmap` float32 `(H, W)` in [0, 1].

        Raises:
            ImageLoadError: If a picture cannot be read; the message names it.
        """
        return super().__call__(inputs, **kwargs)

    def _sanitize_parameters(
        self,
        threshold: float | None = None,
        score_threshold: float | None = None,
        tile_size: int | None = None,
        tile_overlap: int | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        refuse_unknown(kwargs, "threshold, score_threshold, tile_size, tile_overlap, batch_size")
        thresholds = {"threshold": threshold, "score_threshold": score_threshold}
        for name, value in thresholds.items():
            check_probability(name, value)
        tiling = {"tile_size": tile_size, "tile_overlap": tile_overlap}
        given = [{name: value for name, value in group.items() if value is not None} for group in (tiling, thresholds)]
        return given[0], {}, given[1]

    def preprocess(
        self, inputs: Any, tile_size: int | None = None, tile_overlap: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """One picture to its tiles, cut one by one from the 8-bit pixels."""
        pixels = load_image(inputs).pixels
        height, width = pixels.shape[:2]
        tiles = self._tiles(height, width, tile_size, tile_overlap)
        for index, tile in enumerate(tiles):
            batch = self.image_processor(tile.cut(pixels), input_data_format="channels_last", return_tensors="pt")
            yield {
                "is_last": index == len(tiles) - 1,
                "chunk": _Chunk(tile, (height, width)),
                # In a list, because transformers can only collate bare tensors of equal shape.
                "pixel_values": [batch["pixel_values"]],
            }

    def _tiles(self, height: int, width: int, tile_size: int | None, tile_overlap: int | None) -> list[Tile]:
        processor = self.image_processor
        if processor.do_resize:
            if tile_size:
                raise ValueError("this checkpoint resizes the whole picture; leave tile_size away")
            return split_image(height, width, 0, 0)
        return split_image(
            height,
            width,
            processor.tile_size if tile_size is None else tile_size,
            processor.tile_overlap if tile_overlap is None else tile_overlap,
            alignment=math.lcm(
                JPEG_GRID, processor.size_divisor or 1, getattr(self.model.config, "size_divisor", None) or 1
            ),
        )

    def _forward(self, model_inputs: dict[str, Any], **forward_parameters: Any) -> dict[str, Any]:
        """The maps of a batch of tiles; tiles of equal shape go through the model together."""
        if isinstance(model_inputs["chunk"], _Chunk):
            maps = self._maps([model_inputs["chunk"]], model_inputs["pixel_values"])
            return {"is_last": model_inputs["is_last"], "map": maps[0]}
        pixel_values = [values[0] for values in model_inputs["pixel_values"]]
        return {"is_last": model_inputs["is_last"], "map": self._maps(model_inputs["chunk"], pixel_values)}

    def _maps(self, chunks: list[_Chunk], pixel_values: list[torch.Tensor]) -> list[_ChunkMap]:
        by_shape: dict[torch.Size, list[int]] = {}
        for index, values in enumerate(pixel_values):
            by_shape.setdefault(values.shape, []).append(index)
        maps: dict[int, _ChunkMap] = {}
        for indices in by_shape.values():
            batch = torch.cat([pixel_values[index] for index in indices]).to(self.model.dtype)
            outputs = self.model(pixel_values=batch)
            for row, index in enumerate(indices):
                maps[index] = self._map(chunks[index], outputs, row)
        return [maps[index] for index in range(len(chunks))]

    def _map(self, chunk: _Chunk, outputs: Any, row: int) -> _ChunkMap:
        logits = self.image_processor.restore_logits(outputs.logits[row : row + 1], chunk.tile.shape)
        image_logits = outputs.image_logits
        image_logit = None if image_logits is None else float(image_logits[row].float())
        return _ChunkMap(chunk, logits[0, 0].cpu().numpy(), image_logit)

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        threshold: float | None = None,
        score_threshold: float | None = None,
    ) -> dict[str, Any]:
        """Blend a picture's tiles into its map, and cut mask and label at the operating points."""
        maps: list[_ChunkMap] = [outputs["map"] for outputs in model_outputs]
        accumulator = TileAccumulator(*maps[0].chunk.image_size)
        for piece in maps:
            accumulator.add(piece.chunk.tile, piece.logits)
        heatmap = torch.from_numpy(accumulator.values).div_(self.image_processor.temperature).sigmoid_().numpy()
        image_logits = [piece.image_logit for piece in maps if piece.image_logit is not None]
        # The most suspicious tile decides.
        score = self.image_processor.image_score(heatmap, max(image_logits) if image_logits else None)
        threshold = self.image_processor.threshold if threshold is None else threshold
        score_threshold = self.image_processor.score_threshold if score_threshold is None else score_threshold
        return {
            "label": "forged" if score > score_threshold else "authentic",
            "score": score,
            "mask": Image.fromarray((heatmap > threshold).astype(np.uint8) * np.uint8(255)),
            "heatmap": heatmap,
        }
