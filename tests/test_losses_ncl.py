"""NCL's losses against numbers worked out by hand, eq. 7 as printed (corrected), and the properties of spec B7."""

from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ifl_hub import NclLoss
from ifl_hub.modeling.ncl.losses_ncl import (
    AUTHENTIC,
    CONTOUR,
    FORGED,
    classify_patches,
    contour_pixels,
    ncl_loss,
    patch_contrast,
    pivot_consistent_loss,
    pivot_contrast,
    resize_labels,
    unit_vectors,
)

seeds = st.integers(0, 2**31 - 1)
temperatures = st.floats(0.05, 2)
counts = st.integers(1, 12)
TERMS = ("patch_contrast", "forged_pivot_contrast", "authentic_pivot_contrast")


def vectors(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def directions(seed, *shape):
    return unit_vectors(vectors(seed, *shape))


def random_labels(seed, *shape, values=(0, 1)):
    drawn = torch.randint(len(values), shape, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(values)[drawn]


def cells(*values):
    """Classes of one image's patches."""
    return torch.tensor(values)[None]


def contrast(features, patches, forged_pivot=None, authentic_pivot=None, **options):
    pivots = [
        pivot if pivot is not None else vectors(seed, len(features), features.shape[2])
        for seed, pivot in ((101, forged_pivot), (102, authentic_pivot))
    ]
    return ncl_loss(features, patches, *pivots, **options)


# -- B7.7: which cells are forged, authentic or cut by a contour -------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=seeds,
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    cell=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    values=st.sampled_from([(0, 1), (0, 0, 0, 1), (0, 1, 1, 1), (0, 1, 255), (255,)]),
)
def test_a_cell_has_the_class_that_its_pixels_decide(seed, grid, cell, values):
    labels = random_labels(seed, 2, grid[0] * cell[0], grid[1] * cell[1], values=values)
    patches = classify_patches(labels, grid)
    for image in range(2):
        for row in range(grid[0]):
            for column in range(grid[1]):
                top, left = row * cell[0], column * cell[1]
                pixels = set(labels[image, top : top + cell[0], left : left + cell[1]].flatten().tolist())
                expected = 255 if 255 in pixels else CONTOUR if pixels == {0, 1} else pixels.pop()
                assert patches[image, row, column] == expected


def test_named_masks():
    empty = torch.zeros(1, 16, 16, dtype=torch.long)
    assert (classify_patches(empty, (4, 4)) == AUTHENTIC).all()
    assert (classify_patches(1 - empty, (4, 4)) == FORGED).all()
    checkerboard = (torch.arange(16)[:, None] + torch.arange(16))[None] % 2
    assert (classify_patches(checkerboard, (4, 4)) == CONTOUR).all()
    aligned, shifted = empty.clone(), empty.clone()
    aligned[:, 4:12, 4:12] = 1
    shifted[:, 5:11, 5:11] = 1
    assert classify_patches(aligned, (4, 4)).flatten().bincount().tolist() == [12, 4]
    assert classify_patches(shifted, (4, 4)).flatten().bincount().tolist() == [12, 0, 4]


@settings(max_examples=20)
@given(seed=seeds, size=st.tuples(st.integers(1, 40), st.integers(1, 40)), grid=st.tuples(counts, counts))
def test_cells_that_do_not_divide_the_image_still_cover_all_of_it(seed, size, grid):
    labels = random_labels(seed, 1, *size)
    patches = classify_patches(labels, grid)
    assert patches.shape == (1, *grid)
    assert (patches != AUTHENTIC).any() == (labels == 1).any()
    assert (patches != FORGED).any() == (labels == 0).any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32], ids=str)
def test_the_integer_type_of_the_labels_does_not_matter(dtype):
    labels = random_labels(0, 1, 8, 8, values=(0, 1, 255))
    assert torch.equal(classify_patches(labels.to(dtype), (4, 4)), classify_patches(labels, (4, 4)))
    assert resize_labels(labels.to(dtype), (4, 4)).dtype == dtype


