"""Candidate generation: several sources over one bundle, blended."""
