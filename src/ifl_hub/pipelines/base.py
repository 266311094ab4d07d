"""What every pipeline of the zoo does alike: it needs nothing but an image processor, and saves nothing that asks for
remote code.
"""

import os
from typing import Any, ClassVar

from transformers.pipelines.base import ChunkPipeline


class IflPipeline(ChunkPipeline):
    """A picture in pieces through a network, and one result a picture."""

    task: ClassVar[str]
    _load_image_processor = True
    _load_tokenizer = False
    _load_feature_extractor = False
    _load_processor = False
    _load_video_processor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("task", self.task)
        super().__init__(*args, **kwargs)
        if self.image_processor is None:
            raise ValueError("the pipeline needs image_processor=, such as IflImageProcessor.from_pretrained(folder)")

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """One picture or many; a tuple counts as a list, and an empty one gives an empty list."""
        if isinstance(inputs, list | tuple) and not inputs:
            return []
        return super().__call__(list(inputs) if isinstance(inputs, tuple) else inputs, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save model and processor, and nothing that would make the folder ask for remote code.

        transformers' own version writes `custom_pipelines` into the config, after which the task no longer resolves to
        this registered class.
        """
        self.model.save_pretrained(save_directory, **kwargs)
        self.image_processor.save_pretrained(save_directory, **kwargs)


def refuse_unknown(options: dict[str, Any], known: str) -> None:
    """Refuse what a pipeline was given beyond its options.

    Raises:
        TypeError: If there is anything.
    """
    if options:
        raise TypeError(f"unknown option {', '.join(options)}; there are {known}")


def check_probability(name: str, value: float | None) -> None:
    """Refuse a threshold that is no probability.

    Raises:
        ValueError: If it is neither None nor in [0, 1].
    """
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{name}={value} is no probability; choose between 0 and 1")
