"""Every machine-readable action, with what its value means, and where the reasoning comes from."""

from __future__ import annotations

ACTIONS: dict[str, str] = {
    "set_learning_rate": "Set the learning rate to the value.",
    "multiply_learning_rate": "Multiply the learning rate by the value; it "
    "was not sent, so only a factor can be given.",
    "add_warmup": "Let the learning rate rise from 0 over the first value steps.",
    "clip_gradients": "Clip the total gradient norm at the value.",
    "loosen_gradient_clip": "Raise the clip value to the value, or drop clipping.",
    "scale_inputs": "Bring every input (and a regression target) to mean 0 and standard deviation 1.",
    "change_activation": "Use the named activation between the layers.",
    "change_initialization": "Draw the initial weights by the named scheme.",
    "increase_capacity": "Make the hidden layers value times as wide, or add one.",
    "change_loss": "Use the named loss function.",
    "update_parameters": "See that the optimizer holds the model's parameters and steps after every backward pass.",
    "zero_gradients": "Set the gradients to zero before every backward pass.",
    "shuffle_data": "Shuffle the training data anew in every epoch.",
    "increase_batch_size": "Use at least value samples in a batch.",
    "reduce_weight_decay": "Set the weight decay to the value.",
    "set_momentum": "Set the momentum to the value.",
    "change_precision": "Compute in the named precision.",
    "skip_batch": "Leave out the batch of the step in the value.",
    "filter_batch": "Check every batch for values that are not finite or out of range, and leave such samples out.",
    "stop_at_best_step": "Stop training and keep the parameters of the step in the value.",
    "regularize": "Add weight decay of the value (or dropout, or more data).",
    "check_labels": "Look at inputs and labels side by side, as the training loop sees them.",
    "none": "Nothing has to be done.",
}
"""Name -> one sentence."""

REFERENCES: dict[str, str] = {
    "set_learning_rate": "Cohen et al. 2021, arXiv 2103.00065",
    "multiply_learning_rate": "Cohen et al. 2021, arXiv 2103.00065",
    "add_warmup": "Goyal et al. 2017, arXiv 1706.02677",
    "clip_gradients": "Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063",
    "loosen_gradient_clip": "Deep Learning Tuning Playbook (Google), section on gradient clipping",
    "scale_inputs": "LeCun, Bottou, Orr, Mueller 1998, Efficient BackProp, section 4.3",
    "change_activation": "Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.3",
    "change_initialization": "He et al. 2015, arXiv 1502.01852",
    "increase_capacity": "Goodfellow, Bengio, Courville 2016, Deep Learning, section 5.2",
    "change_loss": "Goodfellow, Bengio, Courville 2016, Deep Learning, section 6.2.2",
    "update_parameters": "Karpathy 2019, A Recipe for Training Neural Networks",
    "zero_gradients": "Karpathy 2018, the most common neural net mistakes",
    "shuffle_data": "Bottou 2012, Stochastic Gradient Descent Tricks",
    "increase_batch_size": "McCandlish et al. 2018, arXiv 1812.06162",
    "reduce_weight_decay": "Loshchilov, Hutter 2019, arXiv 1711.05101",
    "set_momentum": "Sutskever et al. 2013, On the importance of initialization and momentum",
    "change_precision": "Micikevicius et al. 2018, arXiv 1710.03740",
    "skip_batch": "Chowdhery et al. 2022, PaLM, arXiv 2204.02311, section 5.1",
    "filter_batch": "Chowdhery et al. 2022, PaLM, arXiv 2204.02311, section 5.1",
    "stop_at_best_step": "Prechelt 1998, Early Stopping - But When?",
    "regularize": "Goodfellow, Bengio, Courville 2016, Deep Learning, chapter 7",
    "check_labels": "Karpathy 2019, A Recipe for Training Neural Networks",
}