# -- B7.1: closed forms ------------------------------------------------------------------------------------------------


@given(forged=st.integers(2, 9), authentic=counts, temperature=temperatures, seed=seeds)
def test_equal_features_give_the_logarithm_of_one_plus_the_other_set(forged, authentic, temperature, seed):
    features = vectors(seed, 1, 1, 5).expand(1, forged + authentic + 1, 5)
    patches = cells(*[FORGED] * forged, *[AUTHENTIC] * authentic, CONTOUR)
    terms = contrast(features, patches, features[:, 0], features[:, 0], temperature=temperature)
    assert terms["patch_contrast"].item() == pytest.approx(log(1 + authentic), rel=1e-4)
    assert terms["forged_pivot_contrast"].item() == pytest.approx(log(1 + authentic), rel=1e-4)
    assert terms["authentic_pivot_contrast"].item() == pytest.approx(log(1 + forged), rel=1e-4)


@given(forged=st.integers(2, 9), authentic=counts, temperature=temperatures)
def test_perfect_separation_leaves_what_the_temperature_cannot_reach(forged, authentic, temperature):
    direction = torch.tensor([3.0, 4.0])
    features = torch.cat([direction.expand(forged, 2), -direction.expand(authentic, 2), direction.expand(1, 2)])[None]
    patches = cells(*[FORGED] * forged, *[AUTHENTIC] * authentic, CONTOUR)
    terms = contrast(features, patches, direction[None], -direction[None], temperature=temperature)
    best = {"forged": forged, "authentic": authentic}
    best = {kind: log(1 + count * exp(-2 / temperature)) for kind, count in best.items()}
    assert terms["patch_contrast"].item() == pytest.approx(best["authentic"], rel=1e-3, abs=1e-6)
    assert terms["forged_pivot_contrast"].item() == pytest.approx(best["authentic"], rel=1e-3, abs=1e-6)
    assert terms["authentic_pivot_contrast"].item() == pytest.approx(best["forged"], rel=1e-3, abs=1e-6)


def equation_7(features, patches, forged_pivot, authentic_pivot, temperature):
    """Eq. 7 written out with exponentials and loops, its sign and similarity put right."""
    f, p = F.normalize(features.double(), dim=1), patches.tolist()
    positives = [f[i] for i, kind in enumerate(p) if kind == FORGED]
    negatives = [f[i] for i, kind in enumerate(p) if kind == AUTHENTIC]

    def e(x, y):
        return torch.exp(torch.dot(x, y) / temperature)

    def ratio(anchor, positive, others):
        return -torch.log(e(anchor, positive) / (e(anchor, positive) + sum(e(anchor, other) for other in others)))

    pairs = [
        ratio(positives[m], positives[j], negatives)
        for m in range(len(positives))
        for j in range(len(positives))
        if j != m
    ]
    se_plus, se_minus = (F.normalize(pivot.double(), dim=0) for pivot in (forged_pivot, authentic_pivot))
    return (
        sum(pairs) / len(pairs),
        sum(ratio(se_plus, positive, negatives) for positive in positives) / len(positives),
        sum(ratio(se_minus, negative, positives) for negative in negatives) / len(negatives),
    )


@settings(max_examples=30)
@given(forged=st.integers(2, 6), authentic=st.integers(1, 6), temperature=st.floats(0.07, 1), seed=seeds)
def test_the_stable_form_equals_equation_7(forged, authentic, temperature, seed):
    patches = torch.tensor([FORGED] * forged + [AUTHENTIC] * authentic + [CONTOUR, 255])
    features, pivots = vectors(seed, len(patches), 7), vectors(seed + 1, 2, 7)
    terms = contrast(features[None], patches[None], pivots[:1], pivots[1:], temperature=temperature)
    for name, expected in zip(TERMS, equation_7(features, patches, *pivots, temperature), strict=True):
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)


# -- B7.2: the sign ----------------------------------------------------------------------------------------------------


