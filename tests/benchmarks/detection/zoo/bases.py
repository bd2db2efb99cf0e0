"""The healthy twins: recipes that train well. Every fault is one of these with something changed."""

from __future__ import annotations

from benchmarks.detection.zoo.recipe import Recipe

BASES: dict[str, Recipe] = {
    "rings-sgd": Recipe(task="rings", learning_rate=0.1, steps=700),
    "rings-adam": Recipe(task="rings", optimizer="adam", learning_rate=0.003, hidden=(32, 32, 32), steps=500),
    "glyphs-sgd": Recipe(task="glyphs", learning_rate=0.1, batch_size=48, steps=600),
    "glyphs-momentum": Recipe(task="glyphs", learning_rate=0.02, momentum=0.9, hidden=(64,), steps=500),
    "tokens-adam": Recipe(task="tokens", optimizer="adam", learning_rate=0.002, hidden=(32,), batch_size=64, steps=500),
    "checkerboard-adam": Recipe(task="checkerboard", optimizer="adam", learning_rate=0.01, hidden=(64, 32), steps=800),
    "friedman-sgd": Recipe(task="friedman", learning_rate=0.02, hidden=(40,), steps=700),
    "friedman-adam": Recipe(task="friedman", optimizer="adam", learning_rate=0.003, batch_size=64, steps=500),
    "chirp-adam": Recipe(task="chirp", optimizer="adam", learning_rate=0.008, hidden=(64, 64), steps=1000),
    "teacher-momentum": Recipe(task="teacher", learning_rate=0.004, momentum=0.9, activation="tanh", steps=600),
    "teacher-sgd": Recipe(task="teacher", learning_rate=0.015, hidden=(32,), steps=900),
}
