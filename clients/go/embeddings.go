package kandinsky

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// EmbeddingPair is the two embeddings that a decoder is guided by, as requests take them. Negative is nil where there is none,
// which will do when guidance_scale is 1 or less.
type EmbeddingPair struct {
	*kandinskyapiv1.EmbeddingPair
	Receipt *kandinskyapiv1.Receipt // what made them; nil when that is unknown
}

// Embeddings is embedding pairs in order; see [Embeddings.Save] and [LoadEmbeddings].
type Embeddings []EmbeddingPair

// Messages returns the pairs for a request's field `Embeddings`.
func (e Embeddings) Messages() []*kandinskyapiv1.EmbeddingPair {
	messages := make([]*kandinskyapiv1.EmbeddingPair, len(e))
	for place, pair := range e {
		messages[place] = pair.EmbeddingPair
	}
	return messages
}

// NewEmbedding returns an embedding of these values, 1280 for Kandinsky 2.2. The server does not check whether its prior made it
// when the fingerprint is empty.
func NewEmbedding(values []float32, priorFingerprint string) *kandinskyapiv1.Embedding {
	return &kandinskyapiv1.Embedding{
		Data:             floatBytes(values),
		Dtype:            kandinskyapiv1.Dtype_DTYPE_F32,
		Shape:            []int32{int32(len(values))},
		PriorFingerprint: priorFingerprint,
	}
}

// Values returns the numbers of an embedding in float32, which holds each dtype's exactly. Its error tells of a dtype that this
// package does not know, or of bytes that are not as many as the shape says.
func Values(embedding *kandinskyapiv1.Embedding) ([]float32, error) {
	count := 1
	for _, size := range embedding.GetShape() {
		count *= int(size)
	}
	data := embedding.GetData()
	read, size := decoderOf(embedding.GetDtype())
	if read == nil {
		return nil, fmt.Errorf("an embedding of dtype %v needs a newer client", embedding.GetDtype())
	}
	if len(data) != count*size {
		return nil, fmt.Errorf("%v values in %v are %d bytes, not %d", embedding.GetShape(), embedding.GetDtype(), count*size, len(data))
	}
	values := make([]float32, count)
	for place := range values {
		values[place] = read(data[place*size:])
	}
	return values, nil
}

// check tells what is wrong with a pair that a server sent.
func (p EmbeddingPair) check() error {
	if _, err := Values(p.GetPositive()); err != nil {
		return err
	}
	if p.GetNegative() == nil {
		return nil
	}
	_, err := Values(p.GetNegative())
	return err
}

// decoderOf returns what reads one number, and the bytes that it has; nil for a dtype that is not known.
func decoderOf(dtype kandinskyapiv1.Dtype) (read func([]byte) float32, size int) {
	switch dtype {
	case kandinskyapiv1.Dtype_DTYPE_F32:
		return func(data []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(data)) }, 4
	case kandinskyapiv1.Dtype_DTYPE_F16:
		return func(data []byte) float32 { return fromHalf(binary.LittleEndian.Uint16(data)) }, 2
	case kandinskyapiv1.Dtype_DTYPE_BF16:
		return func(data []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(data)) << 16) }, 2
	default:
		return nil, 0
	}
}

// fromHalf widens an IEEE 754 half: 1 bit of sign, 5 of exponent, 10 of fraction.
func fromHalf(bits uint16) float32 {
	sign := uint32(bits>>15) << 31
	exponent, fraction := uint32(bits>>10)&0x1f, uint32(bits)&0x3ff
	switch exponent {
	case 0: // zero, or less than the least normal number: fraction times 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent-15+127)<<23 | fraction<<13)
	}
}

func floatBytes(values []float32) []byte {
	data := make([]byte, 0, 4*len(values))
	for _, value := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
	}
	return data
}