def step(forged, authentic, temperature):
    """Similarities of forged patches among themselves and with authentic ones, before and after a gradient step."""

    def similarities():
        unit = unit_vectors(forged)
        return torch.stack([(unit @ unit.T).sum(), (unit @ authentic.T).sum()]).detach()

    before = similarities()
    patch_contrast(unit_vectors(forged), authentic, temperature).backward()
    with torch.no_grad():
        forged -= 0.1 * forged.grad
    return before, similarities()


def test_one_step_pulls_forged_patches_together_and_pushes_authentic_ones_away():
    axes = torch.eye(3)
    before, after = step(axes[:2].clone().requires_grad_(), axes[2:], temperature=1.0)
    assert after[0] > before[0] + 0.01
    assert after[1] < before[1] - 0.01


@settings(max_examples=25)
@given(seed=seeds)
def test_one_step_widens_the_gap_between_the_two_similarities(seed):
    # Of as many pairs each, and at a temperature that weighs them alike.
    before, after = step(vectors(seed, 6, 8).requires_grad_(), directions(seed + 1, 5, 8), temperature=10.0)
    assert after[0] - after[1] > before[0] - before[1]


@settings(max_examples=25)
@given(seed=seeds, temperature=temperatures)
def test_similarity_to_an_authentic_patch_raises_the_loss_and_to_a_forged_one_lowers_it(seed, temperature):
    pivot, same, other = directions(seed, 6), directions(seed + 1, 4, 6), directions(seed + 2, 3, 6)
    same.requires_grad_()
    other.requires_grad_()
    pivot_contrast(pivot, same, other, temperature).backward()
    assert (same.grad @ pivot <= 0).all() and (same.grad @ pivot < 0).any()
    assert (other.grad @ pivot >= 0).all() and (other.grad @ pivot > 0).any()


# -- B7.3: finite whatever is missing ----------------------------------------------------------------------------------

PARTIAL = {
    "no contour": (FORGED, FORGED, AUTHENTIC),
    "nothing forged": (AUTHENTIC, AUTHENTIC, CONTOUR),
    "nothing authentic": (FORGED, FORGED, CONTOUR),
    "one forged patch": (FORGED, AUTHENTIC, CONTOUR),
    "contour only": (CONTOUR, CONTOUR, CONTOUR),
    "all ignored": (255, 255, 255),
}
DEFINED = {
    "no contour": {"patch_contrast"},
    "one forged patch": {"forged_pivot_contrast", "authentic_pivot_contrast"},
}


@pytest.mark.parametrize("case", PARTIAL)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4], ids=["dead features", "usual", "large"])
def test_missing_kinds_of_patches_switch_their_terms_off(case, scale):
    features = (vectors(0, 1, 3, 4) * scale).requires_grad_()
    pivots = [torch.zeros(1, 4, requires_grad=True), vectors(1, 1, 4).requires_grad_()]
    terms = ncl_loss(features, cells(*PARTIAL[case]), *pivots)
    assert set(terms) == set(TERMS)
    for name, term in terms.items():
        assert torch.isfinite(term) and term >= 0
        assert (term > 0) == (name in DEFINED.get(case, ())), name
    sum(terms.values()).backward()
    for tensor in (features, *pivots):
        assert torch.isfinite(tensor.grad).all()


@settings(max_examples=40)
@given(data=st.data(), seed=seeds, temperature=st.floats(0.01, 2))
def test_the_contrast_is_finite_and_not_negative(data, seed, temperature):
    kinds = st.sampled_from([FORGED, AUTHENTIC, CONTOUR, 255])
    patches = torch.tensor(data.draw(st.lists(st.lists(kinds, min_size=6, max_size=6), min_size=1, max_size=3)))
    features = vectors(seed, *patches.shape, 3).requires_grad_()
    terms = contrast(features, patches, temperature=temperature)
    assert all(torch.isfinite(term) and term >= 0 for term in terms.values())
    sum(terms.values()).backward()
    assert torch.isfinite(features.grad).all()


