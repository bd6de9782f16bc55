"""The contract in strawberry: types, inputs, payloads and roots, and how requests reach them."""
