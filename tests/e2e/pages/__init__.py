"""Pages in a browser, all on one demo that ends with the last of these tests."""