def test_half_precision_features_are_compared_in_float32():
    features, patches = vectors(0, 1, 9, 4), cells(*[FORGED] * 4, *[AUTHENTIC] * 4, CONTOUR)
    expected = contrast(features.half().float(), patches, temperature=0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = contrast(features.half(), patches, temperature=0.01)
    for name, term in actual.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(expected[name].item(), rel=1e-4), name


# -- B7.4: invariances -------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=seeds, factor=st.floats(0.5, 100))
def test_only_the_directions_of_features_count(seed, factor):
    patches = random_labels(seed, 2, 12, values=(FORGED, AUTHENTIC, CONTOUR))
    features, scales = vectors(seed, 2, 12, 16), 1 + vectors(seed + 1, 2, 12, 1).abs()
    plain, scaled = contrast(features, patches), contrast(features * scales * factor, patches)
    for name in TERMS:
        assert scaled[name].item() == pytest.approx(plain[name].item(), rel=1e-3, abs=1e-4)


@settings(max_examples=25)
@given(seed=seeds)
def test_the_order_of_patches_does_not_matter(seed):
    patches, features = random_labels(seed, 1, 12, values=(FORGED, AUTHENTIC, CONTOUR)), vectors(seed, 1, 12, 5)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    plain, shuffled = contrast(features, patches), contrast(features[:, order], patches[:, order])
    for name in TERMS:
        assert shuffled[name].item() == pytest.approx(plain[name].item(), rel=1e-4, abs=1e-6)


def test_each_term_is_averaged_over_the_images_that_define_it():
    features, pivots = vectors(0, 3, 5, 4), (vectors(1, 3, 4), vectors(2, 3, 4))
    patches = torch.tensor(
        [
            [FORGED, FORGED, AUTHENTIC, AUTHENTIC, CONTOUR],
            [FORGED, FORGED, FORGED, AUTHENTIC, 255],
            [AUTHENTIC, AUTHENTIC, AUTHENTIC, 255, 255],
        ]
    )
    together = ncl_loss(features, patches, *pivots)
    alone = [ncl_loss(features[i : i + 1], patches[i : i + 1], *(p[i : i + 1] for p in pivots)) for i in range(3)]
    expected = (alone[0]["patch_contrast"] + alone[1]["patch_contrast"]) / 2
    assert together["patch_contrast"].item() == pytest.approx(expected.item(), rel=1e-5)
    for name in TERMS[1:]:
        assert together[name].item() == pytest.approx(alone[0][name].item(), rel=1e-5)


# -- B7.5: symmetry ----------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=seeds)
def test_complementing_the_mask_and_swapping_the_pivots_swaps_their_terms(seed):
    patches = random_labels(seed, 2, 10, values=(FORGED, AUTHENTIC, CONTOUR))
    complement = torch.where(patches == CONTOUR, CONTOUR, 1 - patches)
    features, positive, negative = vectors(seed, 2, 10, 4), vectors(seed + 1, 2, 4), vectors(seed + 2, 2, 4)
    terms = ncl_loss(features, patches, positive, negative)
    swapped = ncl_loss(features, complement, negative, positive)
    assert swapped["forged_pivot_contrast"].item() == pytest.approx(terms["authentic_pivot_contrast"].item(), rel=1e-4)
    assert swapped["authentic_pivot_contrast"].item() == pytest.approx(terms["forged_pivot_contrast"].item(), rel=1e-4)


# -- B7.6: chunks and samples ------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(forged=st.integers(0, 20), authentic=st.integers(0, 9), chunk_size=st.integers(1, 25), seed=seeds)
def test_chunks_change_neither_the_value_nor_the_gradient(forged, authentic, chunk_size, seed):
    results = []
    for rows in (None, chunk_size):
        positives, negatives = vectors(seed, forged, 4), vectors(seed + 1, authentic, 4)
        positives.requires_grad_()
        negatives.requires_grad_()
        loss = patch_contrast(unit_vectors(positives), unit_vectors(negatives), 0.2, rows)
        loss.backward()
        results.append((loss.detach(), positives.grad, negatives.grad))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole, rtol=1e-4, atol=1e-6)


