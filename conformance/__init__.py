"""What every client must do, as data, and the program that holds each client to it."""
