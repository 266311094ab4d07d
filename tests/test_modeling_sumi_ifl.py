"""SUMI-IFL: the shared model tests, the published shapes, and how each part of the network behaves (spec A7, A8)."""

from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import EfficientNetConfig, EfficientNetModel

from ifl_hub import SumiIflConfig, SumiIflForImageForgeryLocalization
from ifl_hub.modeling.efficientnet_levels import EfficientNetLevels
from ifl_hub.modeling.padding import pad_reflect
from ifl_hub.modeling.sumi_ifl.modeling_sumi_ifl import SumiIflFusion
from modeling_tester import ModelTesterMixin


class TestSumiIfl(ModelTesterMixin):
    config_class = SumiIflConfig
    model_class = SumiIflForImageForgeryLocalization
    loss_terms = frozenset({"localization", "sufficiency", "minimality", "auxiliary"})
    # A categorical latent is not sampled, and without noise the mask encoder sees the clean mask.
    deterministic_training: ClassVar = {"minimality_distribution": "softmax", "mask_noise_ratio": 0.0}
    option_requirements: ClassVar = {("sufficiency_head", "auxiliary"): {"sufficiency_ce_weight": 0.5}}


TRUNK = {
    "width_coefficient": 0.15,
    "depth_coefficient": 0.2,
    "depth_divisor": 4,
    "hidden_dim": 192,
    "squeeze_expansion_ratio": 0.0,
    "drop_connect_rate": 0.0,
}


class TestSumiIflTrunk(ModelTesterMixin):
    """The layout of the shipped weights: an EfficientNet's levels beside pixels folded into channels; group norm."""

    config_class = SumiIflConfig
    model_class = SumiIflForImageForgeryLocalization
    loss_terms = TestSumiIfl.loss_terms
    smallest_dynamic_export = SumiIflConfig.small().size_divisor + 1
    deterministic_training = TestSumiIfl.deterministic_training
    option_requirements = TestSumiIfl.option_requirements

    def make_config(self, **overrides):
        stride = SumiIflConfig.small().stem_stride
        return SumiIflConfig.tiny(**{"stem_stride": stride, "norm": "group", "trunk_config": TRUNK, **overrides})


def build(seed=0, **overrides):
    torch.manual_seed(seed)
    return SumiIflForImageForgeryLocalization(SumiIflConfig.tiny(**overrides)).eval()


def wide(seed=0, **overrides):
    """Enough channels for every gate to have several hidden units."""
    return build(seed, **{"base_channels": 8, "channel_increment": 4, **overrides})


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def outputs_of(module, run):
    """What `module` returns while `run()` runs, call by call."""
    seen = []
    handle = module.register_forward_hook(lambda _, __, output: seen.append(output))
    run()
    handle.remove()
    return seen


# -- A7.1, A7.2: fusion ------------------------------------------------------------------------------------------------

gammas = st.floats(-3, 3, allow_subnormal=False)


def fusion(parameter, **overrides):
    module = SumiIflFusion(SumiIflConfig.tiny(**overrides))
    module.gamma.data.fill_(parameter)
    return module


@pytest.mark.parametrize("parametrization", ["sigmoid", "raw"])
@given(parameter=gammas, seed=st.integers(0, 99))
def test_fusion_weights_sum_to_1_and_the_outer_two_are_equal(parametrization, parameter, seed):
    module = fusion(parameter, fusion_parametrization=parametrization)
    gamma = 1 / (1 + np.exp(-parameter)) if parametrization == "sigmoid" else parameter
    expected = torch.tensor([(1 - gamma) / 2, gamma, (1 - gamma) / 2], dtype=torch.float32)
    torch.testing.assert_close(module.weights(), expected)
    assert module.weights().sum().item() == pytest.approx(1, abs=1e-5)
    features = noise(3, 2, 4, 5, 5, seed=seed)
    eq6 = expected[0] * features[0] + expected[1] * features[1] + expected[2] * features[2]
    torch.testing.assert_close(module(list(features)), eq6, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module([features[0]] * 3), features[0], rtol=1e-4, atol=1e-5)