def test_chunks_never_hold_the_matrix_of_all_pairs():
    forged, authentic = directions(0, 256, 4).requires_grad_(), directions(1, 300, 4).requires_grad_()
    largest = {}
    for rows in (None, 16):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):  # noqa: B023
            patch_contrast(forged, authentic, 0.1, rows)
        largest[rows] = sum(kept)
    assert largest[None] > 2 * 256 * 256
    assert largest[16] < 256 * 256


@settings(max_examples=25)
@given(forged=st.integers(5, 20), authentic=st.integers(5, 20), seed=seeds)
def test_a_sample_of_equal_features_has_the_value_of_the_whole(forged, authentic, seed):
    features = vectors(seed, 1, 1, 5).expand(1, forged + authentic + 1, 5)
    patches = cells(*[FORGED] * forged, *[AUTHENTIC] * authentic, CONTOUR)
    whole, sample = (contrast(features, patches, max_samples=limit) for limit in (None, 4))
    for name in TERMS:
        assert sample[name].item() == pytest.approx(whole[name].item(), rel=1e-4)


def test_samples_are_drawn_at_random_and_average_to_about_the_whole():
    features, patches = vectors(0, 1, 401, 8), cells(*[FORGED] * 200, *[AUTHENTIC] * 200, CONTOUR)
    whole = contrast(features, patches, temperature=0.5)
    torch.manual_seed(0)
    draws = [contrast(features, patches, temperature=0.5, max_samples=50) for _ in range(20)]
    for name in TERMS:
        values = torch.stack([draw[name] for draw in draws])
        assert values.std() > 1e-3
        assert values.mean().item() == pytest.approx(whole[name].item(), rel=0.03)


# -- B7.8: the pivot-consistent loss -----------------------------------------------------------------------------------


def bce(logits, labels):
    return F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())


@settings(max_examples=30)
@given(seed=seeds, weight=st.floats(0, 1))
def test_eq_8_is_the_weighted_sum_of_two_means(seed, weight):
    logits, labels = vectors(seed, 2, 1, 6, 6), random_labels(seed, 2, 6, 6, values=(0, 1, 255))
    contour = random_labels(seed + 1, 2, 6, 6).bool()
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0], (labels == 1).float(), reduction="none")
    valid = labels != 255
    expected = weight * entropy[valid & contour].mean() + (1 - weight) * entropy[valid].mean()
    assert pivot_consistent_loss(logits, labels, contour, weight).item() == pytest.approx(expected.item(), rel=1e-4)


@settings(max_examples=20)
@given(seed=seeds, weight=st.floats(0, 1))
def test_the_ends_of_the_weight_and_of_the_contour(seed, weight):
    logits, labels = vectors(seed, 1, 1, 5, 5), random_labels(seed, 1, 5, 5)
    contour = random_labels(seed + 1, 1, 5, 5).bool()
    everywhere, nowhere = torch.ones_like(contour), torch.zeros_like(contour)
    plain = bce(logits, labels).item()
    assert pivot_consistent_loss(logits, labels, contour, 0.0).item() == pytest.approx(plain, rel=1e-4)
    assert pivot_consistent_loss(logits, labels, everywhere, weight).item() == pytest.approx(plain, rel=1e-4)
    literal = pivot_consistent_loss(logits, labels, nowhere, weight).item()
    assert literal == pytest.approx((1 - weight) * plain, rel=1e-4, abs=1e-6)
    assert pivot_consistent_loss(logits, labels, nowhere, weight, "plain").item() == pytest.approx(plain, rel=1e-4)
    elsewhere = torch.where(contour[:, None], logits, vectors(seed + 2, 1, 1, 5, 5))
    first, second = (pivot_consistent_loss(x, labels, contour, 1.0).item() for x in (logits, elsewhere))
    assert first == pytest.approx(second, rel=1e-5)
    perfect = (labels[:, None].float() * 2 - 1) * 60
    assert 0 <= pivot_consistent_loss(perfect, labels, contour, weight).item() < 1e-6


