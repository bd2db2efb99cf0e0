"""The closed loop: train a faulty model, do what the report advises, train again."""
