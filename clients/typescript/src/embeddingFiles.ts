import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import { decodeEmbeddings, encodeEmbeddings } from "./embeddingFile.js";
import type { StoredEmbedding } from "./results.js";

/**
 * Writes embeddings to a `.safetensors` file, making its folder and replacing what was there.
 *
 * @param path - The file.
 * @param embeddings - As {@link encodeEmbeddings} takes them.
 * @throws RangeError, when they do not belong in one file. An error of `node:fs`, when it cannot be written.
 */
export async function saveEmbeddings(path: string, embeddings: Iterable<StoredEmbedding>): Promise<void> {
  const file = encodeEmbeddings(embeddings);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, file);
}

/**
 * Reads the pairs of a `.safetensors` file.
 *
 * @param path - The file.
 * @throws EmbeddingFileError, when it holds something else. An error of `node:fs`, when it cannot be read.
 */
export async function loadEmbeddings(path: string): Promise<StoredEmbedding[]> {
  return decodeEmbeddings(await readFile(path));
}
