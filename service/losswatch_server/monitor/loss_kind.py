"""What a loss is, read once from the context: its family, the loss of a model that knows nothing, its lower bound.

Names are those of PyTorch's, Keras', Optax', scikit-learn's, XGBoost's and LightGBM's losses, spelt as classes,
functions, their representations or free words ("softmax cross-entropy over 10 classes").
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from losswatch_server.monitor.points import Context, cut_to_range


class Family(StrEnum):
    """Losses that are read alike."""

    CROSS_ENTROPY = "cross_entropy"
    """One of K classes; ln K for a model that knows nothing."""
    BINARY = "binary"
    """Yes or no, one or many times over; ln 2 for a model that knows nothing."""
    SQUARED_ERROR = "squared_error"
    ROOT_SQUARED_ERROR = "root_squared_error"
    ABSOLUTE_ERROR = "absolute_error"
    """Deviations that grow linearly: absolute, Huber, quantile."""
    LIKELIHOOD = "likelihood"
    """Of a density: may be negative without bound."""
    MARGIN = "margin"
    """Hinge, triplet and ranking losses: exactly 0 once every margin is kept."""
    CONTRASTIVE = "contrastive"
    COUNT = "count"
    """Likelihoods of counts and of positive values."""
    FOCAL = "focal"
    DIVERGENCE = "divergence"
    OVERLAP = "overlap"
    """Dice, IoU, cosine similarity: between -1 and 1."""
    SEQUENCE = "sequence"
    """CTC and its like."""
    ADVERSARIAL = "adversarial"
    REINFORCEMENT = "reinforcement"
    UNKNOWN = "unknown"


GAMES = frozenset({Family.ADVERSARIAL, Family.REINFORCEMENT})
"""A lower loss is no better model."""

_NAMES: dict[Family, str] = {
    Family.CROSS_ENTROPY: """
        cross_entropy categorical_crossentropy sparse_categorical_crossentropy softmax_cross_entropy
        softmax_loss softmax_cross_entropy_with_logits softmax_cross_entropy_with_logits_v2
        softmax_cross_entropy_with_integer_labels sparse_softmax_cross_entropy_with_logits
        safe_softmax_cross_entropy nll nll2d neg_log_likelihood ce xent softmax multi:softmax multi:softprob
        mlogloss multiclass multi_logloss multiclassova adaptive_log_softmax_with ForCausalLMLoss ForMaskedLM
        label_smoothed_cross_entropy linear_cross_entropy poly_loss_cross_entropy language_modeling lm
        nll_and_ppl softmaxoutput""",
    Family.BINARY: """
        bce bce_with_logits binary_crossentropy binary_crossentropy_with_logits binary_cross_entropy
        sigmoid_cross_entropy sigmoid_binary_cross_entropy sigmoid_cross_entropy_with_logits log_loss logistic
        binary_logistic binary:logistic binary:logitraw reg:logistic binary_logloss binary soft_margin
        multi_label_soft_margin multilabel_soft_margin weighted_cross_entropy_with_logits dpo logit
        bernoulli_nll deviance log_loss_binary crossentropy_binary""",
    Family.SQUARED_ERROR: """
        mse mean_squared_error squared_error l2 reg:squarederror regression regression_l2 least_squares squared
        quadratic squared_loss ls mean_squared_logarithmic_error msle reg:squaredlogerror sum_of_squared_errors
        friedman_mse mean_square_error squared_log_error brier sse""",
    Family.ROOT_SQUARED_ERROR: "rmse root_mean_squared_error rmsle l2_root root_mean_square_error",
    Family.ABSOLUTE_ERROR: """
        l1 mae mean_absolute_error absolute_error smooth_l1 huber log_cosh logcosh reg:pseudohubererror
        reg:absoluteerror regression_l1 quantile reg:quantileerror pinball mape mean_absolute_percentage_error
        mphe fair lad smape epsilon_insensitive squared_epsilon_insensitive charbonnier expectile""",
    Family.LIKELIHOOD: """
        gaussian_nll gaussian_negative_log_likelihood beta_nll mdn mixture_density elbo negative_elbo flow
        normalizing_flow bits_per_dim vae free_energy continuous_nll student_t_nll crps pseudo_likelihood""",
    Family.MARGIN: """
        hinge squared_hinge categorical_hinge multi_margin multi_label_margin multilabel_margin hinge_embedding
        margin_ranking triplet_margin triplet_margin_with_distance triplet triplet_semihard cosine_embedding
        perceptron perceptron_loss modified_huber binary:hinge sigmoid_hinge multiclass_hinge
        multiclass_perceptron multiclass_sparsemax sparsemax rank:pairwise rank:ndcg rank:map lambdarank
        rank_xendcg ranking_softmax triplet_hinge circle""",
    Family.CONTRASTIVE: "info_nce nt_xent clip contrastive simclr supcon ntxent multiple_negatives_ranking siglip",
    Family.COUNT: """
        poisson poisson_nll poisson_nll_loss log_poisson count:poisson reg:gamma reg:tweedie gamma tweedie
        poisson_deviance gamma_deviance cox survival:cox survival:aft zero_inflated_poisson""",
    Family.FOCAL: """
        focal sigmoid_focal binary_focal_crossentropy categorical_focal_crossentropy focal_cross_entropy
        softmax_focal""",
    Family.DIVERGENCE: """
        kl_div kl_divergence kld kullback_leibler_divergence kl js_divergence convex_kl_divergence
        kl_divergence_with_log_targets convex_kl_divergence distillation""",
    Family.OVERLAP: """
        dice iou jaccard tversky giou diou ciou cosine_similarity cosine_distance soft_dice generalized_box_iou
        lovasz_softmax binary_tversky""",
    Family.SEQUENCE: "ctc rnnt transducer crf crf_nll ctc_loss_with_forward_probs fenchel_young make_fenchel_young",
    Family.ADVERSARIAL: """
        gan wgan wgan_gp lsgan hinge_gan generator discriminator adversarial gan_generator gan_discriminator""",
    Family.REINFORCEMENT: """
        ppo policy policy_gradient actor critic actor_critic dqn ddqn a2c a3c sac td3 ddpg reinforce reward grpo
        rloo trpo td td_error q_learning cql iql advantage""",
}
_WORDS: tuple[tuple[Family, tuple[str, ...]], ...] = (
    (Family.LIKELIHOOD, ("gaussian", "elbo", "vae", "flow", "density")),
    (Family.ADVERSARIAL, ("gan", "wgan", "generator", "discriminator", "adversarial")),
    (
        Family.REINFORCEMENT,
        ("ppo", "policy", "actor", "critic", "dqn", "reward", "grpo", "advantage", "rollout", "reinforce"),
    ),
)
"""Words of a name of several: they must stand alone ("factor" is no actor)."""
_PARTS: tuple[tuple[Family, tuple[str, ...]], ...] = (
    (Family.FOCAL, ("focal",)),
    (Family.COUNT, ("poisson", "tweedie", "gammadeviance")),
    (Family.BINARY, ("binary", "bce", "sigmoidcross", "logistic", "logloss", "multilabelsoftmargin")),
    (Family.CONTRASTIVE, ("infonce", "ntxent", "contrastive")),
    (Family.CROSS_ENTROPY, ("crossentropy", "softmax", "nll", "xent", "loglikelihood", "celoss")),
    (Family.ROOT_SQUARED_ERROR, ("rmse", "rootmeansquared")),
    (Family.SQUARED_ERROR, ("squared", "mse", "l2loss", "leastsquares")),
    (Family.ABSOLUTE_ERROR, ("absolute", "huber", "l1loss", "quantile", "pinball")),
    (Family.MARGIN, ("hinge", "triplet", "margin", "ranking")),
    (Family.DIVERGENCE, ("kullback", "kldiv", "divergence")),
    (Family.OVERLAP, ("dice", "jaccard", "tversky", "cosine")),
)
_BOUNDS: dict[Family, float | None] = {
    Family.LIKELIHOOD: None,
    Family.COUNT: None,
    Family.OVERLAP: -1.0,
    Family.ADVERSARIAL: None,
    Family.REINFORCEMENT: None,
    Family.UNKNOWN: None,
}
_REPRESENTED = re.compile(r"<(?:class|function|bound method)\s+'?([\w.]+)")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SUMMED = re.compile(r"reduction\s*=\s*['\"]?sum\b|size_average\s*=\s*False|\bsummed\b|\bsum of\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossKind:
    """What is known of a run's loss before its first value."""

    family: Family = Family.UNKNOWN
    chance: float | None = None
    """The loss of the best constant answer, averaged over samples; None where it is not known."""
    stated: bool = False
    """Whether the client gave that number itself: then it holds as it stands, however the loss is reduced."""
    minimised: bool = True
    """Whether a lower loss is a better model."""
    lower_bound: float | None = None
    summed: bool = False
    """Whether the name says that samples are summed, not averaged."""

    @property
    def classifies(self) -> bool:
        """Cross-entropy over classes, binary or not."""
        return self.family in (Family.CROSS_ENTROPY, Family.BINARY)

    @property
    def may_classify(self) -> bool:
        """A cross-entropy, or a loss that nobody named."""
        return self.classifies or self.family is Family.UNKNOWN

    @property
    def squares(self) -> bool:
        """A squared error."""
        return self.family is Family.SQUARED_ERROR


