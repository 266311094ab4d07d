"""SUMI-IFL's objective inside the model: eq. 15 by hand, against an independent reference, and every switch (A7)."""

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from ifl_hub import SumiIflConfig, SumiIflForImageForgeryLocalization

ONLY_LOCALIZATION = {"sufficiency_weight": 0.0, "minimality_weight": 0.0, "auxiliary_weight": 0.0}
AUXILIARY_HEAD = {"sufficiency_head": "auxiliary", "sufficiency_ce_weight": 0.5}


def build(seed=0, **overrides):
    torch.manual_seed(seed)
    return SumiIflForImageForgeryLocalization(SumiIflConfig.tiny(**overrides)).eval()


def batch(size=16, ignored=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(2, size, size, generator=generator) < 0.4).long()
    if ignored:
        labels[0, :3], labels[1, :, -5:] = 255, 255
    return torch.rand(2, 3, size, size, generator=generator) * 2 - 1, labels


def calls(module, run):
    """(input, output) of each call of `module` while `run()` runs."""
    seen = []
    handle = module.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    run()
    handle.remove()
    return seen


def gradients(loss, model):
    loss.backward()
    result = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    return result


# -- by hand -----------------------------------------------------------------------------------------------------------


def constant_model(logit, mean_f, log_variance_f, mean_m, log_variance_m, **overrides):
    """Biases alone: every logit, every p(z|f) and every q(z|m) is the stated constant, whatever is drawn."""
    model = build(latent_channels=2, **overrides)
    for parameter in model.parameters():
        parameter.data.zero_()
    model.predictor.classifier.bias.data.fill_(logit)
    model.reasoning.head.convolution.bias.data = torch.tensor([*mean_f, *log_variance_f], dtype=torch.float32)
    model.mask_encoder.head.convolution.bias.data = torch.tensor([*mean_m, *log_variance_m], dtype=torch.float32)
    return model


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_total_equals_the_value_by_hand_on_2x2_pixels(training):
    model = constant_model(log(3), (1, 0), (0, log(4)), (0, 0), (0, 0)).train(training)
    labels = torch.tensor([[[0, 1], [1, 255]]])
    output = model(torch.rand(1, 3, 2, 2), labels=labels)
    localization = (log(4) + 2 * log(4 / 3)) / 3  # P(forged) = 3/4 on one authentic and two forged pixels
    minimality = (0.5 + 0.5 * (4 - 1 - log(4))) / 2  # N(1, 1) and N(0, 4) against N(0, 1)
    expected = {"localization": localization, "sufficiency": 1, "minimality": minimality, "auxiliary": localization}
    assert {name: term.item() for name, term in output.loss_terms.items()} == pytest.approx(expected, rel=1e-5)
    total = localization + 0.1 * 1 + 1 * minimality + 0.1 * localization
    assert output.loss.item() == pytest.approx(total, rel=1e-5)
    assert output.branch_divergences.tolist() == [0, 0, 0]


def test_the_auxiliary_target_is_the_clean_mask():
    model = constant_model(30.0, (0, 0), (0, 0), (0, 0), (0, 0), mask_noise_ratio=1.0).train()
    labels = torch.ones(1, 4, 4, dtype=torch.long)
    assert model(torch.rand(1, 3, 4, 4), labels=labels).loss_terms["auxiliary"].item() < 1e-6


# -- against a reference written from the paper ------------------------------------------------------------------------


