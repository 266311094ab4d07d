"""A localizer that costs nothing to run, as a folder."""

from pathlib import Path

import torch

from ifl_hub import IflImageProcessor, SumiIflConfig, SumiIflForImageForgeryLocalization


def write_model(folder: Path, **processor) -> Path:
    """Save an untrained model, the same each time, and its processor; returns the folder."""
    torch.manual_seed(0)
    SumiIflForImageForgeryLocalization(SumiIflConfig.tiny()).save_pretrained(folder)
    IflImageProcessor(**processor).save_pretrained(folder)
    return folder