NO_KIND = LossKind()


def loss_kind(context: Context) -> LossKind:
    """What the context says of the loss. An ``objective`` that is stated outweighs the name."""
    name = context.loss_name
    family = family_of(name) if name else Family.UNKNOWN
    # a best constant answer of 0 or less leaves nothing to compare a level with: chance is then not known
    baseline = cut_to_range(context.baseline_loss) or 0.0
    stated = baseline > 0
    chance = baseline if stated else _chance(family, name or "", context)
    return LossKind(
        family=family,
        chance=chance,
        stated=stated,
        minimised=context.objective != "none" if context.objective is not None else family not in GAMES,
        lower_bound=_BOUNDS.get(family, 0.0),
        summed=bool(name and _SUMMED.search(name)),
    )


@lru_cache(maxsize=4096)
def family_of(name: str) -> Family:
    """The family of a loss by its name, in any spelling."""
    bare = _bare(name)
    for plain in (_plain(bare), _without_suffix(_plain(bare))):
        if plain in _TABLE:
            return _TABLE[plain]
    words = {word.lower() for word in _CAMEL.findall(bare)}
    for family, known in _WORDS:
        if words & set(known):
            return family
    whole = _plain(name)
    for family, parts in _PARTS:
        if any(part in whole for part in parts):
            return family
    return Family.UNKNOWN


