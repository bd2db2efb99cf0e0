"""The words that names of series are made of, sorted by what they say. Data alone; `names` reads names with them."""

from __future__ import annotations

import re
from typing import FrozenSet


def _set(words: str) -> FrozenSet[str]:
    return frozenset(words.split())


TRAINING = _set("train training traing trainning trn tr trl learn fit trained")
VALIDATION = _set(
    """val valid validation validating validate vali vld eval evaluation evaluating evalset dev devel holdout
    heldout oof"""
)
TEST = _set("test testing tst tel")
HELD_OUT = VALIDATION | TEST
"""Words for data that is not trained on."""

LOSS = _set("loss losses lossfn")
NOT_A_LOSS = _set(
    """scale scaler scaling weight weights coef coeff coefficient lambda factor ratio rate time cost_time secs
    best min minimum max maximum lowest highest smallest ever previous prev old patience threshold tol tolerance
    std stdev sd var variance count counter num number function fn type name improvement improved decrease
    decreased increase increased drop change changed delta diff difference speed eta remaining spike spikes
    skipped skip nan lr grad norm gradient gamma hist histogram memory size py warning"""
)
"""Words that make of a loss something about the loss: its scale, its record, its weight."""

TOTAL = _set("total tot ttl sum overall combined full joint all whole")
SUMMARY = _set(
    """avg average averaged avr ave mean running smooth smoothed smoothing moving ema ma mov epoch epochs cum
    cumulative accumulated interval window acc_mean"""
)
"""A mean over many steps: smoother and later than the loss of a step."""
PLAIN_WITH_LOSS = (
    TRAINING | HELD_OUT | TOTAL | SUMMARY
    | _set(
    """step steps batch batches minibatch mini iter iteration iterations it per sample samples token tokens word
    words item items example examples frame frames set sets dataset data metric metrics model net network this
    current cur curr now the on for in of at is and log logs value raw vae autoencoder mlm clm sft unscaled
    scaled reported global local main student lm language modeling modelling causal target tgt weighted
    normalized normalised after s sub subset split stage phase master rank reduced_train task objective logging
    history final_train reduced default name"""
)
) - {"default", "name", "target", "tgt"}  # fmt: skip
"""Words beside "loss" that do not make it one term among several."""
LAST = _set("final last end ending initial init first start starting")
LANGUAGE_MODEL = _set("lm language modeling modelling causal")
UPSTREAM = _set("tok2vec tok2 vec transformer aux auxiliary reg penalty")
"""Terms that serve the one that matters: a shared encoder's, a regulariser's."""
PRINCIPAL = _set("pix pixel main rec recon reconstruction denoise denoising")
"""Terms that are what the model is for."""
DETECTION_PARTS = _set(
    """rpn rcnn mrcnn box cls dfl obj seg sem pose kobj giou ciou iou l1 bbox class classification localization
    location loc objectness rpn mask reg regression regularization kpt keypoint conf confidence xy wh angle rle
    cent centerness centre ctr noobj angle depth dir heatmap hm offset off"""
)
"""Terms of one detection loss: where no total is printed, their sum is the loss."""
ADVERSARIAL = _set(
    """d g gan disc discriminator dis gen generator adv adversarial fake real cycle cyc idt identity da db ga gb
    netd netg feat fm wgan gp"""
)
REINFORCEMENT = _set(
    """policy value actor critic entropy vf pg pi q qf qf1 qf2 td ppo surrogate surr alpha kl approx clipfrac
    advantage temperature temp ent v"""
)
REWARD = _set("reward rewards return returns episodic_return ep_rew_mean rew score_mean ret")

