"""NCL: the shared model tests, the published shapes, output stride, the network's parts, and `NclLoss` as a plug-in."""

import copy
import re
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    AutoBackbone,
    ConvNextConfig,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerConfig,
    SegformerForSemanticSegmentation,
)
from transformers.models.resnet.modeling_resnet import ResNetBackbone

from ifl_hub import NclConfig, NclForImageForgeryLocalization, NclLoss
from ifl_hub.modeling.ncl.losses_ncl import AUTHENTIC, FORGED, classify_patches, unit_vectors
from ifl_hub.modeling.ncl.output_stride import apply_output_stride, measure_stride
from modeling_tester import ModelTesterMixin


def blocks(batch, height, width, seed=0):
    """Masks of blocks that leave forged, authentic and contour patches of 4 px."""
    generator = torch.Generator().manual_seed(seed)
    coarse = (torch.rand(batch, 1, height // 10 + 1, width // 10 + 1, generator=generator) < 0.4).float()
    coarse[:, :, 0, 0] = 1
    return F.interpolate(coarse, scale_factor=10).long()[:, 0, :height, :width].roll((2, 2), (1, 2))


class TestNcl(ModelTesterMixin):
    config_class = NclConfig
    model_class = NclForImageForgeryLocalization
    loss_terms = frozenset({"patch_contrast", "forged_pivot_contrast", "authentic_pivot_contrast", "pivot_consistent"})
    # transformers' ResNet cannot be checkpointed.
    supports_activation_checkpointing = False
    smallest_dynamic_export = 16
    # Batch normalisation of the pyramid's mean sees one value an image, so it cannot be split into smaller batches.
    deterministic_training: ClassVar = {"aspp_dropout": 0.0, "decoder_dropout": (0.0, 0.0), "head_norm": "group"}

    def make_inputs(self, batch=2, height=None, width=None, seed=0):
        inputs = super().make_inputs(batch, height, width, seed)
        return {**inputs, "labels": blocks(*inputs["labels"].shape, seed=seed)}

    def make_trained_model(self, **overrides):
        """With running statistics that fit the weights, as after training: activations would explode otherwise."""
        model = super().make_trained_model(**overrides).train()
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        model(**self.make_inputs())
        for norm in norms:
            norm.momentum = 0.1
            norm.running_var += 1  # two pictures' means hardly vary
        return model.eval()


def build(seed=0, **overrides):
    torch.manual_seed(seed)
    return NclForImageForgeryLocalization(NclConfig.tiny(**overrides)).eval()


def on_meta(make):
    with torch.device("meta"):
        return make()


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def parameters(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


# -- B7.10, B7.11: the published shapes --------------------------------------------------------------------------------


def test_the_default_is_deeplabv3plus_on_resnet_101():
    model = on_meta(lambda: NclForImageForgeryLocalization(NclConfig()))
    assert parameters(model.backbone) == 42_500_160
    assert parameters(model.backbone, model.pyramid, model.decoder, model.mask_classifier) == 59_339_169
    # What NCL adds fits the size of the authors' file: two 1×1 convolutions with their normalisation, and two heads.
    assert parameters(model.objective) == 2 * (256 * 256 + 2 * 256)
    assert parameters(model.encoder_classifier, model.decoder_classifier) == 2 * 257
    convolutions = [branch[0] for branch in model.pyramid.branches]
    assert [c.dilation[0] for c in convolutions] == [1, 12, 24, 36]
    assert [c.kernel_size[0] for c in convolutions] == [1, 3, 3, 3]
    assert {c.in_channels for c in (*convolutions, model.pyramid.pool[0])} == {2048}
    assert model.pyramid.projection[0].in_channels == 5 * 256
    assert model.decoder.low_level[0].out_channels == 48
    assert model.decoder.merge[0][0].in_channels == 304


def test_the_default_is_the_paper():
    config = NclConfig()
    assert (config.output_stride, config.ncl_weight, config.contour_weight) == (8, 0.01, 0.9)
    assert config.pivot_stage == "stage1"


def test_the_backbone_has_the_names_and_shapes_of_a_plain_resnet_101():
    dilated = on_meta(lambda: NclForImageForgeryLocalization(NclConfig())).backbone
    plain = on_meta(lambda: ResNetBackbone(ResNetConfig(depths=[3, 4, 23, 3])))
    assert {k: v.shape for k, v in dilated.state_dict().items()} == {k: v.shape for k, v in plain.state_dict().items()}


def spatial_rates(stage):
    return [c.dilation[0] for c in stage.modules() if isinstance(c, nn.Conv2d) and c.kernel_size == (3, 3)]


def test_dilations_are_those_of_deeplab():
    stages = on_meta(lambda: NclForImageForgeryLocalization(NclConfig())).backbone.encoder.stages
    assert [spatial_rates(stage) for stage in stages] == [[1] * 3, [1] * 4, [2] * 23, [4, 8, 16]]
    stages = on_meta(lambda: NclForImageForgeryLocalization(NclConfig(output_stride=16))).backbone.encoder.stages
    assert [spatial_rates(stage) for stage in stages] == [[1] * 3, [1] * 4, [1] * 23, [2, 4, 8]]


@pytest.mark.parametrize("stage", ["stem", "stage1", "stage2", "stage3", "stage4"])
def test_the_pivot_network_reads_the_configured_stage(stage):
    model = build(pivot_stage=stage)
    seen = []
    model.objective.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    model(noise(1, 3, 64, 64), labels=blocks(1, 64, 64))
    channels, stride = {"stem": (8, 4), "stage1": (8, 4), "stage2": (16, 8), "stage3": (16, 8), "stage4": (32, 8)}[
        stage
    ]
    assert seen == [(1, channels, 64 // stride, 64 // stride)]


# -- B7.10: output stride ----------------------------------------------------------------------------------------------

LAYOUTS = {
    "basic": {"layer_type": "basic"},
    "bottleneck": {"layer_type": "bottleneck"},
    "stride in the first convolution": {"layer_type": "bottleneck", "downsample_in_bottleneck": True},
}


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_dilated_network_is_the_plain_one_at_more_places(layout, output_stride):
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 2, 2, 2], **LAYOUTS[layout])
    config.out_features = ["stage1", "stage4"]
    plain = AutoBackbone.from_config(config).eval()
    dilated = copy.deepcopy(plain)
    apply_output_stride(dilated, output_stride)
    pixels = noise(1, 3, 96, 128)
    coarse, fine = plain(pixels).feature_maps, dilated(pixels).feature_maps
    assert torch.equal(fine[0], coarse[0])
    assert fine[1].shape[2:] == (96 // output_stride, 128 // output_stride)
    step = 32 // output_stride
    torch.testing.assert_close(fine[1][:, :, ::step, ::step], coarse[1], rtol=1e-6, atol=1e-6)
    assert measure_stride(dilated) == output_stride


def test_multi_grid_changes_the_last_stage_only():
    pixels = noise(1, 3, 64, 64)
    plain, grid = build(multi_grid=None, pivot_stage="stage2"), build(multi_grid=(3,), pivot_stage="stage2")
    grid.load_state_dict(plain.state_dict())
    first, second = (model.backbone(pixels).feature_maps for model in (plain, grid))
    assert torch.equal(first[1], second[1])
    assert not torch.allclose(first[2], second[2], atol=1e-3)


# -- other backbones ---------------------------------------------------------------------------------------------------

CONVNEXT = {"model_type": "convnext", "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}


def test_another_backbone_works_where_its_stride_fits(tmp_path):
    model = build(backbone_config=CONVNEXT, output_stride=32)
    output = model(noise(1, 3, 70, 45), labels=blocks(1, 70, 45))
    assert output.logits.shape == (1, 1, 70, 45)
    assert torch.isfinite(output.loss)
    model.save_pretrained(tmp_path)
    loaded = NclForImageForgeryLocalization.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded(noise(1, 3, 70, 45)).logits, output.logits)


def test_another_backbone_whose_stride_does_not_fit_is_refused_with_its_stride():
    with pytest.raises(ValueError, match=r"ConvNextBackbone has output stride 32.*set output_stride=32"):
        build(backbone_config=ConvNextConfig(**{k: v for k, v in CONVNEXT.items() if k != "model_type"}))


def test_a_configuration_that_is_passed_in_stays_as_it_was():
    own = ResNetConfig(layer_type="basic", embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])
    before = own.to_dict()
    assert NclConfig.tiny(backbone_config=own).backbone.out_features == ["stage1", "stage4"]
    assert own.to_dict() == before


# -- trained encoders --------------------------------------------------------------------------------------------------


def save_classifier(folder, **overrides):
    torch.manual_seed(1)
    sizes = {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
    classifier = ResNetForImageClassification(ResNetConfig(**{**sizes, **overrides})).eval()
    classifier.save_pretrained(folder)
    return classifier


def test_a_trained_classifier_becomes_the_encoder_and_its_features_stay(tmp_path):
    classifier = save_classifier(tmp_path)
    model = build(multi_grid=None)
    model.load_backbone_weights(str(tmp_path))
    pixels = noise(1, 3, 64, 64)
    expected = classifier.resnet(pixels).last_hidden_state
    actual = model.backbone(pixels).feature_maps[-1][:, :, ::4, ::4]
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    model.load_backbone_weights(tmp_path)  # a Path does as well


@pytest.mark.parametrize("overrides", [{"hidden_sizes": [8, 16, 16, 24]}, {"depths": [1, 1, 2, 1]}], ids=str)
def test_weights_of_another_network_are_refused(tmp_path, overrides):
    save_classifier(tmp_path, **overrides)
    model = build()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="does not hold the weights of this ResNetBackbone: give config"):
        model.load_backbone_weights(tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# -- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_network_is_the_one_described(align_corners):
    model, pixels = build(align_corners=align_corners), noise(2, 3, 64, 96)
    low, high = model.backbone(pixels).feature_maps
    pyramid, decoder = model.pyramid, model.decoder
    mean = pyramid.pool(F.adaptive_avg_pool2d(high, 1)).expand(-1, -1, 8, 12)
    encoded = pyramid.projection(torch.cat([*(branch(high) for branch in pyramid.branches), mean], 1))
    up = {"mode": "bilinear", "align_corners": align_corners}
    merged = torch.cat([F.interpolate(encoded, (16, 24), **up), decoder.low_level(low)], 1)
    decoded = decoder.merge[2](decoder.merge[0](merged))
    logits = F.interpolate(model.mask_classifier(decoded), (64, 96), **up)
    output = model(pixels, labels=blocks(2, 64, 96))
    torch.testing.assert_close(output.logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.auxiliary_logits[0], model.encoder_classifier(encoded), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.auxiliary_logits[1], model.decoder_classifier(decoded), rtol=1e-4, atol=1e-5)
    assert model(pixels).auxiliary_logits is None


def test_padding_does_not_count():
    model = build(ncl_weight=0.0, contour_weight=0.0, auxiliary_weights=(0.0, 0.0))
    labels = blocks(1, 37, 51)
    output = model(noise(1, 3, 37, 51), labels=labels)
    expected = F.binary_cross_entropy_with_logits(output.logits[:, 0], labels.float())
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_inference_does_not_touch_the_pivot_network_and_the_side_classifiers():
    model, pixels = build(), noise(1, 3, 40, 40)
    expected = model(pixels).logits
    for module in (model.objective, model.encoder_classifier, model.decoder_classifier):
        for parameter in module.parameters():
            parameter.data.fill_(torch.nan)
    assert torch.equal(model(pixels).logits, expected)


def test_the_ablations_of_the_paper_are_weights():
    """Table 5: Base, Base + Pivot, Base + Pivot + PC."""
    inputs = {"pixel_values": noise(1, 3, 48, 48), "labels": blocks(1, 48, 48)}
    base = {"contour_weight": 0.0, "auxiliary_weights": (0.0, 0.0)}
    arms = [build(ncl_weight=0.0, **base), build(**base), build()]
    outputs = [arm(**inputs) for arm in arms]
    assert all(torch.equal(output.logits, outputs[0].logits) for output in outputs)
    plain = F.binary_cross_entropy_with_logits(outputs[0].logits[:, 0], inputs["labels"].float())
    assert outputs[0].loss.item() == pytest.approx(plain.item(), rel=1e-5)
    assert outputs[1].loss > outputs[0].loss
    assert set(outputs[0].loss_terms) == {"pivot_consistent"}


def test_a_single_picture_trains():
    model = build().train()
    model(noise(1, 3, 64, 64), labels=blocks(1, 64, 64)).loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_the_size_of_a_chunk_changes_no_value():
    inputs = {"pixel_values": noise(1, 3, 64, 64), "labels": blocks(1, 64, 64)}
    losses = [build(contrast_chunk_size=size)(**inputs).loss.item() for size in (1000, 7)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"output_stride": 4}, "output_stride must be 8, 16 or 32"),
        ({"atrous_rates": ()}, "atrous_rates needs one or more"),
        ({"multi_grid": (1, 2)}, r"multi_grid needs one factor .* each of the 1 blocks"),
        ({"aspp_dropout": 1.0}, r"aspp_dropout and decoder_dropout must lie in \[0, 1\)"),
        ({"decoder_dropout": (0.1,)}, "decoder_dropout needs two values"),
        ({"auxiliary_weights": (1.0, -1.0)}, "auxiliary_weights needs two values of at least 0"),
        ({"contour_weight": 1.5}, r"contour_weight must lie in \[0, 1\]"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"contrast_max_samples": 1}, "contrast_max_samples must be at least 2, or None"),
        ({"contrast_chunk_size": 0}, "contrast_chunk_size must be at least 1"),
        ({"backbone_config": {"model_type": "resnett"}}, "no model type 'resnett'; use 'resnet'"),
        ({"backbone_config": {"model_type": "bert"}}, "'bert' is no backbone"),
    ],
)
def test_impossible_configurations_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        NclConfig.tiny(**overrides)


