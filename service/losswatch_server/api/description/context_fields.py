"""What each field of a context and each fact means, for the API's description."""

from __future__ import annotations

from collections.abc import Mapping

CONTEXT: Mapping[str, str] = {
    "group": "A sweep: runs of the same group are compared, and their notifications gathered.",
    "framework": "What trains, such as pytorch or keras.",
    "optimizer": "Its name, such as sgd, adam or adamw. Only SGD lets a stable learning rate be computed exactly.",
    "learning_rate": "At the start. A point's own `learning_rate` outweighs it from its step on.",
    "momentum": "The momentum of SGD.",
    "nesterov": "Whether the momentum is Nesterov's.",
    "batch_size": "Samples in a batch, over all devices.",
    "loss_name": "The loss function, such as cross_entropy, bce_with_logits or mse: it says what chance level is.",
    "num_classes": "How many classes are told apart: with a cross-entropy, chance level is the logarithm of it.",
    "total_steps": "How many steps are planned: whether a slow run will get there depends on it.",
    "weight_decay": "The weight decay.",
    "warmup_steps": "Steps over which the learning rate rises at the start.",
    "grad_clip": "The gradient norm at which gradients are clipped.",
    "grad_norm_is": "Whether `grad_norm` is measured before or after clipping.",
    "step_unit": "What a step is: a step of the optimizer, or an epoch.",
    "steps_per_epoch": "Optimizer steps in an epoch.",
    "steps_per_point": "Optimizer steps from one point to the next, where fewer are sent than made.",
    "full_batch": "Whether every step uses the whole data.",
    "precision": "The number format of the computation: fp32, fp16, bf16, …; it says where a loss overflows.",
    "objective": "`none` for a loss that need not fall (a GAN, reinforcement learning): only NaN and infinity count.",
    "layer_order": "The layers' names from input to output, as in `layers` of the points.",
    "expected_gap_s": "The longest time between requests, in seconds, that is no reason to call the run silent.",
    "baseline_loss": "The loss of the best constant answer, where the client knows it: chance level.",
    "facts": "What the client sees of its model, data and optimizer.",
    "tags": "Free names and values, for finding runs and choosing which targets hear of them.",
}

FACTS: Mapping[str, str] = {
    "parameters": "Numbers in the model, trainable or not.",
    "trainable_parameters": "Those that can be trained.",
    "optimizer_parameters": "Those that the optimizer holds: if fewer than can be trained, some are not updated.",
    "hidden_activations": "From input to output; `linear` for a layer without one.",
    "output_activation": "The activation of the last layer.",
    "loss_expects": "What the loss function takes.",
    "input_mean": "Mean of the inputs.",
    "input_std": "Standard deviation of the inputs.",
    "input_max_abs": "The largest absolute value among the inputs.",
    "target_kind": "What is predicted.",
    "target_mean": "Mean of the targets.",
    "target_std": "Standard deviation of the targets.",
    "class_shares": "The share of each class among the labels.",
    "dataset_size": "Samples in the training data.",
    "shuffled": "Whether the training data are shuffled in every epoch.",
    "normalization": "The kinds of normalization layers.",
    "initial_loss": "The loss before the first step.",
    "dead_unit_share": "The share of hidden units that answer 0 to everything.",
    "saturated_unit_share": "The share of hidden units at the ends of a sigmoid or tanh.",
    "update_to_weight": "The size of a step over that of the weights: the median over the layers.",
    "overfits_one_batch": "Whether a preflight could learn one batch by heart.",
    "loss_scale": "The factor of mixed precision's loss scaler.",
    "gradients_cleared": "Whether a step's gradients are gone before those of the next step come (`zero_grad`).",
}
