"""Configuration of DiffForensics: defaults are the paper's; where it is silent, the docstring says what we chose."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import SegformerConfig
from transformers.configuration_utils import PreTrainedConfig

from ..configuration import IflConfig

_MINIMA = {
    1: ("time_channels", "time_frequencies", "loc_kernel_size", "edge_kernel_size"),
    0: (
        *("fixed_timestep", "forged_pixel_weight", "authentic_pixel_weight", "forged_image_weight"),
        *("authentic_image_weight", "localization_weight", "detection_weight", "dice_smooth"),
    ),
}
_MIT_B2 = {
    "depths": (3, 4, 6, 3),
    "hidden_sizes": (64, 128, 320, 512),
    "num_attention_heads": (1, 2, 5, 8),
    "sr_ratios": (8, 4, 2, 1),
}


@strict
class DiffForensicsConfig(IflConfig):
    """Everything that decides what a DiffForensics model computes, in pre-training and after it.

    The paper (Yu et al., CVPR 2024) fixes a SegFormer encoder, a U-Net decoder of three blocks with a time embedding
    after each, both heads, the edge cue enhancement modules, the fixed timestep and eq. 1 to 9 with their weights. It
    leaves the encoder's size, the decoder's widths, the recipe of the edge labels and the kernel sizes of the heads
    open; those defaults are ours.

    Args:
        encoder_config: A transformers `SegformerConfig` or its values; MiT-B2 by default (the size is not given).
        decoder_channels: Widths of the three decoder blocks, coarse to fine: strides 16, 8 and 4 (not given).
        time_frequencies: Length of the sinusoidal embedding of a timestep, even (not given).
        time_channels: Width of the two linear layers above it (not given).
        time_embedding_position: Where a block adds it: after its two convolutions as in the paper's Fig. 2
            (`"post"`), or between them as DDPM does (`"inner"`).
        noise_head: How pre-training gets from stride 4 to pixels: `"pixel_shuffle"`, or `"bilinear"`, which cannot
            represent the finest octaves of the noise (not given).
        freeze_encoder: Whether pre-training leaves the encoder as it is. Without it, as in rows 2 and 4 of the paper's
            Table 4, all is trained.
        fixed_timestep: t_f of fine-tuning and inference.
        loc_kernel_size: Odd kernel of the localization head (not given).
        ecem_order: Differences between rows first and columns second, as the text and Fig. 4 say, or as eq. 2 nests
            them. The two are not the same.
        ecem_padding: What lies beyond the last row and column: the same again, or zeros, which make a constant map's
            border respond.
        ecem_operator: `"mixed"` is eq. 2, which answers to corners and slanted edges and never to an edge along an
            axis; `"gradient_sum"` adds the two differences instead and answers to every edge.
        edge_kernel_size: Odd width in pixels of the ring around a mask's outline that is its edge label (not given).
        edge_weights: Of the three edge maps in eq. 7, finest first; a map of weight 0 is left out. (1, 0, 0) and
            (1, 1, 1) are e1 and e2 of the paper's Table 5.
        seg_balance: lambda_0^s of eq. 4, in [0, 1].
        forged_pixel_weight: lambda_1^s of eq. 5.
        authentic_pixel_weight: lambda_2^s of eq. 5.
        forged_image_weight: lambda_0^c of eq. 8. The paper's rule for it (`class_weights_from_counts`) does not lead to
            its values.
        authentic_image_weight: lambda_1^c of eq. 8.
        localization_weight: alpha of eq. 9, of the segmentation and the edges.
        detection_weight: beta of eq. 9.
        dice_smooth: Added to numerator and denominator of eq. 6, which is 0/0 for an empty mask and an empty map.
        dice_reduction: Eq. 6 for every picture, then the mean; or over the pixels of a batch together.

    Raises:
        ValueError: If a value is impossible or two values contradict each other.

    Example:
        >>> from ifl_hub import DiffForensicsConfig
        >>> DiffForensicsConfig().encoder_config.hidden_sizes
        (64, 128, 320, 512)
        >>> DiffForensicsConfig.small().decoder_channels
        (64, 48, 32)
    """

    model_type = "diff_forensics"
    sub_configs: ClassVar[dict[str, type]] = {"encoder_config": SegformerConfig}
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["loss_terms", "edge_probabilities"]

    encoder_config: dict | PreTrainedConfig | None = None
    decoder_channels: list[int] | tuple[int, ...] = (256, 128, 64)
    time_frequencies: int = 128
    time_channels: int = 256
    time_embedding_position: Literal["post", "inner"] = "post"
    noise_head: Literal["pixel_shuffle", "bilinear"] = "pixel_shuffle"
    freeze_encoder: bool = True
    fixed_timestep: int = 5
    loc_kernel_size: int = 1
    ecem_order: Literal["rows_first", "cols_first"] = "rows_first"
    ecem_padding: Literal["replicate", "zeros"] = "replicate"
    ecem_operator: Literal["mixed", "gradient_sum"] = "mixed"
    edge_kernel_size: int = 7
    edge_weights: list[int | float] | tuple[int | float, ...] = (1.0, 0.5, 0.25)
    seg_balance: int | float = 0.1
    forged_pixel_weight: int | float = 2.0
    authentic_pixel_weight: int | float = 0.5
    forged_image_weight: int | float = 0.7
    authentic_image_weight: int | float = 0.3
    localization_weight: int | float = 0.8
    detection_weight: int | float = 0.1
    dice_smooth: int | float = 1.0
    dice_reduction: Literal["sample", "batch"] = "sample"

    def __post_init__(self, **kwargs: Any) -> None:
        if not isinstance(self.encoder_config, PreTrainedConfig):
            self.encoder_config = SegformerConfig(**{**_MIT_B2, **(self.encoder_config or {})})
        self.id2label: dict[int, str] = self.id2label or {0: "authentic", 1: "forged"}
        super().__post_init__(**kwargs)
        self.label2id: dict[str, int] = self.label2id or {label: index for index, label in self.id2label.items()}
        self._check_values()

    def _check_values(self) -> None:
        for minimum, names in _MINIMA.items():
            for name in names:
                if getattr(self, name) < minimum:
                    raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        for name in ("loc_kernel_size", "edge_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, got {getattr(self, name)}")
        if self.time_frequencies % 2 or self.time_frequencies < 4:
            raise ValueError(f"time_frequencies must be even and at least 4, got {self.time_frequencies}")
        if len(self.decoder_channels) != 3 or min(self.decoder_channels) < 1:
            raise ValueError(f"decoder_channels needs three values of at least 1, got {list(self.decoder_channels)}")
        if len(self.edge_weights) != 3 or min(self.edge_weights) < 0:
            raise ValueError(f"edge_weights needs three values of at least 0, got {list(self.edge_weights)}")
        if not 0 <= self.seg_balance <= 1:
            raise ValueError(f"seg_balance must lie in [0, 1], got {self.seg_balance}")
        stages = len(getattr(self.encoder_config, "hidden_sizes", ()))
        if stages != 4:
            raise ValueError(f"encoder_config must be a SegFormer's, with four stages; it has {stages}")

    @property
    def size_divisor(self) -> int:
        """The model pads its input to a multiple of this many pixels and crops the logits back."""
        return 32

    @classmethod
    def small(cls, **overrides: Any) -> "DiffForensicsConfig":
        """For a CPU, and the shape of the shipped weights: 1.1 M parameters."""
        encoder = {
            "depths": (1, 1, 2, 1),
            "hidden_sizes": (24, 48, 96, 128),
            "num_attention_heads": (1, 2, 4, 4),
            "drop_path_rate": 0.0,
        }
        shape = {"encoder_config": encoder, "decoder_channels": (64, 48, 32)}
        return cls(**{**shape, **overrides})

    @classmethod
    def tiny(cls, **overrides: Any) -> "DiffForensicsConfig":
        """For tests: some eighty thousand parameters, any input from 1 px."""
        encoder = {
            "depths": (1, 1, 1, 1),
            "hidden_sizes": (8, 16, 24, 32),
            "num_attention_heads": (1, 2, 3, 4),
            "drop_path_rate": 0.0,
        }
        shape = {
            "encoder_config": encoder,
            "decoder_channels": (16, 12, 8),
            "time_frequencies": 16,
            "time_channels": 32,
            "edge_kernel_size": 3,
        }
        return cls(**{**shape, **overrides})


__all__ = ["DiffForensicsConfig"]