def test_a_stage_that_the_backbone_lacks_is_refused():
    three = {"model_type": "resnet", "layer_type": "basic", "hidden_sizes": [8, 8, 8], "depths": [1, 1, 1]}
    with pytest.raises(ValueError, match="pivot_stage='stage4', but the backbone has the stages stem, stage1, stage2"):
        NclConfig.tiny(backbone_config=three, pivot_stage="stage4")


# -- the plug-in merit: another network --------------------------------------------------------------------------------


def bright_squares(seed, batch=4):
    labels = torch.zeros(batch, 32, 32, dtype=torch.long)
    for image, (top, left) in enumerate(
        torch.randint(2, 14, (batch, 2), generator=torch.Generator().manual_seed(seed))
    ):
        labels[image, top : top + 14, left : left + 14] = 1
    return noise(batch, 3, 32, 32, seed=seed) * 0.2 + labels[:, None], labels


def train_segformer(ncl_weight, steps=25):
    """A SegFormer with `NclLoss` on its first stage; returns the objective's terms and the patches' similarity."""
    torch.manual_seed(0)
    sizes = {"hidden_sizes": [8, 12, 16, 16], "num_attention_heads": [1, 2, 2, 2], "depths": [1, 1, 1, 1]}
    network = SegformerForSemanticSegmentation(SegformerConfig(num_labels=1, decoder_hidden_size=16, **sizes))
    objective = NclLoss(channels=8, ncl_weight=ncl_weight)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=3e-3)
    pixels, labels = bright_squares(0)
    history = []
    for _ in range(steps):
        output = network(pixels, output_hidden_states=True)
        features = output.hidden_states[0]  # a quarter of the size, as in the paper
        loss, terms = objective(features, output.logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(terms)
    patches, unit = classify_patches(labels, features.shape[2:]), unit_vectors(features.permute(0, 2, 3, 1)).detach()
    similarity = [
        (unit[i][patches[i] == FORGED] @ unit[i][patches[i] == AUTHENTIC].T).mean().item() for i in range(len(patches))
    ]
    return history, sum(similarity) / len(similarity)


def test_the_objective_trains_a_segformer_and_separates_its_patches():
    history, similarity = train_segformer(ncl_weight=0.1)
    for name in ("patch_contrast", "forged_pivot_contrast", "authentic_pivot_contrast", "pivot_consistent"):
        assert history[-1][name] < history[0][name], name
    _, without = train_segformer(ncl_weight=0)
    assert similarity < without - 0.05


def test_the_examples_of_the_documentation_run():
    page = (Path(__file__).parent.parent / "docs" / "ncl.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        names = {}
        exec(example, names)
        loss = names["loss"] if "loss" in names else names["output"].loss
        assert torch.isfinite(loss)
