"""How the platform is at this moment: queues, providers, processes."""
