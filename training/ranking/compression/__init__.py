"""A trained ranker made smaller: distilled to one member, pruned, in whole numbers; what each loses and wins."""
