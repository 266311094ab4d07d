"""The simplex scheduler: DDPM's arithmetic with another noise, at home in diffusers' loops and files."""

import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

diffusers = pytest.importorskip("diffusers")

from ifl_hub import SimplexDDPMScheduler, SimplexNoise  # noqa: E402

SHAPE = (2, 3, 24, 20)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tensors(*seeds, shape=SHAPE):
    return [torch.randn(shape, generator=seeded(seed)) for seed in seeds]


# -- adding noise ------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(t=st.integers(0, 999), seed=st.integers(0, 1000), factor=st.floats(-2, 2))
def test_adding_noise_is_linear_and_can_be_undone(t, seed, factor):
    scheduler, (x, y, noise, other) = SimplexDDPMScheduler(), tensors(seed, seed + 1, seed + 2, seed + 3)
    steps = torch.tensor([t, t])
    mixed = scheduler.add_noise(x + factor * y, noise + factor * other, steps)
    parts = scheduler.add_noise(x, noise, steps) + factor * scheduler.add_noise(y, other, steps)
    torch.testing.assert_close(mixed, parts, rtol=1e-4, atol=1e-4)
    noisy = scheduler.add_noise(x, noise, steps)
    kept = scheduler.alphas_cumprod[t]
    torch.testing.assert_close((noisy - (1 - kept).sqrt() * noise) / kept.sqrt(), x, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("t", [0, 30, 300, 999])
def test_unit_data_and_unit_noise_stay_unit(t):
    scheduler = SimplexDDPMScheduler()
    scheduler.simplex = SimplexNoise(frequency=1 / 8.3, octaves=3)  # more patches in a small picture
    shape = (16, 3, 64, 64)
    data, noise = torch.randn(shape, generator=seeded()), scheduler.sample_noise(shape, seeded(1))
    noisy = scheduler.add_noise(data, noise, torch.full((16,), t))
    assert noisy.std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_noise_at_small_t_survives_half_precision(dtype):
    """diffusers rounds the cumulative product first, and 1 - a_t is then 0."""
    flat, noise = torch.zeros(6, 1, 8, 8, dtype=dtype), torch.ones(6, 1, 8, 8, dtype=dtype)
    steps = torch.arange(6)
    ours = SimplexDDPMScheduler().add_noise(flat, noise, steps)
    theirs = diffusers.DDPMScheduler().add_noise(flat, noise, steps)
    expected = (1 - SimplexDDPMScheduler().alphas_cumprod[:6]).sqrt()
    assert ours.dtype == dtype
    torch.testing.assert_close(ours[:, 0, 0, 0].float(), expected, rtol=0.01, atol=0)
    assert theirs[0].abs().max() == 0


@pytest.mark.parametrize("t", [-1, 1000])
def test_timesteps_outside_the_schedule_are_refused(t):
    x, noise = tensors(0, 1)
    with pytest.raises(ValueError, match=r"timesteps must lie in \[0, 1000\)"):
        SimplexDDPMScheduler().add_noise(x, noise, torch.tensor([t, 5]))


# -- sampling ----------------------------------------------------------------------------------------------------------

variants = pytest.mark.parametrize(
    "options",
    [
        {},
        {"prediction_type": "sample"},
        {"prediction_type": "v_prediction"},
        {"clip_sample": True},
        {"thresholding": True},
        {"variance_type": "fixed_large"},
        {"variance_type": "fixed_small_log"},
    ],
    ids=str,
)


@variants
@pytest.mark.parametrize("t", [0, 1, 400, 999])
def test_a_step_is_ddpms_but_for_the_noise(options, t):
    ours = SimplexDDPMScheduler(**options)
    theirs = diffusers.DDPMScheduler(**{"clip_sample": False, **options})
    output, sample = tensors(0, 1)
    expected = theirs.step(output, t, sample, seeded(5))
    actual = ours.step(output, t, sample, seeded(5))
    torch.testing.assert_close(actual.pred_original_sample, expected.pred_original_sample)
    if t:
        variance = theirs._get_variance(t)
        deviation = variance if options.get("variance_type") == "fixed_small_log" else variance.sqrt()
        swapped = ours.sample_noise(SHAPE, seeded(5)) - torch.randn(SHAPE, generator=seeded(5))
        torch.testing.assert_close(actual.prev_sample, expected.prev_sample + deviation * swapped, rtol=1e-4, atol=1e-4)
    else:
        assert torch.equal(actual.prev_sample, expected.prev_sample)
    assert torch.equal(ours.step(output, t, sample, seeded(5), return_dict=False)[0], actual.prev_sample)


def test_gaussian_noise_is_ddpm():
    ours, theirs = SimplexDDPMScheduler(noise_type="gaussian"), diffusers.DDPMScheduler(clip_sample=False)
    output, sample = tensors(0, 1)
    for t in (0, 500):
        expected, actual = (s.step(output, t, sample, seeded()).prev_sample for s in (theirs, ours))
        assert torch.equal(actual, expected)
    assert torch.equal(ours.sample_noise(SHAPE, seeded()), torch.randn(SHAPE, generator=seeded()))


def test_a_sampling_loop_of_diffusers_recovers_a_known_picture():
    """A model that knows the picture: each step's noise is what lies between the sample and the picture."""
    scheduler = SimplexDDPMScheduler()
    [picture] = tensors(0)
    scheduler.set_timesteps(20)
    sample = scheduler.sample_noise(SHAPE, seeded(1)) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        kept = scheduler.alphas_cumprod[t]
        predicted = (sample - kept.sqrt() * picture) / (1 - kept).sqrt()
        sample = scheduler.step(predicted, int(t), scheduler.scale_model_input(sample, t), seeded(2)).prev_sample
    torch.testing.assert_close(sample, picture, rtol=1e-3, atol=1e-3)


def test_unnormalised_noise_keeps_its_amplitude():
    scheduler = SimplexDDPMScheduler(noise_normalization="none")
    assert scheduler.init_noise_sigma == pytest.approx(0.59197, abs=1e-5)
    assert scheduler.sample_noise((24, 3, 24, 24), seeded()).square().mean().sqrt().item() == pytest.approx(
        0.592, rel=0.1
    )


# -- files -------------------------------------------------------------------------------------------------------------


def test_round_trip(tmp_path):
    scheduler = SimplexDDPMScheduler(num_train_timesteps=50, simplex_octaves=3, noise_normalization="none")
    scheduler.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "scheduler_config.json").read_text())
    assert written["_class_name"] == "SimplexDDPMScheduler"
    assert written["noise_normalization"] == "none"
    loaded = SimplexDDPMScheduler.from_pretrained(tmp_path)
    assert {**loaded.config, "_use_default_values": []} == {**scheduler.config, "_use_default_values": []}
    assert loaded.simplex == scheduler.simplex
    assert torch.equal(loaded.alphas_cumprod, scheduler.alphas_cumprod)
    assert pickle.loads(pickle.dumps(scheduler)).simplex == scheduler.simplex


