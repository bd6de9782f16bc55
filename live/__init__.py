"""Live updates: what a stream sends, who shares it, and when. Delivery to sockets is not here."""