def reference_terms(model, pixels, labels):
    """Eq. 5, 11, 13, 14 with torch.distributions and boolean indexing, from the model's parts; evaluation mode."""
    config = model.config
    features = [branch(pixels) for branch in model.branches]
    weights = model.fusion.weights()
    fused = sum(weight * feature for weight, feature in zip(weights, features, strict=True))
    valid, target = labels != 255, (labels == 1).float()
    predictor = model.predictor

    def cross_entropy(logits):
        per_pixel = -Bernoulli(logits=logits[:, 0]).log_prob(target)
        return (per_pixel * (1 + (config.positive_weight - 1) * target))[valid].mean()

    def predict(feature):
        if config.sufficiency_head == "auxiliary":
            return model.sufficiency_classifier(feature)
        return predictor(model.reasoning(feature)[0])

    partial = []
    for left_out in range(3):
        kept = [i for i in range(3) if i != left_out]
        scale = 1 if config.leave_one_out == "zero" else sum(weights[i] for i in kept)
        partial.append(predict(sum(weights[i] / scale * features[i] for i in kept)))
    full, others = predict(fused), list(partial)
    if config.sufficiency_stop_gradient == "full":
        full = full.detach()
    if config.sufficiency_stop_gradient == "leave_one_out":
        others = [logits.detach() for logits in others]
    temperature = config.sufficiency_temperature
    per_pixel = [kl_divergence(*(Bernoulli(logits=x[:, 0] / temperature) for x in (full, other))) for other in others]
    kl = torch.stack([torch.stack([pixel[b][valid[b]].mean() for b in range(len(labels))]) for pixel in per_pixel])
    sufficiency = {
        "exp_of_sum": (-kl.sum(0)).exp().mean(),
        "mean_of_exp": (-kl).exp().mean(),
        "sum_of_exp": (-kl).exp().sum(0).mean(),
        "pixel": torch.stack([(-sum(per_pixel))[b][valid[b]].exp().mean() for b in range(len(labels))]).mean(),
    }[config.sufficiency_reduction]

    encoded = model.mask_encoder(torch.where(valid, 2 * target - 1, 0)[:, None])
    mask_distribution = encoded if config.minimality_stop_gradient == "none" else [x.detach() for x in encoded]
    latent = model.reasoning(fused)
    if config.minimality_distribution == "softmax":
        families = [Categorical(logits=mean.movedim(1, -1)) for mean, _ in (latent, mask_distribution)]
        divergence = kl_divergence(*families)[valid].mean()
    else:
        families = [Normal(mean, (log_variance / 2).exp()) for mean, log_variance in (latent, mask_distribution)]
        channels = kl_divergence(*families).movedim(1, -1)[valid]
        divergence = channels.sum(-1).mean() if config.minimality_reduction == "channel_sum" else channels.mean()
    supervised = [*partial, predict(fused)] if config.sufficiency_head == "auxiliary" else partial
    return {
        "localization": cross_entropy(predictor(latent[0])),
        "sufficiency": sufficiency,
        "sufficiency_ce": sum(cross_entropy(logits) for logits in supervised) / len(supervised),
        "minimality": divergence,
        "auxiliary": cross_entropy(predictor(encoded[0])),
    }


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"sufficiency_stop_gradient": "none"},
        {"sufficiency_stop_gradient": "full"},
        {"sufficiency_stop_gradient": "none", **AUXILIARY_HEAD},
        {"sufficiency_stop_gradient": "leave_one_out", **AUXILIARY_HEAD},
        {"sufficiency_stop_gradient": "full", **AUXILIARY_HEAD},
        {"sufficiency_ce_weight": 0.5},
        {"sufficiency_stop_gradient": "none", "leave_one_out": "zero", "sufficiency_temperature": 2.5},
        {"sufficiency_stop_gradient": "none", "sufficiency_reduction": "mean_of_exp"},
        {"sufficiency_stop_gradient": "none", "sufficiency_reduction": "sum_of_exp"},
        {"sufficiency_stop_gradient": "none", "sufficiency_reduction": "pixel", "norm": "group"},
        {"fusion_parametrization": "raw", "fusion_init": 0.6, "sufficiency_stop_gradient": "none"},
        {"minimality_distribution": "gaussian_unit", "minimality_stop_gradient": "mask"},
        {"minimality_distribution": "softmax"},
        {"minimality_reduction": "channel_sum", "minimality_stop_gradient": "mask"},
        {"positive_weight": 3.0},
    ],
    ids=str,
)
def test_terms_and_gradients_equal_the_reference(overrides):
    model = build(**{"sufficiency_weight": 7.0, **overrides})  # a weight at which its gradient cannot hide
    pixels, labels = batch()
    output = model(pixels, labels=labels)
    expected = reference_terms(model, pixels, labels)
    weights = {
        "localization": 1.0,
        "sufficiency": 7.0,
        "sufficiency_ce": model.config.sufficiency_ce_weight,
        "minimality": 1.0,
        "auxiliary": 0.1,
    }
    assert set(output.loss_terms) == {name for name, weight in weights.items() if weight}
    for name, term in output.loss_terms.items():
        torch.testing.assert_close(term, expected[name].detach(), rtol=1e-4, atol=1e-5, msg=name)
    total = sum(weight * expected[name] for name, weight in weights.items() if weight)
    torch.testing.assert_close(output.loss, total, rtol=1e-5, atol=1e-5)
    expected_gradients = gradients(total, model)
    for name, gradient in gradients(output.loss, model).items():
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-3, atol=2e-5, msg=name)


