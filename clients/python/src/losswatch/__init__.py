"""The thin client of Losswatch: log the loss of a training run and be told what is wrong, why, and what to do.

run = losswatch.Run("my-run", learning_rate=0.01, optimizer="sgd")
for step in range(1000):
    run.log(step, loss=train_step())
run.finish()
"""

from losswatch.run import Run

__all__ = ["Run", "__version__"]
__version__ = "0.1.0"
