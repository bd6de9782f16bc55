"""openfootball's public-domain files: real seasons, offline (https://github.com/openfootball)."""