@pytest.mark.parametrize("other", ["DDPMScheduler", "DDIMScheduler"])
def test_diffusers_own_schedulers_read_and_write_its_configuration(other, tmp_path):
    other_class = getattr(diffusers, other)
    scheduler = SimplexDDPMScheduler(num_train_timesteps=77, simplex_octaves=2)
    there = other_class.from_config(scheduler.config)
    assert there.config.num_train_timesteps == 77
    assert not there.config.clip_sample
    back = SimplexDDPMScheduler.from_config(there.config)
    assert back.simplex == scheduler.simplex
    there.save_pretrained(tmp_path)
    assert SimplexDDPMScheduler.from_pretrained(tmp_path).config["simplex_octaves"] == 2
    plain = SimplexDDPMScheduler.from_config(other_class().config)
    assert plain.config["noise_type"] == "simplex"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_type": "perlin"}, "simplex, gaussian"),
        ({"variance_type": "learned"}, "fixed_small"),
        ({"prediction_type": "noise"}, "epsilon"),
        ({"simplex_octaves": 0}, "at least 1"),
    ],
)
def test_impossible_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SimplexDDPMScheduler(**options)


def test_the_examples_of_the_page_run():
    page = (Path(__file__).parent.parent / "docs" / "diff_forensics.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "docs/diff_forensics.md", "exec"), {})
