"""DiffForensics: the shared model tests, both stages, and the properties of the spec's section 8."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from ifl_hub import DiffForensicsConfig, DiffForensicsForImageForgeryLocalization, DiffForensicsForPreTraining
from ifl_hub.modeling.diff_forensics.losses_diff_forensics import (
    detection_loss,
    dice_loss,
    edge_loss,
    weighted_cross_entropy,
)
from ifl_hub.modeling.diff_forensics.modeling_diff_forensics import (
    DiffForensicsModel,
    edge_cues,
    sinusoidal_embedding,
)
from modeling_tester import ModelTesterMixin


class TestDiffForensics(ModelTesterMixin):
    config_class = DiffForensicsConfig
    model_class = DiffForensicsForImageForgeryLocalization
    loss_terms = frozenset({"segmentation", "edge", "detection"})
    has_image_logits = True
    usual_size = 64
    smallest_dynamic_export = 33


def build(model_class=DiffForensicsForImageForgeryLocalization, seed=0, **overrides):
    torch.manual_seed(seed)
    return model_class(DiffForensicsConfig.tiny(**overrides)).eval()


def pictures(batch=2, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(batch, size, size, dtype=torch.long)
    labels[:, size // 4 : size // 2, size // 4 : size // 2] = 1
    return torch.rand(batch, 3, size, size, generator=generator) * 2 - 1, labels


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_the_papers_shape():
    with torch.device("meta"):
        model = DiffForensicsForImageForgeryLocalization(DiffForensicsConfig())
        features = model.diff_forensics(torch.zeros(1, 3, 512, 512), torch.zeros(1)).decoder_features
    assert [tuple(feature.shape) for feature in features] == [(1, 64, 128, 128), (1, 128, 64, 64), (1, 256, 32, 32)]
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(27.7e6, rel=0.01)  # spec 1.4


def test_the_decoder_reads_segformers_hidden_states():
    model, (pixels, _) = build(), pictures()
    expected = model.diff_forensics.encoder(pixels, output_hidden_states=True).hidden_states
    actual = model.diff_forensics._encode(pixels)
    assert len(actual) == len(expected) == 4
    assert all(torch.equal(*pair) for pair in zip(actual, expected, strict=True))


def test_small_fits_the_embedded_checkpoint():
    with torch.device("meta"):
        model = DiffForensicsForImageForgeryLocalization(DiffForensicsConfig.small())
    assert sum(p.numel() for p in model.parameters()) * 4 <= 6e6


@pytest.mark.parametrize("length", [4, 32, 128])
def test_the_time_embedding_is_diffusers(length):
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    steps = torch.tensor([0, 1, 5, 500, 1000])
    expected = embeddings.get_timestep_embedding(steps, length, downscale_freq_shift=1)
    torch.testing.assert_close(sinusoidal_embedding(steps, length), expected, rtol=0, atol=1e-5)


# -- edge cues ---------------------------------------------------------------------------------------------------------

orders = st.sampled_from(["rows_first", "cols_first"])


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), order=orders, height=st.integers(1, 9), width=st.integers(1, 9))
def test_edge_cues_of_any_map(seed, order, height, width):
    d = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    g = edge_cues(d, order)
    assert g.shape == d.shape
    assert (g >= 0).all()
    torch.testing.assert_close(edge_cues(d + 3, order), g, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(edge_cues(-2 * d, order), 2 * g)
    other = "cols_first" if order == "rows_first" else "rows_first"
    assert torch.equal(edge_cues(d.mT, other).mT, g)


def test_edge_cues_answer_to_corners_only():
    line = torch.arange(5.0).square().expand(1, 1, 5, 5)
    for straight in (torch.full((1, 1, 5, 5), 7.0), line, line.mT):
        assert edge_cues(straight).abs().max() == 0
    square = torch.zeros(1, 1, 9, 9)
    square[..., 3:6, 3:6] = 1
    assert edge_cues(square).sum() == 4
    assert edge_cues(torch.eye(9)[None, None]).count_nonzero() > 9
    assert edge_cues(square, operator="gradient_sum").count_nonzero() > 8


def test_zeros_beyond_the_border_make_a_constant_respond():
    flat = torch.full((1, 1, 4, 4), 3.0)
    assert edge_cues(flat, padding="zeros").sum() == 3
    assert edge_cues(flat).sum() == 0


def test_the_order_of_differences_matters():
    d = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    first, second = edge_cues(d, "rows_first"), edge_cues(d, "cols_first")
    assert (first - second).abs().mean() > 0.2 * first.mean()


# -- fine-tuning -------------------------------------------------------------------------------------------------------


def test_the_loss_is_eq_9():
    model, (pixels, labels) = build(), pictures()
    labels[0] = 0
    output = model(pixels, labels=labels)
    logits, targets = output.logits, torch.tensor([0, 1])
    dice = dice_loss(torch.sigmoid(logits[:, 0]), labels == 1, labels != 255)
    segmentation = 0.1 * weighted_cross_entropy(logits, labels, 2, 0.5) + 0.9 * dice
    edge = edge_loss(output.edge_probabilities, labels, (1, 0.5, 0.25), model.config.edge_kernel_size)
    detection = detection_loss(output.image_logits, targets, 0.7, 0.3)
    torch.testing.assert_close(output.loss, 0.8 * (segmentation + edge) + 0.1 * detection)
    torch.testing.assert_close(output.loss_terms["edge"], edge.detach())


def test_defaults_are_the_papers():
    config = DiffForensicsConfig()
    assert (config.fixed_timestep, config.seg_balance, config.localization_weight) == (5, 0.1, 0.8)
    assert (config.forged_pixel_weight, config.authentic_pixel_weight, config.detection_weight) == (2, 0.5, 0.1)
    assert (config.forged_image_weight, config.authentic_image_weight) == (0.7, 0.3)
    assert tuple(config.edge_weights) == (1, 0.5, 0.25)


def test_the_default_timestep_is_the_fixed_one():
    model, (pixels, _) = build(), pictures()
    default = model(pixels).logits
    assert torch.equal(default, model(pixels, timesteps=torch.tensor([5, 5])).logits)
    for step in (0, 1000):
        other = model(pixels, timesteps=torch.tensor([step, step])).logits
        assert torch.isfinite(other).all()
        assert not torch.equal(other, default)


@pytest.mark.parametrize("weights", [(1, 0, 0), (1, 1, 1), (0, 0, 0)])
def test_only_edge_maps_that_count_are_made(weights):
    model, (pixels, labels) = build(edge_weights=weights), pictures()
    output = model(pixels, labels=labels)
    if any(weights):
        assert output.edge_probabilities.shape == (2, sum(weights), 64, 64)
    else:
        assert output.edge_probabilities is None
        assert set(output.loss_terms) == {"segmentation", "detection"}
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_four_pictures_can_be_learnt_by_heart():
    model, (pixels, labels) = build().train(), pictures(4)
    for index in range(3):
        labels[index] = labels[index].roll((8 * index, -6 * index), (0, 1))
        pixels[index][:, labels[index] == 1] += 1
    labels[3] = 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = model(pixels, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    output = model.eval()(pixels)
    assert ((output.logits[:, 0] > 0) == labels.bool()).float().mean() > 0.95
    assert output.image_logits[:, 0].argmin() == 3  # the authentic one


# -- pre-training ------------------------------------------------------------------------------------------------------


def noisy(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 40, 51, generator=generator), torch.randn(2, 3, 40, 51, generator=generator)


@pytest.mark.parametrize("head", ["pixel_shuffle", "bilinear"])
def test_pretraining_predicts_noise_of_any_size_and_knows_the_time(head):
    model, (pixels, noise) = build(DiffForensicsForPreTraining, noise_head=head), noisy()
    output = model(pixels, torch.tensor([3, 700]), labels=noise)
    assert output.predicted_noise.shape == noise.shape
    torch.testing.assert_close(output.loss, (output.predicted_noise - noise).square().mean())
    other = model(pixels, torch.tensor([3, 20])).predicted_noise
    torch.testing.assert_close(other[0], output.predicted_noise[0])
    assert not torch.allclose(other[1], output.predicted_noise[1], atol=1e-3)
    with pytest.raises(ValueError, match="labels must be the noise"):
        model(pixels, torch.tensor([3, 700]), labels=noise[:, :1])


def test_the_encoder_neither_learns_nor_drops_paths(tmp_path):
    encoder = {**DiffForensicsConfig.tiny().encoder_config.to_dict(), "drop_path_rate": 0.5}
    build(DiffForensicsForPreTraining, encoder_config=encoder).save_pretrained(tmp_path)
    model = DiffForensicsForPreTraining.from_pretrained(tmp_path).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pixels, noise = noisy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    model(pixels, torch.tensor([3, 700]), labels=noise).loss.backward()
    optimizer.step()
    assert not any(module.training for module in model.diff_forensics.encoder.modules())
    assert model.diff_forensics.decoder.training
    for name, value in model.state_dict().items():
        frozen = ".encoder." in name
        assert torch.equal(value, before[name]) == frozen, name
        assert (dict(model.named_parameters())[name].grad is None) == frozen, name


def test_the_encoder_learns_where_that_is_switched_on():
    model, (pixels, noise) = build(DiffForensicsForPreTraining, freeze_encoder=False).train(), noisy()
    model(pixels, torch.tensor([3, 700]), labels=noise).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.diff_forensics.encoder.training


def test_fine_tuning_starts_from_what_pretraining_has_learnt(tmp_path):
    pretrained = build(DiffForensicsForPreTraining)
    for parameter in pretrained.parameters():
        parameter.data += 0.01
    pretrained.save_pretrained(tmp_path)
    model, report = DiffForensicsForImageForgeryLocalization.from_pretrained(tmp_path, output_loading_info=True)
    assert {name.split(".")[0] for name in report["missing_keys"]} == {"localization_head", "detection_head", "edges"}
    assert {name.split(".")[0] for name in report["unexpected_keys"]} == {"noise_head"}
    for name, value in pretrained.diff_forensics.state_dict().items():
        assert torch.equal(model.diff_forensics.state_dict()[name], value), name
    assert all(parameter.requires_grad for parameter in model.parameters())
    base = DiffForensicsModel.from_pretrained(tmp_path)
    assert torch.equal(base.state_dict()["decoder.time.first.weight"], model.diff_forensics.decoder.time.first.weight)


def test_the_encoder_takes_a_segformers_weights(tmp_path):
    config = DiffForensicsConfig.tiny()
    segformer = SegformerForSemanticSegmentation(config.encoder_config)
    segformer.save_pretrained(tmp_path)
    for model_class in (DiffForensicsForPreTraining, DiffForensicsForImageForgeryLocalization):
        model = model_class(config)
        model.load_encoder_weights(tmp_path)
        for name, value in segformer.segformer.state_dict().items():
            assert torch.equal(model.diff_forensics.encoder.state_dict()[name], value), name
    with pytest.raises(RuntimeError, match="size mismatch"):
        build(encoder_config={"hidden_sizes": (16, 16, 24, 32), "depths": (1, 1, 1, 1)}).load_encoder_weights(tmp_path)


def test_inference_never_imports_diffusers():
    code = (
        "import sys, torch, ifl_hub\n"
        "model = ifl_hub.DiffForensicsForImageForgeryLocalization(ifl_hub.DiffForensicsConfig.tiny()).eval()\n"
        "model(torch.zeros(1, 3, 64, 64)); ifl_hub.SimplexNoise()((1, 1, 8, 8))\n"
        "assert not any(name.split('.')[0] == 'diffusers' for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- configuration -----------------------------------------------------------------------------------------------------


def test_any_segformer_can_be_the_encoder():
    config = DiffForensicsConfig(encoder_config=SegformerConfig())
    assert config.encoder_config.hidden_sizes == SegformerConfig().hidden_sizes


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"edge_kernel_size": 4}, "edge_kernel_size must be odd"),
        ({"loc_kernel_size": 2}, "loc_kernel_size must be odd"),
        ({"time_frequencies": 7}, "even"),
        ({"decoder_channels": (8, 8)}, "three values"),
        ({"edge_weights": (1, -1, 0)}, "at least 0"),
        ({"seg_balance": 1.5}, r"\[0, 1\]"),
        ({"fixed_timestep": -1}, "at least 0"),
        ({"encoder_config": {"hidden_sizes": (8, 16), "depths": (1, 1)}}, "four stages"),
    ],
)
def test_impossible_values_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        DiffForensicsConfig.tiny(**overrides)
