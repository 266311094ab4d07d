"""Does a prediction depend on what a picture shows? Concept activation vectors (TCAV, Kim et al., ICML 2018).

A concept's direction is where a linear classifier tells features of pictures that show the concept from features of
pictures that do not. The test asks how often a step in that direction raises the prediction, and whether that differs
from directions that separate nothing. Features and gradients are arrays here; how they were made is the caller's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ConceptResult:
    """How a prediction depends on one concept.

    Args:
        score: Mean TCAV score over the runs, in [0, 1]: the share of inputs whose prediction rises towards the
            concept. 0 or 1 is full dependence of one sign.
        random_score: The same for random directions.
        p_value: Of the permutation test that both have one mean, in (0, 1].
        accuracy: Of the concept's linear classifiers on examples they were not fitted to, in [0, 1]; near one half
            the features do not hold the concept, and the score says nothing.
        examples: Pictures of the concept.
    """

    score: float
    random_score: float
    p_value: float
    accuracy: float
    examples: int


def concept_direction(
    concept: NDArray[np.floating], others: NDArray[np.floating], ridge: float = 0.1
) -> NDArray[np.float64]:
    """The unit vector along which a linear classifier, least squares with a ridge, finds the concept.

    Args:
        concept: `(n, C)` features of pictures that show it.
        others: `(m, C)` features of pictures that do not.
        ridge: Added to the variances, as a share of their mean; more examples than channels could do without.

    Returns:
        `(C,)`, pointing towards the concept; zeros where both sets are the same.

    Example:
        >>> concept_direction(np.array([[1.0, 5], [1, 6]]), np.array([[0.0, 5], [0, 6]])).round(2).tolist()
        [1.0, 0.0]
    """
    samples = np.concatenate([concept, others]).astype(np.float64)
    target = np.repeat([1 / len(concept), -1 / len(others)], [len(concept), len(others)])
    centred = samples - samples.mean(0)
    scatter = centred.T @ centred / len(samples)
    scatter[np.diag_indices_from(scatter)] += ridge * scatter.diagonal().mean() + np.finfo(np.float64).tiny
    direction = np.linalg.solve(scatter, centred.T @ target)
    return direction / max(float(np.linalg.norm(direction)), np.finfo(np.float64).tiny)


def separation_accuracy(
    direction: NDArray[np.floating],
    fitted: tuple[NDArray[np.floating], NDArray[np.floating]],
    fresh: tuple[NDArray[np.floating], NDArray[np.floating]],
) -> float:
    """How well a direction tells fresh examples apart, cut half-way between the means that it was fitted to.

    Args:
        direction: `(C,)` from `concept_direction`.
        fitted: Concept and others, `(n, C)` and `(m, C)`, that it was fitted to.
        fresh: Concept and others that it was not.

    Returns:
        Mean of the two recalls, in [0, 1].
    """
    cut = sum(float((features @ direction).mean()) for features in fitted) / 2
    concept, others = (features @ direction > cut for features in fresh)
    return float(concept.mean() + 1 - others.mean()) / 2


def tcav_score(gradients: NDArray[np.floating], direction: NDArray[np.floating]) -> float:
    """Share of inputs whose prediction rises along a direction.

    Args:
        gradients: `(n, C)`, each input's derivative of the prediction by the features.
        direction: `(C,)`.

    Returns:
        In [0, 1]; a derivative of exactly 0 counts one half.
    """
    slopes = gradients @ direction
    return float(((slopes > 0) + (slopes == 0) / 2).mean())


def permutation_test(
    first: NDArray[np.floating], second: NDArray[np.floating], draws: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of the difference of two means, by exchanging the labels at random.

    Args:
        first: Values of one kind.
        second: Values of the other.
        draws: Random exchanges; the smallest possible result is 1 / (draws + 1).
        seed: Of the draws.

    Example:
        >>> permutation_test(np.array([0.9, 0.8, 0.95, 0.85]), np.array([0.1, 0.2, 0.15, 0.05])) < 0.05
        True
    """
    values = np.concatenate([first, second])
    order = np.random.default_rng(seed).random((draws, len(values))).argsort(1)
    shuffled = values[order]
    differences = shuffled[:, : len(first)].mean(1) - shuffled[:, len(first) :].mean(1)
    observed = abs(first.mean() - second.mean())
    return float(1 + (np.abs(differences) >= observed - 1e-12).sum()) / (draws + 1)


def examine_concept(
    concept: NDArray[np.floating],
    fillings: NDArray[np.floating],
    gradients: NDArray[np.floating],
    runs: int = 20,
    seed: int = 0,
) -> ConceptResult:
    """TCAV scores of a concept over many random halves and random counterparts, against those of random directions.

    Every run fits to half of the examples, so that the other half measures whether the concept was found; a random
    direction is fitted to two different counterparts of the same examples.

    Args:
        concept: `(n, C)` features of pictures that show the concept, n at least 4.
        fillings: `(n, k, C)` features of k random counterparts of each, which show something else; k at least 2.
        gradients: `(m, C)` derivatives of the prediction, one row an input.
        runs: Directions of each kind.
        seed: Of all draws.

    Raises:
        ValueError: If there are fewer than 4 examples or 2 counterparts.
    """
    count, kinds = fillings.shape[:2]
    if count < 4 or kinds < 2:
        raise ValueError(f"a concept needs at least 4 examples with 2 random counterparts, got {count} with {kinds}")
    rng = np.random.default_rng(seed)
    scores, random_scores, accuracies = [], [], []
    for _ in range(runs):
        fitted, fresh = np.split(rng.permutation(count), [count // 2])
        chosen = rng.permuted(np.tile(np.arange(kinds), (count, 1)), axis=1)
        counterparts, others = (fillings[np.arange(count), chosen[:, column]] for column in (0, 1))
        direction = concept_direction(concept[fitted], counterparts[fitted])
        scores.append(tcav_score(gradients, direction))
        pairs = [(concept[part], counterparts[part]) for part in (fitted, fresh)]
        accuracies.append(separation_accuracy(direction, *pairs))
        random_scores.append(tcav_score(gradients, concept_direction(others[fitted], counterparts[fitted])))
    return ConceptResult(
        score=float(np.mean(scores)),
        random_score=float(np.mean(random_scores)),
        p_value=permutation_test(np.array(scores), np.array(random_scores), seed=seed),
        accuracy=float(np.mean(accuracies)),
        examples=count,
    )
