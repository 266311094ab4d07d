"""What every localization model demands of its inputs, said in one line."""

from torch import Tensor


def check_inputs(pixel_values: Tensor, labels: Tensor | None, channels: int = 3) -> None:
    """Refuse pixels and labels that do not fit each other.

    Args:
        pixel_values: `(B, channels, H, W)`.
        labels: `(B, H, W)`, or None.
        channels: Of the images.

    Raises:
        ValueError: If a shape is another one.
    """
    if pixel_values.ndim != 4 or pixel_values.shape[1] != channels:
        raise ValueError(
            f"pixel_values must be (batch, {channels}, height, width), got {tuple(pixel_values.shape)}; "
            "prepare images with IflImageProcessor"
        )
    expected = (pixel_values.shape[0], *pixel_values.shape[-2:])
    if labels is not None and labels.shape != expected:
        raise ValueError(
            f"labels must be (batch, height, width) = {expected}, got {tuple(labels.shape)}; "
            "give the masks to IflImageProcessor together with the images"
        )
