"""How members present themselves."""
