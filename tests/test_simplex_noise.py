"""Simplex noise: equal to the `opensimplex` package, distributed as computed by hand, drawn as in diffusers."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub import SimplexNoise
from ifl_hub.modeling.diff_forensics.simplex_noise import OCTAVE_VARIANCE, lattice_weights, simplex_operator

opensimplex = pytest.importorskip("opensimplex")

seeds = st.integers(0, 2**31 - 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def package_gradients(vertices, seed):
    """`(..., 2)`: the gradients that the package gives lattice vertices `(..., 2)`."""
    from opensimplex.internals import GRADIENTS2, _init

    permutation, _ = _init(seed)
    i, j = vertices[..., 0].numpy(), vertices[..., 1].numpy()
    chosen = permutation[(permutation[i & 0xFF] + j) & 0xFF] & 0x0E
    return torch.from_numpy(np.stack([GRADIENTS2[chosen], GRADIENTS2[chosen + 1]], -1)).double()


def package_noise(seed, x, y):
    return torch.from_numpy(opensimplex.OpenSimplex(seed).noise2array(np.asarray(x), np.asarray(y)))


def window(operator, gradients, height, width):
    return operator.apply(gradients[:, :, None, None].float(), [(0, 0)], (height, width))[0, 0]


# -- against the package -----------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds, x=st.floats(-300, 300), y=st.floats(-300, 300), step=st.floats(0.01, 3))
def test_points_equal_the_package(seed, x, y, step):
    columns, rows = x + step * np.arange(7), y + step * np.arange(5)
    points = torch.tensor([(a, b) for b in rows for a in columns], dtype=torch.float64)
    vertices, weights = lattice_weights(points)
    ours = (weights * package_gradients(vertices, seed)).sum((1, 2)).view(5, 7)
    assert (weights.ne(0).any(-1).sum(1) <= 4).all()
    torch.testing.assert_close(ours, package_noise(seed, columns, rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(40, 33), (1, 70), (17, 1)])
def test_the_operator_equals_the_packages_sum_of_octaves(size):
    height, width = size
    operator = simplex_operator(height, width, 2**-6, 6, 0.8, shifted=False)
    ours = window(operator, package_gradients(operator.vertices[:, 1:], 11), height, width)
    x, y = np.arange(width) / 64, np.arange(height) / 64
    theirs = sum(0.8**k * package_noise(11, x * 2**k, y * 2**k) for k in range(6))
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=2e-6)


def test_a_window_of_the_canvas_is_the_same_noise():
    operator = simplex_operator(50, 60, 0.1, 3, 0.7)
    gradients = torch.randn(len(operator.vertices), 2, 2, 3, generator=seeded())
    whole = operator.apply(gradients, [(0, 0), (0, 0)], (50, 60))
    parts = operator.apply(gradients, [(3, 5), (21, 19)], (29, 41))
    assert torch.equal(parts[0], whole[0, :, 3:32, 5:46])
    assert torch.equal(parts[1], whole[1, :, 21:50, 19:60])


# -- the law -----------------------------------------------------------------------------------------------------------


def test_the_variance_of_an_octave_is_the_closed_form():
    """Averaged over places, half the squared weights times the gradients' 29 is the variance."""
    points = torch.rand(200_000, 2, generator=seeded(), dtype=torch.float64) * 1000
    _, weights = lattice_weights(points)
    assert weights.square().sum((1, 2)).mean().item() * 29 / 2 == pytest.approx(OCTAVE_VARIANCE, rel=5e-3)
    assert pytest.approx(0.36805, abs=1e-5) == math.sqrt(OCTAVE_VARIANCE)


