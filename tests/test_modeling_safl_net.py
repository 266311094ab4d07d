"""SAFL-Net: the shared model tests, the published shapes, the plug-ins and the frozen benchmark (spec B1, B7)."""

from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import EfficientNetConfig, EfficientNetModel

from ifl_hub import SaflNetConfig, SaflNetForImageForgeryLocalization, SaflNetForSemanticAlignment
from ifl_hub.modeling.efficientnet_levels import EfficientNetLevels
from ifl_hub.modeling.safl_net.modeling_safl_net import SaflNetDifferenceConvolution
from modeling_tester import ModelTesterMixin

B7_LEVELS = (32, 48, 80, 224, 640)
RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 12, 16, 24],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
}


class TestSaflNet(ModelTesterMixin):
    config_class = SaflNetConfig
    model_class = SaflNetForImageForgeryLocalization
    loss_terms = frozenset({"localization", "classification", "boundary"})
    has_image_logits = True
    usual_size = 64
    smallest_dynamic_export = 33
    option_requirements: ClassVar = {}


class TestSaflNetFiner(TestSaflNet):
    """The layout of the shipped weights: stride 2, high-pass residuals, copies, no squeeze-and-excitation."""

    def make_config(self, **overrides):
        encoder = {**SaflNetConfig.tiny().encoder_config.to_dict(), "squeeze_expansion_ratio": 0.0}
        layout = {
            "level_strides": (2, 4, 8, 16, 32),
            "residual_channels": 4,
            "copy_channels": 4,
            "views": 2,
            "localized_images": "all",
        }
        return SaflNetConfig.tiny(**{"encoder_config": encoder, **layout, **overrides})

    def make_inputs(self, *arguments, **options):
        """Pictures whose right half is a copy of the left one: without copies, what reads them sees only zeros."""
        inputs = super().make_inputs(*arguments, **options)
        pixels = inputs["pixel_values"]
        half = pixels.shape[3] // 2
        pixels[..., half : 2 * half] = pixels[..., :half].clone()
        return inputs


def build(seed=0, **overrides):
    torch.manual_seed(seed)
    return SaflNetForImageForgeryLocalization(SaflNetConfig.tiny(**overrides)).eval()


