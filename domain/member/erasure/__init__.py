"""Deleting an account: at once what names the member, then, if wished, all that the member has played."""
