"""`AutoModelForImageForgeryLocalization`: the auto class of a task that transformers does not know.

transformers finds a model class through a mapping from configuration classes; a new task needs a mapping of its own.
The two private names below are all we touch (a test guards them).
"""

import os
from collections import OrderedDict
from typing import Any

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES


class AutoModelForImageForgeryLocalization(_BaseAutoModelClass):
    """Loads whichever localization method a checkpoint's config names; from an exported folder, its program.

    Example:
        >>> from ifl_hub import AutoModelForImageForgeryLocalization, SumiIflConfig
        >>> model = AutoModelForImageForgeryLocalization.from_config(SumiIflConfig.tiny())
        >>> type(model).__name__
        'SumiIflForImageForgeryLocalization'
    """

    _model_mapping = _LazyAutoMapping(CONFIG_MAPPING_NAMES, OrderedDict())

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *model_args: Any, **kwargs: Any
    ) -> Any:
        """As transformers'; a local folder that `ifl-hub export` wrote gives an `ExportedLocalizer`."""
        from ..export.exported import ExportedLocalizer, is_exported

        folder = os.fspath(pretrained_model_name_or_path)
        if is_exported(folder):
            return ExportedLocalizer.from_pretrained(folder)
        return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
