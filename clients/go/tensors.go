package kandinsky

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// The `.safetensors` format: 8 bytes of the header's length, little-endian; the header, JSON padded with spaces to a multiple of 8
// bytes; the tensors' bytes, one after the other. https://github.com/huggingface/safetensors

// maxHeaderBytes is the format's own limit.
const maxHeaderBytes = 100_000_000

const metadataName = "__metadata__"

// tensorSizes is the bytes of one number of each dtype that embeddings may have; files may hold others beside.
var tensorSizes = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2}

// tensor is an array as a file holds it: dtype is the format's name for it, such as "F32".
type tensor struct {
	dtype string
	shape []int
	data  []byte
}

// tensorHeader is what the header says of one tensor.
type tensorHeader struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// encodeTensors writes a file as the format's own library does: wider dtypes first, then by name. Metadata is sorted.
func encodeTensors(tensors map[string]tensor, metadata map[string]string) []byte {
	names := slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		return cmp.Or(cmp.Compare(tensorSizes[tensors[b].dtype], tensorSizes[tensors[a].dtype]), strings.Compare(a, b))
	})
	var header, data bytes.Buffer
	fmt.Fprintf(&header, `{"%s":{`, metadataName)
	for place, key := range slices.Sorted(maps.Keys(metadata)) {
		if place > 0 {
			header.WriteByte(',')
		}
		header.WriteString(quoted(key) + ":" + quoted(metadata[key]))
	}
	header.WriteByte('}')
	for _, name := range names {
		each, begin := tensors[name], data.Len()
		data.Write(each.data)
		shape := strings.Join(strings.Fields(fmt.Sprint(each.shape)), ",")
		fmt.Fprintf(&header, `,%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, quoted(name), each.dtype, shape, begin, data.Len())
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 {
		header.WriteByte(' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(header.Len()))
	return slices.Concat(file, header.Bytes(), data.Bytes())
}

// quoted writes a JSON string as the format's library does: everything that need not be escaped as it is.
func quoted(text string) string {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // a string and a buffer do not fail
	}
	written := strings.TrimSuffix(buffer.String(), "\n")
	// encoding/json alone escapes these two, for JavaScript.
	return strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(written)
}

// decodeTensors reads a file's tensors and metadata.
func decodeTensors(content []byte) (map[string]tensor, map[string]string, error) {
	if len(content) < 8 {
		return nil, nil, errors.New("it is too short")
	}
	length := binary.LittleEndian.Uint64(content)
	if length > maxHeaderBytes || length > uint64(len(content)-8) {
		return nil, nil, errors.New("its header is longer than the file")
	}
	written, data := content[8:8+length], content[8+length:]
	if !utf8.Valid(written) {
		return nil, nil, errors.New("its header is no UTF-8")
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(written, &header); err != nil {
		return nil, nil, fmt.Errorf("its header: %w", err)
	}
	metadata := map[string]string{}
	if extra, has := header[metadataName]; has {
		if err := json.Unmarshal(extra, &metadata); err != nil {
			return nil, nil, fmt.Errorf("its metadata: %w", err)
		}
		delete(header, metadataName)
	}
	tensors, err := sliced(header, data)
	return tensors, metadata, err
}

// sliced finds each tensor's bytes; together they must be all there are, in any order.
func sliced(header map[string]json.RawMessage, data []byte) (map[string]tensor, error) {
	tensors, total := map[string]tensor{}, 0
	for name, written := range header {
		var each tensorHeader
		if err := json.Unmarshal(written, &each); err != nil {
			return nil, fmt.Errorf("its header, %q: %w", name, err)
		}
		begin, end := each.Offsets[0], each.Offsets[1]
		if begin < 0 || begin > end || end > len(data) {
			return nil, fmt.Errorf("`%s` is cut off: %d to %d of %d bytes", name, begin, end, len(data))
		}
		if !fits(each, end-begin) {
			return nil, fmt.Errorf("`%s`: %v of %s are not %d bytes", name, each.Shape, each.Dtype, end-begin)
		}
		total += end - begin
		tensors[name] = tensor{each.Dtype, each.Shape, data[begin:end:end]}
	}
	if total != len(data) {
		return nil, fmt.Errorf("its tensors have %d bytes, the file %d", total, len(data))
	}
	return tensors, nil
}

// fits tells whether a tensor's shape makes so many bytes. Dtypes that embeddings do not have are not looked into.
func fits(header tensorHeader, size int) bool {
	item, known := tensorSizes[header.Dtype]
	if !known {
		return true
	}
	count := size / item
	for _, dimension := range header.Shape {
		if dimension < 0 {
			return false
		}
		if dimension == 0 {
			return size == 0
		}
		if count%dimension != 0 {
			return false
		}
		count /= dimension
	}
	return count == 1 && size%item == 0
}