@given(parameter=st.floats(-60, 60))
def test_sigmoid_parametrization_is_a_convex_combination_whatever_is_learnt(parameter):
    weights = fusion(parameter).weights()
    assert ((weights >= 0) & (weights <= 1)).all()


def test_raw_parametrization_is_unbounded():
    assert torch.equal(fusion(3.0, fusion_parametrization="raw").weights(), torch.tensor([-1.0, 3.0, -1.0]))


@pytest.mark.parametrize(("parametrization", "init"), [("sigmoid", 0.2), ("raw", 0.2), ("raw", 1), ("raw", -2.0)])
def test_fusion_starts_at_the_configured_gamma(parametrization, init):
    model = build(fusion_parametrization=parametrization, fusion_init=init)
    assert model.fusion.weights()[1].item() == pytest.approx(init)
    assert build().fusion.weights().tolist() == pytest.approx([1 / 3] * 3)


@given(parameter=gammas, without=st.integers(0, 2), seed=st.integers(0, 99))
def test_leave_one_out_weights_are_renormalized(parameter, without, seed):
    module = fusion(parameter)
    weights, kept = module.weights(), [i for i in range(3) if i != without]
    actual = module.weights(without)
    assert actual[without] == 0
    assert actual.sum().item() == pytest.approx(1)
    assert actual[kept[0]].item() == pytest.approx((weights[kept[0]] / weights[kept].sum()).item(), rel=1e-5)
    features = noise(3, 1, 4, 3, 3, seed=seed)
    expected = actual[kept[0]] * features[kept[0]] + actual[kept[1]] * features[kept[1]]
    torch.testing.assert_close(module(list(features), without=without), expected)


@pytest.mark.parametrize("gamma", [-0.5, 1 / 3, 0.9, 1.0])
def test_without_the_middle_branch_the_weights_are_exactly_one_half(gamma):
    module = build(fusion_parametrization="raw", fusion_init=gamma).fusion
    assert module.weights(without=1).tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize("without", [0, 2])
def test_without_an_outer_branch_the_middle_one_weighs_2_gamma_over_1_plus_gamma(without):
    weights = fusion(0.3, fusion_parametrization="raw").weights(without)
    assert weights[1].item() == pytest.approx(0.6 / 1.3)
    assert weights[2 - without].item() == pytest.approx(0.7 / 1.3)


def test_leave_one_out_zero_keeps_the_weights_as_they_are():
    module = fusion(0.3, fusion_parametrization="raw", leave_one_out="zero")
    for without, expected in enumerate(([0, 0.3, 0.35], [0.35, 0, 0.35], [0.35, 0.3, 0])):
        assert module.weights(without).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("order", [("channel", "spatial", "pixel"), ("pixel", "channel", "spatial")])
def test_gamma_weighs_the_middle_branch_of_the_configured_order(order):
    model = build(branch_order=order)
    kinds = {"channel": "SumiIflChannelGate", "spatial": "SumiIflSpatialGate", "pixel": "SumiIflPixelGate"}
    for branch, name in zip(model.branches, order, strict=True):
        gates = {type(module.gate).__name__ for module in branch.modules() if getattr(module, "gate", None) is not None}
        assert gates == {kinds[name]}


# -- A7.8: gates -------------------------------------------------------------------------------------------------------


def gates_in_use(model):
    """For each branch, inputs' shapes and outputs of all its gates during one forward pass."""
    pixels, result = noise(2, 3, 16, 24), []
    for branch in model.branches:
        blocks = [module for module in branch.modules() if getattr(module, "gate", None) is not None]
        seen = []
        handles = [b.gate.register_forward_hook(lambda _, i, o, s=seen: s.append((i[0], o))) for b in blocks]
        model(pixels)
        for handle in handles:
            handle.remove()
        assert len(seen) == len(blocks) > 0
        result.append(seen)
    return result


