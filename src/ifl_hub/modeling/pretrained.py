"""What every model of the zoo shares: images in, safetensors only, and no weights that were damaged on their way."""

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HTTPError
from safetensors import SafetensorError
from transformers import PreTrainedModel

from ..files import check_cached_files

_CHECKED = ("*.safetensors", "*.json")


class IflPreTrainedModel(PreTrainedModel):
    """Base class of the methods' own base classes."""

    main_input_name = "pixel_values"
    input_modalities = ("image",)
    accepts_loss_kwargs = False
    model_tags: ClassVar[list[str]] = ["ifl-hub", "image-forensics"]  # a list, because transformers adds to it

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a model as transformers does, from safetensors only, and compare what came from the Hub with its
        checksums.

        Args:
            pretrained_model_name_or_path: A folder, or a Hub id.
            args: Of transformers.
            kwargs: Of transformers, such as `revision`, `cache_dir`, `force_download`.

        Raises:
            OSError: If there is no such model, or a file of it is damaged; the message says what to do.
        """
        kwargs.setdefault("use_safetensors", True)
        try:
            model = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except (SafetensorError, OSError) as error:
            _check_files(pretrained_model_name_or_path, kwargs)
            if (reason := _damage(error)) is None:
                raise
            raise OSError(
                f"{pretrained_model_name_or_path}: its weights are damaged or did not arrive whole ({reason}); "
                "copy or download them again"
            ) from error
        _check_files(pretrained_model_name_or_path, kwargs)
        return model


def _damage(error: BaseException) -> BaseException | None:
    """What broke the weights, if it was that: they cannot be read, or the connection broke off beneath transformers."""
    if isinstance(error, SafetensorError):
        return error
    beneath = error.__cause__ or error.__context__
    return beneath if isinstance(beneath, HTTPError) and not isinstance(beneath, OSError) else None


def _check_files(name: Any, options: dict[str, Any]) -> None:
    """Check the files that a model came from, if they lie in the Hub's cache."""
    if name is None:
        return
    inside = options.get("subfolder") or "."
    folder = Path(name) / inside
    if not folder.is_dir():
        where = {key: options[key] for key in ("revision", "cache_dir") if options.get(key)}
        config = try_to_load_from_cache(str(name), (PurePosixPath(inside) / "config.json").as_posix(), **where)
        if not isinstance(config, str):
            return
        folder = Path(config).parent
    check_cached_files(path for pattern in _CHECKED for path in sorted(folder.glob(pattern)))
