"""PostgreSQL and Valkey from wheels, below the data folder: real engines, started and stopped with Palpite."""
