"""Records of providers that were set aside."""
