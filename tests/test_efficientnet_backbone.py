"""An EfficientNet behind AutoBackbone: its stages are the levels, and NCL runs on them."""

import pytest
import torch
from transformers import AutoBackbone, EfficientNetConfig, EfficientNetModel

from ifl_hub import NclConfig, NclForImageForgeryLocalization, SaflNetConfig, SaflNetForImageForgeryLocalization
from ifl_hub.modeling.efficientnet_backbone import EfficientNetLevelsConfig

NARROW = {"width_coefficient": 0.5, "depth_coefficient": 0.2, "squeeze_expansion_ratio": 0.0, "hidden_act": "relu6"}


def narrow_ncl():
    backbone = {"model_type": "efficientnet_levels", "last_stride": 16, **NARROW}
    torch.manual_seed(0)
    return NclForImageForgeryLocalization(NclConfig.tiny(backbone_config=backbone, output_stride=16)).eval()


@pytest.mark.parametrize("last_stride", [4, 8, 16, 32])
def test_stages_have_the_strides_that_their_names_say(last_stride):
    config = EfficientNetLevelsConfig(last_stride=last_stride, **NARROW)
    config.out_features = config.stage_names
    backbone = AutoBackbone.from_config(config)
    maps = backbone(torch.zeros(1, 3, 64, 96)).feature_maps
    assert [64 // feature.shape[2] for feature in maps] == [2 ** (stage + 1) for stage in range(len(maps))]
    assert 64 // maps[-1].shape[2] == last_stride
    assert [feature.shape[1] for feature in maps] == backbone.channels


def test_weights_of_transformers_and_of_the_zoo_give_the_features_that_they_gave_there(tmp_path):
    pixels = torch.rand(1, 3, 64, 64)
    torch.manual_seed(1)
    plain = EfficientNetModel(EfficientNetConfig(**{**NARROW, "squeeze_expansion_ratio": 0.25}))
    for name, value in plain.state_dict().items():
        if ".squeeze_excite." in name:  # gates that stand open
            value.fill_(30.0 if name.endswith("expand.bias") else 0.0)
    encoder = {"model_type": "efficientnet", **NARROW}
    zoo = SaflNetForImageForgeryLocalization(SaflNetConfig.tiny(encoder_config=encoder)).eval()
    for model, features in (
        (plain.eval(), lambda: None),
        (zoo, lambda: dict(zip(zoo.encoder.strides, zoo.encoder(pixels), strict=True))[16]),
    ):
        model.save_pretrained(tmp_path / model.config.model_type)
        ncl = narrow_ncl()
        before = ncl.backbone(pixels).feature_maps[-1]
        ncl.load_encoder_weights(tmp_path / model.config.model_type)
        after = ncl.backbone(pixels).feature_maps[-1]
        assert not torch.allclose(before, after)
        if (expected := features()) is not None:
            torch.testing.assert_close(after, expected)


def test_ncl_on_an_efficientnet_survives_saving(tmp_path):
    model, pixels = narrow_ncl(), torch.rand(2, 3, 37, 51)
    labels = torch.zeros(2, 37, 51, dtype=torch.long)
    labels[:, :20, :20] = 1
    assert model(pixels, labels=labels).loss.isfinite()
    model.save_pretrained(tmp_path)
    again = NclForImageForgeryLocalization.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(pixels).logits, model(pixels).logits)
    assert again.config.backbone.stage_names == ["stem", "stage1", "stage2", "stage3"]
