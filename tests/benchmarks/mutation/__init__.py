"""Which numbers of the rules and which evidence of the causes do the tests hold? ``make mutate``."""
