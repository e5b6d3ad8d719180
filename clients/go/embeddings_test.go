package kandinsky_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	kandinsky "github.com/kandinsky-grpc/kandinsky-grpc/clients/go"
	"github.com/kandinsky-grpc/kandinsky-grpc/clients/go/kandinskyapi/v1"
)

// The files in testdata are Python's: testdata/write.py.
func TestFilesArePythonsByteForByte(t *testing.T) {
	for _, name := range []string{"pairs", "half", "mixed"} {
		path := filepath.Join("testdata", name+".safetensors")
		pairs, err := kandinsky.LoadEmbeddings(path)
		if err != nil {
			t.Fatal(err)
		}
		saved := filepath.Join(t.TempDir(), "new", "folder", "saved.safetensors")
		if err := pairs.Save(saved); err != nil {
			t.Fatal(err)
		}
		if got, want := readFile(t, saved), readFile(t, path); got != want {
			t.Errorf("%s: wrote\n%q, Python\n%q", name, got, want)
		}
	}
}

func TestWhatIsReadOfPythonsFiles(t *testing.T) {
	pairs, err := kandinsky.LoadEmbeddings("testdata/pairs.safetensors")
	if err != nil || len(pairs) != 2 {
		t.Fatalf("got %d pairs, %v", len(pairs), err)
	}
	values, err := kandinsky.Values(pairs[1].Positive)
	if want := []float32{4. / 3, 5. / 3, 2, 7. / 3}; err != nil || !slices.Equal(values, want) {
		t.Errorf("got %v, %v", values, err)
	}
	receipt := pairs[0].Receipt
	if receipt.Seed != math.MaxInt64 || receipt.NegativePrompt == nil || receipt.ConditionTexts[10] != "k" || receipt.Weights[2] != 1e-5 {
		t.Errorf("got %v", receipt)
	}
	if pairs[1].Receipt != nil || pairs[0].Negative == nil || pairs[0].Positive.PriorFingerprint != `pri"or é` {
		t.Errorf("got %+v", pairs)
	}
	half, err := kandinsky.LoadEmbeddings("testdata/half.safetensors")
	if err != nil || half[0].Negative != nil || half[0].Positive.Dtype != kandinskyapiv1.Dtype_DTYPE_F16 {
		t.Errorf("got %+v, %v", half, err)
	}
}

func TestValuesOfEachDtype(t *testing.T) {
	for name, test := range map[string]struct {
		dtype kandinskyapiv1.Dtype
		data  []byte
		want  float64
	}{
		"single":          {kandinskyapiv1.Dtype_DTYPE_F32, []byte{0, 0, 0x80, 0xbf}, -1},
		"half":            {kandinskyapiv1.Dtype_DTYPE_F16, []byte{0x55, 0x35}, 0.333251953125},
		"half, negative":  {kandinskyapiv1.Dtype_DTYPE_F16, []byte{0x00, 0xc0}, -2},
		"half, most":      {kandinskyapiv1.Dtype_DTYPE_F16, []byte{0xff, 0x7b}, 65504},
		"half, least":     {kandinskyapiv1.Dtype_DTYPE_F16, []byte{0x01, 0x00}, 0x1p-24},
		"half, subnormal": {kandinskyapiv1.Dtype_DTYPE_F16, []byte{0xff, 0x83}, -1023 * 0x1p-24},
		"half, infinity":  {kandinskyapiv1.Dtype_DTYPE_F16, []byte{0x00, 0xfc}, math.Inf(-1)},
		"bfloat16":        {kandinskyapiv1.Dtype_DTYPE_BF16, []byte{0x20, 0xc0}, -2.5},
	} {
		values, err := kandinsky.Values(&kandinskyapiv1.Embedding{Data: test.data, Dtype: test.dtype, Shape: []int32{1, 1}})
		if err != nil || len(values) != 1 || float64(values[0]) != test.want {
			t.Errorf("%s: %v, %v", name, values, err)
		}
	}
	nan, err := kandinsky.Values(&kandinskyapiv1.Embedding{Data: []byte{1, 0x7c}, Dtype: kandinskyapiv1.Dtype_DTYPE_F16, Shape: []int32{1}})
	if err != nil || !math.IsNaN(float64(nan[0])) {
		t.Errorf("NaN: %v, %v", nan, err)
	}
	for _, wrong := range []*kandinskyapiv1.Embedding{
		nil,
		{Data: []byte{1}, Dtype: kandinskyapiv1.Dtype_DTYPE_F32, Shape: []int32{1}},
		{Data: []byte{1, 2, 3, 4}, Dtype: 9, Shape: []int32{1}},
		{Data: []byte{1, 2, 3, 4}, Dtype: kandinskyapiv1.Dtype_DTYPE_F32, Shape: []int32{-1}},
	} {
		if values, err := kandinsky.Values(wrong); err == nil {
			t.Errorf("%v: %v", wrong, values)
		}
	}
	made := kandinsky.NewEmbedding([]float32{1, -2.5, float32(math.Inf(1))}, "p")
	if values, err := kandinsky.Values(made); err != nil || values[1] != -2.5 || !math.IsInf(float64(values[2]), 1) {
		t.Errorf("%v, %v", values, err)
	}
}

