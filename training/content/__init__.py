"""Items known by what is written of them: how well, measured on items that no training has seen."""