# -- A7.3, A7.10: sufficiency ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [{}, AUXILIARY_HEAD, {"fusion_init": 0.9}], ids=["predictor", "auxiliary", "0.9"])
def test_identical_branches_are_no_evidence_of_sufficiency(overrides):
    model = build(**overrides)
    feature = model.branches[0](batch()[0])
    for branch in model.branches:
        branch.forward = lambda *_: feature
    output = model(*batch())
    assert output.loss_terms["sufficiency"].item() == pytest.approx(1, abs=1e-5)
    assert output.branch_divergences.abs().max() < 1e-5


def test_leave_one_out_zero_sees_a_difference_between_identical_branches():
    """The reason for renormalising: without it the shorter feature alone makes a divergence."""
    model = build(leave_one_out="zero")
    feature = 20 * model.branches[0](batch()[0])
    for branch in model.branches:
        branch.forward = lambda *_: feature
    assert model(*batch()).loss_terms["sufficiency"].item() < 0.999


def sufficiency_gradients(**overrides):
    """The gradient of L_SU alone: what adding it to L_loc adds."""
    results = []
    for weight in (0.0, 1.0):
        model = build(**{**ONLY_LOCALIZATION, "sufficiency_weight": weight, **overrides})
        # Fused features that matter, so that the term is away from its flat top.
        model.predictor.classifier.weight.data *= 10
        results.append(gradients(model(*batch()).loss, model))
    return {name: results[1][name] - results[0][name] for name in results[0]}


@pytest.mark.parametrize("stop", ["none", "leave_one_out", "full"])
def test_the_gradient_of_sufficiency_reaches_every_branch_and_gamma(stop):
    reached = sufficiency_gradients(sufficiency_stop_gradient=stop)
    for start in ("branches.0.", "branches.1.", "branches.2.", "fusion.gamma"):
        assert sum(g.abs().sum().item() for name, g in reached.items() if name.startswith(start)) > 1e-6, start
    assert all(g.abs().max() < 1e-6 for name, g in reached.items() if name.startswith("mask_encoder"))


def test_no_gradient_flows_through_the_predictions_without_a_branch():
    """`leave_one_out`: with a full prediction that is constant, nothing is left to learn from."""
    for stop, learns in (("leave_one_out", False), ("none", True)):
        model = build(sufficiency_stop_gradient=stop)
        seen = []
        model.predictor.register_forward_hook(lambda _, __, output, s=seen: s.append(output.requires_grad))
        model(*batch())
        assert seen == [True, learns, learns, learns, True, True]  # main, without each branch, full, auxiliary


def test_stop_gradients_leave_the_value_alone():
    values = {
        stop: build(sufficiency_stop_gradient=stop)(*batch()).loss.item() for stop in ("none", "leave_one_out", "full")
    }
    assert len(set(values.values())) == 1