// file writes a .safetensors file of a header and data.
func file(t testing.TB, header any, data []byte) string {
	t.Helper()
	written, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	content := binary.LittleEndian.AppendUint64(nil, uint64(len(written)))
	path := filepath.Join(t.TempDir(), "file.safetensors")
	if err := os.WriteFile(path, slices.Concat(content, written, data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type stored struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

func TestForeignFilesAreRead(t *testing.T) {
	double := binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1))
	for name, path := range map[string]string{
		"float64, one row, no metadata":    file(t, map[string]any{"positive": stored{"F64", []int{1}, [2]int{0, 8}}}, double),
		"bfloat16, beside another's dtype": file(t, map[string]any{"positive": stored{"BF16", []int{1, 1}, [2]int{1, 3}}, "x": stored{"BOOL", []int{1}, [2]int{0, 1}}}, []byte{1, 0xce, 0x3d}),
	} {
		pairs, err := kandinsky.LoadEmbeddings(path)
		if err != nil || len(pairs) != 1 || pairs[0].Receipt != nil {
			t.Fatalf("%s: %v, %v", name, pairs, err)
		}
		values, err := kandinsky.Values(pairs[0].Positive)
		if err != nil || len(values) != 1 || math.Abs(float64(values[0])-0.1) > 0.001 {
			t.Errorf("%s: %v, %v", name, values, err)
		}
		saved := filepath.Join(t.TempDir(), "saved.safetensors")
		if err := pairs.Save(saved); err != nil {
			t.Fatal(err)
		}
		again, err := kandinsky.LoadEmbeddings(saved)
		if err != nil || again[0].Positive.Dtype != kandinskyapiv1.Dtype_DTYPE_F32 {
			t.Errorf("%s: saved as %v, %v", name, again, err)
		}
	}
}

func TestFilesThatHoldNoEmbeddings(t *testing.T) {
	four := []byte{1, 2, 3, 4}
	one := stored{"F32", []int{1, 1}, [2]int{0, 4}}
	rows := map[string]any{"positive": stored{"F16", []int{2, 1}, [2]int{0, 4}}}
	for name, path := range map[string]string{
		"another tensor":       file(t, map[string]any{"other": one}, four),
		"no tensor":            file(t, map[string]any{}, nil),
		"cut off":              file(t, map[string]any{"positive": stored{"F32", []int{1, 2}, [2]int{0, 8}}}, four),
		"negative offsets":     file(t, map[string]any{"positive": stored{"F32", []int{1, 1}, [2]int{-4, 0}}}, four),
		"bytes left":           file(t, map[string]any{"positive": one}, append(four, 5)),
		"shape too large":      file(t, map[string]any{"positive": stored{"F32", []int{1 << 40, 1 << 40}, [2]int{0, 4}}}, four),
		"negative shape":       file(t, map[string]any{"positive": stored{"F32", []int{-1, -1}, [2]int{0, 4}}}, four),
		"no rows":              file(t, map[string]any{"positive": stored{"F32", []int{0, 4}, [2]int{0, 0}}}, nil),
		"three dimensions":     file(t, map[string]any{"positive": stored{"F32", []int{1, 1, 1}, [2]int{0, 4}}}, four),
		"integers":             file(t, map[string]any{"positive": stored{"I32", []int{1, 1}, [2]int{0, 4}}}, four),
		"fewer negatives":      file(t, map[string]any{"positive": rows["positive"], "negative": stored{"F16", []int{1, 1}, [2]int{4, 6}}}, append(four, 5, 6)),
		"fewer receipts":       file(t, map[string]any{"positive": rows["positive"], "__metadata__": map[string]string{"receipts": "[null]"}}, four),
		"receipts, no list":    file(t, map[string]any{"positive": one, "__metadata__": map[string]string{"receipts": "7"}}, four),
		"receipts, no receipt": file(t, map[string]any{"positive": one, "__metadata__": map[string]string{"receipts": `["x"]`}}, four),
		"metadata, no text":    file(t, map[string]any{"positive": one, "__metadata__": map[string]int{"x": 1}}, four),
		"header, no object":    file(t, []int{1}, nil),
		"tensor, no object":    file(t, map[string]any{"positive": 1}, nil),
	} {
		if pairs, err := kandinsky.LoadEmbeddings(path); !errors.Is(err, kandinsky.ErrEmbeddingFile) {
			t.Errorf("%s: %v, %v", name, pairs, err)
		}
	}
	if _, err := kandinsky.LoadEmbeddings("nowhere"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, kandinsky.ErrEmbeddingFile) {
		t.Errorf("no file: %v", err)
	}
}

// FuzzLoadEmbeddings finds no bytes that do more than fail.
func FuzzLoadEmbeddings(f *testing.F) {
	for _, name := range []string{"pairs", "half", "mixed"} {
		content, err := os.ReadFile(filepath.Join("testdata", name+".safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte{})
	path := filepath.Join(f.TempDir(), "fuzz.safetensors")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		pairs, err := kandinsky.LoadEmbeddings(path)
		if err != nil {
			if !errors.Is(err, kandinsky.ErrEmbeddingFile) {
				t.Fatal(err)
			}
			return
		}
		if err := pairs.Save(path); err != nil && !errors.Is(err, kandinsky.ErrArgument) {
			t.Fatal(err)
		}
	})
}

func TestWhatOneFileCannotHold(t *testing.T) {
	pair := func(width int, prior string, negative bool) kandinsky.EmbeddingPair {
		message := &kandinskyapiv1.EmbeddingPair{Positive: kandinsky.NewEmbedding(make([]float32, width), prior)}
		if negative {
			message.Negative = message.Positive
		}
		return kandinsky.EmbeddingPair{EmbeddingPair: message}
	}
	broken := pair(2, "a", false)
	broken.Positive = proto.Clone(broken.Positive).(*kandinskyapiv1.Embedding)
	broken.Positive.Shape = []int32{3}
	for name, pairs := range map[string]kandinsky.Embeddings{
		"none":         {},
		"widths":       {pair(2, "a", true), pair(3, "a", true)},
		"priors":       {pair(2, "a", true), pair(2, "b", true)},
		"one negative": {pair(2, "a", true), pair(2, "a", false)},
		"broken":       {broken},
		"empty pair":   {{}},
	} {
		path := filepath.Join(t.TempDir(), "file.safetensors")
		if err := pairs.Save(path); !errors.Is(err, kandinsky.ErrArgument) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
}