CROSS_ENTROPY = _set(
    """crossentropy xent xentropy ce bce cce celoss nll nllloss logloss mlogloss softmaxloss softmaxoutput"""
)
SQUARED = _set("mse rmse rmspe mspe rmsse wrmsse pinball crps l2 rmsle sse huber quantile msle")
ABSOLUTE = _set("mae l1 mape smape wape wmape mase medae")
PERPLEXITY = _set("ppl perplexity wpp")
BITS = _set("bpc bpb bpd bpw")
ACCURACY = _set(
    """acc accuracy acc1 acc5 top1 top5 prec precision recall f1 fscore auc roc map map50 miou iou dice bleu wer
    cer rouge psnr ssim ndcg mrr hit hits r2 score ap mcc kappa correct em exact match prec1 prec5 rougel
    specificity sensitivity jaccard lwlrap spearman pearson aucpr"""
)

FOREIGN = {
    foreign: english
    for english, words in (
        ("loss", "perdida perdidas perte perda perdita verlust verlies потери потеря потерь 损失值 损失 損失 손실"),
        ("accuracy", "genauigkeit exactitude accuratezza acuracia exactitud точность 准确率 精度 正解率 정확도"),
        ("train", "entrenamiento entrainement treinamento allenamento обучение обучения 训练集 训练 訓練 学習 훈련"),
        ("val", "validacion validacao validierung валидация валидации 验证集 验证 検証 검증"),
        ("epoch", "轮次 轮 エポック 에폭 에포크 эпохи эпоха"),
        ("lr", "lernrate 学习率 学習率 학습률"),
    )
    for foreign in words.split()
}
"""Words of other languages, without accents; those of a script without spaces are found within a longer word."""

EPOCH = _set("""epoch epochs ep epoche epochen epoque époque epoca época эпоха epochnumber 轮次 回合""")
STEP = _set(
    """step steps iteration iterations iter iters it itr itn niter update updates up upd nupdates numupdates schritt
    步数 迭代 итерация pass"""
)
FAR_STEP = _set(
    """timestep timesteps frames tree trees round rounds episode episodes kimg tick ticks generation trial games
    game #"""
)
"""Counters that grow with the training but are not its optimizer's steps."""
BATCH = _set("batch batches minibatch minibatches mb i j bidx batchidx")
PROGRESS = _set(
    """samples sample tokens token images image examples sen sentences seen consumed words sequences percent pct"""
)
WITH_COUNTER = _set(
    """global total current cur curr train training traing trainning optimizer opt num number n no nr idx index id of
    the this at after in inner outer local overall env environment trainer completed finished done val valid
    validation test eval end start begin starting beginning running processed so far main elapsed seen trained
    consumed count counter"""
)
NO_COUNTER = _set(
    """per time sec secs s ms avg mean speed size skipped nan log save every interval warmup max min remaining
    left best length last patience decay milestone milestones accumulation accumulated planned until limit freq
    frequency fps bad"""
)
NO_SERIES = _set(
    """line lineno pid port gpu gpus node ip seed eta h m hours minutes version v worker workers thread threads
    py job process core cores cpu cpus cuda device dp tp pp id"""
)
RANK = _set("rank local_rank")

# Whatever is known of names has one of these in it; a line without can be left unread, at a tenth of the cost.
WORTH_READING = re.compile(
    r"loss|cost|entrop|nll|xent|[bc]?ce\b|ms[el]|m?spe\b|[mw]ape\b|mase\b|medae|crps|pinball|\bepe\b|verlust|pert[ea]|"
    r"perd[ai]|verlies|mae|l[12]\b|huber|ppl|perpl|\bwpp|bp[cdbw]|bits per|"
    r"likeli|logl|logp|llk|"
    r"elbo|objective|energy|devian|err|rew|ret|gn\b|norm|grad|acc|top|prec|rec|f1|auc|roc|map|iou|dice|bleu|[wc]er\b|rouge|"
    r"psnr|ssim|score|lr|l\.r|learn|train|val|test|tel|trl|eval|dev|epoch|epo|\bep\b|\bep\.|step|schritt|iter|\bitr?\b|upd|up\.|"
    r"batch|pass|round|episode|frame|game|[dg]_|cycle|idt|\bl_|[^\x00-\x7f]\D{0,12}\d",
    re.IGNORECASE,
)
