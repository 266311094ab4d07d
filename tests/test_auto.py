"""What transformers knows after `import ifl_hub`: its auto classes find every method by configuration or folder."""

import importlib
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification, BertConfig
from transformers.pipelines import PIPELINE_REGISTRY

from ifl_hub import AutoModelForImageForgeryLocalization, FaceImageProcessor, IflImageProcessor
from ifl_hub.registration import FACE_CLASSIFICATION_MODELS, LOCALIZATION_MODELS, register
from modeling_tester import ModelTesterMixin

METHODS = [*LOCALIZATION_MODELS.items(), *FACE_CLASSIFICATION_MODELS.items()]
each_method = pytest.mark.parametrize(("config_class", "model_class"), METHODS, ids=[c.model_type for c, _ in METHODS])


def is_localizer(config_class):
    return config_class in LOCALIZATION_MODELS


@each_method
def test_auto_classes_build_and_load_the_method(config_class, model_class, tmp_path):
    of_task = AutoModelForImageForgeryLocalization if is_localizer(config_class) else AutoModelForImageClassification
    for auto_class in (AutoModel, of_task):
        model = auto_class.from_config(config_class.tiny())
        assert type(model) is model_class
        model.save_pretrained(tmp_path)
        assert type(auto_class.from_pretrained(tmp_path)) is model_class


@each_method
def test_the_configuration_is_found_by_its_type(config_class, model_class, tmp_path):
    assert model_class.config_class is config_class
    assert type(AutoConfig.for_model(config_class.model_type)) is config_class
    config_class.tiny().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is config_class


@each_method
def test_the_image_processor_is_found_beside_the_model_whatever_the_backend(config_class, model_class, tmp_path):
    processor = IflImageProcessor if is_localizer(config_class) else FaceImageProcessor
    config_class.tiny().save_pretrained(tmp_path)
    processor().save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is processor
    assert type(AutoImageProcessor.from_pretrained(tmp_path, backend="pil")) is processor


@each_method
def test_the_method_has_a_subclass_of_the_shared_model_tester(config_class, model_class):
    name = f"test_modeling_{config_class.model_type}"
    assert (Path(__file__).parent / f"{name}.py").exists()
    classes = [value for value in vars(importlib.import_module(name)).values() if isinstance(value, type)]
    assert any(issubclass(c, ModelTesterMixin) and getattr(c, "model_class", None) is model_class for c in classes)


def test_registering_again_changes_nothing():
    tasks = ("image-forgery-localization", "deepfake-detection")
    before = [PIPELINE_REGISTRY.supported_tasks[task] for task in tasks]
    register()
    assert all(PIPELINE_REGISTRY.supported_tasks[task] is old for task, old in zip(tasks, before, strict=True))


def test_another_kind_of_model_is_refused_by_name():
    with pytest.raises(ValueError, match=r"(?s)BertConfig.*AutoModelForImageForgeryLocalization.*SumiIflConfig"):
        AutoModelForImageForgeryLocalization.from_config(BertConfig())


def test_a_folder_of_no_known_type_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no_such_method"}')
    with pytest.raises(ValueError, match="no_such_method"):
        AutoModelForImageForgeryLocalization.from_pretrained(tmp_path)


def test_the_private_names_of_transformers_that_the_auto_class_builds_on_are_there():
    """When this fails after an upgrade, `modeling/auto.py` is the one file to change."""
    from transformers.models.auto import auto_factory, configuration_auto

    assert issubclass(AutoModelForImageForgeryLocalization, auto_factory._BaseAutoModelClass)
    mapping = AutoModelForImageForgeryLocalization._model_mapping
    assert isinstance(mapping, auto_factory._LazyAutoMapping)
    assert isinstance(configuration_auto.CONFIG_MAPPING_NAMES, dict)
    assert set(LOCALIZATION_MODELS) == set(mapping.keys())
    # Ours alone: transformers' own mapping of AutoModel is another object.
    assert mapping is not AutoModel._model_mapping
