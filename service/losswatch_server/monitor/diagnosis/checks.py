"""The one check that separates a cause from its nearest rival, cheap enough to be done."""

from __future__ import annotations

from losswatch_server.monitor.diagnosis.changes import NOTHING_KNOWN, Changes
from losswatch_server.monitor.vocabulary import CauseName as C

_CHECKS: dict[C, str] = {
    C.LEARNING_RATE_TOO_HIGH: (
        "Train again from the same start for 20 steps with the learning rate {rate_down}; the loss must fall."
    ),
    C.LEARNING_RATE_TOO_LOW: (
        "Train on for 100 steps with the learning rate {rate_up}; the loss must fall about ten times as fast."
    ),
    C.INPUTS_NOT_SCALED: (
        "Print the mean and the standard deviation of one batch of inputs and targets; they should be near 0 and "
        "1."
    ),
    C.MISSING_NONLINEARITY: (
        "Train on one batch of 32 samples for 500 steps, then again with a tanh or ReLU after the first layer: "
        "only with it does the loss go to 0."
    ),
    C.INSUFFICIENT_CAPACITY: (
        "Train again with {wider}; the loss must get below {floor}."
    ),
    C.WRONG_LOSS_FUNCTION: (
        "Look at what the last layer gives and what the loss expects: logits or probabilities, class numbers or "
        "one-hot vectors."
    ),
    C.DEAD_ACTIVATIONS: (
        "Count on one batch how many units of each hidden layer are 0 for every sample; more than half is dead."
    ),
    C.SATURATED_ACTIVATIONS: (
        "Print the gradient norm of each layer for one batch; a first layer a hundred times below the last has "
        "saturated units above it."
    ),
    C.POOR_INITIALIZATION: (
        "Print the standard deviation of each layer's output for one batch before training; it should stay near 1 "
        "from layer to layer."
    ),
    C.PARAMETERS_NOT_UPDATED: (
        "Copy the parameters, do one step, and print the largest change; exactly 0 means that the optimizer does "
        "not step them."
    ),
    C.GRADIENTS_ACCUMULATING: (
        "Compute the gradient twice on the same batch without a step; a norm that doubles is not set to zero in "
        "between."
    ),
    C.LABELS_UNINFORMATIVE: (
        "Show ten inputs beside their labels as the training loop sees them; then train on labels shuffled on "
        "purpose and compare the curves."
    ),
    C.BAD_BATCH: (
        "Run the batch of that step alone, with the parameters from before it, and look at its inputs, labels and "
        "loss."
    ),
    C.NON_FINITE_DATA: (
        "Count the values that are not finite in inputs and targets: np.isnan(X).any(), np.isinf(X).any(), and the "
        "same for y; it must be none."
    ),
    C.DATA_NOT_SHUFFLED: (
        "Print the labels of three consecutive batches; shuffle every epoch and see whether the pattern goes."
    ),
    C.BATCH_TOO_SMALL: (
        "Train on for 200 steps with the batch size {batch_up} at the same learning rate; the swings must shrink to "
        "about a third."
    ),
    C.WEIGHT_DECAY_TOO_STRONG: (
        "Train on for 200 steps with the weight decay {decay_off}; the loss must leave its floor."
    ),
    C.NO_WARMUP: (
        "Let the learning rate rise from 0 over the first 5 % of the steps; the blow-up at the start must vanish."
    ),
    C.PRECISION_OVERFLOW: "Repeat ten steps before the first non-finite value in float32; there it must stay finite.",
    C.OVERFIT_SMALL_DATA: (
        "Compare training and validation loss in evaluation mode at the best step and now; the gap must have "
        "widened."
    ),
    C.GRADIENT_CLIP_TOO_TIGHT: "Train on for 100 steps with the clip value {clip_up}; the loss must fall faster.",
    C.MOMENTUM_TOO_HIGH: "Train on for 200 steps with the momentum {momentum_down}; the swings must die down.",
}  # fmt: skip

