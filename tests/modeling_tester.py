"""The shared model tester: what every method must do, whether it localizes or classifies.

A method's test class subclasses `ModelTesterMixin`, names its two classes and says what it is capable of; 10 to 60
lines. The properties come from the public contract, from transformers' loading (which builds on the meta device) and
from Trainer, never from one method's code.
"""

import copy
import dataclasses
import json
import pickle
import typing
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset
from transformers import AutoConfig, AutoModel, Trainer, TrainingArguments
from transformers.utils import ModelOutput

from ifl_hub import AutoModelForImageForgeryLocalization

METADATA = ("_name_or_path", "transformers_version")


class Pictures(Dataset):
    """A batch of inputs, picture by picture; `copies` repeats the first, so that no two batches differ."""

    def __init__(self, inputs, copies=False):
        self.pixels, self.labels = inputs["pixel_values"], inputs["labels"]
        self.copies = copies

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        index = 0 if self.copies else index
        return {"pixel_values": self.pixels[index], "labels": self.labels[index]}


class ModelTesterMixin:
    """Subclass as `class TestX(ModelTesterMixin)` with the attributes below."""

    config_class: ClassVar[type]
    model_class: ClassVar[type]
    # Names of `output.loss_terms` under the default configuration.
    loss_terms: ClassVar[set[str]]
    # Whether labels are masks and logits maps; a classifier overrides the four members below.
    localizes = True
    auto_class: ClassVar[type] = AutoModelForImageForgeryLocalization
    label_names: ClassVar[tuple[str, str]] = ("authentic", "forged")
    # The layer whose bias moves every logit alike.
    last_layer = "mask_classifier"
    # Whether the method has a detection head, `image_logits` (B, 1).
    has_image_logits = False
    # Smallest side that the method accepts, and the size that tests use where any would do.
    minimum_size = 1
    usual_size = 32
    # Whether eval logits of one image are independent of the images beside it.
    is_batch_invariant = True
    supports_activation_checkpointing = True
    # Smallest side that a graph exported with dynamic sizes must serve; None where dynamic sizes cannot be exported.
    smallest_dynamic_export: int | None = 8
    # Overrides under which a training step draws no random number.
    deterministic_training: ClassVar[dict] = {}
    # Overrides that an option of the configuration needs, by (field, option).
    option_requirements: ClassVar[dict[tuple[str, str], dict]] = {}

    # -- material ----------------------------------------------------------------------------------------------------

    def make_config(self, **overrides):
        return self.config_class.tiny(**overrides)

    def make_model(self, seed=0, **overrides):
        torch.manual_seed(seed)
        return self.model_class(self.make_config(**overrides)).eval()

    def make_inputs(self, batch=2, height=None, width=None, seed=0):
        height, width = height or self.usual_size, width or self.usual_size
        generator = torch.Generator().manual_seed(seed)
        return {
            "pixel_values": torch.rand(batch, 3, height, width, generator=generator) * 2 - 1,
            "labels": (torch.rand(batch, height, width, generator=generator) < 0.4).long(),
        }

    def logits_shape(self, batch, height, width):
        return (batch, 1, height, width)

    def make_trained_model(self, **overrides):
        """A model none of whose parameters and buffers has the value it was initialised with."""
        model = self.make_model(**overrides)
        generator = torch.Generator().manual_seed(1)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=generator) * 0.05 + 0.01)
            else:
                tensor.add_(1)
        return model

    def skip_unless(self, capable):
        if not capable:
            pytest.skip("the method says so")

    def gradients(self, model, seed=7, **inputs):
        """Loss and gradients of one training step, the same random numbers each time."""
        model.train().zero_grad()
        torch.manual_seed(seed)
        loss = model(**inputs).loss
        loss.backward()
        return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    # -- output contract ---------------------------------------------------------------------------------------------

    def test_tiny_has_at_most_half_a_million_parameters_and_works_at_64_px(self):
        model = self.make_model()
        assert sum(parameter.numel() for parameter in model.parameters()) <= 500_000
        assert model(torch.zeros(1, 3, 64, 64)).logits.shape == self.logits_shape(1, 64, 64)

    def test_one_output_type_whatever_the_arguments(self):
        model, inputs = self.make_model(), self.make_inputs()
        without, with_labels = model(inputs["pixel_values"]), model(**inputs)
        assert type(without) is type(with_labels)
        assert isinstance(without, ModelOutput)
        assert without.loss is None
        assert without.loss_terms is None
        assert with_labels.loss.shape == ()
        assert with_labels.loss.requires_grad
        assert list(with_labels)[:3] == ["loss", "loss_terms", "logits"]
        for output in (without, with_labels):
            if self.has_image_logits:
                assert output.image_logits.shape == (2, 1)
            elif self.localizes:
                assert output.image_logits is None

    def test_image_targets_are_part_of_the_signature(self):
        self.skip_unless(self.localizes)
        inputs = self.make_inputs()
        loss = self.make_model()(**inputs, image_targets=torch.tensor([0, 1])).loss
        assert torch.isfinite(loss)

    def test_loss_terms_are_detached_scalars(self):
        terms = self.make_model()(**self.make_inputs()).loss_terms
        assert set(terms) == self.loss_terms
        for name, term in terms.items():
            assert term.shape == (), name
            assert not term.requires_grad, name
            assert term.dtype == torch.float32, name
            assert torch.isfinite(term), name

    def test_class_attributes_that_transformers_reads(self):
        assert self.model_class.accepts_loss_kwargs is False
        assert self.model_class.main_input_name == "pixel_values"
        assert tuple(self.model_class.input_modalities) == ("image",)
        ignored = self.make_config().keys_to_ignore_at_inference
        assert isinstance(ignored, list)
        assert "loss_terms" in ignored

    def test_wrong_shapes_are_refused_with_the_shape_that_fits(self):
        model, inputs = self.make_model(), self.make_inputs()
        with pytest.raises(ValueError, match=r"pixel_values must be \(batch, 3, height, width\)"):
            model(inputs["pixel_values"][:, :1])
        with pytest.raises(ValueError, match="pixel_values"):
            model(inputs["pixel_values"][0])

    def test_masks_of_another_shape_are_refused_with_the_one_that_fits(self):
        self.skip_unless(self.localizes)
        model, inputs = self.make_model(), self.make_inputs()
        size = self.usual_size
        for labels in (inputs["labels"][:, :-1], inputs["labels"][:1], inputs["labels"][:, None]):
            with pytest.raises(ValueError, match=rf"labels must be .*\(2, {size}, {size}\)"):
                model(inputs["pixel_values"], labels=labels)

    # -- numerics ----------------------------------------------------------------------------------------------------

    @settings(max_examples=25)
    @given(data=st.data())
    def test_any_size_gives_logits_of_that_size(self, data):
        sides = st.integers(self.minimum_size, 70)
        height, width, batch = data.draw(sides), data.draw(sides), data.draw(st.integers(1, 2))
        output = self.make_model()(**self.make_inputs(batch, height, width))
        assert output.logits.shape == self.logits_shape(batch, height, width)
        assert torch.isfinite(output.logits).all()
        assert torch.isfinite(output.loss)

    @pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
    def test_labels_do_not_change_the_logits(self, training):
        model, inputs = self.make_model().train(training), self.make_inputs()
        logits = []
        for arguments in ({}, {"labels": inputs["labels"]}, {"labels": 1 - inputs["labels"]}):
            torch.manual_seed(3)
            state = copy.deepcopy(model.state_dict())
            logits.append(model(inputs["pixel_values"], **arguments).logits)
            model.load_state_dict(state)  # running statistics of normalisation layers
        assert torch.equal(logits[0], logits[1])
        assert torch.equal(logits[0], logits[2])

    def test_the_last_layers_bias_moves_every_logit_alike(self):
        model, pixels = self.make_model(), self.make_inputs(height=29)["pixel_values"]
        before = model(pixels).logits
        getattr(model, self.last_layer).bias.data += 1.5
        torch.testing.assert_close(model(pixels).logits, before + 1.5, rtol=1e-4, atol=1e-4)

    def test_evaluation_is_deterministic(self):
        model, inputs = self.make_model(), self.make_inputs()
        first, second = model(**inputs), model(**inputs)
        assert torch.equal(first.logits, second.logits)
        assert torch.equal(first.loss, second.loss)

    def test_images_of_a_batch_do_not_influence_each_other(self):
        self.skip_unless(self.is_batch_invariant)
        model, pixels = self.make_trained_model(), self.make_inputs(batch=3, height=29)["pixel_values"]
        together = model(pixels).logits
        alone = torch.cat([model(image[None]).logits for image in pixels])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)

    def test_channels_last_gives_the_same_logits(self):
        model, pixels = self.make_model(), self.make_inputs()["pixel_values"]
        expected = model(pixels).logits
        actual = model.to(memory_format=torch.channels_last)(pixels.to(memory_format=torch.channels_last)).logits
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)

    def test_gradients_reach_every_parameter(self):
        model = self.make_model()
        for parameter in model.parameters():
            parameter.data += 0.01 * torch.randn(parameter.shape)  # a weight of 0 would hide what lies before it
            if parameter.ndim == 1:
                parameter.data += 1  # biases: a rectified unit that is off on every picture has no gradient
        reached = dict.fromkeys((name for name, _ in model.named_parameters()), 0.0)
        for seed in range(3):
            _, gradients = self.gradients(model, seed=seed, **self.make_inputs(seed=seed))
            assert set(gradients) == set(reached)
            for name, gradient in gradients.items():
                assert torch.isfinite(gradient).all(), name
                reached[name] += gradient.abs().sum().item()
        assert not [name for name, total in reached.items() if total == 0]

    @pytest.mark.parametrize("mask", ["all ignored", "empty", "full", "one pixel", "one image ignored", "border"])
    def test_degenerate_masks_give_a_finite_loss_and_gradients(self, mask):
        self.skip_unless(self.localizes)
        model, inputs = self.make_model(), self.make_inputs()
        labels = torch.full_like(inputs["labels"], {"all ignored": 255, "full": 1}.get(mask, 0))
        if mask == "one pixel":
            labels[0, 5, 7] = 1
        elif mask == "one image ignored":
            labels[0], labels[1, :9] = 255, 1
        elif mask == "border":
            labels[:, -3:], labels[:, :, -2:], labels[:, 4:9, 4:9] = 255, 255, 1
        loss, gradients = self.gradients(model, pixel_values=inputs["pixel_values"], labels=labels)
        assert torch.isfinite(loss)
        assert len(gradients) == len(list(model.parameters()))
        assert all(torch.isfinite(gradient).all() for gradient in gradients.values())

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int32], ids=str)
    def test_the_integer_type_of_the_labels_does_not_matter(self, dtype):
        model, inputs = self.make_model(), self.make_inputs()
        if self.localizes:
            inputs["labels"][:, :4] = 255
        expected, _ = self.gradients(model, **inputs)
        actual, _ = self.gradients(model, pixel_values=inputs["pixel_values"], labels=inputs["labels"].to(dtype))
        assert torch.equal(actual, expected)

    def test_bfloat16_forward_and_backward_are_finite(self):
        model, inputs = self.make_model().to(torch.bfloat16), self.make_inputs()
        inputs["pixel_values"] = inputs["pixel_values"].to(torch.bfloat16)
        logits = model(**inputs).logits.float()  # before the step, which moves running statistics
        loss, gradients = self.gradients(model, **inputs)
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
        reference = self.make_model()(**self.make_inputs()).logits
        torch.testing.assert_close(logits, reference, rtol=0.1, atol=0.1)

    def test_autocast_keeps_the_losses_in_float32(self):
        model, inputs = self.make_model(), self.make_inputs()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model.train()(**inputs)
        assert output.loss.dtype == torch.float32
        assert {term.dtype for term in output.loss_terms.values()} == {torch.float32}
        output.loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters())

    def test_activation_checkpointing_changes_memory_and_nothing_else(self):
        self.skip_unless(self.supports_activation_checkpointing)
        inputs = self.make_inputs()

        def step(model):
            kept = []
            with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
                return (*self.gradients(model, **inputs), sum(kept))

        model = self.make_model()
        loss, gradients, kept = step(model)
        model.activation_checkpointing_enable()
        assert model.is_activation_checkpointing
        checkpointed_loss, checkpointed_gradients, checkpointed_kept = step(model)
        assert torch.equal(checkpointed_loss, loss)
        assert set(checkpointed_gradients) == set(gradients)
        for name, gradient in gradients.items():
            torch.testing.assert_close(checkpointed_gradients[name], gradient, rtol=1e-4, atol=1e-6)
        assert checkpointed_kept < 0.8 * kept

    # -- configuration -----------------------------------------------------------------------------------------------

    def own_fields(self):
        """The configuration's own fields, by name, with their types."""
        inherited = {field.name for field in dataclasses.fields(self.config_class.__base__)}
        return {f.name: f.type for f in dataclasses.fields(self.config_class) if f.name not in inherited}

    def test_config_round_trip(self, tmp_path):
        for config in (self.config_class(), self.make_config()):
            config.save_pretrained(tmp_path)
            for loaded in (self.config_class.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
                assert type(loaded) is self.config_class
                expected, actual = (json.loads(c.to_json_string(use_diff=False)) for c in (config, loaded))
                for name in METADATA:
                    expected.pop(name, None)
                    actual.pop(name, None)
                assert actual == expected

    def test_labels_are_named(self):
        config = self.make_config()
        assert config.id2label == dict(enumerate(self.label_names))
        assert config.label2id == {name: index for index, name in enumerate(self.label_names)}
        assert self.make_config(id2label={0: "a", 1: "b"}).label2id == {"a": 0, "b": 1}

    def test_every_field_is_documented(self):
        missing = [name for name in self.own_fields() if f"{name}:" not in self.config_class.__doc__]
        assert not missing

    def test_wrong_types_are_refused(self):
        numbers = [name for name, kind in self.own_fields().items() if kind in (int, int | float)]
        assert numbers
        for name in numbers:
            with pytest.raises(Exception, match=rf"(?s){name}.*'three'"):
                self.config_class(**{name: "three"})

    def test_unknown_options_are_refused_with_the_allowed_ones(self):
        for name, kind in self.own_fields().items():
            if typing.get_origin(kind) is Literal:
                allowed = ".*".join(repr(option) for option in typing.get_args(kind))
                with pytest.raises(Exception, match=rf"(?s){name}.*{allowed}"):
                    self.config_class(**{name: "no-such-option"})

    def test_every_option_trains(self):
        inputs = self.make_inputs(height=13, width=22)
        for name, kind in self.own_fields().items():
            for option in typing.get_args(kind) if typing.get_origin(kind) is Literal else ():
                model = self.make_model(**{name: option}, **self.option_requirements.get((name, option), {}))
                loss, gradients = self.gradients(model, **inputs)
                assert torch.isfinite(loss), (name, option)
                assert all(torch.isfinite(gradient).all() for gradient in gradients.values()), (name, option)

    # -- saving and loading ------------------------------------------------------------------------------------------

    def assert_same_model(self, actual, expected):
        expected_state, actual_state = expected.state_dict(), actual.state_dict()
        assert list(actual_state) == list(expected_state)
        for name, tensor in expected_state.items():
            assert actual_state[name].dtype == tensor.dtype, name
            assert torch.equal(actual_state[name], tensor), name
        pixels = self.make_inputs()["pixel_values"]
        # Of a copy: what was loaded lies unaligned in a mapped file, and matrix products round by alignment.
        assert torch.equal(copy.deepcopy(actual).eval()(pixels).logits, expected.eval()(pixels).logits)

    def test_every_tensor_travels_with_the_checkpoint(self):
        """Loading builds on the meta device: whatever is not in the checkpoint comes back as uninitialised memory."""
        model = self.make_model()
        saved = set(model.state_dict())
        assert not {name for name, _ in model.named_buffers()} - saved
        for path, module in model.named_modules():
            assert not [name for name, value in vars(module).items() if torch.is_tensor(value)], path

    def test_construction_on_the_meta_device(self):
        with torch.device("meta"):
            model = self.model_class(self.make_config())
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}

    def test_save_and_load_is_bit_exact(self, tmp_path):
        model = self.make_trained_model()
        model.save_pretrained(tmp_path)
        assert (tmp_path / "model.safetensors").exists()
        for auto_class in (self.model_class, AutoModel, self.auto_class):
            loaded, report = auto_class.from_pretrained(tmp_path, output_loading_info=True)
            assert type(loaded) is self.model_class
            assert not any(report.values()), report
            self.assert_same_model(loaded, model)

    def test_sharded_save_and_load_is_bit_exact(self, tmp_path):
        model = self.make_trained_model()
        total = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        model.save_pretrained(tmp_path, max_shard_size=total // 3)
        assert (tmp_path / "model.safetensors.index.json").exists()
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
        self.assert_same_model(self.model_class.from_pretrained(tmp_path), model)

    def test_load_in_bfloat16_and_save_again(self, tmp_path):
        self.make_trained_model().save_pretrained(tmp_path)
        model = self.model_class.from_pretrained(tmp_path, dtype=torch.bfloat16)
        assert model.dtype == torch.bfloat16
        model.save_pretrained(tmp_path / "again")
        again = self.model_class.from_pretrained(tmp_path / "again")
        assert again.dtype == torch.bfloat16
        assert all(torch.equal(again.state_dict()[name], value) for name, value in model.state_dict().items())

    @pytest.mark.parametrize("half", [0, 1])
    def test_missing_keys_are_initialised_and_the_others_untouched(self, half):
        state = self.make_trained_model().state_dict()
        missing = set(list(state)[half::2])  # weight and bias of one module fall into different halves
        kept = {name: tensor for name, tensor in state.items() if name not in missing}
        torch.manual_seed(11)
        model = self.model_class.from_pretrained(None, config=self.make_config(), state_dict=kept)
        fresh = [self.make_model(seed=seed).state_dict() for seed in range(4)]
        for name, tensor in model.state_dict().items():
            assert tensor.device.type == "cpu"
            if name in kept:
                assert torch.equal(tensor, kept[name]), name
            else:
                self.assert_initialised_like(tensor, [state[name] for state in fresh], name)

    def assert_initialised_like(self, tensor, fresh, name):
        reference = torch.stack(fresh).double()
        if (reference == reference[:1]).all():  # a constant, or a table that is always the same
            assert torch.equal(tensor.double(), reference[0]), name
            return
        scale = (reference - reference.mean()).std().item()
        assert torch.isfinite(tensor).all(), name
        assert (tensor.double() - reference.mean()).abs().max().item() < 7 * scale, name
        assert tensor.double().square().mean().sqrt().item() > 0.1 * scale / tensor.numel(), name
        if tensor.numel() >= 64:
            assert 0.6 < tensor.double().std().item() / scale < 1.6, name

    def test_deepcopy_and_pickle(self):
        model = self.make_trained_model()
        self.assert_same_model(copy.deepcopy(model), model)
        self.assert_same_model(pickle.loads(pickle.dumps(model)), model)

    # -- export and training with transformers -----------------------------------------------------------------------

    def test_export_with_fixed_sizes(self):
        model, pixels = self.make_model(), self.make_inputs(height=37, width=45)["pixel_values"]
        exported = torch.export.export(model, (pixels,)).module()
        other = self.make_inputs(height=37, width=45, seed=1)["pixel_values"]
        torch.testing.assert_close(exported(other).logits, model(other).logits)

    def test_export_with_dynamic_batch_and_sizes(self):
        self.skip_unless(self.smallest_dynamic_export is not None)
        model, pixels = self.make_model(), self.make_inputs(height=37, width=50)["pixel_values"]
        sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
        exported = torch.export.export(model, (pixels,), dynamic_shapes=(sizes,)).module()
        smallest = self.smallest_dynamic_export
        for batch, height, width in ((1, 64, 64), (3, 40, 51), (2, smallest, smallest + 1)):
            other = self.make_inputs(batch, height, width, seed=1)["pixel_values"]
            torch.testing.assert_close(exported(other).logits, model(other).logits)

    def train(self, folder, model, data, **arguments):
        arguments = TrainingArguments(
            folder, use_cpu=True, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True, **arguments
        )

        def mean_probability(prediction):
            predictions = prediction.predictions
            logits = predictions[0] if self.has_image_logits else predictions  # Trainer unpacks a single output
            assert logits.shape == self.logits_shape(*data.pixels[:, 0].shape)
            assert np.array_equal(prediction.label_ids, data.labels.numpy())
            return {"mean_probability": float((1 / (1 + np.exp(-logits))).mean())}

        trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data, compute_metrics=mean_probability)
        trainer.train()
        return trainer

    def test_trainer_trains_and_evaluates(self, tmp_path):
        pytest.importorskip("accelerate")
        model = self.make_model()
        before = copy.deepcopy(model.state_dict())
        data = Pictures(self.make_inputs(batch=4))
        trainer = self.train(tmp_path, model, data, per_device_train_batch_size=2, max_steps=2)
        metrics = trainer.evaluate()
        assert np.isfinite(metrics["eval_loss"])
        assert 0 < metrics["eval_mean_probability"] < 1
        assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    def test_gradient_accumulation_does_not_scale_loss_or_gradients(self, tmp_path):
        pytest.importorskip("accelerate")
        first_steps = []
        for accumulation in (1, 4):
            model = self.make_model(**self.deterministic_training)
            trainer = self.train(
                tmp_path,
                model,
                Pictures(self.make_inputs(batch=8), copies=True),
                per_device_train_batch_size=8 // accumulation,
                gradient_accumulation_steps=accumulation,
                max_steps=1,
            )
            first_steps.append(next(entry for entry in trainer.state.log_history if "loss" in entry))
        for name in ("loss", "grad_norm"):
            assert first_steps[1][name] == pytest.approx(first_steps[0][name], rel=1e-3), name