def test_an_ignored_batch_costs_nothing_and_has_a_gradient():
    logits = vectors(0, 1, 1, 4, 4).requires_grad_()
    labels, contour = torch.full((1, 4, 4), 255), torch.ones(1, 4, 4, dtype=torch.bool)
    loss = pivot_consistent_loss(logits, labels, contour)
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


def test_contour_pixels_lie_in_mixed_cells_of_the_coarser_grid():
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[:, 6:20, 8:16] = 1  # rows 6 and 19 lie inside cells of 4, columns 8 and 16 between them
    full = contour_pixels(labels, (32, 32), (8, 8), "cells")[0]
    expected = torch.zeros(32, 32, dtype=torch.bool)
    expected[4:8, 8:16] = True
    assert torch.equal(full, expected)  # 20 is a multiple of 4 too
    encoder = contour_pixels(labels, (4, 4), (8, 8), "cells")[0]  # cells of 8
    assert encoder.nonzero().tolist() == [[0, 1], [2, 1]]
    decoder = contour_pixels(labels, (8, 8), (8, 8), "cells")[0]
    assert decoder.nonzero().tolist() == [[1, 2], [1, 3]]


def test_contour_pixels_by_dilation_lie_on_both_sides_of_the_edge():
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[:, :, 8:] = 1
    assert contour_pixels(labels, (16, 16), (4, 4), "dilation")[0, 0].nonzero().flatten().tolist() == [7, 8]
    assert contour_pixels(labels, (16, 16), (4, 4), "dilation", 3)[0, 0].nonzero().flatten().tolist() == [*range(5, 11)]
    assert contour_pixels(labels, (8, 8), (4, 4), "dilation")[0, 0].nonzero().flatten().tolist() == [3, 4]


def test_masks_shrink_by_nearest_neighbour_and_keep_ignored_pixels():
    labels = torch.tensor([0, 1, 255]).repeat_interleave(4)[None, None].expand(1, 12, 12)
    assert resize_labels(labels, (3, 3))[0, 0].tolist() == [0, 1, 255]


# -- B7.9, B7.12: the objective and its pivot network ------------------------------------------------------------------


def objective_inputs(seed=0, batch=2):
    labels = torch.zeros(batch, 32, 32, dtype=torch.long)
    labels[:, 5:21, 6:22] = 1
    return vectors(seed, batch, 6, 8, 8), vectors(seed + 1, batch, 1, 32, 32), labels


@settings(max_examples=15)
@given(weight=st.floats(0.001, 5), seed=seeds)
def test_the_total_is_eq_9_of_the_returned_terms(weight, seed):
    loss, terms = NclLoss(6, ncl_weight=weight).eval()(*objective_inputs(seed))
    contrast_sum = sum(terms[name] for name in TERMS)
    assert loss.item() == pytest.approx((weight * contrast_sum + terms["pivot_consistent"]).item(), rel=1e-5)
    assert not any(term.requires_grad for term in terms.values())


def test_side_classifiers_add_their_weighted_loss_on_shrunken_masks():
    features, logits, labels = objective_inputs()
    side = [vectors(5, 2, 1, 4, 4), vectors(6, 2, 1, 8, 8)]
    objective = NclLoss(6, ncl_weight=0, contour_weight=0.5)

    def term(*arguments):
        return objective(features, *arguments)[1]["pivot_consistent"].item()

    plain, coarse, fine = term(logits, labels), term(side[0], labels), term(side[1], labels)
    assert term(logits, labels, side) == pytest.approx(plain + coarse + fine, rel=1e-5)
    assert term(logits, labels, side, [0.5, 2.0]) == pytest.approx(plain + 0.5 * coarse + 2 * fine, rel=1e-5)
    expected = bce(side[1], resize_labels(labels, (8, 8)))
    assert NclLoss(6, ncl_weight=0, contour_weight=0)(features, side[1], labels)[1]["pivot_consistent"].item() == (
        pytest.approx(expected.item(), rel=1e-5)
    )


