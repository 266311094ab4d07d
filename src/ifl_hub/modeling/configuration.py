"""What every configuration of the zoo does alike: it is saved without a word about code that is not saved with it."""

from typing import Any

from transformers.configuration_utils import PreTrainedConfig


class IflConfig(PreTrainedConfig):
    """A configuration whose fine-tuned copies stay loadable.

    A repository may hold its method's code (`ifl-hub push --with-code`) and name it in `auto_map` and
    `custom_pipelines`. transformers keeps both in the configuration that it loads; a copy that is saved elsewhere would
    ask for files that are not there.
    """

    def to_dict(self) -> dict[str, Any]:
        """All values, JSON-able; `auto_map` only where the class itself is remote code, which is saved beside them."""
        values = super().to_dict()
        values.pop("custom_pipelines", None)
        if self._auto_class is None:
            values.pop("auto_map", None)
        return values
