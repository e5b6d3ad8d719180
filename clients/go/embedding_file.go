package kandinsky

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// ErrEmbeddingFile is a file that is no `.safetensors` file of embeddings.
var ErrEmbeddingFile = errors.New("kandinsky: no file of embeddings")

// Save writes the pairs to a `.safetensors` file, making its folder and replacing what was there: tensors `positive` and
// `negative`, each [pairs, width], which is what diffusers takes as image_embeds and negative_image_embeds; and the receipts.
// float16 is kept; bfloat16 becomes float32. It wraps [ErrArgument] where there are none, or where they differ in width, prior, or in having
// a negative embedding.
func (e Embeddings) Save(path string) error {
	positives, negatives, err := e.columns()
	if err != nil {
		return err
	}
	receipts, err := receiptsJSON(e)
	if err != nil {
		return argumentError("receipts: %v", err)
	}
	metadata := map[string]string{"prior_fingerprint": positives[0].GetPriorFingerprint(), "receipts": receipts}
	tensors := map[string]tensor{}
	for name, column := range map[string][]*kandinskyapiv1.Embedding{"positive": positives, "negative": negatives} {
		if len(column) > 0 {
			if tensors[name], err = stacked(column); err != nil {
				return argumentError("%s: %v", name, err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, encodeTensors(tensors, metadata), 0o666)
}

// LoadEmbeddings reads the pairs of a `.safetensors` file. Any that has a tensor `positive` will do; float64 becomes float32.
// Errors are those of opening the file, or wrap [ErrEmbeddingFile].
func LoadEmbeddings(path string) (Embeddings, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pairs, err := decodeEmbeddings(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEmbeddingFile, path, err)
	}
	return pairs, nil
}

// columns returns the positive and the negative embeddings, which are none or as many.
func (e Embeddings) columns() (positives, negatives []*kandinskyapiv1.Embedding, _ error) {
	if len(e) == 0 {
		return nil, nil, argumentError("there are no embeddings to save")
	}
	for _, pair := range e {
		positives = append(positives, pair.GetPositive())
		if pair.GetNegative() != nil {
			negatives = append(negatives, pair.GetNegative())
		}
	}
	if len(negatives) != 0 && len(negatives) != len(positives) {
		return nil, nil, argumentError("one file holds pairs that all have a negative embedding, or none")
	}
	for _, positive := range positives {
		if positive.GetPriorFingerprint() != positives[0].GetPriorFingerprint() {
			return nil, nil, argumentError("one file holds pairs of one prior")
		}
	}
	return positives, negatives, nil
}

// stacked makes one tensor of embeddings: [len(column), width].
func stacked(column []*kandinskyapiv1.Embedding) (tensor, error) {
	half, width := true, 0
	var data, halves []byte
	for place, embedding := range column {
		values, err := Values(embedding)
		if err != nil {
			return tensor{}, err
		}
		if place > 0 && len(values) != width {
			return tensor{}, fmt.Errorf("one file holds embeddings of one width, not of %d and %d", width, len(values))
		}
		width = len(values)
		half = half && embedding.GetDtype() == kandinskyapiv1.Dtype_DTYPE_F16
		data, halves = append(data, floatBytes(values)...), append(halves, embedding.GetData()...)
	}
	if half {
		return tensor{dtype: "F16", shape: []int{len(column), width}, data: halves}, nil
	}
	return tensor{dtype: "F32", shape: []int{len(column), width}, data: data}, nil
}

func decodeEmbeddings(content []byte) (Embeddings, error) {
	tensors, metadata, err := decodeTensors(content)
	if err != nil {
		return nil, err
	}
	positive, has := tensors["positive"]
	if !has {
		names := strings.Join(slices.Sorted(maps.Keys(tensors)), ", ")
		return nil, fmt.Errorf("it has no tensor `positive`, but %s", names)
	}
	positives, err := rows("positive", positive, metadata["prior_fingerprint"])
	if err != nil {
		return nil, err
	}
	negatives := make([]*kandinskyapiv1.Embedding, len(positives))
	if negative, has := tensors["negative"]; has {
		if negatives, err = rows("negative", negative, metadata["prior_fingerprint"]); err != nil {
			return nil, err
		}
	}
	if len(negatives) != len(positives) {
		return nil, fmt.Errorf("it has %d rows of `positive` and %d of `negative`", len(positives), len(negatives))
	}
	receipts, err := parseReceipts(metadata["receipts"], len(positives))
	if err != nil {
		return nil, err
	}
	pairs := make(Embeddings, len(positives))
	for row := range pairs {
		message := &kandinskyapiv1.EmbeddingPair{Positive: positives[row], Negative: negatives[row]}
		pairs[row] = EmbeddingPair{message, receipts[row]}
	}
	return pairs, nil
}

// rows takes a tensor of [pairs, width] or [width] apart.
func rows(name string, stored tensor, fingerprint string) ([]*kandinskyapiv1.Embedding, error) {
	dtypes := map[string]kandinskyapiv1.Dtype{
		"F32":  kandinskyapiv1.Dtype_DTYPE_F32,
		"F16":  kandinskyapiv1.Dtype_DTYPE_F16,
		"BF16": kandinskyapiv1.Dtype_DTYPE_BF16,
	}
	if stored.dtype == "F64" {
		stored.dtype, stored.data = "F32", narrowed(stored.data)
	}
	dtype, known := dtypes[stored.dtype]
	if !known {
		return nil, fmt.Errorf("`%s` is %s and must be F32, F16, BF16 or F64", name, stored.dtype)
	}
	shape := stored.shape
	if len(shape) == 1 {
		shape = []int{1, shape[0]}
	}
	if len(shape) != 2 || shape[0] == 0 || shape[1] == 0 || shape[1] > math.MaxInt32 {
		return nil, fmt.Errorf("`%s` is %v and must be [pairs, width] or [width]", name, stored.shape)
	}
	embeddings := make([]*kandinskyapiv1.Embedding, 0, shape[0])
	for row := range slices.Chunk(stored.data, len(stored.data)/shape[0]) {
		embeddings = append(embeddings, &kandinskyapiv1.Embedding{
			Data: row, Dtype: dtype, Shape: []int32{int32(shape[1])}, PriorFingerprint: fingerprint,
		})
	}
	return embeddings, nil
}

// narrowed turns float64 into float32.
func narrowed(data []byte) []byte {
	values := make([]float32, 0, len(data)/8)
	for value := range slices.Chunk(data, 8) {
		values = append(values, float32(math.Float64frombits(binary.LittleEndian.Uint64(value))))
	}
	return floatBytes(values)
}

// parseReceipts reads a JSON list of receipts, one a row; absent or empty, there are none.
func parseReceipts(text string, count int) ([]*kandinskyapiv1.Receipt, error) {
	var list []json.RawMessage
	if text != "" {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return nil, fmt.Errorf("its metadata `receipts`: %w", err)
		}
	}
	receipts := make([]*kandinskyapiv1.Receipt, count)
	if len(list) == 0 {
		return receipts, nil
	}
	if len(list) != count {
		return nil, fmt.Errorf("its metadata `receipts` is no JSON list of %d, one a row", count)
	}
	for row, written := range list {
		receipt, err := parseReceipt(written)
		if err != nil {
			return nil, fmt.Errorf("its metadata `receipts`, row %d: %w", row, err)
		}
		receipts[row] = receipt
	}
	return receipts, nil
}
