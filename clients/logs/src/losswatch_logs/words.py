"""The words that names of series are made of, sorted by what they say. Data alone; `names` reads names with them."""

from __future__ import annotations

TRAINING = frozenset("train training trn tr trl learn fit trained".split())
VALIDATION = frozenset(
    "val valid validation validating validate vali vld eval evaluation evaluating evalset dev devel holdout heldout oof".split()
)
TEST = frozenset("test testing tst tel".split())
HELD_OUT = VALIDATION | TEST
"""Words for data that is not trained on."""

LOSS = frozenset("loss losses lossfn".split())
NOT_A_LOSS = frozenset(
    """scale scaler scaling weight weights coef coeff coefficient lambda factor ratio rate time cost_time secs best min
    minimum max maximum lowest highest smallest ever previous prev old patience threshold tol tolerance std stdev sd var
    variance count counter num number function fn type name improvement improved decrease decreased increase increased
    drop change changed delta diff difference speed eta remaining spike spikes skipped skip nan lr grad norm
    gradient gamma hist histogram memory size py warning""".split()
)
"""Words that make of a loss something about the loss: its scale, its record, its weight."""

TOTAL = frozenset("total sum overall combined full joint all whole".split())
SUMMARY = frozenset(
    """avg average averaged avr ave mean running smooth smoothed smoothing moving ema ma mov epoch epochs cum cumulative
    accumulated interval window acc_mean""".split()
)
"""A mean over many steps: smoother and later than the loss of a step."""
PLAIN_WITH_LOSS = (
    TRAINING | HELD_OUT | TOTAL | SUMMARY
    | frozenset(
        """step steps batch batches minibatch mini iter iteration iterations it per sample samples token tokens word words
        item items example examples frame frames set sets dataset data metric metrics model net network this current cur
        curr now the on for in of at is and log logs value raw unscaled scaled reported global local main student lm
        language modeling modelling causal target tgt weighted normalized normalised after s sub subset split stage phase
        master rank reduced_train task objective logging history final_train reduced default name""".split()
    )
) - {"default", "name", "target", "tgt"}  # fmt: skip
"""Words beside "loss" that do not make it one term among several."""
LAST = frozenset("final last end ending initial init first start starting".split())
LANGUAGE_MODEL = frozenset("lm language modeling modelling causal".split())
UPSTREAM = frozenset("tok2vec tok2 vec transformer aux auxiliary reg penalty".split())
"""Terms that serve the one that matters: a shared encoder's, a regulariser's."""
DETECTION_PARTS = frozenset(
    """box cls dfl obj seg sem pose kobj giou ciou iou l1 bbox class classification localization location loc
    objectness rpn mask reg regression regularization kpt keypoint conf confidence xy wh angle rle cent centerness
    centre ctr noobj angle depth dir heatmap hm offset off""".split()
)
"""Terms of one detection loss: where no total is printed, their sum is the loss."""
ADVERSARIAL = frozenset(
    """d g gan disc discriminator dis gen generator adv adversarial fake real cycle cyc idt identity da db ga gb netd
    netg feat fm wgan gp""".split()
)
REINFORCEMENT = frozenset(
    """policy value actor critic entropy vf pg pi q qf qf1 qf2 td ppo surrogate surr alpha kl approx clipfrac advantage
    temperature temp ent v""".split()
)
REWARD = frozenset("reward rewards return returns episodic_return ep_rew_mean rew score_mean ret".split())

CROSS_ENTROPY = frozenset("crossentropy xent xentropy ce bce cce celoss nll nllloss logloss mlogloss softmaxloss softmaxoutput".split())
SQUARED = frozenset("mse rmse l2 rmsle sse huber quantile msle".split())
ABSOLUTE = frozenset("mae l1 mape smape".split())
PERPLEXITY = frozenset("ppl perplexity wpp".split())
BITS = frozenset("bpc bpb bpd bpw".split())
ACCURACY = frozenset(
    """acc accuracy acc1 acc5 top1 top5 prec precision recall f1 fscore auc roc map map50 miou iou dice bleu wer cer rouge
    psnr ssim ndcg mrr hit hits r2 score ap mcc kappa correct em exact match prec1 prec5 rougel specificity sensitivity
    jaccard lwlrap spearman pearson aucpr""".split()
)

EPOCH = frozenset("epoch epochs ep epoche epochen epoque époque epoca época эпоха epochnumber 轮次 回合".split())
STEP = frozenset("step steps iteration iterations iter iters it itr niter update updates up upd nupdates numupdates schritt 步数 迭代 итерация pass".split())
FAR_STEP = frozenset("timestep timesteps frames tree trees round rounds episode episodes kimg tick ticks generation trial games game #".split())
"""Counters that grow with the training but are not its optimizer's steps."""
BATCH = frozenset("batch batches minibatch minibatches mb i j bidx batchidx".split())
PROGRESS = frozenset("samples sample tokens token images image examples sen sentences seen consumed words sequences percent pct".split())
WITH_COUNTER = frozenset(
    """global total current cur curr train training optimizer opt num number n no nr idx index id of the this at after in inner
    outer local overall env environment trainer completed finished done val valid validation test eval end start begin
    starting beginning running processed so far main elapsed seen trained consumed""".split()
)
NO_COUNTER = frozenset(
    """per time sec secs s ms avg mean speed size skipped nan log save every interval warmup max min remaining left best
    length last patience decay milestone milestones accumulation accumulated planned until limit freq frequency fps bad""".split()
)
NO_SERIES = frozenset(
    """line lineno pid port gpu gpus node ip seed eta h m hours minutes version v worker workers thread threads py job
    process core cores cpu cpus cuda device dp tp pp id""".split()
)
RANK = frozenset("rank local_rank".split())
