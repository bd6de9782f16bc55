"""Owns the pages: the live board, GraphiQL, the page behind an invite, the start page. Plain files, no build step."""
