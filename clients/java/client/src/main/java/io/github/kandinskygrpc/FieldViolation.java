package io.github.kandinskygrpc;

import java.io.Serializable;

/**
 * One field of the request that broke its range.
 *
 * @param field its path, such as {@code sampling.step_count}
 * @param description what to change
 */
public record FieldViolation(String field, String description) implements Serializable {}
