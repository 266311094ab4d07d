"""DDPM's schedule with simplex noise, for diffusers' training and sampling loops; importing it imports diffusers."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from diffusers import DDPMScheduler
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_ddpm import DDPMSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .simplex_noise import SimplexNoise

Variance = Literal["fixed_small", "fixed_small_log", "fixed_large"]
Prediction = Literal["epsilon", "sample", "v_prediction"]
Noise = Literal["simplex", "gaussian"]


class SimplexDDPMScheduler(DDPMScheduler):
    """diffusers' `DDPMScheduler` whose noise is fractal simplex noise, in training and in sampling.

    Timesteps are indices of the schedule, 0 to T - 1; the paper's t in 1 to T is that plus 1. The paper gives T and the
    noise; the linear betas are DDPM's and AnoDDPM's. Loads from and into DDPM and DDIM configurations.

    Args:
        num_train_timesteps: T.
        beta_start: First beta.
        beta_end: Last beta.
        beta_schedule: As in `DDPMScheduler`.
        trained_betas: As in `DDPMScheduler`.
        variance_type: As in `DDPMScheduler`, without those whose variance a model learns.
        clip_sample: Off: pixels that are normalised with ImageNet's deviations lie outside [-1, 1].
        prediction_type: As in `DDPMScheduler`.
        thresholding: As in `DDPMScheduler`.
        dynamic_thresholding_ratio: As in `DDPMScheduler`.
        clip_sample_range: As in `DDPMScheduler`.
        sample_max_value: As in `DDPMScheduler`.
        timestep_spacing: As in `DDPMScheduler`.
        steps_offset: As in `DDPMScheduler`.
        rescale_betas_zero_snr: As in `DDPMScheduler`.
        noise_type: `"simplex"`, or `"gaussian"` (a row of the paper's Table 4), which is DDPM as it is.
        simplex_frequency: nu.
        simplex_octaves: N.
        simplex_persistence: gamma.
        noise_normalization: As in `SimplexNoise`.
        simplex_jitter: As in `SimplexNoise`.

    Raises:
        ValueError: If an option is unknown or a value of the noise impossible.

    Example:
        >>> from ifl_hub import SimplexDDPMScheduler
        >>> scheduler = SimplexDDPMScheduler()
        >>> noise = scheduler.sample_noise((1, 3, 64, 64))
        >>> scheduler.add_noise(torch.zeros(1, 3, 64, 64), noise, torch.tensor([500])).shape
        torch.Size([1, 3, 64, 64])
    """

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: list[float] | None = None,
        variance_type: Variance = "fixed_small",
        clip_sample: bool = False,
        prediction_type: Prediction = "epsilon",
        thresholding: bool = False,
        dynamic_thresholding_ratio: float = 0.995,
        clip_sample_range: float = 1.0,
        sample_max_value: float = 1.0,
        timestep_spacing: str = "leading",
        steps_offset: int = 0,
        rescale_betas_zero_snr: bool = False,
        noise_type: Noise = "simplex",
        simplex_frequency: float = 2**-6,
        simplex_octaves: int = 6,
        simplex_persistence: float = 0.8,
        noise_normalization: Literal["unit_variance", "none"] = "unit_variance",
        simplex_jitter: int = 64,
    ) -> None:
        options = {"noise_type": Noise, "variance_type": Variance, "prediction_type": Prediction}
        for name, kind in options.items():
            if locals()[name] not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}; got {locals()[name]!r}")
        super().__init__(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            trained_betas=trained_betas,
            variance_type=variance_type,
            clip_sample=clip_sample,
            prediction_type=prediction_type,
            thresholding=thresholding,
            dynamic_thresholding_ratio=dynamic_thresholding_ratio,
            clip_sample_range=clip_sample_range,
            sample_max_value=sample_max_value,
            timestep_spacing=timestep_spacing,
            steps_offset=steps_offset,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
        )
        # diffusers gives another class its own defaults where a value is at ours; this one must travel all the same.
        at_default = [name for name in self.config.get("_use_default_values", ()) if name != "clip_sample"]
        self.register_to_config(_use_default_values=at_default)
        self.simplex = SimplexNoise(
            simplex_frequency, simplex_octaves, simplex_persistence, noise_normalization, simplex_jitter
        )
        self.init_noise_sigma = 1.0 if noise_type == "gaussian" else self.simplex.std

    def sample_noise(
        self,
        shape: Sequence[int],
        generator: torch.Generator | list[torch.Generator] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Draw noise of the scheduler's kind; arguments as in `SimplexNoise.__call__`."""
        if self.config["noise_type"] == "gaussian":
            return randn_tensor(tuple(shape), generator=generator, device=torch.device(device or "cpu"), dtype=dtype)
        return self.simplex(shape, generator, device, dtype)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, with a_t the cumulative product (Algorithm 1).

        The arithmetic is in float32: in bfloat16, 1 - a_t is exactly 0 up to t = 5.

        Args:
            original_samples: `(B, C, H, W)`, x_0.
            noise: Of the same shape.
            timesteps: `(B,)` integers in [0, T).

        Returns:
            x_t in the type of `original_samples`.

        Raises:
            ValueError: If a timestep lies outside; -1 would silently be the last one.
        """
        steps = self.config["num_train_timesteps"]
        if timesteps.numel() and not (int(timesteps.min()) >= 0 and int(timesteps.max()) < steps):
            raise ValueError(f"timesteps must lie in [0, {steps}), got {timesteps.tolist()}")
        return super().add_noise(original_samples.float(), noise.float(), timesteps).to(original_samples.dtype)

    def step(
        self,
        model_output: Tensor,
        timestep: int,
        sample: Tensor,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> DDPMSchedulerOutput | tuple[Tensor, ...]:
        """One step of sampling: DDPM's mean, with the variance's noise of the scheduler's kind.

        Args:
            model_output: What the model predicts for `sample`.
            timestep: The present one.
            sample: x_t.
            generator: For the noise.
            return_dict: Whether to return a `DDPMSchedulerOutput` or a tuple.

        Returns:
            `prev_sample` and `pred_original_sample`.
        """
        if self.config["noise_type"] == "gaussian" or timestep == 0:  # the last step adds no noise
            return super().step(model_output, timestep, sample, generator, return_dict)
        original = self._predicted_original(model_output, timestep, sample)
        previous_timestep = self.previous_timestep(timestep)
        remaining = self.alphas_cumprod[timestep]
        previous = self.alphas_cumprod[previous_timestep] if previous_timestep >= 0 else self.one
        alpha = remaining / previous
        # The posterior's mean, eq. 7 of DDPM.
        mean = previous.sqrt() * (1 - alpha) / (1 - remaining) * original
        mean = mean + alpha.sqrt() * (1 - previous) / (1 - remaining) * sample
        variance = self._get_variance(timestep)
        deviation = variance if self.config["variance_type"] == "fixed_small_log" else variance.sqrt()
        noise = self.sample_noise(model_output.shape, generator, model_output.device, model_output.dtype)
        sampled = mean + deviation * noise
        return DDPMSchedulerOutput(sampled, original) if return_dict else (sampled, original)

    def _predicted_original(self, model_output: Tensor, timestep: int, sample: Tensor) -> Tensor:
        """x_0 as the prediction has it, clipped where that is switched on."""
        signal, noise = self.alphas_cumprod[timestep].sqrt(), (1 - self.alphas_cumprod[timestep]).sqrt()
        match self.config["prediction_type"]:
            case "epsilon":
                original = (sample - noise * model_output) / signal
            case "v_prediction":
                original = signal * sample - noise * model_output
            case _:
                original = model_output
        if self.config["thresholding"]:
            return self._threshold_sample(original)
        limit = self.config["clip_sample_range"]
        return original.clamp(-limit, limit) if self.config["clip_sample"] else original


__all__ = ["SimplexDDPMScheduler"]