def test_temperature_softens_the_divergences():
    divergences = [build(sufficiency_temperature=t)(*batch()).branch_divergences.sum() for t in (0.5, 1, 4)]
    assert divergences[0] > divergences[1] > divergences[2] > 0


# -- minimality, sampling and the mask encoder -------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "learns"), [("none", True), ("mask", False)])
def test_minimality_stop_gradient_decides_whether_the_mask_encoder_learns_from_it(stop, learns):
    model = build(minimality_stop_gradient=stop, **{**ONLY_LOCALIZATION, "minimality_weight": 1.0})
    found = gradients(model(*batch()).loss, model)
    reached = sum(gradient.abs().sum().item() for name, gradient in found.items() if name.startswith("mask_encoder"))
    assert (reached > 0) == learns


@pytest.mark.parametrize(("distribution", "outputs"), [("gaussian", 8), ("gaussian_unit", 4), ("softmax", 4)])
def test_the_family_decides_what_is_predicted_and_drawn(distribution, outputs):
    model, pixels = build(minimality_distribution=distribution), batch()[0][:1, :, :4, :4].expand(1000, -1, -1, -1)
    assert model.reasoning.head.convolution.out_channels == outputs
    assert model.mask_encoder.head.convolution.out_channels == outputs
    ((_, (mean, log_variance)),) = calls(model.reasoning, lambda: model(pixels))
    ((latent, _),) = calls(model.predictor, lambda: model(pixels))
    assert torch.equal(latent, mean)  # no sampling in evaluation
    torch.manual_seed(0)
    ((draws, _),) = calls(model.predictor, lambda: model.train()(pixels))
    if distribution == "softmax":
        assert torch.equal(draws, mean)
        return
    deviation = torch.exp(log_variance / 2) if distribution == "gaussian" else torch.ones_like(mean)
    standardised = (draws - mean) / deviation
    assert standardised.mean(0).abs().max() < 0.2  # 64 means of 1 000 draws each: deviation 0.03
    assert (standardised.std(0) - 1).abs().max() < 0.15


def test_log_variances_stay_within_their_limits():
    model = build()
    model.reasoning.head.convolution.bias.data[4:] = torch.tensor([1e4, -1e4, 1e4, -1e4])
    model.mask_encoder.head.convolution.bias.data[4:] = torch.tensor([-1e4, 1e4, 1e4, -1e4])
    output = model.train()(*batch())
    assert output.loss_terms["minimality"].item() < exp(16)
    output.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("region", ["all", "foreground"])
def test_the_mask_encoder_sees_the_clean_mask_in_evaluation_and_a_noisy_one_in_training(region):
    model = build(mask_noise_ratio=0.25, mask_noise_region=region)
    pixels, labels = batch()
    clean = torch.where(labels == 255, 0, labels * 2 - 1)[:, None].float()
    ((seen, _),) = calls(model.mask_encoder, lambda: model(pixels, labels=labels))
    assert torch.equal(seen, clean)
    before = labels.clone()
    ((seen, _),) = calls(model.mask_encoder, lambda: model.train()(pixels, labels=labels))
    assert torch.equal(labels, before)
    eligible = labels == 1 if region == "foreground" else labels != 255
    changed = (seen != clean)[:, 0]
    assert torch.equal(seen[:, 0][changed], -clean[:, 0][changed])
    assert not (changed & ~eligible).any()
    assert changed.sum((1, 2)).tolist() == [round(0.25 * int(n)) for n in eligible.sum((1, 2))]