def test_the_channel_gate_is_constant_over_space_the_spatial_over_channels_the_pixel_gate_over_neither():
    channel, spatial, pixel = gates_in_use(wide())
    varies = {"channel": False, "pixel": [False, False]}
    for features, gate in channel:
        assert gate.shape == (*features.shape[:2], 1, 1)
        varies["channel"] |= bool((gate.std(1) > 1e-6).any())
    for features, gate in spatial:
        assert gate.shape == (features.shape[0], 1, *features.shape[2:])
        assert (gate.std((2, 3)) > 1e-6).all()
    for features, gate in pixel:
        assert gate.shape == features.shape
        varies["pixel"][0] |= bool((gate.std(1) > 1e-6).any())
        varies["pixel"][1] |= bool((gate.std((2, 3)) > 1e-6).any())
    assert varies == {"channel": True, "pixel": [True, True]}
    for branch in (channel, spatial, pixel):
        assert all(((gate > 0) & (gate < 1)).all() for _, gate in branch)


def test_a_gate_scales_the_update_of_its_residual_block():
    block = wide().branches[2].encoder[0][0]
    hidden = noise(1, 8, 6, 6)
    (update,) = outputs_of(block.convolution2, lambda: block(hidden))
    torch.testing.assert_close(block(hidden), hidden + update * block.gate(update))


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_the_channel_gate_ignores_where_a_pixel_is(seed):
    gate, hidden = wide().branches[0].encoder[0][0].gate, noise(2, 8, 5, 7, seed=seed)
    order = torch.randperm(35, generator=torch.Generator().manual_seed(seed))
    shuffled = hidden.flatten(2)[..., order].view_as(hidden)
    torch.testing.assert_close(gate(shuffled), gate(hidden), rtol=1e-5, atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_the_spatial_gate_ignores_the_order_of_channels_and_sees_their_mean_and_maximum(seed):
    gate, hidden = wide().branches[1].encoder[0][0].gate, noise(2, 8, 9, 7, seed=seed)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(gate(hidden[:, order]), gate(hidden), rtol=1e-5, atol=1e-6)
    (weight,) = gate.parameters()
    assert weight.shape == (1, 2, 7, 7)
    pooled = torch.stack([hidden.mean(1), hidden.max(1).values], dim=1)
    torch.testing.assert_close(gate(hidden), torch.sigmoid(F.conv2d(pooled, weight, padding=3)))


@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_the_pixel_gate_sees_each_pixel_alone(seed):
    gate, hidden = wide().branches[2].encoder[0][0].gate, noise(2, 8, 5, 7, seed=seed)
    order = torch.randperm(35, generator=torch.Generator().manual_seed(seed))
    expected = gate(hidden).flatten(2)[..., order].view_as(hidden)
    torch.testing.assert_close(gate(hidden.flatten(2)[..., order].view_as(hidden)), expected, rtol=1e-5, atol=1e-6)


# -- the U-Net ---------------------------------------------------------------------------------------------------------


def test_the_u_net_is_the_one_described():
    """Written from the spec: bilinear ×0.5 then 1×1, bilinear ×2 then 1×1, skips through one block and added."""
    net = wide(num_levels=4, blocks_per_level=2).branches[1]
    pixels = noise(2, 3, 32, 48)
    hidden, skipped = net.encoder[0](net.stem(pixels)), []
    for level in range(3):
        skipped.append(net.skips[level](hidden))
        halved = F.interpolate(hidden, scale_factor=0.5, mode="bilinear", align_corners=False)
        hidden = net.encoder[level + 1](net.down[level](halved))
    hidden = net.decoder[3](hidden)
    for level in (2, 1, 0):
        doubled = F.interpolate(hidden, scale_factor=2, mode="bilinear", align_corners=False)
        hidden = net.decoder[level](net.up[level](doubled) + skipped[level])
    torch.testing.assert_close(net(pixels), hidden, rtol=1e-4, atol=1e-5)
    assert net(pixels).shape == (2, 8, 32, 48)


@settings(max_examples=60)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    divisor=st.sampled_from([1, 2, 4, 8, 16]),
    seed=st.integers(0, 9),
)
def test_padding_is_reflection_at_the_right_and_the_bottom(height, width, divisor, seed):
    pixels = noise(2, 3, height, width, seed=seed)
    right, bottom = -width % divisor, -height % divisor
    padded = pad_reflect(pixels, divisor)
    assert padded.shape[2] % divisor == padded.shape[3] % divisor == 0
    expected = np.pad(pixels.numpy(), ((0, 0), (0, 0), (0, bottom), (0, right)), mode="reflect")
    assert np.array_equal(padded.numpy(), expected)
    if right < width and bottom < height:  # torch refuses to reflect more than once
        assert torch.equal(padded, F.pad(pixels, (0, right, 0, bottom), mode="reflect"))


