"""How the toy model is trained: one file a network, and the loop they share."""