@pytest.mark.parametrize("octave", range(4))
def test_each_octave_has_its_share(octave):
    """The squared weights of one octave sum to gamma^(2 k) times the variance of the first."""
    operator = simplex_operator(72, 72, 1 / 6, 4, 0.8)
    own = operator.vertices[:, 0] == octave
    squares = torch.zeros(len(own))
    for band in operator.bands:
        squares.index_add_(0, band.index // 2, band.weight.square())
    variance = squares[own].sum().item() * 29 / 2 / 72**2
    assert variance == pytest.approx(0.8 ** (2 * octave) * OCTAVE_VARIANCE, rel=0.02)


def test_unit_variance_zero_mean_bounded_and_uncorrelated_channels():
    noise = SimplexNoise(frequency=1 / 8.3, octaves=4, jitter=8)((16, 3, 64, 64), seeded())
    assert noise.square().mean().sqrt().item() == pytest.approx(1, abs=0.03)
    assert abs(noise.mean().item()) < 0.05
    plain = SimplexNoise(normalization="none")  # as its deviation depends on octaves and persistence alone
    assert plain.std == pytest.approx(0.59197, abs=1e-5)
    four = SimplexNoise(octaves=4, normalization="none")
    assert noise.abs().max().item() * four.std <= 0.866 * sum(0.8**k for k in range(4))
    channels = noise.transpose(0, 1).flatten(1)
    assert torch.corrcoef(channels).triu(1).abs().max() < 0.05
    samples = noise.flatten(1)
    assert torch.corrcoef(samples).triu(1).abs().mean() < 0.1


def test_jitter_makes_the_variance_nearly_the_same_everywhere():
    operator_rows = {}
    for jitter in (0, 64):
        canvas = simplex_operator(32 + jitter, 32 + jitter, 2**-6, 6, 0.8)
        variance = torch.zeros(32 + jitter, 32 + jitter)
        for band in canvas.bands:
            ends = torch.cat([band.first[1:], torch.tensor([len(band.weight)], dtype=torch.int32)])
            sums = torch.cat([torch.zeros(1), band.weight.square().cumsum(0)])
            rows = slice(band.top, band.top + band.rows)
            variance[rows] = (sums[ends] - sums[band.first]).view(band.rows, -1) * 29 / 2
        averaged = torch.nn.functional.avg_pool2d(variance[None, None], jitter + 1, 1)
        operator_rows[jitter] = averaged.sqrt()
    assert operator_rows[0].max() / operator_rows[0].min() > 1.2
    assert operator_rows[64].max() / operator_rows[64].min() < 1.07


def test_noise_is_linear_and_odd_in_the_gradients():
    operator = simplex_operator(20, 24, 2**-4, 3, 0.8)
    first, second = (torch.randn(len(operator.vertices), 2, generator=seeded(k)) for k in range(2))
    both = window(operator, first, 20, 24) + window(operator, second, 20, 24)
    torch.testing.assert_close(window(operator, first + second, 20, 24), both, rtol=0, atol=1e-6)
    assert torch.equal(window(operator, -first, 20, 24), -window(operator, first, 20, 24))


def test_relabelling_the_gradients_keeps_the_law():
    from scipy.stats import ks_2samp

    operator = simplex_operator(128, 128, 1 / 3, 1, 1.0)
    codes = torch.randint(8, (len(operator.vertices),), generator=seeded())
    table = torch.tensor([(5, 2), (2, 5), (-5, 2), (-2, 5), (5, -2), (2, -5), (-5, -2), (-2, -5)])
    relabelled = table[torch.randperm(8, generator=seeded(1))]
    fields = [window(operator, gradients[codes], 128, 128)[::9, ::9] for gradients in (table, relabelled)]
    assert not torch.equal(*fields)
    assert ks_2samp(*(field.flatten().numpy() for field in fields)).pvalue > 0.01


def test_noise_is_continuous():
    generator, base = seeded(), torch.rand(50, 2, generator=seeded(), dtype=torch.float64) * 90
    for step in (1e-2, 1e-4):
        moved = base + step * torch.nn.functional.normalize(torch.randn(50, 2, generator=generator).double())
        values = [
            (weights * package_gradients(vertices, 3)).sum((1, 2))
            for vertices, weights in map(lattice_weights, (base, moved))
        ]
        assert (values[0] - values[1]).abs().max() < 5 * step


def test_most_power_lies_at_low_frequencies():
    noise = SimplexNoise(frequency=1 / 32, octaves=5, jitter=32)((8, 3, 128, 128), seeded()).double()
    power = torch.fft.fft2(noise * torch.outer(*[torch.hann_window(128, dtype=torch.float64)] * 2)).abs().square()
    radius = torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(128)] * 2, indexing="ij"))
    share = [power[..., (radius >= low) & (radius < high)].sum() / power.sum() for low, high in BANDS]
    assert share[0] > 0.4
    assert all(first > second for first, second in pairwise(share))
    assert 0.03 < sum(share[3:]) < 0.15  # above an eighth of a cycle a pixel


BANDS = [(0, 1 / 32), (1 / 32, 1 / 16), (1 / 16, 1 / 8), (1 / 8, 1 / 4), (1 / 4, 1)]


# -- drawing -----------------------------------------------------------------------------------------------------------

small = SimplexNoise(frequency=1 / 8, octaves=3, jitter=5)


@settings(max_examples=10)
@given(batch=st.integers(1, 3), channels=st.integers(1, 4), height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_size(batch, channels, height, width):
    noise = small((batch, channels, height, width), seeded())
    assert noise.shape == (batch, channels, height, width)
    assert noise.is_contiguous()
    assert torch.isfinite(noise).all()
    assert torch.equal(noise, small((batch, channels, height, width), seeded()))


def test_one_generator_draws_samples_one_after_the_other():
    together = small((3, 2, 12, 17), seeded())
    generator = seeded()
    one_by_one = torch.cat([small((1, 2, 12, 17), generator) for _ in range(3)])
    assert torch.equal(together, one_by_one)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together, small((3, 2, 12, 17), seeded(1)))


def test_a_generator_each_makes_samples_independent_of_the_batch():
    batch = small((3, 2, 12, 17), [seeded(k) for k in range(3)])
    assert torch.equal(batch[1:2], small((1, 2, 12, 17), [seeded(1)]))
    with pytest.raises(ValueError, match="2 generators for a batch of 3"):
        small((3, 2, 12, 17), [seeded(), seeded()])


def test_a_generator_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    small((1, 1, 9, 9), seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    drawn = small((1, 1, 9, 9))
    torch.manual_seed(3)
    assert torch.equal(drawn, small((1, 1, 9, 9)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_type_is_only_that_of_the_result(dtype):
    noise = small((2, 1, 8, 8), seeded(), dtype=dtype)
    assert noise.dtype == dtype
    assert torch.equal(noise, small((2, 1, 8, 8), seeded()).to(dtype))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_generator_of_the_cpu_draws_the_same_noise_for_a_gpu():
    torch.testing.assert_close(small((2, 3, 40, 50), seeded(), device="cuda").cpu(), small((2, 3, 40, 50), seeded()))
    own = torch.Generator("cuda").manual_seed(0)
    assert small((2, 3, 40, 50), own, device="cuda").device.type == "cuda"
    with pytest.raises(ValueError, match="cannot draw for cpu"):
        small((2, 3, 40, 50), own)


def test_noise_pickles():
    assert pickle.loads(pickle.dumps(small)) == small


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frequency": 0.0}, "above 0"),
        ({"persistence": -1.0}, "above 0"),
        ({"octaves": 0}, "at least 1"),
        ({"jitter": -1}, "jitter 0"),
        ({"normalization": "sample"}, "'unit_variance' or 'none'"),
    ],
)
def test_impossible_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SimplexNoise(**arguments)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 0, 8)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="batch, channels, height, width"):
        SimplexNoise()(shape)