def test_a_stem_stride_folds_pixels_into_channels_and_loses_none():
    model = build(stem_stride=2)
    seen = []
    model.branches[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = noise(1, 3, 16, 24)
    assert model(pixels).logits.shape == (1, 1, 16, 24)
    assert seen[0].shape == (1, 12, 8, 12)
    for row in range(2):
        for column in range(2):
            assert torch.equal(seen[0][:, 2 * row + column :: 4], pixels[:, :, row::2, column::2])
    assert model.config.size_divisor == 8


def test_group_normalisation_makes_a_block_blind_to_the_scale_of_its_first_convolution():
    hidden, change = noise(1, 4, 8, 8), {}
    for norm in ("none", "group"):
        block = build(norm=norm).branches[2].encoder[0][0]
        assert any(isinstance(module, nn.GroupNorm) for module in block.modules()) == (norm == "group")
        before = block(hidden)
        block.convolution1.weight.data *= 100
        change[norm] = (block(hidden) - before).abs().max().item()
    assert change["group"] < 1e-3 < 0.1 < change["none"]


# -- the trunk, which the paper does not have --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """An EfficientNet none of whose weights and statistics is as initialised, and the folder it lies in."""
    torch.manual_seed(3)
    source = EfficientNetModel(EfficientNetConfig(**{**TRUNK, "batch_norm_momentum": 0.1})).eval()
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
        elif hasattr(module, "squeeze_excite"):  # as in Lite models: gates of exactly 1
            nn.init.zeros_(module.squeeze_excite.expand.weight)
            nn.init.constant_(module.squeeze_excite.expand.bias, 30)
    folder = tmp_path_factory.mktemp("pretrained")
    source.save_pretrained(folder)
    return source, folder


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
def test_the_trunk_is_the_pretrained_network_up_to_its_stride(stride, pretrained):
    source, folder = pretrained
    model = build(trunk_config=TRUNK, trunk_stride=stride)
    model.load_encoder_weights(folder)
    pixels = noise(1, 3, 64, 96)
    states = source(pixels, output_hidden_states=True).hidden_states
    levels = model.trunk(pixels)
    assert [64 // level.shape[2] for level in levels] == [s for s in (2, 4, 8, 16, 32) if s <= stride]
    for level in levels:
        assert any(state.shape == level.shape and torch.equal(state, level) for state in states)
    state = source.state_dict()
    known = [value for value in state.values() if value.numel() > 1]
    for name, value in model.trunk.state_dict().items():
        assert value.numel() == 1 or any(value.shape == k.shape and torch.equal(value, k) for k in known), name


def test_the_first_levels_alone_are_the_first_levels_of_all():
    config = EfficientNetConfig(**TRUNK)
    whole, cut = EfficientNetLevels(config, 0.01), EfficientNetLevels(config, 0.01, last_stride=8)
    assert (whole.strides, cut.strides) == ((2, 4, 8, 16, 32), (2, 4, 8))
    assert whole.channels[:3] == cut.channels
    cut.load_state_dict({name: value for name, value in whole.state_dict().items() if name in cut.state_dict()})
    pixels = noise(2, 3, 32, 64)
    for first, second in zip(whole.eval()(pixels), cut.eval()(pixels), strict=False):
        assert torch.equal(first, second)
    with pytest.raises(ValueError, match=r"levels at strides \[2, 4, 8, 16, 32\], none at 64"):
        EfficientNetLevels(config, 0.01, last_stride=64)


@settings(max_examples=12, deadline=None)
@given(
    stem=st.sampled_from([1, 2, 4, 8]),
    stride=st.sampled_from([2, 4, 8, 16, 32]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
def test_levels_of_any_stride_meet_on_the_grid_of_any_stem(stem, stride, height, width):
    model = build(stem_stride=stem, trunk_config=TRUNK, trunk_stride=stride)
    seen = []
    model.trunk.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[2:]))
    pixels = noise(1, 3, height, width)
    (read,) = outputs_of(model.branches[0].trunk_reader, lambda: model(pixels))
    ((down, across),) = seen
    assert down % model.config.size_divisor == across % model.config.size_divisor == 0
    assert down - height < model.config.size_divisor and across - width < model.config.size_divisor
    assert read.shape == (1, 4, down // stem, across // stem)
    assert model(pixels).logits.shape == (1, 1, height, width)


def test_a_branch_reads_every_level_where_it_lies():
    """A change in one corner of one level changes what is read in that corner, and far away nothing."""
    model = build(stem_stride=4, trunk_config=TRUNK, trunk_stride=16)
    levels = [torch.zeros(1, channels, 64 // s, 64 // s) for channels, s in zip(*shape_of(model.trunk), strict=True)]
    for changed in range(4):
        touched = [level.clone() for level in levels]
        touched[changed][:, :, 0, 0] = 1
        read = model.branches[1].trunk_reader(touched)
        assert read.shape == (1, 4, 16, 16)
        assert read[..., 0, 0].abs().sum() > 0
        assert read[..., 8:, :].abs().max() == read[..., :, 8:].abs().max() == 0


def shape_of(trunk):
    return trunk.channels, trunk.strides


def test_every_branch_reads_the_trunk_its_own_way_and_teaches_it():
    model, pixels = build(stem_stride=4, trunk_config=TRUNK), noise(2, 3, 64, 64)
    read = [outputs_of(branch.trunk_reader, lambda: model(pixels))[0] for branch in model.branches]
    assert not torch.equal(read[0], read[1]) and not torch.equal(read[1], read[2])
    for branch in model.branches:
        model.zero_grad()
        branch(F.pixel_unshuffle(pixels, 4), model.trunk(pixels)).square().sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in model.trunk.parameters())


def test_one_training_step_hardly_moves_the_running_statistics_of_the_trunk(pretrained):
    model = build(trunk_config=TRUNK)
    model.load_encoder_weights(pretrained[1])
    norms = [module for module in model.trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_var.clone() for norm in norms]
    model.train()(noise(2, 3, 64, 64) + 3)
    for norm, old in zip(norms, before, strict=True):
        assert norm.momentum == model.config.trunk_norm_momentum == 0.01
        assert (norm.running_var >= 0.989 * old).all()


def test_without_a_trunk_there_is_none_of_it(pretrained):
    """The paper's network; what a trunk adds is the trunk and one reader a branch."""
    plain, with_trunk = build(stem_stride=4), build(stem_stride=4, trunk_config=TRUNK)
    assert SumiIflConfig().trunk_config is None and plain.trunk is None
    added = set(with_trunk.state_dict()) - set(plain.state_dict())
    assert {name.split(".")[0 if name.startswith("trunk.") else 2] for name in added} == {"trunk", "trunk_reader"}
    assert set(plain.state_dict()) == set(with_trunk.state_dict()) - added
    with pytest.raises(ValueError, match="no trunk to load weights into: set trunk_config"):
        plain.load_encoder_weights(pretrained[1])


def test_the_shipped_shape_fits_5_megabytes():
    with torch.device("meta"):
        model = SumiIflForImageForgeryLocalization(SumiIflConfig.small())
    assert model.trunk.channels == (16, 24, 40, 112)  # those of EfficientNet-Lite0
    assert sum(value.numel() * value.element_size() for value in model.state_dict().values()) < 4.9e6


# -- A8: published shapes ----------------------------------------------------------------------------------------------

PUBLISHED = [  # overrides, parameters of the three branches, the same in the spec's table (millions)
    ({"base_channels": 96, "channel_increment": 48, "num_levels": 3, "blocks_per_level": 2}, 16_730_353, 16.7),
    ({"base_channels": 96, "channel_increment": 48, "num_levels": 3}, 24_082_879, 24.1),
    ({"base_channels": 96, "channel_increment": 48}, 76_359_533, 76.3),
    ({}, 8_491_885, 8.49),
    ({"num_levels": 3}, 2_680_111, 2.68),
    ({"base_channels": 16, "channel_increment": 8, "num_levels": 3, "blocks_per_level": 2}, 467_333, 0.467),
    ({"base_channels": 8, "channel_increment": 4, "num_levels": 3, "blocks_per_level": 1}, 66_437, 0.066),
]


def branch_parameters(config):
    with torch.device("meta"):
        model = SumiIflForImageForgeryLocalization(config)
    return sum(parameter.numel() for parameter in model.branches.parameters())


@pytest.mark.parametrize(("overrides", "exact", "rounded"), PUBLISHED, ids=[str(row[2]) for row in PUBLISHED])
def test_branches_have_the_published_number_of_parameters(overrides, exact, rounded):
    assert branch_parameters(SumiIflConfig(**overrides)) == exact
    assert exact / 1e6 == pytest.approx(rounded, rel=0.01)


def test_presets_are_the_two_named_shapes():
    assert branch_parameters(SumiIflConfig.preset("paper")) == 8_491_885
    cmfnet = SumiIflConfig.preset("cmfnet")
    assert branch_parameters(cmfnet) == 16_730_353
    assert cmfnet.branch_order == ("channel", "pixel", "spatial")
    assert cmfnet.fusion_init == pytest.approx(0.731, abs=1e-3)
    assert SumiIflConfig.preset("cmfnet", num_levels=2).num_levels == 2
    with pytest.raises(ValueError, match=r"no preset is called 'papper'; there are: paper, cmfnet"):
        SumiIflConfig.preset("papper")


def test_the_default_is_the_paper():
    config = SumiIflConfig()
    assert (config.num_levels, config.blocks_per_level) == (5, 3)
    assert (config.sufficiency_weight, config.minimality_weight, config.auxiliary_weight) == (0.1, 1.0, 0.1)
    assert config.positive_weight == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"branch_order": ("channel", "channel", "pixel")}, "branch_order must hold 'channel', 'spatial' and 'pixel'"),
        ({"fusion_init": 1.5}, r"fusion_init must lie in \(0, 1\).*fusion_parametrization='raw'"),
        ({"sufficiency_head": "auxiliary"}, "set sufficiency_ce_weight > 0"),
        ({"mask_noise_ratio": 1.2}, r"mask_noise_ratio must lie in \[0, 1\]"),
        ({"spatial_kernel_size": 4}, "spatial_kernel_size must be odd"),
        ({"hidden_act": "rellu"}, "hidden_act must be one of .*relu.*'rellu'"),
        ({"sufficiency_temperature": 0}, "sufficiency_temperature must be above 0"),
        ({"num_levels": 0}, "num_levels must be at least 1"),
        ({"attention_reduction": 0}, "attention_reduction must be at least 1"),
        ({"trunk_stride": 3}, "trunk_stride must be 2, 4, 8, 16 or 32"),
        ({"trunk_norm_momentum": 0}, r"trunk_norm_momentum must lie in \(0, 1\]"),
        ({"trunk_config": {"model_type": "resnet"}}, "must be of an 'efficientnet', got 'resnet'"),
        ({"trunk_config": TRUNK, "stem_stride": 3}, "stem_stride must be a power of 2"),
        ({"auxiliary_weight": -0.1}, "auxiliary_weight must be at least 0"),
    ],
)
def test_impossible_configurations_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        SumiIflConfig(**overrides)