def test_ignored_and_padded_pixels_do_not_count_at_half_resolution():
    """A cell of the folded grid counts where any of its pixels does; reflected padding never does."""
    model = build(stem_stride=2, **{**ONLY_LOCALIZATION, "minimality_weight": 1.0})
    pixels, labels = batch(size=18)  # padded to 24
    labels[0, :5], labels[1, :, 9:] = 255, 255
    ((_, (mean_f, lv_f)),) = calls(model.reasoning, lambda: model(pixels))
    ((_, (mean_m, lv_m)),) = calls(model.mask_encoder, lambda: model(pixels, labels=labels))
    divergence = kl_divergence(Normal(mean_f, (lv_f / 2).exp()), Normal(mean_m, (lv_m / 2).exp())).mean(1)
    counted = torch.zeros(2, 12, 12, dtype=torch.bool)
    counted[:, :9, :9] = F.max_pool2d((labels != 255).float(), 2).bool()
    assert counted.sum() == 9 * 7 + 9 * 5
    actual = model(pixels, labels=labels).loss_terms["minimality"]
    torch.testing.assert_close(actual, divergence[counted].mean(), rtol=1e-5, atol=1e-6)


# -- A7.6, A7.7: the total and what is shared --------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_total_is_the_weighted_sum_of_its_terms(training):
    output = build().train(training)(*batch())
    weights = {"localization": 1, "sufficiency": 0.1, "minimality": 1, "auxiliary": 0.1}
    assert set(output.loss_terms) == set(weights)
    total = sum(weight * output.loss_terms[name].item() for name, weight in weights.items())
    assert output.loss.item() == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("overrides", "terms", "predictor_calls", "mask_encoder_calls"),
    [
        ({}, {"sufficiency", "minimality", "auxiliary"}, 6, 1),
        ({"sufficiency_weight": 0.0}, {"minimality", "auxiliary"}, 2, 1),
        ({"minimality_weight": 0.0}, {"sufficiency", "auxiliary"}, 6, 1),
        ({"auxiliary_weight": 0}, {"sufficiency", "minimality"}, 5, 1),
        (ONLY_LOCALIZATION, set(), 1, 0),
    ],
    ids=["all", "no sufficiency", "no minimality", "no auxiliary", "localization alone"],
)
def test_a_weight_of_0_removes_the_term_and_its_forward_passes(overrides, terms, predictor_calls, mask_encoder_calls):
    model, (pixels, labels) = build(**overrides).train(), batch()
    output = model(pixels, labels=labels)
    assert set(output.loss_terms) == {"localization", *terms}
    assert (output.auxiliary_logits is not None) == ("auxiliary" in terms)
    assert (output.branch_divergences is not None) == ("sufficiency" in terms)
    assert len(calls(model.predictor, lambda: model(pixels, labels=labels))) == predictor_calls
    assert len(calls(model.mask_encoder, lambda: model(pixels, labels=labels))) == mask_encoder_calls
    torch.testing.assert_close(model.eval()(pixels).logits, build()(pixels).logits)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_main_and_the_auxiliary_mask_come_from_the_same_predictor(training):
    model, (pixels, labels) = build().train(training), batch()
    outputs = {}
    decoded = [mask for _, mask in calls(model.predictor, lambda: outputs.update(model(pixels, labels=labels)))]
    for name in ("logits", "auxiliary_logits"):
        assert outputs[name].shape == (2, 1, 16, 16)
        assert any(torch.equal(outputs[name], mask) for mask in decoded), name
    assert sum(name.startswith("predictor.classifier") for name, _ in model.named_parameters()) == 2


def test_the_mask_influences_the_auxiliary_mask_only():
    model, (pixels, labels) = build(), batch(ignored=False)
    first, second = model(pixels, labels=labels), model(pixels, labels=1 - labels)
    assert torch.equal(first.logits, second.logits)
    assert not torch.equal(first.auxiliary_logits, second.auxiliary_logits)


def test_the_positive_weight_makes_missed_forgeries_dearer():
    pixels, _ = batch()
    forged, authentic = (torch.full((2, 16, 16), label) for label in (1, 0))
    for labels, factor in ((forged, 3), (authentic, 1)):
        plain, weighted = (build(positive_weight=w)(pixels, labels=labels).loss_terms for w in (1, 3))
        for name in ("localization", "auxiliary"):
            assert weighted[name].item() == pytest.approx(factor * plain[name].item(), rel=1e-5)
