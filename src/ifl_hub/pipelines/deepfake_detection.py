"""`pipeline("deepfake-detection")`: a picture or a video in; its faces out, each with the probability of being fake.

Every face is cut out with a margin, resized to what the classifier expects and judged alone. A picture is as fake as
its most suspicious face, a video as fake as its frames are on average.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..image_processing.face_cropping import Backend, FaceCrop, FaceCropper
from ..image_processing.loading import LoadedImage
from ..image_processing.video import VideoFrame, read_frames
from ..modeling.exposing_deception.explanation_exposing_deception import attention_overlap, local_attention
from .base import IflPipeline, check_probability, refuse_unknown


@dataclass(frozen=True)
class _Verdict:
    """What the network said of a face: P(fake) and, if asked for, where each block looked `(n, h, w)`."""

    crop: FaceCrop
    score: float
    attention: np.ndarray | None
    overlap: float | None


class DeepfakeDetectionPipeline(IflPipeline):
    """Finds the faces of pictures and says how likely each of them is fake.

    Built by `pipeline("deepfake-detection", model=…)`, or directly from `model=` and `image_processor=`. The model is
    any image classifier with a label called "fake".

    Args:
        args: Of transformers' pipelines.
        face_cropper: Where faces come from: a `FaceCropper`, or the name of its backend; by default the best detector
            that is installed. `"none"` takes every picture for one face, for pictures that are cropped already.
        kwargs: Of transformers' pipelines, and options of a call that shall hold for all.

    Raises:
        NoFaceError: If no face detector is installed.
        ValueError: If the model has no label "fake".

    Example:
        >>> from ifl_hub import ExposingDeceptionConfig, ExposingDeceptionForImageClassification, FaceImageProcessor
        >>> model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny()).eval()
        >>> processor = FaceImageProcessor(size={"height": 64, "width": 64})
        >>> detect = DeepfakeDetectionPipeline(model=model, image_processor=processor, face_cropper="none")
        >>> result = detect(np.zeros((80, 70, 3), np.uint8))
        >>> sorted(result), [face["box"] for face in result["faces"]]
        (['faces', 'label', 'score'], [(0, 0, 70, 80)])
    """

    task = "deepfake-detection"

    def __init__(self, *args: Any, face_cropper: FaceCropper | Backend = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(face_cropper, str):
            face_cropper = FaceCropper(face_cropper, margin=getattr(self.image_processor, "face_margin", 1.3))
        self.face_cropper = face_cropper
        names = {index: name for index, name in self.model.config.id2label.items() if name.lower() == "fake"}
        if len(names) != 1 or self.model.config.num_labels != 2:
            raise ValueError(
                f"the model's labels are {', '.join(self.model.config.id2label.values())}; a deepfake detector has two "
                "and calls one of them 'fake': set its config's id2label"
            )
        [self.fake] = names

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Judge the faces of one picture or many; `detect_video` takes videos.

        Args:
            inputs: A path, URL, PIL image or array (`load_image` lists all), or a list, generator or dataset of them.
            kwargs: `score_threshold` of the label, in [0, 1], None is the checkpoint's own; `explain=True` adds where
                each local information block looked. `batch_size` faces go through the model at once.

        Returns:
            Per picture a dict (a list of them for a list, an iterator for a generator): `faces`, the largest first,
            `score`, the highest P(fake) among them, and `label`; both None where there is no face. Each face is a dict
            of `box`, (left, top, right, bottom) in pixels of the upright picture, `crop`, the part that was judged,
            likewise, `label` and `score`; with `explain` also `attention`, float32 `(n, h, w)` in [0, 1] on the pixels
            of the crop, and `overlap` in [0, 1] (`attention_overlap`), None where fewer than two blocks speak for fake.

        Raises:
            ImageLoadError: If a picture cannot be read; the message names it.
        """
        return super().__call__(inputs, **kwargs)

    def detect_video(self, video: str | Path, every: int = 5, **kwargs: Any) -> dict[str, Any]:
        """Judge every k-th frame of a video.

        Args:
            video: A file.
            every: k.
            kwargs: Of a call for pictures.

        Returns:
            `score`, the mean of the frames' scores, and `label`; both None where no frame has a face. `frames`, a dict
            each: `index`, `seconds` (None if unknown), and the result of the frame as for a picture.

        Raises:
            VideoError: If the video cannot be read.
        """
        waiting: deque[VideoFrame] = deque()  # the pipeline runs ahead of its results

        def pictures() -> Iterator[LoadedImage]:
            for frame in read_frames(video, every):
                waiting.append(frame)
                yield LoadedImage(frame.pixels, f"{video}, frame {frame.index}")

        frames = []
        for result in self(pictures(), **kwargs):
            frame = waiting.popleft()
            frames.append({"index": frame.index, "seconds": frame.seconds, **result})
        scores = [frame["score"] for frame in frames if frame["score"] is not None]
        score = math.fsum(scores) / len(scores) if scores else None
        return {"label": self._label(score, kwargs.get("score_threshold")), "score": score, "frames": frames}

    def _sanitize_parameters(
        self, score_threshold: float | None = None, explain: bool | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        refuse_unknown(kwargs, "score_threshold, explain, batch_size")
        check_probability("score_threshold", score_threshold)
        if explain and not hasattr(self.model, "local_maps"):
            raise ValueError(f"{type(self.model).__name__} has no local information blocks: leave explain away")
        thresholds = {} if score_threshold is None else {"score_threshold": score_threshold}
        return {}, {} if explain is None else {"explain": explain}, thresholds

    def preprocess(self, inputs: Any) -> Iterator[dict[str, Any]]:
        """One picture to its faces; a picture without any is passed on as such."""
        crops = self.face_cropper(inputs)
        for index, crop in enumerate(crops):
            batch = self.image_processor(crop.pixels, input_data_format="channels_last", return_tensors="pt")
            # In a list, because transformers can only collate bare tensors of equal shape.
            yield {"is_last": index == len(crops) - 1, "crop": crop, "pixel_values": [batch["pixel_values"]]}
        if not crops:
            yield {"is_last": True, "crop": _NO_FACE, "pixel_values": []}

    def _forward(self, model_inputs: dict[str, Any], explain: bool = False) -> dict[str, Any]:
        """The verdicts of a batch of faces."""
        if isinstance(model_inputs["crop"], FaceCrop):
            [verdict] = self._judge([model_inputs["crop"]], [model_inputs["pixel_values"]], explain)
            return {"is_last": model_inputs["is_last"], "verdict": verdict}
        verdicts = self._judge(model_inputs["crop"], model_inputs["pixel_values"], explain)
        return {"is_last": model_inputs["is_last"], "verdict": verdicts}

    def _judge(
        self, crops: list[FaceCrop], pixel_values: list[list[torch.Tensor]], explain: bool
    ) -> list[_Verdict | None]:
        present = [index for index, values in enumerate(pixel_values) if values]
        verdicts: list[_Verdict | None] = [None] * len(crops)
        if not present:
            return verdicts
        batch = torch.cat([pixel_values[index][0] for index in present]).to(self.model.dtype)
        attention, overlap = None, None
        if explain:
            attention, logits = local_attention(self.model, batch, self.fake)
            overlap = attention_overlap(attention)
        else:
            logits = self.model(pixel_values=batch).logits
        scores = logits.float().softmax(-1)[:, self.fake].tolist()
        for row, index in enumerate(present):
            crop = crops[index]
            looked = None if attention is None else _on_crop(attention[row], crop)
            verdicts[index] = _Verdict(crop, scores[row], looked, None if overlap is None else _number(overlap[row]))
        return verdicts

    def postprocess(self, model_outputs: list[dict[str, Any]], score_threshold: float | None = None) -> dict[str, Any]:
        """Collect a picture's faces, and label them at the operating point."""
        verdicts: list[_Verdict] = [out["verdict"] for out in model_outputs if out["verdict"] is not None]
        faces = []
        for verdict in verdicts:
            face: dict[str, Any] = {"box": verdict.crop.box, "crop": verdict.crop.crop}
            face |= {"label": self._label(verdict.score, score_threshold), "score": verdict.score}
            if verdict.attention is not None:
                face |= {"attention": verdict.attention, "overlap": verdict.overlap}
            faces.append(face)
        score = max((verdict.score for verdict in verdicts), default=None)
        return {"label": self._label(score, score_threshold), "score": score, "faces": faces}

    def _label(self, score: float | None, score_threshold: float | None) -> str | None:
        if score is None:
            return None
        if score_threshold is None:
            score_threshold = getattr(self.image_processor, "score_threshold", 0.5)
        return self.model.config.id2label[self.fake if score > score_threshold else 1 - self.fake]


_NO_FACE = FaceCrop((0, 0, 0, 0), (0, 0, 0, 0), None, np.zeros((0, 0, 3), np.uint8))


def _on_crop(attention: torch.Tensor, crop: FaceCrop) -> np.ndarray:
    size = crop.pixels.shape[:2]
    resized = torch.nn.functional.interpolate(attention[None], size, mode="bilinear", align_corners=False)
    return resized[0].clamp(0, 1).cpu().numpy()


def _number(value: torch.Tensor) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number
