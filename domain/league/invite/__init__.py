"""Subject: a league's invites."""
