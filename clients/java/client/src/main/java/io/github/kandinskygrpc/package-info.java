/**
 * Calls a Kandinsky 2.2 gRPC server: {@link io.github.kandinskygrpc.KandinskyClient} with the
 * contract's messages of {@link io.github.kandinskygrpc.api.v1}.
 */
package io.github.kandinskygrpc;
