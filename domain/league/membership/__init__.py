"""Subject: a league's memberships."""