_PAIRS: dict[frozenset[C], str] = {
    frozenset({C.NON_FINITE_DATA, C.LEARNING_RATE_TOO_HIGH}): (
        "Look whether np.isnan(X).any() or np.isnan(y).any(); if neither, compute the loss of the first batch before "
        "any step: finite there points to the learning rate."
    ),
    frozenset({C.NON_FINITE_DATA, C.PRECISION_OVERFLOW}): (
        "Look whether np.isnan(X).any() or np.isnan(y).any(); if neither, compute the first loss in float32: finite "
        "there means overflow."
    ),
    frozenset({C.NON_FINITE_DATA, C.BAD_BATCH}): (
        "Look whether the inputs or labels of that step's batch are all finite: if so, the batch is extreme, not "
        "broken."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.LEARNING_RATE_TOO_LOW}): (
        "Copy the parameters, do one step, and print the largest change: exactly 0 means no update at all, tiny "
        "means a rate too low."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.INPUTS_NOT_SCALED}): (
        "Standardise the inputs and keep the learning rate: if it trains now, the scale was the reason, else the "
        "rate is."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.GRADIENTS_ACCUMULATING}): (
        "Compute the gradient twice on the same batch without a step: a norm that doubles adds up; an equal one "
        "leaves the learning rate."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.BAD_BATCH}): (
        "Replay that step's batch from the checkpoint before: another batch that blows up too points to the rate, "
        "only this one to the data."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.MOMENTUM_TOO_HIGH}): (
        "Train on for 200 steps with the momentum {momentum_down} at the same rate: if it is calm then, it was the "
        "momentum."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.POOR_INITIALIZATION}): (
        "Look at the first loss, before any step: far above chance level is the initialisation; ordinary is "
        "the rate."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.BATCH_TOO_SMALL}): (
        "Train on for 200 steps with the batch size {batch_up} at the same rate: noise shrinks to a third, a "
        "rate beyond "
        "the limit keeps swinging."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.PRECISION_OVERFLOW}): (
        "Repeat the steps before the first non-finite value in float32: finite there means overflow; non-finite "
        "there too, the rate."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.DEAD_ACTIVATIONS}): (
        "Train again with the learning rate {rate_down}: units killed by large early steps stay alive then; if "
        "the loss "
        "still rests, they were dead from the start."
    ),
    frozenset({C.LEARNING_RATE_TOO_LOW, C.GRADIENT_CLIP_TOO_TIGHT}): (
        "Switch clipping off for 100 steps: faster means that the clip held it back; no change means that the "
        "rate does."
    ),
    frozenset({C.LEARNING_RATE_TOO_LOW, C.INSUFFICIENT_CAPACITY}): (
        "Train on for 100 steps with the learning rate {rate_up}: a faster fall is the rate, {floor} as before "
        "the model."
    ),
    frozenset({C.LEARNING_RATE_TOO_LOW, C.SATURATED_ACTIVATIONS}): (
        "Print the gradient norm of each layer: even norms point to the rate, a first layer a hundred times "
        "smaller to saturation."
    ),
    frozenset({C.MISSING_NONLINEARITY, C.INSUFFICIENT_CAPACITY}): (
        "Train again with {wider}: {floor} to all digits means that the model is linear, a lower one that it was too "
        "small."
    ),
    frozenset({C.MISSING_NONLINEARITY, C.WRONG_LOSS_FUNCTION}): (
        "Fit a linear regression to the same data: the same loss means that the network is linear."
    ),
    frozenset({C.LABELS_UNINFORMATIVE, C.INSUFFICIENT_CAPACITY}): (
        "Train on one batch of 32 samples: a model that is large enough memorises even wrong labels; one that is "
        "too small cannot."
    ),
    frozenset({C.LABELS_UNINFORMATIVE, C.SATURATED_ACTIVATIONS}): (
        "Train on one batch of 32 samples: with wrong labels its loss still goes to 0; with saturated units it "
        "does not."
    ),
    frozenset({C.LABELS_UNINFORMATIVE, C.PARAMETERS_NOT_UPDATED}): (
        "Copy the parameters, do one step, and print the largest change: 0 is no update; otherwise look at inputs "
        "and labels side by side."
    ),
    frozenset({C.DEAD_ACTIVATIONS, C.SATURATED_ACTIVATIONS}): (
        "Look at the hidden units on one batch: zeros everywhere are dead ReLUs, values near the ends of the "
        "range are saturated."
    ),
    frozenset({C.DEAD_ACTIVATIONS, C.POOR_INITIALIZATION}): (
        "Look at the gradients of each layer at step 0: already zero is the initialisation; zero only later, "
        "units that died."
    ),
    frozenset({C.INPUTS_NOT_SCALED, C.POOR_INITIALIZATION}): (
        "Feed standardised random numbers of the inputs' shape: a loss that is still huge is the initialisation, "
        "an ordinary one the inputs."
    ),
    frozenset({C.BAD_BATCH, C.PRECISION_OVERFLOW}): (
        "Run that step's batch in float32: non-finite there too is the data; finite there, the precision."
    ),
    frozenset({C.OVERFIT_SMALL_DATA, C.LABELS_UNINFORMATIVE}): (
        "Look at the best validation loss: below chance level, the model learned something before it "
        "memorised; never below, the labels tell nothing."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.INSUFFICIENT_CAPACITY}): (
        "Copy the parameters now, do one step, and print the largest change of each layer: 0 in a layer that should "
        "learn is no update; if all change, train again with {wider}: a lower floor is the model."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.DEAD_ACTIVATIONS}): (
        "Print the gradient norm of each layer for one batch: 0 in the early layers is dead units; if none is 0 and "
        "the parameters still do not change in a step, the optimizer does not step them."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.POOR_INITIALIZATION}): (
        "Print the standard deviation of each layer's output before training: 0 or tiny is the initialisation; near 1, "
        "do one step and look whether the parameters change at all."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.SATURATED_ACTIVATIONS}): (
        "Copy the parameters, do one step, and print the largest change of each layer: exactly 0 is no update; tiny in "
        "the first layers alone is saturation."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.INPUTS_NOT_SCALED}): (
        "Copy the parameters, do one step, and print the largest change: exactly 0 is no update; otherwise print the "
        "mean and the standard deviation of one batch of inputs."
    ),
    frozenset({C.PARAMETERS_NOT_UPDATED, C.GRADIENT_CLIP_TOO_TIGHT}): (
        "Do one step without clipping and print the largest change of the parameters: still 0 is no update, otherwise "
        "the clip held them."
    ),
    frozenset({C.WRONG_LOSS_FUNCTION, C.INSUFFICIENT_CAPACITY}): (
        "Print outputs beside targets for ten samples: outputs that fit while the loss is high are the loss; outputs "
        "that do not, the model."
    ),
    frozenset({C.WRONG_LOSS_FUNCTION, C.LEARNING_RATE_TOO_HIGH}): (
        "Train again for 20 steps with a thousandth of the learning rate: a loss that still rises follows +gradient or "
        "is of the wrong sign; one that falls had too high a rate."
    ),
    frozenset({C.WRONG_LOSS_FUNCTION, C.LABELS_UNINFORMATIVE}): (
        "Print the shapes and ten rows of outputs and targets as the loss gets them: shapes that differ are the loss; "
        "then look at the inputs beside their labels."
    ),
    frozenset({C.LEARNING_RATE_TOO_LOW, C.LABELS_UNINFORMATIVE}): (
        "Train on for 100 steps with the learning rate {rate_up}: a faster fall is the rate; at the same level, "
        "look at "
        "inputs and labels side by side."
    ),
    frozenset({C.LABELS_UNINFORMATIVE, C.MISSING_NONLINEARITY}): (
        "Fit a linear regression to the same data: the same loss means that the network is linear; then look at inputs "
        "and labels side by side."
    ),
    frozenset({C.MISSING_NONLINEARITY, C.SATURATED_ACTIVATIONS}): (
        "Print the activations between the layers and their values for one batch: none at all is a linear model, "
        "values at the ends of the range are saturated."
    ),
    frozenset({C.POOR_INITIALIZATION, C.SATURATED_ACTIVATIONS}): (
        "Look at the hidden units on one batch before training: values at the ends of the range already are the "
        "initialisation; values there only later, the activation."
    ),
    frozenset({C.WEIGHT_DECAY_TOO_STRONG, C.INSUFFICIENT_CAPACITY}): (
        "Train on for 200 steps with the weight decay {decay_off}: a loss that leaves its floor was held by it, "
        "{floor} "
        "as before is the model."
    ),
    frozenset({C.DATA_NOT_SHUFFLED, C.LEARNING_RATE_TOO_HIGH}): (
        "Shuffle every epoch and keep the rate: if it is calm then, it was the order; if not, the rate."
    ),
    frozenset({C.DATA_NOT_SHUFFLED, C.BAD_BATCH}): (
        "Print the labels of three consecutive batches: all of one kind is the order; mixed, look at the batch of that "
        "step."
    ),
    frozenset({C.NON_FINITE_DATA, C.INPUTS_NOT_SCALED}): (
        "Print np.isnan(X).any() and the largest absolute value of X: NaN is broken data, finite but huge is the scale."
    ),
    frozenset({C.LEARNING_RATE_TOO_HIGH, C.LABELS_UNINFORMATIVE}): (
        "Train again from the same start with the learning rate {rate_down}: a loss that falls now had too high "
        "a rate; "
        "at the same level, look at inputs and labels side by side."
    ),
    frozenset({C.WRONG_LOSS_FUNCTION, C.GRADIENTS_ACCUMULATING}): (
        "Compute the gradient twice on the same batch without a step: a norm that doubles adds up; an equal one, "
        "print outputs beside targets."
    ),
    frozenset({C.WEIGHT_DECAY_TOO_STRONG, C.SATURATED_ACTIVATIONS}): (
        "Print the norm of the weights every 50 steps: shrinking towards 0 is the weight decay."
    ),
}  # fmt: skip


def separating_check(cause: C, rival: C | None, known: Changes = NOTHING_KNOWN) -> str:
    """What to do to tell ``cause`` from ``rival``, with its numbers where they are known; the cause's own check where
    the pair has none."""
    pair = None if rival is None else _PAIRS.get(frozenset({cause, rival}))
    return (pair or _CHECKS[cause]).format(**known.words())
