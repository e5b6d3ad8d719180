/**
 * The program that the conformance suite drives; the protocol is in {@code conformance/README.md}.
 */
package io.github.kandinskygrpc.conformance;
