"""Messages committed in the transaction of the data that they speak of."""
