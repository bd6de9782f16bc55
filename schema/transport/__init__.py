"""How requests reach the schema: limits before everything, one engine, HTTP and websocket."""