def _bare(name: str) -> str:
    """The name within a representation: ``<class 'torch.nn.modules.loss.L1Loss'>``, ``nn.L1Loss(reduction='sum')``."""
    found = _REPRESENTED.search(name)
    text = (found.group(1) if found else name).strip()
    text = text.split("(", 1)[0].strip() if not text.startswith("(") else text
    return text.rsplit(".", 1)[-1] if re.fullmatch(r"[\w.]+", text) else text


def _plain(name: str) -> str:
    """Letters and digits alone, small."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _without_suffix(plain: str) -> str:
    for suffix in ("lossfunction", "lossfn", "loss", "criterion", "objective", "metric"):
        if plain.endswith(suffix) and len(plain) > len(suffix):
            return plain.removesuffix(suffix)
    return plain


_TABLE = {
    key: family
    for family, names in _NAMES.items()
    for name in names.split()
    for key in (_plain(name), _without_suffix(_plain(name)))
}


def _chance(family: Family, name: str, context: Context) -> float | None:
    """The loss of the best constant answer, from the classes or the targets that the client states."""
    facts = context.facts
    classes = context.num_classes
    if family is Family.BINARY and _plain(name).startswith("logloss") and classes and classes > 2:
        family = Family.CROSS_ENTROPY
    if family is Family.CROSS_ENTROPY or family is Family.BINARY:
        shares = facts.class_shares if facts is not None else None
        if (
            shares
            and (entropy := _entropy(shares)) is not None
            and (family is Family.CROSS_ENTROPY or len(shares) == 2)
        ):
            return entropy
        if family is Family.BINARY:
            return math.log(2)
        return math.log(classes) if classes and classes > 1 else None
    deviation = facts.target_std if facts is not None else None
    if deviation and math.isfinite(deviation) and "log" not in name.lower():
        if family is Family.SQUARED_ERROR:
            return deviation * deviation
        if family is Family.ROOT_SQUARED_ERROR:
            return deviation
    return None


USUAL_CLASSES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, 200, 256, 1000, 10000, 32000, 50257, 50304, 128256)
"""Numbers of classes, and vocabularies, that are common enough to be recognised by their ln K."""


def classes_at_chance(level: float, within: float, stated: int | None) -> int | None:
    """The usual number of classes whose chance level is this loss, to a share ``within``; None for none. Where the
    client has stated their number it can be no other."""
    usual = (stated,) if stated and stated > 1 else USUAL_CLASSES
    classes = min(usual, key=lambda count: abs(level / math.log(count) - 1))
    return classes if abs(level / math.log(classes) - 1) < within else None


def _entropy(shares: tuple[float, ...]) -> float | None:
    """In nats, of shares or counts; None where they are none, or one class has everything."""
    total = sum(shares)
    if not 0 < total < math.inf:
        return None
    entropy = -sum(s / total * math.log(s / total) for s in shares if s > 0)
    return entropy if entropy > 0 else None


_GAME_WORDS = frozenset(
    """
    critic policy rollout rollouts actor discriminator generator adversarial reward rewards advantage advantages
    episode ep ppo grpo rloo dqn td3 sac clipfrac
    """.split()  # noqa: SIM905 - a list of words
)
_GAME_NAMES = frozenset(
    """
    dloss gloss lossd lossg lossgenerator lossdiscriminator dreal dfake realscore fakescore completionlength
    completionsmeanlength valueloss qloss qvalue qvalues tderror approxkl clipfraction clipratio
    explainedvariance returnmean meanreturn eprewmean eprewardmean eplenmean
    """.split()  # noqa: SIM905 - a list of words
)
_PREFERENCES = frozenset({"chosen", "rejected", "margins", "accuracies"})
"""Rewards of preference learning, whose loss is minimised like any other."""


@lru_cache(maxsize=4096)
def is_of_a_game(metric: str) -> bool:
    """Whether a metric of this name is logged by GANs or by reinforcement learning."""
    words = {word.lower() for word in _CAMEL.findall(metric)}
    if words & _PREFERENCES:
        return False
    return bool(words & _GAME_WORDS) or _plain(metric.rsplit("/", 1)[-1]) in _GAME_NAMES
