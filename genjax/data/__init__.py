"""Data as `Source`s (random access) and `Batch`es (the pipeline).

    from genjax.data import embedded, pipeline
    batches = pipeline.batches(embedded.digits('train'), 64, seed=0)
"""
