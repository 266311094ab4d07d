"""`AutoModelForImageForgeryLocalization`: the auto class of a task that transformers does not know.

transformers finds a model class through a mapping from configuration classes; a new task needs a mapping of its own.
The two private names below are all we touch (a test guards them).
"""

from collections import OrderedDict

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES


class AutoModelForImageForgeryLocalization(_BaseAutoModelClass):
    """Loads whichever localization method a checkpoint's config names.

    Example:
        >>> from ifl_hub import AutoModelForImageForgeryLocalization, SumiIflConfig
        >>> model = AutoModelForImageForgeryLocalization.from_config(SumiIflConfig.tiny())
        >>> type(model).__name__
        'SumiIflForImageForgeryLocalization'
    """

    _model_mapping = _LazyAutoMapping(CONFIG_MAPPING_NAMES, OrderedDict())