def test_without_the_contrast_the_pivot_network_gets_a_zero_gradient():
    features, logits, labels = objective_inputs()
    objective = NclLoss(6, ncl_weight=0)
    loss, terms = objective(features.requires_grad_(), logits.requires_grad_(), labels)
    loss.backward()
    assert set(terms) == {"pivot_consistent"}
    assert features.grad is None
    assert all((parameter.grad == 0).all() for parameter in objective.parameters())


def test_the_two_branches_are_alike_and_share_nothing():
    objective = NclLoss(6)
    shapes = [
        {name: tensor.shape for name, tensor in branch.state_dict().items()}
        for branch in (objective.forged_pivot, objective.authentic_pivot)
    ]
    assert shapes[0] == shapes[1]
    own = [{id(p) for p in branch.parameters()} for branch in (objective.forged_pivot, objective.authentic_pivot)]
    assert not own[0] & own[1]
    assert objective.forged_pivot.convolution.weight.shape == (6, 6, 1, 1)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("reduction", ["mean", "max", "fixed"])
def test_a_pivot_is_what_its_parts_say(reduction, norm):
    branch = NclLoss(6, pivot_reduction=reduction, pivot_slots=3, pivot_norm=norm).forged_pivot.eval()
    contours = [vectors(0, 5, 6), vectors(1, 0, 6), vectors(2, 1, 6)]
    weight = branch.convolution.weight.flatten(1)
    pivots = branch(contours)
    assert pivots.shape == (3, 6)
    assert (pivots[1] == 0).all()
    for image in (0, 2):
        patches = contours[image]
        if reduction == "fixed":
            slots = patches[[0, 1, 3]] if image == 0 else torch.cat([patches, torch.zeros(2, 6)])
            projected = weight @ slots
        else:
            projected = patches @ weight.T
        projected = F.layer_norm(projected, (6,)) if norm == "layer" else projected / (1 + 1e-5) ** 0.5
        projected = F.relu(projected)
        expected = {"mean": projected.mean(0), "max": projected.amax(0), "fixed": projected[0]}[reduction]
        torch.testing.assert_close(pivots[image], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "max"])
def test_the_pivot_does_not_see_the_order_of_contour_patches(reduction):
    branch, contours = NclLoss(6, pivot_reduction=reduction).forged_pivot.eval(), vectors(0, 7, 6)
    torch.testing.assert_close(branch([contours.flip(0)]), branch([contours]))


@pytest.mark.parametrize("contours", [0, 1, 2], ids="{} contour patches".format)
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("reduction", ["mean", "max", "fixed"])
def test_the_pivot_trains_on_any_number_of_contour_patches(reduction, norm, contours):
    branch = NclLoss(6, pivot_reduction=reduction, pivot_norm=norm, pivot_slots=2).forged_pivot.train()
    pivots = branch([vectors(0, contours, 6), vectors(1, 0, 6)])
    pivots.sum().backward()
    assert torch.isfinite(pivots).all()
    assert all(parameter.grad is not None and torch.isfinite(parameter.grad).all() for parameter in branch.parameters())


def test_a_batch_of_two_images_is_the_mean_of_two_batches_of_one():
    features, logits, labels = objective_inputs()
    labels[1] = labels[1].roll((3, 5), (0, 1))
    objective = NclLoss(6).eval()
    _, together = objective(features, logits, labels)
    alone = [objective(features[i : i + 1], logits[i : i + 1], labels[i : i + 1])[1] for i in range(2)]
    for name in TERMS:
        assert together[name].item() == pytest.approx((alone[0][name] + alone[1][name]).item() / 2, rel=1e-4)


def test_the_scope_of_the_batch_compares_patches_of_different_images():
    features, logits, labels = objective_inputs()
    labels[0], labels[1] = 0, 1  # each image alone has nothing to contrast
    labels[0, :2, :2] = 1
    image, batch = (
        NclLoss(6, contrast_scope=scope).eval()(features, logits, labels)[1] for scope in ("image", "batch")
    )
    assert image["patch_contrast"] == 0
    assert batch["patch_contrast"] > 0
    assert batch["forged_pivot_contrast"] > 0
