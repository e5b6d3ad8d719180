/**
 * Programs that show how the client is used. Each takes the server's address from {@code
 * KANDINSKY_TARGET}.
 */
package io.github.kandinskygrpc.examples;