def pictures(batch=3, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(batch, size, size, dtype=torch.long)
    labels[:, : size // 2] = 1
    return torch.rand(batch, 3, size, size, generator=generator) * 2 - 1, labels


def aligned(config, seed=0):
    torch.manual_seed(seed)
    alignment = SaflNetForSemanticAlignment(config)
    alignment.use_semantic_encoders(alignment.random_semantic_encoders())
    return alignment


# -- encoder -----------------------------------------------------------------------------------------------------------


def test_levels_of_efficientnet_b7_at_512_px():
    with torch.device("meta"):
        encoder = SaflNetForImageForgeryLocalization(SaflNetConfig(semantic_weight=0.0)).encoder.eval()
        features = encoder(torch.zeros(1, 3, 512, 512))
    assert encoder.strides == (2, 4, 8, 16, 32)
    assert tuple(feature.shape[1] for feature in features) == encoder.channels == B7_LEVELS
    assert [feature.shape[-1] for feature in features] == [256, 128, 64, 32, 16]
    # 62.14 M without the top (spec B1)
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(62.14e6, rel=1e-3)


@pytest.mark.parametrize(
    ("width", "depth", "channels", "last_block"),
    [
        (1.0, 1.0, (16, 24, 40, 112, 320), (1, 3, 5, 11, 16)),  # b0
        (1.1, 1.2, (16, 24, 48, 120, 352), (2, 5, 8, 16, 23)),  # b2
        (1.4, 1.8, (24, 32, 56, 160, 448), (2, 6, 10, 22, 32)),  # b4
        (2.0, 3.1, B7_LEVELS, (4, 11, 18, 38, 55)),  # b7
    ],
)
def test_levels_end_before_each_change_of_stride(width, depth, channels, last_block):
    """The table of spec B1: the last block of each stride, counted from 1, and its channels."""
    config = SaflNetConfig.tiny(
        encoder_config={"width_coefficient": width, "depth_coefficient": depth, "hidden_dim": 8}, boundary_weight=0.0
    )
    with torch.device("meta"):
        encoder = SaflNetForImageForgeryLocalization(config).encoder
    assert encoder.channels == channels
    counts = torch.tensor([len(level.blocks) for level in encoder.levels])
    assert tuple(counts.cumsum(0).tolist()) == last_block


def test_levels_are_the_hidden_states_of_the_pretrained_model(tmp_path):
    config = EfficientNetConfig(**{**SaflNetConfig.tiny().encoder_config.to_dict(), "batch_norm_momentum": 0.1})
    torch.manual_seed(0)
    source = EfficientNetModel(config).eval()
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    source.save_pretrained(tmp_path)
    model = build()
    model.load_encoder_weights(tmp_path)
    pixels = torch.rand(2, 3, 64, 96)
    states = source(pixels, output_hidden_states=True).hidden_states
    for feature in model.encoder(pixels):
        assert any(state.shape == feature.shape and torch.equal(state, feature) for state in states)
    assert torch.equal(model.encoder(pixels)[-1], states[-1])


def test_encoder_weights_of_another_shape_are_refused(tmp_path):
    EfficientNetModel(EfficientNetConfig(width_coefficient=0.3, depth_coefficient=0.2, hidden_dim=384)).save_pretrained(
        tmp_path
    )
    with pytest.raises(RuntimeError, match=r"size mismatch|Missing"):
        build().load_encoder_weights(tmp_path)


def test_one_training_step_keeps_the_running_statistics():
    """transformers' own momentum, 0.99, would replace pre-trained statistics by those of one batch."""
    model = build().train()
    norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {model.config.encoder_norm_momentum} == {0.01}
    before = [norm.running_mean.clone() for norm in norms]
    model(pictures()[0] + 3)
    for norm, old in zip(norms, before, strict=True):
        assert (norm.running_mean - old).abs().max() < 0.02 * norm.running_var.sqrt().max() + 0.1


def test_a_random_encoder_passes_a_signal():
    """Gammas of N(0, 0.02), as transformers draws them, leave the deepest level without one."""
    model = build().train()
    features = model.encoder(pictures()[0])
    assert all(0.05 < feature.std().item() < 50 for feature in features)


@pytest.mark.parametrize("strides", [(2, 4, 8, 16, 32), (4, 8, 16, 32), (8, 32)])
def test_the_decoder_reads_the_levels_it_is_told_to(strides):
    model = build(level_strides=strides)
    assert len(model.decoder.lateral) == len(strides)
    assert model(torch.zeros(1, 3, 70, 40)).logits.shape == (1, 1, 70, 40)


def test_any_backbone_can_be_the_encoder(tmp_path):
    model = build(encoder_config=RESNET).train()
    pixels, labels = pictures()
    loss = model(pixels, labels=labels).loss
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    model.save_pretrained(tmp_path)
    loaded = SaflNetForImageForgeryLocalization.from_pretrained(tmp_path)
    assert torch.equal(loaded(pixels).logits, model.eval()(pixels).logits)


def test_a_backbone_without_stride_2_cannot_serve_it():
    with pytest.raises(ValueError, match="are needed as well"):
        build(encoder_config=RESNET, level_strides=(2, 4, 8, 16, 32))


# -- boundary guidance -------------------------------------------------------------------------------------------------

dilations = st.sampled_from([1, 2, 4, 8])
kernels = st.sampled_from([3, 5])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), kernel=kernels, dilation=dilations, scale=st.floats(1e-3, 1e3))
def test_difference_kernels_are_constrained_whatever_the_parameter(seed, kernel, dilation, scale):
    convolution = SaflNetDifferenceConvolution(3, 4, kernel, dilation)
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(convolution.weight, std=scale, generator=generator)
    weight = convolution.constrained_weight()
    assert (weight[..., kernel // 2, kernel // 2] == 1).all()
    assert weight.sum((2, 3)).abs().max().item() < 1e-5 * max(1, scale) * kernel**2
    flat = torch.full((1, 3, 12, 12), 2.5)
    assert convolution(flat).abs().max().item() < 1e-4 * max(1, scale) * kernel**2


def test_difference_ignores_a_constant_per_channel_and_sees_edges_only_nearby():
    convolution = SaflNetDifferenceConvolution(2, 3, 3, 2)
    nn.init.normal_(convolution.weight)
    hidden = torch.randn(1, 2, 16, 16)
    shifted = hidden + torch.tensor([3.0, -5.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(convolution(shifted), convolution(hidden), rtol=1e-4, atol=1e-4)
    step = torch.zeros(1, 2, 16, 16)
    step[..., 8:] = 1
    response = convolution(step).abs().amax((0, 1, 2))
    assert (response[[6, 7, 8, 9]] > 1e-3).all()
    assert response[:6].max() < 1e-5
    assert response[10:].max() < 1e-5


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), kernel=kernels, dilation=dilations)
def test_difference_is_linear(seed, kernel, dilation):
    generator = torch.Generator().manual_seed(seed)
    convolution = SaflNetDifferenceConvolution(2, 3, kernel, dilation)
    nn.init.normal_(convolution.weight, generator=generator)
    a, b = (torch.randn(1, 2, 9, 11, generator=generator) for _ in range(2))
    expected = 2 * convolution(a) - 3 * convolution(b)
    torch.testing.assert_close(convolution(2 * a - 3 * b), expected, rtol=1e-4, atol=1e-3)


def test_constraint_survives_weight_decay_and_saving(tmp_path):
    model = build().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.5)
    pixels, labels = pictures()
    for _ in range(3):
        model(pixels, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(tmp_path)
    loaded = SaflNetForImageForgeryLocalization.from_pretrained(tmp_path)
    for old, new in zip(model.boundary_guidance.difference, loaded.boundary_guidance.difference, strict=True):
        assert torch.equal(old.constrained_weight(), new.constrained_weight())
        assert new.constrained_weight().sum((2, 3)).abs().max() < 1e-5


def test_difference_is_computed_in_float32_under_autocast():
    convolution = SaflNetDifferenceConvolution(2, 2, 3, 1)
    nn.init.normal_(convolution.weight)
    flat = torch.full((1, 2, 6, 6), 100.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(flat).abs().max() < 1e-3


def test_predictions_are_the_same_bits_without_the_plug_ins():
    model = build()
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("boundary_guidance")}
    baseline = build(boundary_weight=0.0)
    baseline.load_state_dict(state)
    pixels, labels = pictures()
    assert torch.equal(model(pixels).logits, baseline(pixels).logits)
    assert torch.equal(model(pixels).image_logits, baseline(pixels).image_logits)
    assert model(pixels).boundary_logits is None
    assert model(pixels, labels=labels).boundary_logits.shape == (3, 1, 64, 64)
    suppressed = build(semantic_weight=0.5)
    suppressed.load_state_dict({**suppressed.state_dict(), **model.state_dict()})
    suppressed.attach_semantic_benchmark(aligned(suppressed.config))
    for labelled in ({}, {"labels": labels}):
        assert torch.equal(suppressed(pixels, **labelled).logits, baseline(pixels).logits)
        assert torch.equal(suppressed(pixels, **labelled).image_logits, baseline(pixels).image_logits)


# -- objective ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_eq_9():
    config = SaflNetConfig.tiny(semantic_weight=0.5)
    model = SaflNetForImageForgeryLocalization(config).eval()
    model.attach_semantic_benchmark(aligned(config))
    pixels, labels = pictures()
    labels[0] = 0
    output = model(pixels, labels=labels)
    terms = output.loss_terms
    assert set(terms) == {"localization", "classification", "boundary", "consistency", "contrast"}
    expected = (
        terms["localization"]
        + 0.2 * terms["classification"]
        + 0.5 * (0.5 * terms["consistency"] + 0.5 * terms["contrast"])
        + 0.5 * terms["boundary"]
    )
    torch.testing.assert_close(output.loss.detach(), expected)


@pytest.mark.parametrize("semantic_weight", [0.0, 0.5])
def test_authentic_images_train_the_classifier_only(semantic_weight):
    model = build(semantic_weight=semantic_weight).train()
    if semantic_weight:
        model.attach_semantic_benchmark(aligned(model.config))
    pixels, labels = pictures()
    output = model(pixels, labels=torch.zeros_like(labels))
    torch.testing.assert_close(output.loss, 0.2 * output.loss_terms["classification"])
    output.loss.backward()
    for name, parameter in model.named_parameters():
        if name.startswith(("decoder", "boundary_guidance", "semantic_projection")):
            assert parameter.grad is None or parameter.grad.abs().sum() == 0, name
    assert model.classifier.weight.grad.abs().sum() > 0


def test_authentic_images_train_the_localization_where_that_is_switched_on():
    model = build(localized_images="all").train()
    pixels, labels = pictures()
    model(pixels, labels=torch.zeros_like(labels)).loss.backward()
    assert model.decoder.classifier.weight.grad.abs().sum() > 0


def test_image_targets_default_to_any_forged_pixel():
    model = build()
    pixels, labels = pictures()
    labels[0], labels[1, 0, 0] = 255, 1
    given_targets = model(pixels, labels=labels, image_targets=torch.tensor([0, 1, 1])).loss
    torch.testing.assert_close(model(pixels, labels=labels).loss, given_targets)


@pytest.mark.parametrize(("views", "flips"), [(2, [(), (2, 3)]), (4, [(), (2, 3), (3,), (2,)])])
def test_predictions_are_the_mean_of_the_views(views, flips):
    alone, together = (build(views=count).eval() for count in (1, views))
    pixels = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        seen = [alone(pixels.flip(sides)) for sides in flips]
        output = together(pixels)
    mean = torch.stack([view.logits.flip(sides) for view, sides in zip(seen, flips, strict=True)]).mean(0)
    torch.testing.assert_close(output.logits, mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(output.image_logits, torch.stack([view.image_logits for view in seen]).mean(0))
    assert not torch.allclose(output.logits, seen[0].logits, rtol=1e-3)


def test_four_views_do_not_depend_on_which_way_up_a_picture_is():
    model = build(views=4).eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        straight, mirrored, turned = (model(pixels.flip(sides)).logits for sides in ((), (3,), (2, 3)))
    torch.testing.assert_close(mirrored.flip(3), straight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(turned.flip(2, 3), straight, rtol=1e-4, atol=1e-6)


def test_training_sees_one_view():
    pixels, labels = torch.randn(2, 3, 64, 64), torch.zeros(2, 64, 64, dtype=torch.long)
    losses = []
    for views in (1, 4):
        model = build(views=views, classifier_dropout=0.0).train()
        losses.append(model(pixels, labels=labels).loss)
    assert torch.equal(*losses)


def test_mean_mask_head_is_the_mean_of_the_pixel_scores():
    output = build(image_head="mean_mask")(pictures()[0])
    torch.testing.assert_close(torch.sigmoid(output.image_logits), torch.sigmoid(output.logits).mean((2, 3)))


# -- semantic suppression ----------------------------------------------------------------------------------------------


def test_training_without_a_benchmark_says_what_to_call():
    model = build(semantic_weight=0.5)
    pixels, labels = pictures()
    assert "consistency" not in model(pixels, labels=labels).loss_terms  # evaluation needs none
    with pytest.raises(ValueError, match="attach_semantic_benchmark"):
        model.train()(pixels, labels=labels)
    with pytest.raises(ValueError, match="load_semantic_encoders"):
        SaflNetForSemanticAlignment(model.config)(pixels)


@pytest.mark.parametrize("projection", ["separate", "frozen_shared"])
def test_the_benchmark_never_moves_is_never_saved_and_never_counted(projection, tmp_path):
    config = SaflNetConfig.tiny(semantic_weight=0.5, semantic_projection=projection)
    model = SaflNetForImageForgeryLocalization(config)
    parameters, keys = sum(p.numel() for p in model.parameters()), set(model.state_dict())
    model.attach_semantic_benchmark(aligned(config))
    benchmark = model.semantic_benchmark
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert set(model.state_dict()) == keys
    before = {name: value.clone() for name, value in benchmark.reader.state_dict().items()}
    before |= {name: value.clone() for name, value in benchmark.encoder.model.state_dict().items()}
    model.train()
    pixels, labels = pictures()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(pixels, labels=labels).loss.backward()
    optimizer.step()
    after = {**benchmark.reader.state_dict(), **benchmark.encoder.model.state_dict()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    model.save_pretrained(tmp_path)
    loaded, report = SaflNetForImageForgeryLocalization.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert loaded.semantic_benchmark is None


@pytest.mark.parametrize("encoder", [None, RESNET])
def test_suppression_is_plugged_into_any_encoder_and_trains_it(encoder):
    overrides = {} if encoder is None else {"encoder_config": encoder}
    weights = {"classification_weight": 0.0, "boundary_weight": 0.0, "semantic_weight": 1.0}
    model = build(**overrides, **weights).train()
    model.attach_semantic_benchmark(aligned(model.config))
    pixels, labels = pictures()
    output = model(pixels, labels=labels)
    parameters = [p for p in model.encoder.parameters() if p.requires_grad]
    (output.loss - output.loss_terms["localization"]).backward(retain_graph=True)
    with_suppression = [p.grad.clone() for p in parameters]
    model.zero_grad()
    model.config.semantic_weight = 0.0
    model(pixels, labels=labels).loss.backward()
    assert any(not torch.allclose(a, p.grad) for a, p in zip(with_suppression, parameters, strict=True))


def test_evaluation_with_a_benchmark_draws_nothing():
    model = build(semantic_weight=0.5)
    model.attach_semantic_benchmark(aligned(model.config))
    pixels, labels = pictures()
    assert torch.equal(model(pixels, labels=labels).loss, model(pixels, labels=labels).loss)


def test_suppression_reaches_the_encoder_and_an_own_projection_only_where_it_should():
    pixels, labels = pictures()
    for projection in ("separate", "frozen_shared"):
        config = SaflNetConfig.tiny(semantic_weight=1.0, semantic_projection=projection, semantic_balance=0.0)
        model = SaflNetForImageForgeryLocalization(config).train()
        model.attach_semantic_benchmark(aligned(config))
        output = model(pixels, labels=labels)
        others = sum(
            weight * output.loss_terms[name]
            for name, weight in {"localization": 1.0, "classification": 0.2, "boundary": 0.5}.items()
        )
        torch.testing.assert_close(output.loss.detach() - others, output.loss_terms["consistency"])
        assert hasattr(model, "semantic_projection") == (projection == "separate")


def test_alignment_trains_the_readers_only_and_travels_without_the_encoders(tmp_path):
    config = SaflNetConfig.tiny()
    alignment = aligned(config).train()
    encoders = [{k: v.clone() for k, v in e.model.state_dict().items()} for e in alignment.frozen]
    optimizer = torch.optim.AdamW(alignment.parameters(), lr=0.02)
    pixels = torch.rand(8, 3, 64, 64) * 2 - 1
    first = alignment(pixels).loss.item()
    for _ in range(15):
        loss = alignment(pixels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < first
    for encoder, before in zip(alignment.frozen, encoders, strict=True):
        assert not encoder.model.training
        assert all(torch.equal(encoder.model.state_dict()[name], value) for name, value in before.items())
    alignment.save_pretrained(tmp_path)
    loaded, report = SaflNetForSemanticAlignment.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    loaded.use_semantic_encoders([encoder.model for encoder in alignment.frozen])
    torch.testing.assert_close(loaded.eval()(pixels).projections, alignment.eval()(pixels).projections)


def test_collapse_is_seen():
    alignment = aligned(SaflNetConfig.tiny(alignment_objective="cosine_var")).eval()
    for reader in alignment.readers:
        nn.init.zeros_(reader.projection[-1].weight)
        nn.init.ones_(reader.projection[-1].bias)
    output = alignment(torch.rand(4, 3, 64, 64))
    assert output.matched.item() == pytest.approx(1, abs=1e-4)
    assert output.has_collapsed


def test_a_frozen_encoder_gets_the_normalisation_it_was_trained_with():
    config = SaflNetConfig.tiny(
        semantic_image_means=((0.5,) * 3, (0.4,) * 3), semantic_image_stds=((0.5,) * 3, (0.2,) * 3)
    )
    alignment = aligned(config)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    first, second = (encoder.model for encoder in alignment.frozen)
    torch.testing.assert_close(alignment.frozen[0](pixels), first(pixels).last_hidden_state)
    expected = second((pixels * 0.5 + 0.1) / 0.2).last_hidden_state
    torch.testing.assert_close(alignment.frozen[1](pixels), expected)


def test_the_map_is_the_last_blocks_and_not_that_of_a_top_which_segmentation_leaves_untrained():
    encoder = {"model_type": "mobilenet_v2", "depth_multiplier": 0.25, "min_depth": 4}
    alignment = aligned(SaflNetConfig.tiny(semantic_encoders=(encoder, encoder)))
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    before = alignment.frozen[0](pixels)
    nn.init.zeros_(alignment.frozen[0].model.conv_1x1.convolution.weight)
    assert before.std() > 0
    assert torch.equal(alignment.frozen[0](pixels), before)
    assert alignment(pixels).loss is not None


def test_normalised_projections_stay_so_after_the_alignment():
    """Without it a mean that all pictures share would decide every cosine with z_se."""
    alignment = aligned(SaflNetConfig.tiny()).train()
    for module in alignment.readers[0].modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the running statistics are those of the one batch that it sees
    pixels = torch.rand(16, 3, 96, 96) * 2 - 1
    alignment(pixels)
    first = alignment.eval()(pixels).projections[0]
    assert (first.mean(0).abs() < 0.2 * first.std(0)).all()
    assert first.std(0).min() > 0.5


def test_an_encoder_without_a_map_is_refused():
    from transformers import ViTConfig, ViTModel

    vit = ViTModel(
        ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=64)
    )
    alignment = SaflNetForSemanticAlignment(SaflNetConfig.tiny())
    alignment.use_semantic_encoders([vit, vit])
    with pytest.raises(ValueError, match="returns no map"):
        alignment(torch.rand(2, 3, 64, 64))


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_lite0_fits_the_embedded_checkpoint():
    with torch.device("meta"):
        model = SaflNetForImageForgeryLocalization(SaflNetConfig.lite0())
    assert sum(p.numel() for p in model.parameters()) * 4 <= 16e6
    assert not any(".squeeze_excite." in name for name in model.state_dict())
    assert isinstance(model.encoder, EfficientNetLevels)


def test_small_has_the_size_its_docstring_says():
    with torch.device("meta"):
        model = SaflNetForImageForgeryLocalization(SaflNetConfig.small())
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(0.7e6, abs=0.05e6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"boundary_window": 4}, "boundary_window must be odd"),
        ({"boundary_dilations": (1, 2)}, "four values"),
        ({"level_strides": (8, 4)}, "ascending"),
        ({"level_strides": (3,)}, "ascending"),
        ({"semantic_balance": 1.5}, r"\[0, 1\]"),
        ({"contrast_temperature": 0.0}, "above 0"),
        ({"encoder_norm_momentum": 0.0}, r"\(0, 1\]"),
        ({"encoder_config": {"model_type": "efficientnot"}}, "no model type"),
        ({"semantic_encoders": ({"model_type": "resnet"},)}, "two entries"),
        ({"classifier_dropout": 1.0}, r"\[0, 1\)"),
        ({"decoder_channels": 0}, "at least 1"),
    ],
)
def test_impossible_values_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        SaflNetConfig.tiny(**overrides)
