"""The stages of ``pipeline.PIPELINE``, one module each."""
