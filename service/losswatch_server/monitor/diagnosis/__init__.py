"""Why a condition may be there: facts, evidence, weights, and the ranking of causes."""
